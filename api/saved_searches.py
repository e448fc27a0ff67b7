"""Searches that are kept; standing ones tell of each new moment."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from api.callers import Asking
from api.problems import refusals
from core.clients import webhooks
from core.clients.answers import Message
from core.database.tables import SavedSearch, utc
from core.i18n.messages import N_
from core.library.moments import link
from core.library.saved_searches import QUESTION_LETTERS

router = APIRouter(prefix="/api/v1", tags=["searches"])

DELETED = N_("Deleted.")


class NewSearch(BaseModel):
    """A question to keep; a `standing` one is asked of each new transcript."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"question": "refund tag:calls", "standing": True, "callback_url": "https://example.com/hook"}
            ]
        }
    )

    question: Annotated[str, Field(min_length=1, max_length=QUESTION_LETTERS, pattern=r"\S")]
    mode: Literal["hybrid", "meaning", "words"] = "hybrid"
    standing: bool = False
    callback_url: Annotated[str, Field(max_length=2000)] = ""


@dataclass(frozen=True)
class SavedSearchAnswer:
    """A saved search."""

    search_id: str
    question: str
    mode: str
    standing: bool
    callback_url: str
    new: int
    """Moments that nobody has seen on the pages yet."""


@dataclass(frozen=True)
class SavedSearchList:
    """All of them, by question."""

    searches: list[SavedSearchAnswer]


@dataclass(frozen=True)
class SearchHitAnswer:
    """A moment that a standing search found."""

    recording_id: str
    start_s: float
    text: str
    found_at: datetime
    link: str


@dataclass(frozen=True)
class SearchHitList:
    """What a standing search found, newest first."""

    hits: list[SearchHitAnswer]


@router.post("/searches", status_code=201, responses=refusals(400, 401, 429))
def save(search: NewSearch, caller: Asking) -> SavedSearchAnswer:
    """Keep a question; the same one is kept once.

    `callback_url` hears of each new moment of a standing one, signed as calls about tasks are.
    """
    if search.callback_url:
        anywhere = caller.application.settings.api_callbacks_anywhere
        webhooks.check(search.callback_url, anywhere=anywhere)
    row = caller.application.saved_searches.save(
        caller.principal,
        search.question,
        search.mode,
        standing=search.standing,
        callback_url=search.callback_url,
    )
    return _answer(row, 0)


@router.get("/searches", responses=refusals(401, 429))
def searches(caller: Asking) -> SavedSearchList:
    """Your saved searches."""
    rows = caller.application.saved_searches.all(caller.principal)
    return SavedSearchList([_answer(saved.search, saved.new) for saved in rows])


@router.get("/searches/{search_id}/hits", responses=refusals(401, 404, 429))
def hits(search_id: str, caller: Asking) -> SearchHitList:
    """What a standing search has found since it stands."""
    rows = caller.application.saved_searches.hits(caller.principal, search_id)
    return SearchHitList(
        [
            SearchHitAnswer(
                hit.recording_id,
                hit.start_s,
                hit.text,
                utc(hit.found_at),
                link(hit.recording_id, hit.start_s),
            )
            for hit in rows
        ]
    )


@router.delete("/searches/{search_id}", responses=refusals(401, 404, 429))
def delete(search_id: str, caller: Asking) -> Message:
    """Keep a search no more."""
    caller.application.saved_searches.delete(caller.principal, search_id)
    return Message(caller.answers.gettext(DELETED))


def _answer(row: SavedSearch, new: int) -> SavedSearchAnswer:
    return SavedSearchAnswer(row.id, row.question, row.mode, row.standing, row.callback_url, new)
