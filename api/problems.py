"""Errors as programs get them: `application/problem+json` (RFC 9457), never a traceback or a path.

Which error is which status is said once, in STATUS.
"""

from __future__ import annotations

import asyncio
import logging
import re
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from core import errors
from core.audit import is_refusal, refused
from core.database.failures import FAILURES, is_mistake, unavailable
from core.database.states import AuditSubject
from core.errors import NotReady, StenogramError, Unavailable
from core.i18n import catalogue
from core.i18n.messages import N_
from core.storage.blobs import of_disk

log = logging.getLogger("stenogram.api")

STATUS: dict[type[StenogramError], int] = {
    StenogramError: 500,
    errors.Rejected: 400,
    errors.UnreadableMedia: 415,
    errors.TooLarge: 413,
    errors.NotFound: 404,
    errors.KeyRefused: 401,
    errors.AdminsOnly: 403,
    errors.ReadOnly: 403,
    errors.SignInNeeded: 401,
    errors.NotInvited: 403,
    errors.Conflict: 409,
    errors.Withdrawn: 409,
    errors.Unavailable: 503,
    errors.NoSpace: 507,
    errors.TooMany: 429,
}
"""Status codes by class; a subclass that is not here answers as its parent."""

RETRY_AFTER_S = 30
HASTE_S = 0.1
"""Who asks too often waits a moment even for the refusal, so that everybody else comes first."""
MEDIA_TYPE = "application/problem+json"
SENTENCES = {
    404: N_("There is nothing at this address."),
    405: N_("This address does not take this method."),
    500: N_("Something broke here. The log knows more."),
}
INVALID = N_("{field}: {reason}")


class Problem(BaseModel):
    """What every error looks like."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    """What kind of error it is, by its class."""
    reason: str | None = None
    """What happened exactly: a name of `core.errors.Code`, stable where the sentence is not."""
    error: dict[str, str] | None = None
    """The same in the shape of the OpenAI form, where that is spoken."""
    task_status: str | None = None


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How these statuses are described in the documentation."""
    schema = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": schema} for status in statuses}


def example(answer: object) -> dict[int | str, dict[str, Any]]:
    """An answer as the documentation shows it."""
    return {200: {"content": {"application/json": {"example": answer}}}}


def status_of(error: StenogramError) -> int:
    """The status code of an error."""
    return next(STATUS[parent] for parent in type(error).__mro__ if parent in STATUS)


def language_of(request: Request) -> str:
    """What the caller reads: Accept-Language, else the language of their key, else English."""
    spoken = getattr(request.state, "language", "en")
    return catalogue.language(request.headers.get("accept-language"), spoken)


def install(api: FastAPI) -> None:
    """Have every error leave as a problem."""
    api.add_exception_handler(StenogramError, _on_own_error)
    api.add_exception_handler(RequestValidationError, _invalid)
    api.add_exception_handler(HTTPException, _unknown)
    api.add_exception_handler(ClientDisconnect, _client_disconnected)
    for failure in FAILURES:
        api.add_exception_handler(failure, _database)
    api.add_exception_handler(OSError, _disk)
    api.add_exception_handler(Exception, _broken)


def _answer(
    request: Request,
    status: int,
    code: str,
    detail: str,
    headers: dict[str, str] | None = None,
    task_status: str | None = None,
    reason: str | None = None,
) -> JSONResponse:
    return answer(request.url.path, status, code, detail, headers, task_status, reason)


def answer(
    path: str,
    status: int,
    code: str,
    detail: str,
    headers: dict[str, str] | None = None,
    task_status: str | None = None,
    reason: str | None = None,
) -> JSONResponse:
    """A problem at this path; `detail` is a sentence in the reader's language."""
    title = HTTPStatus(status).phrase
    problem = Problem(
        title=title, status=status, detail=detail, code=code, task_status=task_status, reason=reason
    )
    if path.startswith("/v1/"):
        problem.error = {"message": detail, "type": title, "code": code}
    return JSONResponse(problem.model_dump(exclude_none=True), status, headers, MEDIA_TYPE)


async def _on_own_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StenogramError)
    if is_refusal(error) and hasattr(request.state, "principal"):
        await run_in_threadpool(_record, request, error)
    status, headers = status_of(error), dict[str, str]()
    if isinstance(error, Unavailable) and status in {429, 503}:
        headers["Retry-After"] = str(round(error.retry_after_s or RETRY_AFTER_S))
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        await asyncio.sleep(HASTE_S)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="stenogram"'
    task_status = str(error.facts.get("status")) if isinstance(error, NotReady) else None
    detail = catalogue.translate_error(error, language_of(request))
    return _answer(request, status, _code(error), detail, headers, task_status, error.code.value)


def _record(request: Request, error: StenogramError) -> None:
    """What the caller may not, by the first id in the address."""
    name, object_id = next(iter(request.path_params.items()), ("", ""))
    kind = name.removesuffix("_id")
    subject = AuditSubject(kind) if kind in set(AuditSubject) else AuditSubject.INSTALLATION
    database = request.app.state.api_state.open().database
    refused(database, request.state.principal, subject, str(object_id), error)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    detail = catalogue.gettext(INVALID, language_of(request), field=field, reason=first["msg"])
    return _answer(request, 400, "invalid", detail)


async def _unknown(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    sentence = SENTENCES.get(error.status_code, error.detail)
    detail = catalogue.gettext(sentence, language_of(request))
    headers = dict(error.headers) if error.headers else None
    return _answer(request, error.status_code, code_of(error.status_code), detail, headers)


async def _database(request: Request, error: Exception) -> JSONResponse:
    """The database is locked, full, damaged or gone; whoever asked may ask again."""
    if is_mistake(error):
        log.error("a mistake of ours in a query", exc_info=error)
        return await _broken(request, error)
    return await _on_own_error(request, unavailable(error))


async def _disk(request: Request, error: Exception) -> JSONResponse:
    """The disk is full, read-only or gone, wherever that was met first."""
    assert isinstance(error, OSError)
    disk_error = of_disk(error, request.app.state.api_state.open().settings.home)
    log.error("the disk" if disk_error else "it broke", exc_info=error)
    return await (_on_own_error(request, disk_error) if disk_error else _broken(request, error))


async def _broken(request: Request, _error: Exception) -> JSONResponse:
    return _answer(request, 500, "broken", catalogue.gettext(SENTENCES[500], language_of(request)))


async def _client_disconnected(_request: Request, _error: Exception) -> Response:
    """Nobody is there to read it; what had arrived of an upload is deleted already."""
    return Response(status_code=400)


def code_of(status: int) -> str:
    """The code of an error that is known by its status alone."""
    return HTTPStatus(status).phrase.lower().replace(" ", "_")


def _code(error: StenogramError) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", type(error).__name__).lower()
