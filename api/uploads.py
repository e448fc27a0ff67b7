"""Uploads that may be interrupted: the tus 1.0 protocol (https://tus.io), with its extensions.

Metadata are `filename` and the fields of an order. The last PATCH makes the task; its id stands in
`Stenogram-Task-Id` then, and whenever the upload is asked about. Why no library serves it stands in
`core.storage.resumable`.
"""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.callers import Bringing, Caller, Here, Sending
from api.forms import expected, pieces
from api.orders import fingerprint, order
from api.problems import refusals
from api.tasks import check, submit
from core.clients.idempotency import IdempotentRequest
from core.database.tables import Resumable
from core.errors import BadRequest, Code, Conflict, Rejected, UnreadableMedia
from core.i18n.messages import N_
from core.principal import Principal
from core.storage.resumable import HELD

VERSION = "1.0.0"
PREFIX = "/api/v1/uploads"
CONTENT = "application/offset+octet-stream"
TASK = "Stenogram-Task-Id"
WRONG_VERSION = N_("This server speaks version 1.0.0 of tus.")
WRONG_CONTENT = N_("Send pieces as application/offset+octet-stream.")

Length = Annotated[int, Header(ge=0, le=1 << 62)]
MaybeLength = Annotated[int | None, Header(alias="upload-length", ge=0, le=1 << 62)]
Defer = Annotated[int | None, Header(ge=1, le=1)]
Metadata = Annotated[str, Header(max_length=8000)]


class SpeaksTus:
    """Every answer of these addresses says which protocol it speaks, errors too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the header on the way out."""

        async def respond(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Tus-Resumable"] = VERSION
            await send(message)

        is_tus = scope["type"] == "http" and scope["path"].startswith(PREFIX)
        await self._app(scope, receive, respond if is_tus else send)


def speaks(tus_resumable: Annotated[str, Header(max_length=20)]) -> None:
    """Refuse other versions of the protocol."""
    if tus_resumable != VERSION:
        raise HTTPException(412, WRONG_VERSION, {"Tus-Version": VERSION})


router = APIRouter(prefix=PREFIX, tags=["resumable uploads"])
SPEAKS = [Depends(speaks)]
PROGRESS: dict[str, Any] = {
    name: {"schema": {"type": kind}}
    for name, kind in (("Upload-Offset", "integer"), ("Upload-Length", "integer"), (TASK, "string"))
}


@router.options("", status_code=204, response_class=Response)
def abilities(application: Here) -> Response:
    """What this server can do."""
    return Response(
        status_code=204,
        headers={
            "Tus-Version": VERSION,
            "Tus-Extension": "creation,creation-defer-length,termination",
            "Tus-Max-Size": f"{application.settings.upload_max_bytes}",
        },
    )


@router.post(
    "",
    status_code=201,
    response_class=Response,
    dependencies=SPEAKS,
    responses={
        201: {
            "description": "Send the bytes to `Location`.",
            "headers": {"Location": {"schema": {"type": "string"}}},
        },
        **refusals(400, 401, 409, 412, 413, 415, 429, 503, 507),
    },
)
def create(
    caller: Bringing,
    upload_length: MaybeLength = None,
    upload_defer_length: Defer = None,
    upload_metadata: Metadata = "",
) -> Response:
    """Announce an upload; with `Upload-Defer-Length: 1` its length is said by a later PATCH."""
    facts = _facts(upload_metadata)
    check(caller, order(facts, {}))
    if upload_length is None and upload_defer_length is None:
        raise BadRequest(Code.UPLOAD_LENGTH_MISSING)
    if upload_length == 0:
        raise UnreadableMedia(Code.FILE_EMPTY)
    row = caller.application.resumable_uploads.begin(caller.principal, upload_length, facts, caller.visitor)
    return Response(status_code=201, headers={"Location": f"{PREFIX}/{row.id}"})


@router.head(
    "/{upload_id}",
    response_class=Response,
    dependencies=SPEAKS,
    responses={200: {"description": "How far it is.", "headers": PROGRESS}, **refusals(400, 401, 404, 412)},
)
def progress(upload_id: str, caller: Sending) -> Response:
    """How many bytes have arrived; and the task, once all have and nobody is finishing the upload."""
    uploads = caller.application.resumable_uploads
    row = uploads.get(caller.principal, upload_id)
    if row.task_id is None and uploads.offset(row) >= row.size_bytes:
        with uploads.claim(upload_id) as claimed:
            row = uploads.get(caller.principal, upload_id)
            if claimed and row.task_id is None:
                _finished(caller, row)
                row = uploads.get(caller.principal, upload_id)
    headers = _progress(caller, row, row.task_id)
    return Response(headers={**headers, "Cache-Control": "no-store"})


@router.patch(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    dependencies=SPEAKS,
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {CONTENT: {"schema": {"type": "string", "format": "binary"}}},
        }
    },
    responses={
        204: {"description": "Taken.", "headers": PROGRESS},
        **refusals(400, 401, 404, 409, 412, 413, 415, 503, 507),
    },
)
async def append(
    upload_id: str,
    request: Request,
    caller: Sending,
    upload_offset: Length,
    upload_length: MaybeLength = None,
) -> Response:
    """Go on with an upload, and say its length if that was deferred. The last piece makes the task."""
    if request.headers.get("content-type", "") != CONTENT:
        raise HTTPException(415, WRONG_CONTENT)
    uploads = caller.application.resumable_uploads
    await run_in_threadpool(uploads.get, caller.principal, upload_id)
    with uploads.claim(upload_id) as claimed:
        if not claimed:
            raise Conflict(Code.UPLOAD_IN_USE)
        row = await run_in_threadpool(uploads.get, caller.principal, upload_id)
        if upload_length is not None and row.task_id is None:
            row = await run_in_threadpool(uploads.fix_length, row, upload_length)
        with uploads.appending(row, upload_offset, expected(request)) as file:
            try:
                async for piece in pieces(request):
                    await run_in_threadpool(uploads.append, row, file, piece)
            finally:
                await run_in_threadpool(uploads.sync, file)
        task_id = await run_in_threadpool(_finished, caller, row)
        return Response(status_code=204, headers=_progress(caller, row, task_id))


