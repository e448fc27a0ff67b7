"""Gemini embeddings, now: up to 100 texts a call, answered in seconds.

Wire facts: https://ai.google.dev/gemini-api/docs/embeddings (April 2026). Two traps of the client:
`gemini-embedding-2` makes *one* vector of a list of strings, so each text is wrapped in `Content`,
and it ignores `task_type`, so the task stands in the text. The client never retries and has no
time limit of its own: retrying belongs to the queue, and the limit here is on the whole call,
because a limit on each read lets a dripping answer run for ever.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from math import ceil
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import SecretStr

from core.embed import Vectors, unit
from core.errors import ProviderBusy, ProviderRefused, Rejected, StenogramError

if TYPE_CHECKING:
    from google.genai import types
    from google.genai.errors import APIError

API_VERSION = "v1beta"
MAX_TEXTS = 100
"""Requests in one batchEmbedContents; more are refused with 400."""
CHARS_PER_TOKEN = 3
"""For answers without a count; low for Russian and English alike, so that no bill is a surprise."""
_A_DAY_S = 3600.0
"""Wait after a daily quota is used up: asking each hour finds the new day soon enough."""


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

    languages: tuple[str, ...] | None = None
    batch_texts = MAX_TEXTS

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
        self.name = f"{model}@{dim}"
        self.title = f"Gemini ({model}, {dim})"
        self.max_tokens = 2048 if _has_task_types(model) else 8192
        self._key = key
        self._base_url = base_url
        self._deadline_s = deadline_s
        self._question_deadline_s = question_deadline_s

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors of passages, shape [texts, dim]; one call for each hundred."""
        return self.embed_counted(texts)[0]

    def embed_counted(self, texts: Sequence[str]) -> tuple[Vectors, int]:
        """Unit vectors of passages, and the tokens that were paid for."""
        forms = [passage_form(self.model, text) for text in texts]
        vectors, tokens = [np.empty((0, self.dim), np.float32)], 0
        for start in range(0, len(forms), MAX_TEXTS):
            found, paid = self._asked(
                forms[start : start + MAX_TEXTS], "RETRIEVAL_DOCUMENT", self._deadline_s
            )
            vectors.append(found)
            tokens += paid
        return np.concatenate(vectors), tokens

    def embed_query(self, text: str) -> NDArray[np.float32]:
        """The unit vector of a question; a person waits, so the limit is short."""
        forms = [question_form(self.model, text)]
        vectors, _ = self._asked(forms, "RETRIEVAL_QUERY", self._question_deadline_s)
        return np.asarray(vectors[0], dtype=np.float32)

    def _asked(self, forms: Sequence[str], task: str, deadline_s: float) -> tuple[Vectors, int]:
        """One call; every foreign error becomes ours here."""
        import httpx2  # noqa: PLC0415 (the client's own transport)
        from google.genai.errors import APIError  # noqa: PLC0415

        if not self._key.get_secret_value():
            raise ProviderRefused("Gemini", "GEMINI_API_KEY", "{provider} needs a key: set {setting}.")
        try:
            answer = asyncio.run(self._call(forms, task, deadline_s))
            return _read(answer, forms, self.dim)
        except APIError as error:
            raise _meaning(error, self.model) from error
        except TimeoutError as error:
            raise ProviderBusy("Gemini", f"no answer in {deadline_s:g} s") from error
        except httpx2.TransportError as error:
            raise ProviderBusy("Gemini", f"no connection: {type(error).__name__}") from error
        except ValueError as error:  # also JSON and schema errors of the client
            raise ProviderBusy("Gemini", "an answer that makes no sense") from error

    async def _call(self, forms: Sequence[str], task: str, deadline_s: float) -> types.EmbedContentResponse:
        from google import genai  # noqa: PLC0415
        from google.genai import types  # noqa: PLC0415

        options = types.HttpOptions(
            base_url=self._base_url or None,
            api_version=API_VERSION,
            timeout=ceil(deadline_s * 1000),
        )
        config = types.EmbedContentConfig(output_dimensionality=self.dim)
        if _has_task_types(self.model):
            config.task_type = task
        client = genai.Client(vertexai=False, api_key=self._key.get_secret_value(), http_options=options)
        async with asyncio.timeout(deadline_s), client.aio as gemini:
            contents: Any = [types.Content(parts=[types.Part(text=form)]) for form in forms]
            return await gemini.models.embed_content(model=self.model, contents=contents, config=config)


def _read(answer: types.EmbedContentResponse, forms: Sequence[str], dim: int) -> tuple[Vectors, int]:
    """Vectors and paid tokens. ValueError unless there is one vector a text."""
    values = [embedding.values or [] for embedding in answer.embeddings or []]
    if len(values) != len(forms):
        raise ValueError(f"{len(values)} vectors for {len(forms)} texts")
    counted = answer.usage_metadata.prompt_token_count if answer.usage_metadata else None
    return unit(values, len(forms), dim), counted or ceil(sum(map(len, forms)) / CHARS_PER_TOKEN)


def _meaning(error: APIError, model: str) -> StenogramError:
    """What the provider's refusal means for us."""
    details = _details(error)
    message = str(error.message or "")
    if error.code in (401, 403) or _key_is_invalid(details, message):
        return ProviderRefused("Gemini", "GEMINI_API_KEY")
    if "location is not supported" in message:
        return ProviderRefused("Gemini", "GEMINI_BASE_URL", "{provider} does not serve this country.")
    if error.code in (408, 429) or error.code >= 500:
        return ProviderBusy("Gemini", f"HTTP {error.code}", _wait_s(details))
    if error.code == 404:
        return Rejected("{provider} does not know the model {model}.", provider="Gemini", model=model)
    return Rejected("{provider} refused the request: HTTP {status}.", provider="Gemini", status=error.code)


def _details(error: APIError) -> list[dict[str, Any]]:
    """google.rpc details, wherever the body has them."""
    body = error.details if isinstance(error.details, dict) else {}
    inner = body.get("error", body)
    details = inner.get("details") if isinstance(inner, dict) else None
    return [detail for detail in details or [] if isinstance(detail, dict)]


def _key_is_invalid(details: Sequence[dict[str, Any]], message: str) -> bool:
    reasons = {detail.get("reason") for detail in details}
    return bool(reasons & {"API_KEY_INVALID", "API_KEY_EXPIRED"}) or "API key not valid" in message


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
