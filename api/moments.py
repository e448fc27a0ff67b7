"""Moments that are kept, their clips, and collections of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from api.callers import Asking, Caller
from api.problems import refusals
from core.clients.answers import Message
from core.database.tables import utc
from core.i18n.messages import N_
from core.library import kept_moments, moment_exports
from core.library.kept_moments import NOTE_LETTERS, Kept, Stretch
from core.transcripts import export

router = APIRouter(prefix="/api/v1", tags=["moments"])

Second = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]
Title = Annotated[str, Field(max_length=200)]
Tags = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=20)]
Note = Annotated[str, Field(max_length=NOTE_LETTERS)]
Id = Annotated[str, Field(max_length=64)]
Words = Annotated[str, Query(max_length=500)]
DELETED = N_("Deleted.")


class NewMoment(BaseModel):
    """A stretch of a recording to keep, 600 seconds at most."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "recording_id": "6f1e0c52a7b84d0f9a3d3b1c5e7f9012",
                    "start_s": 61.5,
                    "end_s": 74.25,
                    "title": "The budget is agreed",
                    "note": "For the minutes.",
                    "tags": ["budget"],
                }
            ]
        }
    )

    recording_id: Id
    start_s: Second
    end_s: Second
    title: Title = ""
    note: Note = ""
    tags: Tags = []


class MomentChange(BaseModel):
    """What is said about a moment; what is left out stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Agreed", "tags": ["budget", "Q3"]}]})

    title: Title | None = None
    note: Note | None = None
    tags: Tags | None = None


class CollectionTitle(BaseModel):
    """What a collection is called."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Interviews in spring"}]})

    title: Annotated[str, Field(min_length=1, max_length=200, pattern=r"\S")]


