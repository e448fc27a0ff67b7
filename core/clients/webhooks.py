"""Calls to programs whose tasks have ended: signed, three times at most, never into private networks.

`X-Stenogram-Signature: t=<unix seconds>,sha256=<hex>` is HMAC-SHA256 over `<t>.<body>`, with the secret of
the key that made the task. The address is looked up once and that very address is called, so a name
that points elsewhere a moment later gains nothing. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import re
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from pydantic import TypeAdapter

from core.application import Application
from core.clients.answers import Answers, TaskAnswer
from core.database.tables import Callback
from core.errors import BadRequest, NotFound
from core.principal import EVERYONE

SIGNATURE = "X-Stenogram-Signature"
TIMEOUT_S = 10.0
AT_ONCE = 50
"""Calls of one round, all at the same time: a round lasts as long as its slowest call."""
PORTS = {"https": 443, "http": 80}
_PRINTABLE = re.compile(r"[!-~]{1,2000}")


def check(url: str, *, anywhere: bool = False) -> None:
    """Refuse with BadRequest what will never be called. Names are looked up only when they are called."""
    parts = _parts(url)
    if parts is None:
        raise BadRequest("The callback address is not valid.")
    if parts.scheme != "https" and not anywhere:
        raise BadRequest("The callback address must begin with https://.")
    if not anywhere and _is_private(parts.hostname or ""):
        raise BadRequest("The callback address is in a private network.")


@dataclass(frozen=True)
class _Call:
    """What is said to whom."""

    task_id: str
    url: str
    body: bytes
    signature: str


def deliver(app: Application, at_once: int = AT_ONCE) -> int:
    """Make the calls that are due, side by side; says how many arrived."""
    calls = list(filter(None, (_prepared(app, due) for due in app.idempotency.due(at_once))))
    errors = asyncio.run(_all(calls, anywhere=app.settings.api_callbacks_anywhere))
    for call, error in zip(calls, errors, strict=True):
        app.idempotency.called(call.task_id, error)
    return errors.count(None)


def sign(secret: str, body: bytes, now: float) -> str:
    """The value of the signature header."""
    stamp = f"{int(now)}"
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={stamp},sha256={digest}"


def _prepared(app: Application, due: Callback) -> _Call | None:
    """None if the task was deleted meanwhile, and its call with it."""
    try:
        owner = app.recordings.task(EVERYONE, due.task_id).owner
        answer = Answers(app, EVERYONE, app.keys.language(owner)).task(due.task_id)
    except NotFound:
        return None
    body = TypeAdapter(TaskAnswer).dump_json(answer)
    return _Call(due.task_id, due.url, body, sign(app.keys.secret(owner), body, time.time()))


async def _all(calls: Sequence[_Call], *, anywhere: bool) -> list[str | None]:
    return await asyncio.gather(*(_made(call, anywhere=anywhere) for call in calls))


async def _made(call: _Call, *, anywhere: bool) -> str | None:
    """One call: None, or what went wrong."""
    try:
        return await _post(call.url, call.body, call.signature, anywhere=anywhere)
    except (OSError, ValueError, IndexError) as error:  # a timeout and a bad certificate are OSErrors
        return type(error).__name__


async def _post(url: str, body: bytes, signature: str, *, anywhere: bool) -> str | None:
    parts = _parts(url)
    if parts is None:
        return "not a valid address"
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    secure = ssl.create_default_context() if parts.scheme == "https" else None
    async with asyncio.timeout(TIMEOUT_S):
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        addresses = [str(entry[4][0]) for entry in found]
        if not anywhere and any(_is_private(address) for address in addresses):
            return "a private address"
        name = host if secure else None
        reader, writer = await asyncio.open_connection(addresses[0], port, ssl=secure, server_hostname=name)
        try:
            writer.write(_request(parts, body, signature) + body)
            await writer.drain()
            status = int((await reader.readline()).split()[1])
        finally:
            writer.close()
    return None if 200 <= status < 300 else f"HTTP {status}"


def _request(parts: SplitResult, body: bytes, signature: str) -> bytes:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = (
        f"POST {target} HTTP/1.1",
        f"Host: {parts.netloc.rpartition('@')[2]}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        f"{SIGNATURE}: {signature}",
        "User-Agent: Stenogram",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", "")).encode("ascii")


def _parts(url: str) -> SplitResult | None:
    """The address in parts, or None if it is none."""
    if not _PRINTABLE.fullmatch(url):
        return None
    try:
        parts = urlsplit(url)
        known = parts.scheme in PORTS and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return None
    return parts if known else None


def _is_private(host: str) -> bool:
    """Whether an address is not of the public internet; a name is judged when it is looked up."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host.lower() == "localhost" or host.lower().endswith(".localhost")
    mapped = getattr(address, "ipv4_mapped", None)
    return not (mapped or address).is_global
