"""Calls to programs whose tasks have ended: signed, three times at most, never into private networks.

Signed as https://www.standardwebhooks.com says (`webhook-id`, `webhook-timestamp`, `webhook-signature`),
with the secret of the key that made the task. `webhook-id` is the task's id and the same in every try.
`X-Stenogram-Signature: t=<unix seconds>,sha256=<hex of HMAC-SHA256 over "<t>.<body>">` is sent for
programs written before and is deprecated.

The address is looked up once and that very address is called, so a name that points elsewhere a moment
later gains nothing. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import re
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import httpx
from pydantic import TypeAdapter
from standardwebhooks import Webhook

from core.addresses import PrivateAddressError, may_be_public, public_addresses
from core.clients.answers import Answers, AnswerSources, TaskAnswer
from core.clients.idempotency import IdempotencyStore
from core.clients.keys import Keys
from core.database.tables import Callback
from core.errors import BadRequest, Code, NotFound
from core.library.moments import link
from core.library.saved_searches import PendingMatches, SavedSearches
from core.principal import EVERYONE
from core.settings import Settings

SIGNATURE = "X-Stenogram-Signature"
TIMEOUT_S = 10.0
AT_ONCE = 50
"""Calls of one round, all at the same time: a round lasts as long as its slowest call."""
PORTS = {"https": 443, "http": 80}
URL_CHARS = 2000
_HOST = re.compile(rb"[a-z0-9._-]+|[0-9a-f:.]+", re.IGNORECASE)


def check(url: str, *, anywhere: bool = False) -> None:
    """Refuse with BadRequest what will never be called. Names are looked up only when they are called."""
    address = _parsed(url)
    if address is None:
        raise BadRequest(Code.CALLBACK_INVALID)
    if address.scheme != "https" and not anywhere:
        raise BadRequest(Code.CALLBACK_NOT_HTTPS)
    if not anywhere and not may_be_public(_host(address)):
        raise BadRequest(Code.CALLBACK_PRIVATE)


@dataclass(frozen=True)
class Call:
    """What is sent where."""

    task_id: str
    """Of whom it tells; of an event its name."""
    url: str
    body: bytes
    signatures: Mapping[str, str]


class WebhookSources(AnswerSources, Protocol):
    """What a call is made of: the task as its owner reads it, and the key that signs."""

    settings: Settings
    idempotency: IdempotencyStore
    keys: Keys
    saved_searches: SavedSearches


class Webhooks:
    """Calls to the addresses that API clients gave with their requests."""

    def __init__(self, sources: WebhookSources) -> None:
        self._sources = sources

    def deliver(self, at_once: int = AT_ONCE) -> int:
        """Make the calls that are due, side by side; says how many arrived."""
        idempotency = self._sources.idempotency
        calls = [call for due in idempotency.due(at_once) if (call := self._prepared(due)) is not None]
        if not calls:
            return self._deliver_moments()
        errors = post_all(calls, anywhere=self._sources.settings.api_callbacks_anywhere)
        for call, error in zip(calls, errors, strict=True):
            idempotency.called(call.task_id, error)
        return errors.count(None) + self._deliver_moments()

    def _deliver_moments(self) -> int:
        """Tell callbacks of standing searches what is new; says how many arrived."""
        service = self._sources.saved_searches
        if not (due := service.due()):
            return 0
        calls = [self._moments_call(one) for one in due]
        errors = post_all(calls, anywhere=self._sources.settings.api_callbacks_anywhere)
        for one, error in zip(due, errors, strict=True):
            service.record_delivery(one, time.time(), arrived=error is None)
        return errors.count(None)

    def _moments_call(self, due: PendingMatches) -> Call:
        """`webhook-id` names the search, the recording and the first moment: the same in every try."""
        name = f"{due.search.id}.{due.recording.id}.{due.hits[0].start_s:.2f}"
        body = json.dumps(
            {
                "search_id": due.search.id,
                "question": due.search.question,
                "recording_id": due.recording.id,
                "title": due.recording.title,
                "moments": [
                    {"start_s": hit.start_s, "text": hit.text, "link": link(due.recording.id, hit.start_s)}
                    for hit in due.hits
                ],
            },
            ensure_ascii=False,
        ).encode()
        secret = self._sources.keys.secret(due.search.owner)
        return Call(name, due.search.callback_url, body, sign(secret, name, body, time.time()))

    def _prepared(self, due: Callback) -> Call | None:
        """None if the task was deleted meanwhile, and its call with it."""
        keys = self._sources.keys
        try:
            owner = self._sources.recordings.task(EVERYONE, due.task_id).owner
            answer = Answers(self._sources, EVERYONE, keys.language(owner)).task(due.task_id)
        except NotFound:
            return None
        body = TypeAdapter(TaskAnswer).dump_json(answer)
        return Call(due.task_id, due.url, body, sign(keys.secret(owner), due.task_id, body, time.time()))


def signing_secret(secret: str) -> str:
    """The secret of a key (hexadecimal) in the form that libraries of Standard Webhooks take."""
    return f"whsec_{base64.b64encode(bytes.fromhex(secret)).decode()}"


def sign(secret: str, message_id: str, body: bytes, now: float) -> dict[str, str]:
    """The headers that prove a body is ours. `secret` is hexadecimal, `now` in seconds since 1970."""
    stamp = int(now)
    at = datetime.fromtimestamp(stamp, UTC)
    former = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": f"{stamp}",
        "webhook-signature": Webhook(signing_secret(secret)).sign(message_id, at, body.decode()),
        SIGNATURE: f"t={stamp},sha256={former}",
    }


def post_all(calls: Sequence[Call], *, anywhere: bool) -> list[str | None]:
    """Make all calls at once: for each None, or what went wrong. `anywhere`: into private networks, too."""
    return asyncio.run(_all(calls, anywhere=anywhere))


async def _all(calls: Sequence[Call], *, anywhere: bool) -> list[str | None]:
    verify = ssl.create_default_context()
    # A proxy of the environment would look names up again; a kept connection knows addresses, not names.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(verify=verify, trust_env=False, limits=limits, timeout=TIMEOUT_S) as client:
        return await asyncio.gather(*(_made(client, call, anywhere=anywhere) for call in calls))


async def _made(client: httpx.AsyncClient, call: Call, *, anywhere: bool) -> str | None:
    """One call: None, or what went wrong."""
    try:
        async with asyncio.timeout(TIMEOUT_S):
            status = await _post(client, call, anywhere=anywhere)
    except PrivateAddressError:
        return "a private address"
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:  # a timeout is an OSError
        return type(error).__name__
    return None if 200 <= status < 300 else f"HTTP {status}"


async def _post(client: httpx.AsyncClient, call: Call, *, anywhere: bool) -> int:
    """The status that the first address of the host which takes a connection answers with."""
    url = _parsed(call.url)
    if url is None:
        raise httpx.InvalidURL("not a valid address")
    host = _host(url)
    addresses = await public_addresses(host, url.port or PORTS[url.scheme], anywhere=anywhere)
    for n, address in enumerate(addresses, 1):
        try:
            return await _post_to(client, call, url, address)
        except httpx.ConnectError:
            if n == len(addresses):
                raise
    raise OSError("no address")


async def _post_to(client: httpx.AsyncClient, call: Call, url: httpx.URL, address: str) -> int:
    """The status of one address, which is told the name and must prove it by its certificate."""
    headers = {
        "Host": url.netloc.decode("ascii"),
        "Content-Type": "application/json",
        "User-Agent": "Stenogram",
        "Connection": "close",
        **call.signatures,
    }
    pinned = url.copy_with(host=address)
    extensions = {"sni_hostname": _host(url)}
    async with client.stream(
        "POST", pinned, content=call.body, headers=headers, extensions=extensions
    ) as answer:
        return answer.status_code


def _parsed(url: str) -> httpx.URL | None:
    """The address, its name encoded by IDNA; None if it is none."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return None
    port_fits = parsed.port is None or 0 < parsed.port < 2**16
    is_valid = parsed.scheme in PORTS and _HOST.fullmatch(parsed.raw_host) and port_fits
    return parsed if is_valid and len(url) <= URL_CHARS else None


def _host(url: httpx.URL) -> str:
    """The host as it is looked up: in ASCII."""
    return url.raw_host.decode("ascii")