class CollectionOrder(BaseModel):
    """The moments of a collection, in their order."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"moment_ids": ["8c7e…", "51aa…"]}]})

    moment_ids: Annotated[list[Id], Field(max_length=1000)]


@dataclass(frozen=True)
class KeptMomentAnswer:
    """A kept moment. Its text is as it was quoted, whatever is corrected since."""

    moment_id: str
    recording_id: str
    recording_title: str
    recording_deleted: bool
    start_s: float
    end_s: float
    speaker: str
    text: str
    title: str
    note: str
    tags: list[str]
    citation: str
    created_at: datetime
    link: str
    """Stable: it stays, whatever becomes of the recording."""
    play_link: str
    """Where its recording is opened at it; empty where that is gone."""


@dataclass(frozen=True)
class MomentList:
    """Moments, newest first; those of a collection in its order."""

    total: int
    moments: list[KeptMomentAnswer]


@dataclass(frozen=True)
class CollectionAnswer:
    """A collection of moments."""

    collection_id: str
    title: str
    moments: int


@dataclass(frozen=True)
class CollectionList:
    """All collections, by title."""

    collections: list[CollectionAnswer]


@router.post("/moments", status_code=201, responses=refusals(400, 401, 404, 429))
def keep(moment: NewMoment, caller: Asking) -> KeptMomentAnswer:
    """Keep a stretch of a recording: its text is quoted as it is now. The same stretch is kept once."""
    stretch = Stretch(**{**moment.model_dump(), "tags": tuple(moment.tags)})
    return _answer(caller.application.kept_moments.keep(caller.principal, stretch), caller)


@router.get("/moments", responses=refusals(400, 401, 404, 429))
def moments(
    caller: Asking, collection_id: Words = "", recording_id: Words = "", tag: Words = "", words: Words = ""
) -> MomentList:
    """Your moments: all, of a collection, of a recording, with a tag, with words in title, note or text."""
    kept_moments = caller.application.kept_moments.find(
        caller.principal, collection_id=collection_id, recording_id=recording_id, tag=tag, words=words
    )
    return MomentList(len(kept_moments), [_answer(kept_moment, caller) for kept_moment in kept_moments])


@router.get("/moments/{moment_id}", responses=refusals(401, 404, 429))
def moment(moment_id: str, caller: Asking) -> KeptMomentAnswer:
    """One moment."""
    return _answer(caller.application.kept_moments.get(caller.principal, moment_id), caller)


@router.patch("/moments/{moment_id}", responses=refusals(400, 401, 404, 429))
def change(moment_id: str, change: MomentChange, caller: Asking) -> KeptMomentAnswer:
    """Change title, note or tags."""
    service = caller.application.kept_moments
    kept_moment = service.change(
        caller.principal, moment_id, title=change.title, note=change.note, tags=change.tags
    )
    return _answer(kept_moment, caller)


@router.delete("/moments/{moment_id}", responses=refusals(401, 404, 429))
def delete(moment_id: str, caller: Asking) -> Message:
    """Keep a moment no more."""
    caller.application.kept_moments.delete(caller.principal, moment_id)
    return Message(caller.answers.gettext(DELETED))


@router.get(
    "/moments/{moment_id}/clip",
    response_class=Response,
    responses={
        200: {
            "description": "The clip.",
            "content": {each: {} for each in kept_moments.MEDIA_TYPES.values()},
        },
        **refusals(400, 401, 404, 409, 415, 429, 503),
    },
)
def clip(moment_id: str, caller: Asking, format: Literal["m4a", "wav", "mp4"] = "m4a") -> Response:  # noqa: A002 - its public name
    """The moment as a file of its own, cut to the sample; `mp4` has the picture, where there is one."""
    content = caller.application.kept_moments.clip(caller.principal, moment_id, format)
    return _file(content, kept_moments.MEDIA_TYPES[format], f"moment.{format}")


@router.get("/collections", responses=refusals(401, 429))
def collections(caller: Asking) -> CollectionList:
    """Your collections of moments."""
    rows = caller.application.kept_moments.collections(caller.principal)
    return CollectionList([CollectionAnswer(row.id, row.title, count) for row, count in rows])


@router.post("/collections", status_code=201, responses=refusals(400, 401, 429))
def make_collection(collection: CollectionTitle, caller: Asking) -> CollectionAnswer:
    """A new, empty collection."""
    row = caller.application.kept_moments.make_collection(caller.principal, collection.title)
    return CollectionAnswer(row.id, row.title, 0)


@router.put("/collections/{collection_id}/moments", responses=refusals(400, 401, 404, 429))
def arrange(collection_id: str, order: CollectionOrder, caller: Asking) -> MomentList:
    """A collection has exactly these moments, in this order."""
    caller.application.kept_moments.arrange(caller.principal, collection_id, order.moment_ids)
    return moments(caller, collection_id=collection_id)


@router.delete("/collections/{collection_id}", responses=refusals(401, 404, 429))
def delete_collection(collection_id: str, caller: Asking) -> Message:
    """Delete a collection; its moments stay."""
    caller.application.kept_moments.delete_collection(caller.principal, collection_id)
    return Message(caller.answers.gettext(DELETED))


@router.get(
    "/collections/{collection_id}/export",
    response_class=Response,
    responses={
        200: {
            "description": "The file.",
            "content": {each.partition(";")[0]: {} for each in moment_exports.MEDIA_TYPES.values()},
        },
        **refusals(400, 401, 404, 415, 429, 503),
    },
)
def download(
    collection_id: str,
    caller: Asking,
    format: Literal["docx", "csv", "zip", "m4a", "srt"] = "docx",  # noqa: A002 - its public name
) -> Response:
    """A collection as a document, a table, clips (`zip`), one reel (`m4a`) or its subtitles (`srt`)."""
    service = caller.application.kept_moments
    title = service.collection(caller.principal, collection_id).title
    moments = service.find(caller.principal, collection_id=collection_id)
    export = moment_exports.exported(caller.principal, service, moments, title, format, caller.language)
    return _file(export.content, export.media_type, export.name)


def _file(content: bytes, media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": export.disposition(name), "X-Content-Type-Options": "nosniff"}
    return Response(content, media_type=media_type, headers=headers)


def _answer(kept_moment: Kept, caller: Caller) -> KeptMomentAnswer:
    row = kept_moment.moment
    return KeptMomentAnswer(
        moment_id=row.id,
        recording_id=row.recording_id,
        recording_title=kept_moment.title,
        recording_deleted=kept_moment.recording is None,
        start_s=row.start_s,
        end_s=row.end_s,
        speaker=row.speaker,
        text=row.text,
        title=row.title,
        note=row.note,
        tags=list(row.tags),
        citation=kept_moments.citation(kept_moment, caller.language),
        created_at=utc(row.created_at),
        link=kept_moments.page_link(row.id),
        play_link=kept_moments.play_link(kept_moment),
    )
