"""Several recordings at once: their transcripts as one archive, other transcripts of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from api.callers import Asking
from api.problems import refusals
from core.library.bulk import MOST
from core.library.recordings import TranscriptionOptions

router = APIRouter(prefix="/api/v1", tags=["recordings"])

Ids = Annotated[list[Annotated[str, Field(max_length=64)]], Field(min_length=1, max_length=MOST)]
Format = Literal["txt", "timecodes", "srt", "vtt", "json", "csv", "rttm", "docx"]
SOME: Any = ["6f1e0c52a7b84d0f9a3d3b1c5e7f9012", "0b9d2c7e4f6a48c1b5e3d8a7c9f01234"]


class ExportForm(BaseModel):
    """Whose transcripts, and in which formats."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"recording_ids": SOME, "formats": ["docx", "srt"]}]}
    )
    recording_ids: Ids
    formats: Annotated[list[Format], Field(min_length=1, max_length=8)] = ["txt"]


class TranscribeAgainForm(BaseModel):
    """Which recordings, and how they are to be heard."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"recording_ids": SOME, "engine": "groq", "language": "ru"}]}
    )
    recording_ids: Ids
    engine: Annotated[str, Field(max_length=50)] = ""
    language: Annotated[str, Field(max_length=10)] = ""
    keep_corrections: bool = True


@dataclass(frozen=True)
class TaskIds:
    """The tasks that were queued, in the order of the recordings."""

    task_ids: list[str]


@router.post(
    "/recordings/export",
    response_class=Response,
    responses={
        200: {"description": "The archive.", "content": {"application/zip": {}}},
        **refusals(400, 401, 404, 429),
    },
)
def archive(form: ExportForm, caller: Asking) -> Response:
    """Transcripts of several recordings as one ZIP archive; nothing of those that have none yet."""
    kinds = list(dict.fromkeys(form.formats))
    with caller.application.bulk.archive(
        caller.principal, form.recording_ids, kinds, caller.language
    ) as made:
        headers = {"Content-Disposition": 'attachment; filename="transcripts.zip"'}
        return Response(made.read(), media_type="application/zip", headers=headers)


@router.post("/recordings/transcribe", status_code=202, responses=refusals(400, 401, 404, 429, 503, 507))
def transcribe(form: TranscribeAgainForm, caller: Asking) -> TaskIds:
    """Transcribe several recordings again; what that costs, `GET /api/v1/estimate` says of their hours.

    Those that were brought as transcripts are left out.
    """
    options = TranscriptionOptions(
        engine=form.engine, language=form.language, keep_corrections=form.keep_corrections
    )
    tasks = caller.application.bulk.transcribe(caller.principal, form.recording_ids, options)
    return TaskIds([task.id for task in tasks])