@router.delete("/{upload_id}", status_code=204, dependencies=SPEAKS, responses=refusals(400, 401, 404, 412))
def stop(upload_id: str, caller: Sending) -> None:
    """Stop an upload and forget what has arrived. A task that it became stays."""
    caller.application.resumable_uploads.forget(
        caller.application.resumable_uploads.get(caller.principal, upload_id)
    )


def _finished(caller: Caller, row: Resumable) -> str | None:
    """The task that a complete upload becomes, the same one whenever asked.

    None while bytes are missing, or where a page holds it. Whoever calls it has claimed the upload.
    """
    uploads = caller.application.resumable_uploads
    if uploads.offset(row) < row.size_bytes:
        return None
    facts = uploads.facts(row)
    if row.visitor and facts.get(HELD):
        return None
    owner = Caller(caller.application, Principal(row.owner), caller.language)
    try:
        blob = uploads.store(row)
        options = order(facts, {})
        idempotency = IdempotentRequest(
            f"upload {row.id}", fingerprint(blob.sha256, facts.items()), options.callback_url
        )
        task = submit(owner, blob, facts.get("filename", ""), options, idempotency)
    except Rejected:  # what may pass, as a database that is locked, leaves the bytes for the next call
        uploads.forget(row)
        raise
    uploads.link_task(row, task.id)
    return task.id


def _progress(caller: Caller, row: Resumable, task_id: str | None) -> dict[str, str]:
    arrived = row.size_bytes if task_id else caller.application.resumable_uploads.offset(row)
    headers = {"Upload-Offset": f"{arrived}", "Upload-Length": f"{row.size_bytes}"}
    if caller.application.resumable_uploads.is_deferred(row):
        headers = {"Upload-Offset": f"{arrived}", "Upload-Defer-Length": "1"}
    return {**headers, TASK: task_id} if task_id else headers


def _facts(metadata: str) -> dict[str, str]:
    """`name base64,name base64` → names and values."""
    pairs = (pair.strip().partition(" ") for pair in metadata.split(",") if pair.strip())
    try:
        return {name: base64.b64decode(value, validate=True).decode() for name, _, value in pairs}
    except (binascii.Error, UnicodeDecodeError) as error:
        raise BadRequest(Code.UPLOAD_METADATA_MALFORMED) from error
