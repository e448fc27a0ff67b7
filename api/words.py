"""Words in all texts: replaced everywhere at once, and the glossary of how they are written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.callers import Asking
from api.problems import refusals
from core.billing import plain
from core.database.tables import GlossaryEntry
from core.library.archive_text import LONGEST, MOST, Replaced, TextPlace, UndoneReplacement
from core.library.glossary import MOST_FORMS

router = APIRouter(prefix="/api/v1", tags=["words"])

Form = Annotated[str, Field(min_length=1, max_length=LONGEST)]
LanguageCode = Annotated[str, Field(pattern="^[a-z]{2,3}$")]
Id = Annotated[str, Field(max_length=32)]
_GIVEN: dict[str, Any] = {"responses": refusals(400, 401, 404, 429)}


@dataclass(frozen=True)
class PlaceList:
    """Where something is said, newest recordings first."""

    places: list[TextPlace]
    embedding_usd: str | None
    """What new vectors of their passages would cost, at most; null where nobody knows the price."""


class ChosenPlace(BaseModel):
    """A place as `GET /api/v1/replacements` gave it."""

    recording_id: Id
    n: Annotated[int, Field(ge=0, le=10_000_000)]
    version: Annotated[str, Field(max_length=16)]
    at: Annotated[int, Field(ge=0, le=10_000_000)]
    found: Form
    before: Annotated[str, Field(max_length=LONGEST)] = ""


class Replace(BaseModel):
    """Which places are to read otherwise, and how."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "right": "Иванова",
                    "places": [
                        {
                            "recording_id": "0f3c…",
                            "n": 12,
                            "version": "3f1c9a0b7d5e2461",
                            "at": 17,
                            "found": "иванов",
                        }
                    ],
                }
            ]
        }
    )
    right: Annotated[str, Field(max_length=LONGEST)]
    places: Annotated[list[ChosenPlace], Field(min_length=1, max_length=MOST)]


class EntryForm(BaseModel):
    """How a name, product or abbreviation is written, and as what it is misheard."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "right": "Kubernetes",
                    "misheard": ["кубер нетис"],
                    "languages": ["ru", "en"],
                }
            ]
        }
    )
    right: Form
    misheard: Annotated[list[Form], Field(max_length=MOST_FORMS)] = []
    languages: Annotated[list[LanguageCode], Field(max_length=50)] = []


@dataclass(frozen=True)
class Entry:
    """One entry of the glossary."""

    entry_id: str
    right: str
    misheard: list[str]
    languages: list[str]
    """Codes of languages it is used in; empty: all."""


@dataclass(frozen=True)
class EntryList:
    """The glossary, by the alphabet."""

    entries: list[Entry]


@dataclass(frozen=True)
class Proposal:
    """What the glossary would correct in a recording."""

    right: str
    places: list[TextPlace]


@dataclass(frozen=True)
class ProposalList:
    """All that the glossary would correct in a recording."""

    proposals: list[Proposal]


@router.get("/replacements", responses=refusals(400, 401, 429))
def find_places(
    caller: Asking,
    words: Annotated[str, Query(min_length=1, max_length=LONGEST, pattern=r"\S")],
    whole_words: bool = True,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
) -> PlaceList:
    """Every place in your recordings where these words are said; case and ё do not matter."""
    places = caller.application.archive_text.find(
        caller.principal, [words], whole_words=whole_words, limit=limit
    )
    usd = caller.application.correction_cost.of_places(places)
    return PlaceList(places, None if usd is None else plain(usd))


@router.post("/replacements", responses=refusals(400, 401, 404, 409, 429))
def replace(body: Replace, caller: Asking) -> Replaced:
    """Correct these places, in all recordings as one action; what has changed meanwhile is left."""
    places = [
        TextPlace(one.recording_id, "", one.n, one.version, one.at, one.before, one.found, "", 0.0)
        for one in body.places
    ]
    return caller.application.archive_text.replace(caller.principal, places, body.right)


@router.post("/replacements/{action_id}/undo", responses=refusals(401, 404, 409, 429))
def undo_replacement(action_id: str, caller: Asking) -> UndoneReplacement:
    """Take a replacement back everywhere; recordings where the same words were corrected since are left."""
    return caller.application.archive_text.undo(caller.principal, action_id)


@router.get("/glossary", responses=refusals(401, 429))
def glossary(caller: Asking) -> EntryList:
    """Names, products and abbreviations as they are written."""
    return EntryList([_entry(row) for row in caller.application.glossary.all(caller.principal)])


@router.post("/glossary", status_code=201, responses=refusals(400, 401, 429))
def add_entry(form: EntryForm, caller: Asking) -> Entry:
    """Add an entry: it proposes corrections in recordings, and tells engines that take hints."""
    row = caller.application.glossary.save(caller.principal, form.right, form.misheard, form.languages)
    return _entry(row)


@router.put("/glossary/{entry_id}", **_GIVEN)
def change_entry(entry_id: str, form: EntryForm, caller: Asking) -> Entry:
    """Change an entry."""
    row = caller.application.glossary.save(
        caller.principal, form.right, form.misheard, form.languages, entry_id
    )
    return _entry(row)


@router.delete("/glossary/{entry_id}", status_code=204, responses=refusals(401, 404, 429))
def forget_entry(entry_id: str, caller: Asking) -> Response:
    """Take an entry out. Texts that were corrected by it stay so."""
    caller.application.glossary.forget(caller.principal, entry_id)
    return Response(status_code=204)


@router.get("/recordings/{recording_id}/proposals", responses=refusals(401, 404, 409, 429))
def proposals(recording_id: str, caller: Asking) -> ProposalList:
    """What the glossary would correct in a recording, as `POST /api/v1/replacements` takes it."""
    recording = caller.application.recordings.get(caller.principal, recording_id)
    proposals = caller.application.glossary.proposals(caller.principal, recording)
    return ProposalList([Proposal(right, places) for right, places in proposals.items()])


def _entry(row: GlossaryEntry) -> Entry:
    return Entry(row.id, row.right, row.misheard, row.languages)
