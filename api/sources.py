"""Recordings that come from addresses on the web, and what is watched: feeds, folders, buckets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from api.callers import Asking, Caller, Uploading
from api.orders import Tag
from api.problems import refusals
from core.clients.answers import ChapterAnswer, Message
from core.database.states import EmbeddingMode, ItemState, SourceKind, SourceState
from core.database.tables import SourceItem, utc
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library.recordings import TranscriptionOptions
from core.sources.links import URL_CHARS, LinkFacts
from core.sources.service import SourceView
from core.speech.speakers.finder import SPEAKERS

router = APIRouter(prefix="/api/v1", tags=["sources"])

DELETED = N_("Deleted.")
Address = Annotated[str, Field(min_length=1, max_length=URL_CHARS, pattern=r"\S")]


class TranscriptionForm(BaseModel):
    """How recordings are heard; everything is optional."""

    language: Annotated[str, Field(max_length=10)] = ""
    engine: Annotated[str, Field(max_length=50)] = ""
    lane: Literal["", "now", "batch"] = ""
    tags: Annotated[list[Tag], Field(max_length=50)] = []
    speakers: Annotated[str, Field(pattern=SPEAKERS)] = ""

    def options(self, title: str = "") -> TranscriptionOptions:
        """The same for the road."""
        return TranscriptionOptions(
            title=title.strip(),
            tags=tuple(self.tags),
            language=self.language.strip().lower(),
            engine=self.engine,
            embedding_mode=EmbeddingMode.of_lane(self.lane),
            speakers=self.speakers,
        )


class NewLink(TranscriptionForm):
    """Something on the web: a page that a site player stands on, or the file itself."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"url": "https://example.com/talk.mp3"}]})

    url: Address
    title: Annotated[str, Field(max_length=500)] = ""


class NewSource(TranscriptionForm):
    """A feed, a folder of the server, or `s3://bucket/prefix`; the last two for admins."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "feed", "address": "https://example.com/feed.xml"}]}
    )

    kind: Literal["feed", "folder", "bucket"]
    address: Address
    watch: bool = Field(default=True, description="Whether what comes later is taken, too.")
    move_to: str = Field(default="", max_length=100, description="Where files go once they are here.")


class Decision(BaseModel):
    """Whether what is there already is taken, or only what is new."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"take": True}]})

    take: bool


@dataclass(frozen=True)
class LinkAnswer:
    """What is at an address."""

    url: str
    title: str
    site: str
    duration_s: float | None
    size_bytes: int
    """0 where nobody says."""
    published_at: datetime | None
    chapters: list[ChapterAnswer]


@dataclass(frozen=True)
class ItemAnswer:
    """A link, file or episode on its way; `recording_id` and `task_id` once it is here."""

    item_id: str
    address: str
    title: str
    state: ItemState
    size_bytes: int
    done_bytes: int
    recording_id: str
    task_id: str
    error: str
    error_code: str
    created_at: datetime


@dataclass(frozen=True)
class ItemList:
    """Newest first."""

    items: list[ItemAnswer]


@dataclass(frozen=True)
class SourceAnswer:
    """What is watched or imported, and how many of its files or episodes stand where."""

    source_id: str
    kind: SourceKind
    address: str
    title: str
    state: SourceState
    watch: bool
    counts: dict[str, int]
    error: str
    error_code: str


@dataclass(frozen=True)
class SourceList:
    """Newest first."""

    sources: list[SourceAnswer]


@router.get("/links/facts", responses=refusals(400, 401, 403, 413, 429, 503))
def facts(url: Annotated[str, Query(max_length=URL_CHARS)], caller: Uploading) -> LinkAnswer:
    """What is at an address, before anything is taken: title, length, size, date, chapters."""
    link_facts = caller.application.sources.look(caller.principal, url)
    return LinkAnswer(
        link_facts.url,
        link_facts.title,
        link_facts.site,
        link_facts.duration_s,
        link_facts.size_bytes,
        utc(link_facts.published_at) if link_facts.published_at else None,
        [ChapterAnswer(*chapter) for chapter in link_facts.chapters],
    )


@router.post("/links", status_code=202, responses=refusals(400, 401, 409, 429, 503))
def take_link(link: NewLink, caller: Uploading) -> ItemAnswer:
    """Fetch something from the web and transcribe it; redirects into private networks are refused."""
    sources = caller.application.sources
    return _item(caller, sources.take_link(caller.principal, LinkFacts(link.url), link.options(link.title)))


