"""A transcription as server-sent events while it comes, in the form of OpenAI.

`transcript.text.delta` for what has been recognised since the last one, in time order, then one
`transcript.text.done` with the whole text; with speakers a `transcript.text.segment` each before it
(https://platform.openai.com/docs/api-reference/audio/transcript-text-delta-event).
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from api import problems
from api.callers import Caller
from core.clients.answers import Result
from core.database.failures import FAILURES, is_mistake, unavailable
from core.database.states import TASK_UNFINISHED, TaskStatus
from core.database.tables import Task
from core.errors import Code, Conflict, Rejected, StenogramError
from core.i18n import catalogue
from core.transcripts import export

MEDIA_TYPE = "text/event-stream"
HEADERS = {"X-Accel-Buffering": "no"}
"""Proxies hand on each event as it comes."""
LOOK_S = (0.1, 0.2, 0.5, 1.0)
"""Pauses between looks; the last one again and again."""
KEEP_ALIVE_S = 15.0
"""After so long without an event a comment is sent, as proxies close connections that are silent."""


async def events(
    request: Request, caller: Caller, task: Task, diarized: Callable[[Result], Mapping[str, Any]] | None
) -> AsyncIterator[str]:
    """Events as they are sent; what goes wrong meanwhile is an event with `error` and the last one.

    `diarized` makes of the result what `response_format=diarized_json` answers; None: only text is asked for.
    """
    try:
        text = ""
        async for delta in _deltas(caller, task):
            text += delta
            yield _event(type="transcript.text.delta", delta=delta) if delta else ": \n\n"
        result = await run_in_threadpool(_result, caller, task)
        for event in _end(result, text, diarized):
            yield event
    except StenogramError as error:
        yield _event(error=_error(request, error))
    except FAILURES as error:
        if is_mistake(error):
            raise
        yield _event(error=_error(request, unavailable(error)))


def ended(caller: Caller, task: Task) -> Task:
    """The task, which has ended well. Raises what it failed with, or Conflict if it was cancelled."""
    now = caller.application.recordings.task(caller.principal, task.id)
    if now.status == TaskStatus.FAILED and now.error:
        raise Rejected.restored(now.error)
    if now.status != TaskStatus.COMPLETED:
        raise Conflict(Code.TASK_CANCELLED)
    return now


async def _deltas(caller: Caller, task: Task) -> AsyncIterator[str]:
    """What is recognised, as it comes, until the task has ended; now and then nothing."""
    sent_text, polls, sent_at = "", 0, time.monotonic()
    while True:
        finished, text = await run_in_threadpool(_so_far, caller, task)
        if finished:
            return
        fresh = text.removeprefix(sent_text) if text.startswith(sent_text) else ""
        if fresh or time.monotonic() - sent_at > KEEP_ALIVE_S:
            polls, sent_at, sent_text = 0, time.monotonic(), sent_text + fresh
            yield fresh
        await asyncio.sleep(LOOK_S[min(polls, len(LOOK_S) - 1)])
        polls += 1


def _so_far(caller: Caller, task: Task) -> tuple[bool, str]:
    now = caller.application.recordings.task(caller.principal, task.id)
    if now.status not in TASK_UNFINISHED:
        return True, ""
    begun = caller.application.transcripts.beginning(now.transcript_id) if now.transcript_id else []
    return False, export.text(begun, caller.language)


def _result(caller: Caller, task: Task) -> Result:
    return caller.answers.result(ended(caller, task).id)


def _end(result: Result, sent_text: str, diarized: Callable[[Result], Mapping[str, Any]] | None) -> list[str]:
    text = result.transcription
    rest = text.removeprefix(sent_text) if text.startswith(sent_text) else ""
    last = [_event(type="transcript.text.delta", delta=rest)] if rest else []
    if diarized is not None:
        last += [_event(**segment) for segment in diarized(result)["segments"]]
    usage = {"type": "duration", "seconds": round(result.media_duration or 0.0)}
    return [*last, _event(type="transcript.text.done", text=text, usage=usage)]


def _event(**fields: object) -> str:
    return f"data: {json.dumps(fields, ensure_ascii=False)}\n\n"


def _error(request: Request, error: StenogramError) -> dict[str, str]:
    detail = catalogue.translate_error(error, problems.language_of(request))
    return {"message": detail, "type": "transcription_error", "code": error.code.value}
