"""Listening once more: a stretch of a recording by another engine, to be compared, taken or left."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.callers import Asking, Caller
from api.problems import refusals
from core.billing import plain
from core.i18n import catalogue
from core.library.recording_text import TextView
from core.library.retranscription import Difference, Offer, Retranscription

router = APIRouter(prefix="/api/v1", tags=["text"])

MOST_UTTERANCES = 100
Number = Annotated[int, Path(ge=0, le=10_000_000)]


@dataclass(frozen=True)
class EngineOffer:
    """An engine that can listen to these utterances."""

    engine: str
    title: str
    remote: bool
    """Whether the sound leaves this installation."""
    usd: str | None
    """What it asks: 0 for engines here; null where nobody knows its price."""
    present: bool
    """Whether the text that stands there is from it."""


@dataclass(frozen=True)
class WordsCompared:
    """Words in a row, and whether the other text reads otherwise there."""

    text: str
    differs: bool


@dataclass(frozen=True)
class RetranscriptionAnswer:
    """A stretch that was, or is being, listened to once more."""

    task_id: str
    status: str
    progress: int
    error: str | None
    engine: str
    created_at: datetime
    n: int
    versions: list[str]
    start_s: float
    end_s: float
    before: list[WordsCompared]
    """What stands there now."""
    heard: list[WordsCompared]
    """What the engine heard; empty until it is done."""
    current: bool
    """Whether what was listened to still stands there, so that this can be taken."""


class NewRetranscription(BaseModel):
    """Utterances from `n` on, one a version, and the engine that shall listen to them."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"n": 12, "versions": ["3f1c9a0b7d5e2461"], "engine": "whisper-base"}]
        }
    )
    n: Annotated[int, Field(ge=0, le=10_000_000)]
    versions: Annotated[
        list[Annotated[str, Field(max_length=16)]], Field(min_length=1, max_length=MOST_UTTERANCES)
    ]
    engine: Annotated[str, Field(max_length=100)]


@router.get("/recordings/{recording_id}/utterances/{n}/engines", responses=refusals(400, 401, 404, 409, 429))
def engines(
    recording_id: str,
    n: Number,
    caller: Asking,
    count: Annotated[int, Query(ge=1, le=MOST_UTTERANCES)] = 1,
) -> list[EngineOffer]:
    """Engines that can listen once more to an utterance, or to `count` of them, and what each asks for it."""
    offers = caller.application.retranscriptions.offers(caller.principal, recording_id, n, count)
    return [_offer(one, caller) for one in offers]


@router.post(
    "/recordings/{recording_id}/retranscriptions",
    status_code=202,
    responses=refusals(400, 401, 404, 409, 415, 429, 503),
)
def retranscribe(recording_id: str, wanted: NewRetranscription, caller: Asking) -> RetranscriptionAnswer:
    """Have an engine listen once more; the text stays as it is until what was heard is taken."""
    service = caller.application.retranscriptions
    task_id = service.begin(caller.principal, recording_id, wanted.n, wanted.versions, wanted.engine)
    return _answer(service.get(caller.principal, recording_id, task_id), caller)


@router.get("/recordings/{recording_id}/retranscriptions", responses=refusals(401, 404, 409, 429))
def retranscriptions(recording_id: str, caller: Asking) -> list[RetranscriptionAnswer]:
    """What was listened to once more and neither taken nor left, newest first."""
    found = caller.application.retranscriptions.all(caller.principal, recording_id)
    return [_answer(one, caller) for one in found]


@router.get("/recordings/{recording_id}/retranscriptions/{task_id}", responses=refusals(401, 404, 409, 429))
def retranscription(recording_id: str, task_id: str, caller: Asking) -> RetranscriptionAnswer:
    """How far it is, and both texts with what differs."""
    return _answer(caller.application.retranscriptions.get(caller.principal, recording_id, task_id), caller)


@router.post(
    "/recordings/{recording_id}/retranscriptions/{task_id}/take", responses=refusals(401, 404, 409, 429)
)
def take(recording_id: str, task_id: str, caller: Asking) -> TextView:
    """What was heard stands there now: a correction like others, which can be undone."""
    caller.application.retranscriptions.take(caller.principal, recording_id, task_id)
    return caller.application.recording_text.view(caller.principal, recording_id)


@router.delete(
    "/recordings/{recording_id}/retranscriptions/{task_id}",
    status_code=204,
    responses=refusals(401, 404, 409, 429),
)
def leave(recording_id: str, task_id: str, caller: Asking) -> Response:
    """Leave the text as it is; work that is under way stops."""
    caller.application.retranscriptions.leave(caller.principal, recording_id, task_id)
    return Response(status_code=204)


def _offer(one: Offer, caller: Caller) -> EngineOffer:
    title = str(catalogue.translate_fact(one.title, caller.language))
    usd = None if one.usd is None else plain(one.usd)
    return EngineOffer(one.engine, title, one.remote, usd, one.present)


def _answer(one: Retranscription, caller: Caller) -> RetranscriptionAnswer:
    return RetranscriptionAnswer(
        one.task_id,
        one.status,
        one.progress,
        catalogue.translate_error(one.error, caller.language) if one.error else None,
        one.engine,
        one.created_at,
        one.n,
        list(one.versions),
        one.start_s,
        one.end_s,
        _words(one.before),
        _words(one.heard),
        one.current,
    )


def _words(differences: list[Difference]) -> list[WordsCompared]:
    return [WordsCompared(text, differs) for text, differs in differences]