@router.get("/links", responses=refusals(401, 429))
def links(caller: Asking) -> ItemList:
    """What you had fetched."""
    return ItemList([_item(caller, row) for row in caller.application.sources.links(caller.principal)])


@router.get("/links/{item_id}", responses=refusals(401, 404, 429))
def link(item_id: str, caller: Asking) -> ItemAnswer:
    """How far a link, file or episode is."""
    return _item(caller, caller.application.sources.item(caller.principal, item_id))


@router.post("/links/{item_id}/take", responses=refusals(401, 404, 429))
def take(item_id: str, caller: Asking) -> ItemAnswer:
    """Take what failed, was cancelled, or was there before its source was watched."""
    caller.application.sources.take(caller.principal, item_id)
    return link(item_id, caller)


@router.delete("/links/{item_id}", responses=refusals(401, 404, 429))
def cancel(item_id: str, caller: Asking) -> ItemAnswer:
    """Do not fetch it; what is a recording already stays."""
    caller.application.sources.cancel(caller.principal, item_id)
    return link(item_id, caller)


@router.post("/sources", status_code=201, responses=refusals(400, 401, 403, 409, 429, 503))
def add(source: NewSource, caller: Asking) -> SourceAnswer:
    """Watch or import; what is there is counted first, until the source is `priced`."""
    row = caller.application.sources.add(
        caller.principal,
        SourceKind(source.kind),
        source.address,
        source.options(),
        watch=source.watch,
        move_to=source.move_to,
    )
    return _source(caller, caller.application.sources.get(caller.principal, row.id))


@router.get("/sources", responses=refusals(401, 429))
def sources(caller: Asking) -> SourceList:
    """What you watch."""
    return SourceList([_source(caller, view) for view in caller.application.sources.all(caller.principal)])


@router.get("/sources/{source_id}", responses=refusals(401, 404, 429))
def source(source_id: str, caller: Asking) -> SourceAnswer:
    """One of them."""
    return _source(caller, caller.application.sources.get(caller.principal, source_id))


@router.get("/sources/{source_id}/items", responses=refusals(400, 401, 404, 429))
def items(
    source_id: str,
    caller: Asking,
    state: Annotated[ItemState | None, Query()] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> ItemList:
    """Its files or episodes."""
    states = [state] if state else []
    rows = caller.application.sources.items(caller.principal, source_id, states, limit, offset)
    return ItemList([_item(caller, row) for row in rows])


@router.post("/sources/{source_id}/decide", responses=refusals(400, 401, 404, 409, 429))
def decide(source_id: str, decision: Decision, caller: Asking) -> SourceAnswer:
    """Take what is there already, or only what is new; 409 while it is still being counted."""
    caller.application.sources.decide(caller.principal, source_id, take=decision.take)
    return source(source_id, caller)


@router.post("/sources/{source_id}/pause", responses=refusals(401, 404, 429))
def pause(source_id: str, caller: Asking) -> SourceAnswer:
    """Take nothing more until it is resumed."""
    caller.application.sources.pause(caller.principal, source_id)
    return source(source_id, caller)


@router.post("/sources/{source_id}/resume", responses=refusals(401, 404, 429))
def resume(source_id: str, caller: Asking) -> SourceAnswer:
    """Go on."""
    caller.application.sources.resume(caller.principal, source_id)
    return source(source_id, caller)


@router.delete("/sources/{source_id}", responses=refusals(401, 404, 429))
def remove(source_id: str, caller: Asking) -> Message:
    """Watch it no more; its recordings stay."""
    caller.application.sources.remove(caller.principal, source_id)
    return Message(caller.answers.gettext(DELETED))


def _item(caller: Caller, row: SourceItem) -> ItemAnswer:
    return ItemAnswer(
        row.id,
        row.address,
        row.title,
        row.state,
        row.size_bytes,
        row.done_bytes,
        row.recording_id,
        row.task_id,
        *_error(caller, row.error),
        utc(row.created_at),
    )


def _source(caller: Caller, view: SourceView) -> SourceAnswer:
    row = view.source
    counts = {state.value: n for state, n in view.counts.items()}
    return SourceAnswer(
        row.id, row.kind, row.address, row.title, row.state, row.watch, counts, *_error(caller, row.error)
    )


def _error(caller: Caller, error: dict[str, object] | None) -> tuple[str, str]:
    """The sentence of an error that is kept, and its code."""
    if not error:
        return "", ""
    return catalogue.translate_error(error, caller.language), str(error["code"])
