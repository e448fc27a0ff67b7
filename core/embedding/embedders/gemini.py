"""Gemini embeddings: up to 100 texts a call in seconds, or thousands in a batch at half the price.

Wire facts: https://ai.google.dev/gemini-api/docs/embeddings and …/batch-api (April 2026). Traps of
the client, google-genai 3.4.0: `gemini-embedding-2` makes *one* vector of a list of strings, so
each text is wrapped in `Content`, and it ignores `task_type`, so the task stands in the text.
Where aiohttp is installed the client silently sends a request twice when a connection breaks, so
it gets a transport of ours. It hides why a batch failed, so a batch is read from the wire.
Nothing is retried here: that belongs to the queue. The limit is on the whole call, because a
limit on each read lets a dripping answer run for ever.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import ssl
import warnings
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from core import heartbeat
from core.embedding.embedder import RemoteBatch, Vectors, unit
from core.errors import (
    GEMINI,
    Code,
    NotFound,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRefused,
    Rejected,
    StenogramError,
)

if TYPE_CHECKING:
    from google.genai import types
    from google.genai.client import AsyncClient
    from google.genai.errors import APIError

T = TypeVar("T")

ADDRESS = "https://generativelanguage.googleapis.com"
API_VERSION = "v1beta"
EMULATED = "emulator"
"""The key that stands for `tools.gemini_emulator`; its vectors never meet real ones."""
JSONL = "application/jsonl"
TRANSFER_S = 600.0
"""Longest up- or download; a result of 10,000 vectors has 400 MB."""
MAX_TEXTS = 100
"""Requests in one batchEmbedContents; more are refused with 400."""
CHARS_PER_TOKEN = 3
"""For answers without a count; low for Russian and English alike, so that no bill is a surprise."""
_A_DAY_S = 3600.0
"""Wait after a daily quota is used up: asking each hour finds the new day soon enough."""


_Http = Any
"""httpx2.AsyncClient, which is not imported before it is needed."""


def passage_form(model: str, text: str) -> str:
    """How a passage is written for this model; both lanes send exactly this."""
    return text if _has_task_types(model) else f"title: none | text: {text}"


def question_form(model: str, text: str) -> str:
    """How a question is written for this model."""
    return text if _has_task_types(model) else f"task: search result | query: {text}"


def _has_task_types(model: str) -> bool:
    return model == "gemini-embedding-001"


class Gemini:
    """Any language; vectors of the size asked for. Works when there is a key and a network."""

    provider = "gemini"
    languages: tuple[str, ...] | None = None
    batch_texts = MAX_TEXTS
    answer_cosine: float | None = None

    def __init__(
        self,
        key: SecretStr,
        *,
        model: str,
        dim: int,
        base_url: str = "",
        deadline_s: float = 60.0,
        question_deadline_s: float = 10.0,
    ) -> None:
        self.model = model
        self.dim = dim
        emulated = key.get_secret_value() == EMULATED
        self.name = f"{model}@{dim}{'+emulator' if emulated else ''}"
        self.title = f"Gemini emulator ({model}, {dim})" if emulated else f"Gemini ({model}, {dim})"
        self._key = key
        self._base_url = base_url.rstrip("/") or ADDRESS
        self._deadline_s = deadline_s
        self._question_deadline_s = question_deadline_s

    # Now

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of passages, shape [texts, dim]; one call for each hundred."""
        return self.embed_counted(texts)[0]

    def embed_counted(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        """Unit vectors of passages, and the tokens that were paid for."""
        forms = [passage_form(self.model, text) for text in texts]
        vectors, tokens = [np.empty((0, self.dim), np.float32)], 0
        for start in range(0, len(forms), MAX_TEXTS):
            found, paid = self._vectors(
                forms[start : start + MAX_TEXTS], "RETRIEVAL_DOCUMENT", self._deadline_s
            )
            vectors.append(found)
            tokens += paid
        return np.concatenate(vectors), tokens

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The unit vector of a question; a person waits, so the limit is short."""
        forms = [question_form(self.model, text)]
        vectors, _ = self._vectors(forms, "RETRIEVAL_QUERY", self._question_deadline_s)
        return np.asarray(vectors[0], dtype=np.float32)

    def count_tokens(self, texts: Sequence[str]) -> int:
        """Tokens of passages as they would be sent; counting costs nothing."""

        async def call(gemini: AsyncClient, _: _Http) -> int:
            from google.genai import types  # noqa: PLC0415

            forms = [passage_form(self.model, text) for text in texts]
            contents: Any = [types.Content(parts=[types.Part(text=form)]) for form in forms]
            counted = await gemini.models.count_tokens(model=self.model, contents=contents)
            if not counted.total_tokens:
                raise ValueError("no count")
            return counted.total_tokens

        return self._ask(call, self._deadline_s)

    def _vectors(self, forms: Sequence[str], task: str, deadline_s: float) -> tuple[Vectors, int]:
        async def call(gemini: AsyncClient, _: _Http) -> tuple[Vectors, int]:
            from google.genai import types  # noqa: PLC0415

            config = types.EmbedContentConfig(output_dimensionality=self.dim)
            if _has_task_types(self.model):
                config.task_type = task
            contents: Any = [types.Content(parts=[types.Part(text=form)]) for form in forms]
            answer = await gemini.models.embed_content(model=self.model, contents=contents, config=config)
            return _read(answer, forms, self.dim)

        return self._ask(call, deadline_s)

    # By batch

    def request(self, custom_id: str, text: str) -> bytes:
        """One line of a batch's input, as https://ai.google.dev/gemini-api/docs/batch-api has it."""
        content = {"parts": [{"text": passage_form(self.model, text)}]}
        request: dict[str, object] = {"content": content, "output_dimensionality": self.dim}
        if _has_task_types(self.model):
            request["task_type"] = "RETRIEVAL_DOCUMENT"
        return json.dumps({"key": custom_id, "request": request}, ensure_ascii=False).encode() + b"\n"

    def upload(self, path: Path, name: str) -> str:
        """Bring input to the provider under this name. If it is there already, that is as good."""

        async def call(gemini: AsyncClient, _: _Http) -> str:
            from google.genai.errors import APIError  # noqa: PLC0415

            config: Any = {"name": name, "mime_type": JSONL, "display_name": name}
            try:
                with heartbeat.BeatingFile(path, "rb") as file:
                    return (await gemini.files.upload(file=file, config=config)).name or f"files/{name}"
            except APIError as error:
                if error.code != 409:
                    raise
            remote_file = await gemini.files.get(name=f"files/{name}")
            if remote_file.size_bytes != path.stat().st_size:
                raise ProviderBusy(GEMINI, "another file has this name")
            return remote_file.name or f"files/{name}"

        return self._ask(call, TRANSFER_S)

    def create_batch(self, file: str, display_name: str) -> RemoteBatch:
        """Order a batch, with exactly one request. OutcomeUnknown: look for it before ordering again."""

        async def call(gemini: AsyncClient, _: _Http) -> RemoteBatch:
            config: Any = {"display_name": display_name}
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # "experimental", on each call
                job = await gemini.batches.create_embeddings(
                    model=self.model, src={"file_name": file}, config=config
                )
            return _remote(job)

        return self._ask(call, self._deadline_s)

    def batch(self, name: str) -> RemoteBatch:
        """How a batch stands, read from the wire: the client hides errors and counts. Raise NotFound."""

        async def call(_: AsyncClient, http: _Http) -> RemoteBatch:
            from google.genai.errors import APIError  # noqa: PLC0415

            key = {"x-goog-api-key": self._key.get_secret_value()}
            answer = await http.get(f"{self._base_url}/{API_VERSION}/{name}", headers=key)
            await APIError.raise_for_async_response(answer)
            return _operation(answer.json())

        return self._ask(call, self._deadline_s)

    def batches(self, prefix: str) -> list[RemoteBatch]:
        """All batches whose display name begins so, over all pages, oldest first."""

        async def call(gemini: AsyncClient, _: _Http) -> list[RemoteBatch]:
            jobs = [_remote(job) async for job in await gemini.batches.list(config={"page_size": 100})]
            return sorted((one for one in jobs if one.display_name.startswith(prefix)), key=_age)

        return self._ask(call, 2 * self._deadline_s)

    def cancel_batch(self, name: str) -> None:
        """Ask to end a batch early. Raise NotFound, or Rejected if it has ended."""

        async def call(gemini: AsyncClient, _: _Http) -> None:
            await gemini.batches.cancel(name=name)

        self._ask(call, self._deadline_s)

    def download(self, result: str, path: Path) -> None:
        """Write a batch's result to this file. Raise NotFound when it is there no longer."""

        async def call(gemini: AsyncClient, _: _Http) -> None:
            with heartbeat.BeatingFile(path, "wb") as file:
                await gemini.files.download(file=result, destination=file)

        self._ask(call, TRANSFER_S)

    def _ask(self, call: Callable[[AsyncClient, _Http], Awaitable[T]], deadline_s: float) -> T:
        """One call; every foreign error becomes ours here."""
        import httpx2  # noqa: PLC0415 (the client's own transport)
        from google.genai.errors import APIError  # noqa: PLC0415

        if not self._key.get_secret_value():
            raise ProviderRefused(GEMINI, "GEMINI_API_KEY", Code.PROVIDER_NEEDS_KEY)
        try:
            return asyncio.run(self._with_client(call, deadline_s))
        except APIError as error:
            raise _meaning(error, self.model) from error
        except TimeoutError as error:
            raise OutcomeUnknown(GEMINI, f"no answer in {deadline_s:g} s") from error
        except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
            raise ProviderBusy(GEMINI, f"no connection: {type(error).__name__}") from error
        except httpx2.TransportError as error:
            raise OutcomeUnknown(GEMINI, f"the connection broke: {type(error).__name__}") from error
        except (ValueError, KeyError) as error:  # also JSON and schema errors of the client
            raise OutcomeUnknown(GEMINI, "an answer that makes no sense") from error

    async def _with_client(self, call: Callable[[AsyncClient, _Http], Awaitable[T]], deadline_s: float) -> T:
        import httpx2  # noqa: PLC0415
        from google import genai  # noqa: PLC0415
        from google.genai import types  # noqa: PLC0415

        trust = _trust()
        async with asyncio.timeout(deadline_s), httpx2.AsyncClient(timeout=deadline_s, verify=trust) as http:
            options = types.HttpOptions(
                base_url=self._base_url,
                api_version=API_VERSION,
                timeout=ceil(deadline_s * 1000),
                httpx_async_client=http,
                client_args={"verify": trust},
                async_client_args={"ssl": trust},
            )
            client = genai.Client(vertexai=False, api_key=self._key.get_secret_value(), http_options=options)
            async with client.aio as gemini:
                return await call(gemini, http)


@cache
def _trust() -> ssl.SSLContext:
    """Whom to trust: your certificates if `SSL_CERT_FILE` or `SSL_CERT_DIR` is set, else the system's.

    Read once: the client would read some hundred certificates three times for each call.
    """
    import httpx2  # noqa: PLC0415

    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if file or folder:
        return ssl.create_default_context(cafile=file, capath=folder)
    return httpx2.create_ssl_context()


def _read(answer: types.EmbedContentResponse, forms: Sequence[str], dim: int) -> tuple[Vectors, int]:
    """Vectors and paid tokens. ValueError unless there is one vector a text."""
    values = [embedding.values or [] for embedding in answer.embeddings or []]
    if len(values) != len(forms):
        raise ValueError(f"{len(values)} vectors for {len(forms)} texts")
    counted = answer.usage_metadata.prompt_token_count if answer.usage_metadata else None
    return unit(values, len(forms), dim), counted or ceil(sum(map(len, forms)) / CHARS_PER_TOKEN)


def _remote(job: types.BatchJob) -> RemoteBatch:
    """A batch as the client tells it. ValueError if it has no name."""
    if not job.name:
        raise ValueError("a batch without a name")
    created_at = job.create_time.isoformat() if job.create_time else ""
    state = getattr(job.state, "name", "") or str(job.state)
    return RemoteBatch(job.name, job.display_name or "", _state(state), created_at)


def _operation(payload: dict[str, Any]) -> RemoteBatch:
    """A batch as the wire tells it. KeyError if that is no batch."""
    metadata = payload.get("metadata", {})
    stats = metadata.get("batchStats", {})
    output = metadata.get("output") or payload.get("response") or {}
    counted = [stats[name] for name in ("successfulRequestCount", "failedRequestCount") if name in stats]
    return RemoteBatch(
        payload["name"],
        metadata.get("displayName", ""),
        _state(metadata.get("state", "")),
        metadata.get("createTime", ""),
        result=output.get("responsesFile"),
        lines=sum(map(int, counted)) if counted else None,
        error=str((payload.get("error") or {}).get("message", "")),
    )


def _state(http: str) -> str:
    """`BATCH_STATE_RUNNING` and `JOB_STATE_RUNNING` are running; a word we do not know stays itself."""
    return http.rpartition("STATE_")[2].lower()


def _age(batch: RemoteBatch) -> str:
    return batch.created_at


def _meaning(error: APIError, model: str) -> StenogramError:
    """What the provider's refusal means for us."""
    details = _details(error)
    message = str(error.message or "")
    if error.code in (401, 403) or _key_is_invalid(details, message):
        return ProviderRefused(GEMINI, "GEMINI_API_KEY")
    if "location is not supported" in message:  # FAILED_PRECONDITION has no details to tell it by
        return ProviderRefused(GEMINI, "GEMINI_BASE_URL", Code.COUNTRY_NOT_SERVED)
    if error.code == 429:
        return ProviderBusy(GEMINI, f"HTTP {error.code}", _wait_s(details), status=error.code)
    if error.code == 408 or error.code >= 500:
        return OutcomeUnknown(GEMINI, f"HTTP {error.code}", _wait_s(details))
    if error.code == 404:
        return _absent(message, model)
    return Rejected(Code.REQUEST_REFUSED_WITH_STATUS, provider="Gemini", status=error.code)


def _absent(message: str, model: str) -> StenogramError:
    if f"models/{model}" in message:  # NOT_FOUND names what was not found in its text alone
        return Rejected(Code.PROVIDER_MODEL_UNKNOWN, provider="Gemini", model=model)
    return NotFound(Code.PROVIDER_HAS_IT_NO_MORE, provider="Gemini")


def _details(error: APIError) -> list[dict[str, Any]]:
    """google.rpc details, wherever the body has them."""
    body = error.details if isinstance(error.details, dict) else {}
    inner = body.get("error", body)
    details = inner.get("details") if isinstance(inner, dict) else None
    return [detail for detail in details or [] if isinstance(detail, dict)]


def _key_is_invalid(details: Sequence[dict[str, Any]], message: str) -> bool:
    # Older replies have no details, only this text.
    reasons = {detail.get("reason") for detail in details}
    return bool(reasons & {"API_KEY_INVALID", "API_KEY_EXPIRED"}) or "API key not valid" in message


def refuses_key(body: bytes) -> bool:
    """Whether a reply of status 400 refuses the key."""
    try:
        payload = json.loads(body)
    except ValueError:
        return False
    inner = payload.get("error") if isinstance(payload, dict) else None
    if not isinstance(inner, dict):
        return False
    details = [detail for detail in inner.get("details") or [] if isinstance(detail, dict)]
    return _key_is_invalid(details, str(inner.get("message", "")))


def _wait_s(details: Sequence[dict[str, Any]]) -> float | None:
    """Seconds the provider asks us to wait, if it says so."""
    quotas = [violation for detail in details for violation in detail.get("violations") or []]
    if any("PerDay" in str(quota.get("quotaId")) for quota in quotas):
        return _A_DAY_S
    for detail in details:
        delay = re.fullmatch(r"([0-9.]+)s", str(detail.get("retryDelay", "")))
        if delay:
            return float(delay[1])
    return None
