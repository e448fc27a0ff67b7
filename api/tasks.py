"""Bring a recording, follow its task, take the transcript."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from api.callers import Asking, Caller, Uploading
from api.forms import Form, receive
from api.orders import Order, fingerprint, form, order
from api.problems import refusals
from core.clients import webhooks
from core.clients.answers import Accepted, Message, Result, TaskAnswer, TaskList
from core.clients.idempotency import IdempotentRequest
from core.database.tables import Task
from core.storage.blobs import Blob
from core.transcripts import export

router = APIRouter(prefix="/api/v1", tags=["tasks"])

Status = Literal["", "queued", "processing", "completed", "failed", "cancelled"]
Format = Literal["txt", "timecodes", "srt", "vtt", "json", "csv", "rttm", "docx"]
Name = Annotated[str, Header(max_length=200)]
"""The same name with the same request gives the same task for 24 hours."""
Limit = Annotated[int, Query(ge=1, le=500)]
Offset = Annotated[int, Query(ge=0, le=1_000_000_000)]


@router.post(
    "/transcribe",
    status_code=202,
    openapi_extra=form(),
    responses=refusals(400, 401, 409, 413, 415, 429, 503, 507),
)
async def transcribe(
    request: Request,
    caller: Uploading,
    query: Annotated[Order, Query()],
    idempotency_key: Name = "",
) -> Accepted:
    """Upload a recording and have it transcribed. Accepted once bytes and task are on disk.

    The same `Idempotency-Key` with the same request gives the same task for 24 hours.
    """
    task = await accept_upload(request, caller, query, idempotency_key)
    return await run_in_threadpool(caller.answers.accepted, task)


async def accept_upload(request: Request, caller: Caller, query: Order, name: str = "") -> Task:
    """The task of an uploaded file, wanted as the address and the form say."""
    blob, sent = await receive(request, caller.application.blobs)
    options = order(query.model_dump(exclude_unset=True), sent.fields)
    idempotency = IdempotentRequest(name, digest(request, blob, sent), options.callback_url)
    return await run_in_threadpool(submit, caller, blob, sent.filename or "", options, idempotency)


def digest(request: Request, blob: Blob, sent: Form) -> str:
    """Of everything that a form brought, and its address."""
    fields = [(field, value) for field, values in sent.fields.items() for value in values]
    return fingerprint(blob.sha256, [*request.query_params.multi_items(), *fields])


def submit(caller: Caller, blob: Blob, filename: str, options: Order, idempotency: IdempotentRequest) -> Task:
    """The task of bytes that are in the store, with everything that was asked for besides."""
    check(caller, options)
    return caller.application.client_intake.submit(
        caller.principal, blob, filename, options.options(), idempotency
    )


def check(caller: Caller, options: Order) -> None:
    """Refuse what cannot be done with any recording: callback address, engine, language, lane."""
    if options.callback_url:
        webhooks.check(options.callback_url, anywhere=caller.application.settings.api_callbacks_anywhere)
    caller.application.intake.check(options.options())


@router.get("/callback-secret", responses=refusals(401, 429))
def secret(caller: Asking) -> dict[str, str]:
    """With what calls to your `callback_url` are signed: `signing_secret` by https://www.standardwebhooks.com.

    `header` and `secret` (HMAC-SHA256 over `<t>.<body>`) are deprecated.
    """
    former = caller.application.keys.secret(caller.principal.owner)
    signing = webhooks.signing_secret(former)
    return {"signing_secret": signing, "header": webhooks.SIGNATURE, "secret": former}


@router.get("/tasks", responses=refusals(400, 401, 429))
def tasks(caller: Asking, status_filter: Status = "", limit: Limit = 50, offset: Offset = 0) -> TaskList:
    """Your tasks, newest first."""
    return caller.answers.tasks(status_filter, limit, offset)


@router.get("/tasks/{task_id}", responses=refusals(401, 404, 429))
def task(task_id: str, caller: Asking) -> TaskAnswer:
    """How a task is doing."""
    return caller.answers.task(task_id)


@router.get("/tasks/{task_id}/result", responses=refusals(401, 404, 409, 429))
def result(task_id: str, caller: Asking) -> Result:
    """The transcript; 409 with the status while there is none."""
    return caller.answers.result(task_id)


@router.get(
    "/tasks/{task_id}/download",
    response_class=Response,
    responses={
        200: {
            "description": "The transcript as a file.",
            "content": {media.partition(";")[0]: {} for _, media, _ in export.FORMATS.values()},
        },
        **refusals(400, 401, 404, 409, 429),
    },
)
def download(task_id: str, caller: Asking, format: Format = "txt") -> Response:  # noqa: A002 - its public name
    """The transcript as a file to keep; `X-Stenogram-Warnings` names codes of what to know about it."""
    file = caller.answers.file(task_id, format)
    headers = {"Content-Disposition": export.disposition(file.name), "X-Content-Type-Options": "nosniff"}
    if file.warnings:
        headers["X-Stenogram-Warnings"] = ", ".join(file.warnings)
    return Response(file.content, media_type=file.media_type, headers=headers)


@router.delete("/tasks/{task_id}", responses=refusals(401, 404, 429))
def delete(task_id: str, caller: Asking) -> Message:
    """Cancel a task if it runs, and delete it with its result."""
    return caller.answers.forget(task_id)


@router.post("/tasks/{task_id}/cancel", responses=refusals(401, 404, 409, 429))
def cancel(task_id: str, caller: Asking) -> TaskAnswer:
    """Stop a task and keep what is finished."""
    return caller.answers.cancel(task_id)


@router.post("/tasks/{task_id}/retry", responses=refusals(401, 404, 409, 429))
def retry(task_id: str, caller: Asking) -> TaskAnswer:
    """Go on from the stage that failed."""
    return caller.answers.retry(task_id)
