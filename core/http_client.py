"""One request to a provider over HTTP, bounded in time and size.

httpx limits each read, so an answer that drips may run for ever; here the whole exchange has one
deadline and the reply a most of bytes. Nothing is retried: that belongs to the queue. Every
foreign error becomes ours at this door, and a key never passes it in a sentence.
"""

from __future__ import annotations

import asyncio
import email.utils
import hashlib
import json
import time
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import httpx
from pydantic import SecretStr

from core.errors import (
    Code,
    OutcomeUnknown,
    Provider,
    ProviderBusy,
    ProviderRefused,
    ProviderResting,
    Rejected,
    StenogramError,
)

T = TypeVar("T")

DEADLINE_S = 30.0
REPLY_BYTES = 64 * 1024**2
LONGEST_WAIT_S = 3600.0
"""A provider that asks for a longer pause is asked again after this one."""
RATE_PAUSE_S = 20.0
"""After "too many requests" without a time."""
_LOOK_S = 0.5
_TOLD_CHARS = 200


@dataclass(frozen=True)
class Answer:
    """A reply, read whole."""

    status: int
    headers: httpx.Headers
    body: bytes
    provider: Provider
    took_s: float

    def json(self) -> dict[str, Any]:
        """The reply as an object. OutcomeUnknown if it is none."""
        try:
            payload = json.loads(self.body)
        except ValueError as error:
            raise OutcomeUnknown(self.provider, "an answer that makes no sense") from error
        if not isinstance(payload, dict):
            raise OutcomeUnknown(self.provider, "an answer that makes no sense")
        return payload

    def lines(self) -> list[dict[str, Any]]:
        """The reply as JSON lines. OutcomeUnknown if one of them is none."""
        return [
            self.within(line).json()
            for line in self.body.decode(errors="replace").split("\n")
            if line.strip()
        ]

    def within(self, body: str) -> Answer:
        """An answer that stands inside this one."""
        return replace(self, body=body.encode())

    def text(self, name: str) -> str:
        """A field that must be there. OutcomeUnknown if it is not."""
        value = self.json().get(name)
        if not isinstance(value, str) or not value:
            raise OutcomeUnknown(self.provider, "an answer that makes no sense")
        return value


