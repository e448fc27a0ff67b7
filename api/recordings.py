"""The archive: recordings, their sound, and the moments in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool

from api.callers import Asking, Here, Uploading
from api.forms import receive
from api.orders import file_form, fingerprint
from api.problems import refusals
from api.tasks import Limit, Name, Offset
from core.clients.answers import RecordingAnswer, RecordingList
from core.clients.idempotency import IdempotentRequest
from core.database.owned import Right
from core.database.states import EmbeddingMode
from core.errors import KeyRefused, NotFound
from core.library.recordings import TranscriptionOptions
from core.media.tracks import CHOICE
from core.speech.language import AUTO
from core.speech.speakers.finder import SPEAKERS
from core.transcripts import export, importing

router = APIRouter(prefix="/api/v1", tags=["recordings"])
sound_router = APIRouter(include_in_schema=False)

Words = Annotated[str, Query(max_length=500)]


@router.get("/recordings", responses=refusals(400, 401, 429))
def recordings(
    caller: Asking,
    words: Words = "",
    tag: Words = "",
    limit: Limit = 50,
    offset: Offset = 0,
    sort: Literal["newest", "oldest", "recorded", "title", "longest", "shortest", "largest"] = "newest",
) -> RecordingList:
    """Your recordings; `words` looks in titles and file names."""
    return caller.answers.recordings(words, tag, limit, offset, sort)


@router.post(
    "/recordings/{recording_id}/sound",
    openapi_extra=file_form("The sound or video that the transcript is of."),
    responses=refusals(400, 401, 404, 409, 413, 415, 429, 503, 507),
)
async def attach(recording_id: str, request: Request, caller: Uploading) -> RecordingAnswer:
    """Give a recording that was brought as a transcript its sound; 409 where it has sound."""
    intake, answers = caller.application.intake, caller.answers
    await run_in_threadpool(caller.application.recordings.get, caller.principal, recording_id, Right.WRITE)
    blob, sent = await receive(request, caller.application.blobs)
    await run_in_threadpool(intake.attach, caller.principal, recording_id, blob, sent.filename or "")
    return await run_in_threadpool(answers.recording, recording_id)


@router.get("/recordings/{recording_id}", responses=refusals(401, 404, 429))
def recording(recording_id: str, caller: Asking) -> RecordingAnswer:
    """One recording."""
    return caller.answers.recording(recording_id)


@dataclass(frozen=True)
class NewTranscriptAnswer:
    """The answer to asking for another transcript."""

    task_id: str
    batch_id: str | None
    mode: Literal["batch_api", "sync_api"]
    engine: str
    status: str
    check_status_url: str


@router.post(
    "/recordings/{recording_id}/transcribe",
    status_code=202,
    responses=refusals(400, 401, 404, 409, 429, 503, 507),
)
def transcribe(
    recording_id: str,
    request: Request,
    caller: Asking,
    use_batch_api: bool = False,
    engine: Annotated[str, Query(max_length=50)] = "",
    language: Annotated[str, Query(max_length=10)] = "",
    deadline_h: Annotated[float | None, Query(gt=0, le=48)] = None,
    tracks: Annotated[str, Query(pattern=CHOICE)] = "",
    speakers: Annotated[str, Query(pattern=SPEAKERS)] = "",
    force: bool = False,
    keep_corrections: bool = True,
    idempotency_key: Name = "",
) -> NewTranscriptAnswer:
    """Transcribe a recording that is here; by batch it is cheaper and may take a day.

    An engine that has a batch mode (`groq`, `fireworks`) works in it; with others vectors go by batch, and
    those that are not there after `deadline_h` hours are made then. `keep_corrections`: where the same
    words are heard again, they read as corrected; what does not fit stands in `earlier` of the corrections.
    """
    recording = caller.application.recordings.get(caller.principal, recording_id)
    spoken = language or (AUTO if recording.language_probability is not None else recording.language)
    options = TranscriptionOptions(
        language=spoken,
        engine=engine,
        embedding_mode=EmbeddingMode.SYNC,
        deadline_h=deadline_h,
        tracks="" if tracks == "auto" else tracks,
        speakers=speakers,
        force=force,
        keep_corrections=keep_corrections,
    )
    idempotency = IdempotentRequest(
        idempotency_key, fingerprint(recording_id, request.query_params.multi_items())
    )
    options = caller.application.intake.by_batch(options) if use_batch_api else options
    task = caller.application.client_intake.transcribe_again(
        caller.principal, recording_id, options, idempotency
    )
    return NewTranscriptAnswer(
        task_id=task.id,
        batch_id=caller.answers.task(task.id).batch_id,
        mode="batch_api" if use_batch_api else "sync_api",
        engine=task.engine,
        status=task.status,
        check_status_url=f"/api/v1/tasks/{task.id}",
    )


@sound_router.get("/sound/{recording_id}")
def sound(recording_id: str, application: Here, ticket: str = "", download: bool = False) -> FileResponse:
    """A recording for a player, which can send no key but has a ticket; ranges are served.

    Where browsers do not play or seek its bytes, it is a copy that they do. `download`: its own bytes, as a
    file.
    """
    listener = application.keys.listener(ticket, recording_id)
    if listener is None:
        raise KeyRefused
    service = application.recordings
    row = (service.download if download else service.listen)(listener, recording_id)
    if row.format in importing.FORMATS:
        raise NotFound
    headers = {
        "Content-Disposition": export.disposition(row.filename, inline=not download),
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=3600",
    }
    if download:
        return FileResponse(application.blobs.path(row.sha256), headers=headers)
    file, kind = application.playback.file(row.sha256, row.format)
    return FileResponse(file, media_type=kind, headers=headers)
