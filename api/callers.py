"""Who is calling: a key in `X-API-Key` or as bearer, counted against its limits.

Nothing here waits, but for the database when a key was not seen lately: who asks too often is refused
without a thread or a query.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Header, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from api.problems import language_of
from core.application import Application
from core.audit import refused
from core.clients import keys
from core.clients.answers import Answers
from core.clients.rate_limits import Limit
from core.database.states import AuditSubject
from core.errors import KeyRefused
from core.monitor.health import Health
from core.principal import Door, Principal

HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="A key made with `make key NAME=x`.")
BEARER = HTTPBearer(auto_error=False, description="The same key, for clients that only know bearers.")
WRONG_KEYS_PER_MIN = 30
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""


@dataclass(frozen=True)
class Limits:
    """What is counted: uploads and other requests of each key, wrong keys of each address."""

    uploads: Limit
    requests: Limit
    strangers: Limit


@dataclass(frozen=True)
class Caller:
    """Whoever holds the key of this request, and what they may be told."""

    application: Application
    principal: Principal
    language: str
    visitor: str = ""
    """Which visit to the pages, where it is one that uploads."""

    @property
    def answers(self) -> Answers:
        """What they are told, in their language."""
        return Answers(self.application, self.principal, self.language)


@dataclass
class ApiState:
    """What the API knows between requests: the journey, built with the first request, and the limits."""

    open: Callable[[], Application]
    _limits: Limits | None = None
    health: tuple[float, Health] | None = None
    """When it was last looked at (`time.monotonic`), and how it was."""
    looking: threading.Lock = field(default_factory=threading.Lock)

    @property
    def limits(self) -> Limits:
        """The limits that the settings fix."""
        if self._limits is None:
            settings = self.open().settings
            self._limits = Limits(
                Limit(settings.api_uploads_per_min),
                Limit(settings.api_requests_per_min),
                Limit(WRONG_KEYS_PER_MIN),
            )
        return self._limits


def application(request: Request) -> Application:
    """The installation that this API serves."""
    journey: Application = request.app.state.api_state.open()
    return journey


async def identify(
    request: Request,
    key: Annotated[str | None, Security(HEADER)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
) -> Caller:
    """Who this is. Raises KeyRefused, ReadOnly where something would change, TooMany for guessers."""
    api_state: ApiState = request.app.state.api_state
    journey = api_state.open()
    credential = key or (bearer.credentials if bearer else "")
    principal = journey.keys.recall(credential) or await run_in_threadpool(journey.keys.check, credential)
    if principal is None:
        if credential:
            api_state.limits.strangers.take(request.client.host if request.client else "")
            await run_in_threadpool(_record_refused_key, journey, credential)
        raise KeyRefused
    request.state.principal, request.state.language = principal, principal.language
    if request.method not in SAFE:
        principal.must_write()
    return Caller(journey, principal, language_of(request))


def _record_refused_key(application: Application, credential: str) -> None:
    """Record that a key was refused: the id of one that looks like ours."""
    stranger = Principal("", door=Door.API)
    of_key = AuditSubject.KEY, keys.id_of(credential)
    refused(application.database, stranger, *of_key, KeyRefused())


async def asking(request: Request, caller: Annotated[Caller, Depends(identify)]) -> Caller:
    """A caller with an ordinary request. Raises TooMany."""
    request.app.state.api_state.limits.requests.take(caller.principal.owner)
    return caller


async def uploading(request: Request, caller: Annotated[Caller, Depends(identify)]) -> Caller:
    """A caller who brings a file. Raises TooMany."""
    request.app.state.api_state.limits.uploads.take(caller.principal.owner)
    return caller


async def sending(
    request: Request,
    key: Annotated[str | None, Security(HEADER)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
    x_upload_ticket: Annotated[str, Header(max_length=200)] = "",
) -> Caller:
    """A caller who goes on with an upload, which is not counted; or a page, which has a ticket."""
    journey: Application = request.app.state.api_state.open()
    if uploader := journey.keys.uploader(x_upload_ticket):
        owner, visitor = uploader
        return Caller(journey, Principal(owner), language_of(request), visitor)
    return await identify(request, key, bearer)


async def bringing(request: Request, caller: Annotated[Caller, Depends(sending)]) -> Caller:
    """A caller, or a page, who begins an upload. Raises TooMany for callers."""
    if not caller.visitor:
        request.app.state.api_state.limits.uploads.take(caller.principal.owner)
    return caller


Here = Annotated[Application, Depends(application)]
Asking = Annotated[Caller, Depends(asking)]
Uploading = Annotated[Caller, Depends(uploading)]
Sending = Annotated[Caller, Depends(sending)]
Bringing = Annotated[Caller, Depends(bringing)]
