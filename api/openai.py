"""The OpenAI form of transcription, which most tools speak: bring a file, wait, take the text."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from api.callers import Caller, Uploading
from api.forms import receive
from api.orders import Order, invalid
from api.problems import refusals
from api.tasks import Name, submit
from core.clients.answers import Result
from core.database.states import TASK_UNFINISHED, TaskStatus
from core.database.tables import Task
from core.errors import Code, Conflict, Rejected
from core.transcripts import export
from core.transcripts.transcripts import TranscribedSegment

router = APIRouter(prefix="/v1", tags=["OpenAI form"])

LOOK_S = (0.1, 0.2, 0.5, 1.0)
"""Pauses between looks; the last one again and again."""

Format = Literal["json", "text", "srt", "vtt", "verbose_json"]


class Wanted(BaseModel):
    """The fields we understand; others are taken and ignored, as with other servers of this form."""

    model: str = Field(default="auto", max_length=100)
    language: str = Field(default="ru", max_length=10)
    response_format: Format = "json"
    timestamp_granularities: list[Literal["word", "segment"]] = []


SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["file"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "model": {
            "type": "string",
            "maxLength": 100,
            "description": "An engine's name; else the best there is.",
        },
        "language": {"type": "string", "maxLength": 10, "default": "ru"},
        "response_format": {"enum": ["json", "text", "srt", "vtt", "verbose_json"], "default": "json"},
        "timestamp_granularities[]": {"type": "array", "items": {"enum": ["word", "segment"]}},
    },
}


@router.post(
    "/audio/transcriptions",
    response_class=Response,
    openapi_extra={"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": SCHEMA}}}},
    responses={
        200: {
            "description": "The text.",
            "content": {"application/json": {}, "text/plain": {}, "text/vtt": {}},
        },
        **refusals(400, 401, 409, 413, 415, 429, 503, 507),
    },
)
async def transcriptions(request: Request, caller: Uploading, idempotency_key: Name = "") -> Response:
    """Transcribe a file and wait for its text."""
    blob, sent = await receive(request, caller.application.blobs)
    wanted = _wanted(sent.fields)
    engine = wanted.model if wanted.model in caller.application.engines else "auto"
    order = Order(language=wanted.language, engine=engine)
    task = await run_in_threadpool(submit, caller, blob, sent.filename or "", order, idempotency_key)
    await _ended(request, caller, task)
    return await run_in_threadpool(_respond, caller, task, wanted)


def _wanted(fields: dict[str, list[str]]) -> Wanted:
    given: dict[str, Any] = {
        name: values[-1] for name, values in fields.items() if name in Wanted.model_fields
    }
    for name in ("timestamp_granularities", "timestamp_granularities[]"):
        if name in fields:
            given["timestamp_granularities"] = fields[name]
    try:
        return Wanted.model_validate(given)
    except ValidationError as error:
        raise invalid(error) from error


async def _ended(request: Request, caller: Caller, task: Task) -> None:
    """Wait until the task has ended, or nobody waits any more."""
    look = 0
    while not await request.is_disconnected():
        now = await run_in_threadpool(caller.application.recordings.task, caller.who, task.id)
        if now.status not in TASK_UNFINISHED:
            return
        await asyncio.sleep(LOOK_S[min(look, len(LOOK_S) - 1)])
        look += 1


def _respond(caller: Caller, task: Task, wanted: Wanted) -> Response:
    ended = caller.application.recordings.task(caller.who, task.id)
    if ended.status == TaskStatus.FAILED and ended.error:
        raise Rejected.restored(ended.error)
    if ended.status != TaskStatus.COMPLETED:
        raise Conflict(Code.TASK_CANCELLED)
    heard = caller.application.transcripts.segments(ended.transcript_id, ended.recording_id)
    return _shaped(heard, caller.answers.result(ended.id), wanted, caller.language)


def _shaped(heard: Sequence[TranscribedSegment], result: Result, wanted: Wanted, language: str) -> Response:
    match wanted.response_format:
        case "text":
            return PlainTextResponse(f"{result.transcription}\n")
        case "srt":
            return PlainTextResponse(export.srt(heard, language))
        case "vtt":
            return PlainTextResponse(export.vtt(heard, language), media_type="text/vtt")
        case "verbose_json":
            return JSONResponse(_verbose(result, wanted))
    return JSONResponse({"text": result.transcription})


def _verbose(result: Result, wanted: Wanted) -> dict[str, Any]:
    """With segments, and words where they are asked for. Numbers that only Whisper knows are zeros."""
    told: dict[str, Any] = {
        "task": "transcribe",
        "language": result.language,
        "duration": result.media_duration or 0.0,
        "text": result.transcription,
        "segments": [
            {
                "id": n,
                "seek": 0,
                "start": segment.start_s,
                "end": segment.end_s,
                "text": segment.text,
                "tokens": [],
                "temperature": 0.0,
                "avg_logprob": 0.0,
                "compression_ratio": 0.0,
                "no_speech_prob": 0.0,
            }
            for n, segment in enumerate(result.segments)
        ],
    }
    if "word" in wanted.timestamp_granularities:
        words = (word for segment in result.segments for word in segment.words)
        told["words"] = [{"word": word.text, "start": word.start_s, "end": word.end_s} for word in words]
    return told
