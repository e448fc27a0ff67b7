"""The archive: recordings, their sound, and the moments in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse
from pydantic import BaseModel, Field

from api.callers import Asking, Here
from api.problems import refusals
from api.tasks import Limit, Name, Offset
from core.clients.answers import RecordingAnswer, RecordingList
from core.clients.idempotency import IdempotentRequest
from core.database.states import EmbeddingMode
from core.errors import KeyRefused
from core.i18n import catalogue
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.transcripts import export
from core.transcripts.speakers import MAX_NAME, SpeakerSummary

router = APIRouter(prefix="/api/v1", tags=["recordings"])
sound_router = APIRouter(include_in_schema=False)

Words = Annotated[str, Query(max_length=500)]

SOUND_TYPES = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "mov": "video/mp4",
    "matroska": "video/webm",
    "webm": "video/webm",
    "aac": "audio/aac",
    "amr": "audio/amr",
    "asf": "video/x-ms-asf",
    "avi": "video/x-msvideo",
    "aiff": "audio/aiff",
}
"""By the first name that the decoder gives a container; players look at the bytes anyway."""


@router.get("/recordings", responses=refusals(400, 401, 429))
def recordings(
    caller: Asking, words: Words = "", tag: Words = "", limit: Limit = 50, offset: Offset = 0
) -> RecordingList:
    """Your recordings, newest first; `words` looks in titles and file names."""
    return caller.answers.recordings(words, tag, limit, offset)


@router.get("/recordings/{recording_id}", responses=refusals(401, 404, 429))
def recording(recording_id: str, caller: Asking) -> RecordingAnswer:
    """One recording."""
    return caller.answers.recording(recording_id)


@dataclass(frozen=True)
class SpeakerList:
    """The speakers of a recording, in order of their first words."""

    speakers: list[SpeakerSummary]
    error: str | None
    """Why nobody could be found, where that is so."""


class Naming(BaseModel):
    """What to call a speaker; empty: nothing any more."""

    name: str = Field(max_length=MAX_NAME)


@router.get("/recordings/{recording_id}/speakers", responses=refusals(401, 404, 429))
def speakers(recording_id: str, caller: Asking) -> SpeakerList:
    """Who speaks, and for how long; nobody where speakers were not looked for."""
    row = caller.application.recordings.get(caller.who, recording_id)
    store, transcript_id = caller.application.speakers, row.transcript_id or ""
    error = store.error(transcript_id)
    said = catalogue.translate_error(error, caller.language) if error else None
    return SpeakerList(store.summaries(recording_id, transcript_id), said)


@router.patch("/recordings/{recording_id}/speakers/{label}", responses=refusals(400, 401, 404, 429))
def name_speaker(recording_id: str, label: str, naming: Naming, caller: Asking) -> SpeakerList:
    """Name a speaker; results and exports say the name from then on."""
    row = caller.application.recordings.get(caller.who, recording_id)
    transcript_id = row.transcript_id or ""
    caller.application.speakers.rename(recording_id, transcript_id, label, naming.name)
    caller.application.exports.export(row, transcript_id)
    return speakers(recording_id, caller)


@dataclass(frozen=True)
class Again:
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
    caller: Asking,
    use_batch_api: bool = False,
    engine: Annotated[str, Query(max_length=50)] = "",
    language: Annotated[str, Query(max_length=10)] = "",
    deadline_h: Annotated[float | None, Query(gt=0, le=48)] = None,
    force: bool = False,
    idempotency_key: Name = "",
) -> Again:
    """Transcribe a recording that is here; by batch it is cheaper and may take a day.

    An engine that has a batch mode (`groq`, `fireworks`) works in it; with others vectors go by batch, and
    those that are not there after `deadline_h` hours are made then.
    """
    known = caller.application.recordings.get(caller.who, recording_id)
    spoken = language or known.language
    options = TranscriptionOptions(
        language=spoken, engine=engine, embedding_mode=EmbeddingMode.SYNC, deadline_h=deadline_h, force=force
    )
    asked = IdempotentRequest(idempotency_key, f"{recording_id}|{options}|{use_batch_api}")
    options = caller.application.intake.by_batch(options) if use_batch_api else options
    task = caller.application.client_intake.transcribe_again(caller.who, recording_id, options, asked)
    return Again(
        task_id=task.id,
        batch_id=caller.answers.task(task.id).batch_id,
        mode="batch_api" if use_batch_api else "sync_api",
        engine=task.engine,
        status=task.status,
        check_status_url=f"/api/v1/tasks/{task.id}",
    )


@sound_router.get("/sound/{recording_id}")
def sound(recording_id: str, application: Here, ticket: str = "") -> FileResponse:
    """The bytes of a recording for a player, which can send no key but has a ticket; ranges are served."""
    if not application.keys.admits(ticket, recording_id):
        raise KeyRefused
    row = application.recordings.get(EVERYONE, recording_id)
    headers = {
        "Content-Disposition": export.disposition(row.filename, inline=True),
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, max-age=3600",
    }
    kind = SOUND_TYPES.get(row.format.partition(",")[0], "application/octet-stream")
    return FileResponse(application.blobs.path(row.sha256), media_type=kind, headers=headers)
