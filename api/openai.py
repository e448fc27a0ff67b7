"""The OpenAI form of transcription, which most tools speak: bring a file, wait, take the text."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse, StreamingResponse
from pydantic import BaseModel, Field, ValidationError
from starlette.concurrency import run_in_threadpool

from api import openai_stream
from api.callers import Asking, Caller, Uploading
from api.forms import receive
from api.orders import Order, invalid
from api.problems import refusals
from api.tasks import Name, digest, submit
from core.clients.answers import Result
from core.clients.idempotency import IdempotentRequest
from core.database.states import TASK_UNFINISHED
from core.database.tables import Task
from core.errors import Code, NotFound, Rejected
from core.speech.engine import compression
from core.transcripts import export
from core.transcripts.segments import TranscribedSegment

router = APIRouter(prefix="/v1", tags=["OpenAI form"])

SpeechTask = Literal["transcribe", "translate"]
Format = Literal["json", "text", "srt", "vtt", "verbose_json", "diarized_json"]
STREAMED: tuple[Format, ...] = ("json", "text", "diarized_json")


class SpeechForm(BaseModel):
    """The fields we understand; others are taken and ignored, as with other servers of this form."""

    model: str = Field(default="auto", max_length=100)
    language: str = Field(default="", max_length=10)
    response_format: Format = "json"
    timestamp_granularities: list[Literal["word", "segment"]] = []
    temperature: float = Field(default=0.0, ge=0, le=1)
    stream: bool = False


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
        "language": {
            "type": "string",
            "maxLength": 10,
            "description": "ISO 639-1; left out, it is identified.",
        },
        "response_format": {
            "enum": ["json", "text", "srt", "vtt", "verbose_json", "diarized_json"],
            "default": "json",
            "description": "`diarized_json` has a segment for each stretch of one speaker.",
        },
        "temperature": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0,
            "description": "How much chance decides between words; only Whisper has it.",
        },
        "timestamp_granularities[]": {"type": "array", "items": {"enum": ["word", "segment"]}},
        "stream": {
            "type": "boolean",
            "default": False,
            "description": "Server-sent events as it comes; with `json`, `text` and `diarized_json`.",
        },
    },
}


DESCRIBED: dict[str, Any] = {
    "response_class": Response,
    "openapi_extra": {
        "requestBody": {"required": True, "content": {"multipart/form-data": {"schema": SCHEMA}}}
    },
    "responses": {
        200: {
            "description": "The text.",
            "content": {
                "application/json": {},
                "text/plain": {},
                "text/vtt": {},
                openai_stream.MEDIA_TYPE: {},
            },
        },
        **refusals(400, 401, 409, 413, 415, 429, 503, 507),
    },
}


class Model(BaseModel):
    """An engine, in the form of OpenAI."""

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "stenogram"


class Models(BaseModel):
    """The engines that can work now; `auto` is the best of them for each recording."""

    object: Literal["list"] = "list"
    data: list[Model]


@router.get("/models", responses=refusals(401, 429))
def models(caller: Asking) -> Models:
    """The engines that can work now."""
    engines = caller.application.engines
    ready = [name for name, engine in engines.items() if engine.readiness().ready]
    return Models(data=[Model(id=name) for name in ("auto", *ready)])


@router.get("/models/{model}", responses=refusals(400, 401, 404, 429))
def model(caller: Asking, model: Annotated[str, Path(max_length=100)]) -> Model:
    """One of them. Raises NotFound for an engine that is not here or not ready."""
    match = next((each for each in models(caller).data if each.id == model), None)
    if match is None:
        raise NotFound
    return match


@router.post("/audio/transcriptions", **DESCRIBED)
async def transcriptions(request: Request, caller: Uploading, idempotency_key: Name = "") -> Response:
    """Transcribe a file and wait for its text."""
    return await _transcribed(request, caller, "transcribe", idempotency_key)


@router.post("/audio/translations", **DESCRIBED)
async def translations(request: Request, caller: Uploading, idempotency_key: Name = "") -> Response:
    """Translate what is spoken in a file into English, and wait for the text."""
    return await _transcribed(request, caller, "translate", idempotency_key)


async def _transcribed(
    request: Request, caller: Caller, speech_task: SpeechTask, idempotency_key: str
) -> Response:
    blob, sent = await receive(request, caller.application.blobs)
    form = _speech_form(sent.fields)
    engine = form.model if form.model in caller.application.engines else "auto"
    speakers = "auto" if form.response_format == "diarized_json" else ""
    order = Order(
        language=form.language,
        engine=engine,
        speakers=speakers,
        task=speech_task,
        temperature=form.temperature,
    )
    idempotency = IdempotentRequest(idempotency_key, digest(request, blob, sent))
    task = await run_in_threadpool(submit, caller, blob, sent.filename or "", order, idempotency)
    if form.stream:
        diarized = _diarized if form.response_format == "diarized_json" else None
        events = openai_stream.events(request, caller, task, diarized)
        return StreamingResponse(events, headers=openai_stream.HEADERS, media_type=openai_stream.MEDIA_TYPE)
    await _ended(request, caller, task)
    return await run_in_threadpool(_respond, caller, task, form, speech_task)


def _speech_form(fields: dict[str, list[str]]) -> SpeechForm:
    last_values: dict[str, Any] = {
        name: values[-1] for name, values in fields.items() if name in SpeechForm.model_fields
    }
    for name in ("timestamp_granularities", "timestamp_granularities[]"):
        if name in fields:
            last_values["timestamp_granularities"] = fields[name]
    try:
        form = SpeechForm.model_validate(last_values)
    except ValidationError as error:
        raise invalid(error) from error
    if form.stream and form.response_format not in STREAMED:
        raise Rejected(Code.STREAM_FORMAT, formats=", ".join(STREAMED))
    return form


async def _ended(request: Request, caller: Caller, task: Task) -> None:
    """Wait until the task has ended, or nobody waits any more."""
    attempt = 0
    while not await request.is_disconnected():
        now = await run_in_threadpool(caller.application.recordings.task, caller.principal, task.id)
        if now.status not in TASK_UNFINISHED:
            return
        await asyncio.sleep(openai_stream.LOOK_S[min(attempt, len(openai_stream.LOOK_S) - 1)])
        attempt += 1


def _respond(caller: Caller, task: Task, form: SpeechForm, speech_task: SpeechTask) -> Response:
    ended = openai_stream.ended(caller, task)
    segments = caller.application.transcripts.segments(ended.transcript_id, ended.recording_id)
    result = caller.answers.result(ended.id)
    if form.response_format == "verbose_json":
        return JSONResponse(_verbose(result, form, speech_task))
    return _shaped(segments, result, form, caller.language)


def _shaped(
    segments: Sequence[TranscribedSegment], result: Result, form: SpeechForm, language: str
) -> Response:
    match form.response_format:
        case "text":
            return PlainTextResponse(f"{result.transcription}\n")
        case "srt":
            return PlainTextResponse(export.srt(segments, language))
        case "vtt":
            return PlainTextResponse(export.vtt(segments, language), media_type="text/vtt")
        case "diarized_json":
            return JSONResponse(_diarized(result))
    return JSONResponse({"text": result.transcription})


def _verbose(result: Result, form: SpeechForm, speech_task: SpeechTask) -> dict[str, Any]:
    """With segments, and words where they are asked for; numbers that an engine does not say are null."""
    body: dict[str, Any] = {
        "task": speech_task,
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
                "temperature": form.temperature,
                "avg_logprob": segment.log_probability,
                "compression_ratio": round(compression(segment.text), 3),
                "no_speech_prob": segment.no_speech,
            }
            for n, segment in enumerate(result.segments)
        ],
        "warnings": [asdict(warning) for warning in result.warnings],
    }
    if "word" in form.timestamp_granularities:
        words = (word for segment in result.segments for word in segment.words)
        body["words"] = [{"word": word.text, "start": word.start_s, "end": word.end_s} for word in words]
    return body


def _diarized(result: Result) -> dict[str, Any]:
    """Segments of one speaker each, who goes by the name that was given, else by a letter."""
    letters: dict[str, str] = {}
    for segment in result.segments:
        letters.setdefault(segment.channel, _letters(len(letters)))
    return {
        "task": "transcribe",
        "duration": result.media_duration or 0.0,
        "text": result.transcription,
        "segments": [
            {
                "type": "transcript.text.segment",
                "id": f"seg_{n:03d}",
                "start": segment.start_s,
                "end": segment.end_s,
                "text": segment.text,
                "speaker": letters[segment.channel]
                if segment.channel in {segment.speaker, "mono"}
                else segment.channel,
            }
            for n, segment in enumerate(result.segments)
        ],
        "usage": {"type": "duration", "seconds": round(result.media_duration or 0.0)},
    }


def _letters(number: int) -> str:
    """A, B … Z, AA, AB …, as columns of a spreadsheet."""
    rest, letter = divmod(number, 26)
    return (_letters(rest - 1) if rest else "") + chr(ord("A") + letter)