class HttpClient:
    """The line to one provider: its key, and the setting that holds the key."""

    def __init__(
        self,
        provider: Provider,
        key: SecretStr,
        setting: str,
        *,
        deadline_s: float = DEADLINE_S,
        scheme: str = "Bearer ",
        header: str = "Authorization",
        refused: Code = Code.PROVIDER_REFUSED,
    ) -> None:
        self.provider = provider
        self.setting = setting
        self._key = key
        self._deadline_s = deadline_s
        self._scheme = scheme
        self._header = header
        self._refused = refused

    @property
    def has_key(self) -> bool:
        """Whether there is a key at all."""
        return bool(self._key.get_secret_value())

    @property
    def fingerprint(self) -> str:
        """Tells one key from another, and nothing about either."""
        return hashlib.sha256(self._key.get_secret_value().encode()).hexdigest()[:8] if self.has_key else ""

    @property
    def masked(self) -> str:
        """The key as it may be shown: its last four characters."""
        return f"…{self._key.get_secret_value()[-4:]}" if self.has_key else ""

    def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        json: object = None,
        form: Mapping[str, Any] | None = None,
        file: tuple[str, bytes, str] | None = None,
        content: bytes | None = None,
        accept: Collection[int] = (),
        deadline_s: float | None = None,
        most_bytes: int = REPLY_BYTES,
    ) -> Answer:
        """Send one request and read its reply; a status in `accept` is no error.

        ProviderRefused: the key. ProviderBusy: not done. OutcomeUnknown: perhaps done. Rejected: never.
        """
        files = None if file is None else {"file": file}
        body = {"json": json, "data": form, "files": files, "content": content}
        sent: dict[str, Any] = {name: value for name, value in body.items() if value is not None}
        sent["headers"] = {**self._authorization(), **(headers or {})}
        limit_s = deadline_s or self._deadline_s
        answer = self._bounded(_exchange(self.provider, method, url, sent, limit_s, most_bytes), limit_s)
        if answer.status in accept or 200 <= answer.status < 300:
            return answer
        raise self._meaning(answer)

    def _authorization(self) -> dict[str, str]:
        key = self._key.get_secret_value()
        return {self._header: f"{self._scheme}{key}"} if key else {}

    def _bounded(self, exchange: Coroutine[Any, Any, Answer], limit_s: float) -> Answer:
        try:
            return asyncio.run(_interruptible(exchange))
        except TimeoutError as error:
            raise OutcomeUnknown(self.provider, f"no answer in {limit_s:g} s") from error
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
            raise ProviderBusy(self.provider, f"no connection: {type(error).__name__}") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            detail = f"the connection broke: {type(error).__name__}"
            raise OutcomeUnknown(self.provider, detail) from error
        except httpx.InvalidURL as error:
            raise Rejected(Code.PROVIDER_ADDRESS_INVALID, provider=self.provider.display_name) from error

    def _meaning(self, answer: Answer) -> StenogramError:
        """What a refusal means for us."""
        detail = f"HTTP {answer.status}"
        match answer.status:
            case 401 | 403:
                return ProviderRefused(self.provider, self.setting, self._refused)
            case 429:
                return ProviderResting(self.provider, detail, retry_after_s(answer.headers) or RATE_PAUSE_S)
            case status if status == 408 or status >= 500 or status < 400:
                return OutcomeUnknown(self.provider, detail, retry_after_s(answer.headers) or None)
        name = self.provider.display_name
        detail += self._error_message(answer)
        refusal = Rejected(Code.REQUEST_REFUSED, provider=name, detail=detail)
        refusal.provider = self.provider
        return refusal

    def _error_message(self, answer: Answer) -> str:
        """What the provider says, short, without the key, and nothing if it is a page for browsers."""
        message = error_message(answer.body)
        key = self._key.get_secret_value()
        message = message.replace(key, "…") if key else message
        return f", {message[:_TOLD_CHARS]}" if message else ""


def error_message(body: bytes) -> str:
    """The sentence inside an error reply, in the shapes that providers use; "" if there is none."""
    try:
        inside: object = json.loads(body)
    except ValueError:
        return ""
    for _ in range(3):
        if isinstance(inside, dict):
            inside = inside.get("error") or inside.get("message") or inside.get("detail")
    return " ".join(inside.split()).rstrip(".") if isinstance(inside, str) else ""


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Seconds to wait, from `Retry-After` as a number or as a date (RFC 9110, 10.2.3); 0 if not told."""
    text = headers.get("retry-after", "")
    try:
        seconds = float(text)
    except ValueError:
        seconds = _until(text)
    return min(seconds, LONGEST_WAIT_S) if seconds > 0 else 0.0


def _until(text: str) -> float:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (TypeError, ValueError):
        return 0.0


async def _interruptible(exchange: Coroutine[Any, Any, T]) -> T:
    """Wait, waking now and then: a worker that must stop is interrupted only while Python runs."""
    task = asyncio.ensure_future(exchange)
    while not task.done():
        await asyncio.wait({task}, timeout=_LOOK_S)
    return task.result()


async def _exchange(
    provider: Provider, method: str, url: str, sent: dict[str, Any], limit_s: float, most_bytes: int
) -> Answer:
    began = time.monotonic()
    limits = httpx.Timeout(limit_s, connect=min(limit_s, 10.0))
    async with (
        asyncio.timeout(limit_s),
        httpx.AsyncClient(timeout=limits) as client,
        client.stream(method, url, **sent) as reply,
    ):
        body = bytearray()
        async for piece in reply.aiter_bytes():
            body += piece
            if len(body) > most_bytes:
                raise OutcomeUnknown(provider, "an answer that never ends")
        return Answer(reply.status_code, reply.headers, bytes(body), provider, time.monotonic() - began)
