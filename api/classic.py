"""The small form of the API: bring a file, then ask under the same address until the text is there."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from api.callers import Asking, Uploading
from api.orders import Order, form
from api.problems import refusals
from api.tasks import Name, accept_upload
from core.clients.answers import MESSAGES, Answers
from core.database.states import TaskStatus

router = APIRouter(tags=["small form"])

STATUSES: dict[str, Literal["PENDING", "STARTED", "FAILURE"]] = {
    TaskStatus.QUEUED: "PENDING",
    TaskStatus.PROCESSING: "STARTED",
    TaskStatus.FAILED: "FAILURE",
    TaskStatus.CANCELLED: "FAILURE",
}


class CreatedTask(BaseModel):
    """A task that was made."""

    task_id: str
    message: str


class Unfinished(BaseModel):
    """A task without a result."""

    task_id: str
    status: Literal["PENDING", "STARTED", "FAILURE"]


class Finished(BaseModel):
    """A result."""

    filename: str
    transcription: str


@router.post(
    "/transcribe/",
    openapi_extra=form(),
    responses=refusals(400, 401, 409, 413, 415, 429, 503, 507),
)
async def begin(
    request: Request,
    caller: Uploading,
    language: Annotated[str, Query(max_length=10)] = "",
    task: Literal["transcribe", "translate"] = "transcribe",
    idempotency_key: Name = "",
) -> CreatedTask:
    """Upload a recording; its text will be at `/transcribe/{task_id}`."""
    created = await accept_upload(request, caller, Order(language=language, task=task), idempotency_key)
    answers: Answers = caller.answers
    return CreatedTask(
        task_id=created.id, message=await run_in_threadpool(answers.gettext, MESSAGES[created.status])
    )


@router.get("/transcribe/{task_id}", responses=refusals(401, 404, 429))
def look(task_id: str, caller: Asking) -> Finished | Unfinished:
    """The text, or how far it is."""
    status = caller.application.recordings.task(caller.principal, task_id).status
    if status != TaskStatus.COMPLETED:
        return Unfinished(task_id=task_id, status=STATUSES[status])
    result = caller.answers.result(task_id)
    return Finished(filename=result.filename, transcription=result.transcription)
