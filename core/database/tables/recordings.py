"""Recordings, and what people make of them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    ColumnElement,
    Connection,
    ForeignKey,
    Index,
    LargeBinary,
    TextClause,
    UniqueConstraint,
    event,
    func,
    inspect,
    text,
)
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column

from core.database.states import (
    Access,
    DateKind,
    EditSubject,
    EmbeddingStatus,
    ShareKind,
)
from core.database.tables.base import Json, Row, new_id
from core.principal import PAGES

_BINNED = text("deleted_at IS NOT NULL")
"""SQLite takes any index for selective. With one of all rows it begins joins with all that is outside the
bin, and a search by meaning reads every passage there is."""


def _common(context: DefaultExecutionContext) -> Access:
    """What nobody owns alone is everybody's."""
    row: dict[str, Any] = context.get_current_parameters()  # type: ignore[no-untyped-call]
    return Access.WRITE if row["owner"] == PAGES else Access.NONE


_SHOWN = text("deleted_at IS NULL")
SEVERAL_VOICES = text("json_array_length(voices) > 1")
"""Of a diarization; in these very words in a question, or the index is not used."""
_LONG = text("long_name IS NOT NULL")
_WHO = "owner", "everybody", "deleted_at"
"""With the id, what says who sees a recording: an index with it answers without reading rows. SQLite asks for
`deleted_at`, too, though the index is of those alone where it is NULL."""
INDEXED_LETTERS = 250
"""So many of a name and of tags are indexed: a row of an index of PostgreSQL has at most 2,704 bytes."""


def _shown(name: str, *columns: str | TextClause) -> Index:
    """An index of what is not in the bin."""
    return Index(name, *columns, sqlite_where=_SHOWN, postgresql_where=_SHOWN)


class Recording(Row):
    """A sound with an owner, a title and tags. The bytes live in the store under `sha256`."""

    __tablename__ = "recordings"
    __table_args__ = (
        UniqueConstraint("owner", "sha256"),
        Index("recordings_in_bin", "deleted_at", sqlite_where=_BINNED, postgresql_where=_BINNED),
        _shown("recordings_shown", "created_at", "id", "folded_name", "indexed_tags", *_WHO),
        _shown(
            "recordings_of_owner", "owner", "created_at", "id", "folded_name", "indexed_tags", "deleted_at"
        ),
        _shown("recordings_of_transcripts", "transcript_id", "id", *_WHO),
        _shown("recordings_by_name", "folded_name", "id", *_WHO),
        _shown("recordings_by_tags", "indexed_tags", "id", *_WHO),
        _shown(
            "recordings_counted",
            "engine",
            "language",
            "embedding_status",
            "duration_s",
            "task_count",
            "id",
            *_WHO,
        ),
        _shown("recordings_by_date", text("coalesce(recorded_at, created_at) DESC"), "id"),
        _shown("recordings_longest", text("coalesce(duration_s, -1) DESC"), "id"),
        _shown("recordings_by_length", "duration_s"),
        _shown("recordings_by_size", "size_bytes"),
        Index("recordings_of_long_names", "id", sqlite_where=_LONG, postgresql_where=_LONG),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    owner: Mapped[str]
    sha256: Mapped[str] = mapped_column(index=True)
    filename: Mapped[str]
    title: Mapped[str]
    folded_name: Mapped[str] = mapped_column(default="")
    """Title and file name as they are looked in: no database folds capitals of every alphabet alike.

    No more than INDEXED_LETTERS of them.
    """
    long_name: Mapped[str | None]
    """All of `folded_name`, where that is cut; NULL: it is whole."""
    tags: Mapped[list[str]] = mapped_column(default=list)
    indexed_tags: Mapped[str | None]
    """As JSON with letters of every alphabet as they are; NULL: longer than INDEXED_LETTERS, see `tags`."""
    language: Mapped[str]
    """`auto` until it was identified."""
    language_probability: Mapped[float | None]
    """None: a person said which language it is, or nobody knows yet."""
    size_bytes: Mapped[int]
    duration_s: Mapped[float | None]
    channels: Mapped[int] = mapped_column(default=1)
    format: Mapped[str] = mapped_column(default="")
    tracks: Mapped[list[Any]] = mapped_column(JSON, default=list)
    """Of sound (`core.media.tracks.Track`); empty where there is one, or where nobody has counted."""
    created_at: Mapped[float] = mapped_column(default=time.time, index=True)
    recorded_at: Mapped[float | None]
    """As its name, its tags or a person says; what `recorded_kind` does not know of it is taken as UTC."""
    recorded_kind: Mapped[DateKind | None]
    transcript_id: Mapped[str | None]
    """The present text."""
    engine: Mapped[str | None]
    """Who made the present text; empty: nobody knows; NULL: there is none."""
    embedding_status: Mapped[EmbeddingStatus] = mapped_column(default=EmbeddingStatus.OFF)
    vectors_by: Mapped[float | None]
    deleted_at: Mapped[float | None]
    """Since when it is in the bin; sessions do not see it then (`core.database.recycle_bin`)."""
    source_url: Mapped[str] = mapped_column(default="")
    """Of the page or feed it was taken from; empty where it came as a file."""
    published_at: Mapped[float | None]
    """As its source says."""
    task_count: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    """Of its tasks; triggers keep it (`r0037_task_counts`), nothing else writes it."""
    chapters: Mapped[list[Any]] = mapped_column(JSON, default=list)
    """[start_s, title] in order of time, as its source says."""
    everybody: Mapped[Access] = mapped_column(default=_common)
    """What all people here may do with it."""

    @hybrid_property
    def dated_at(self) -> float:
        """When it was recorded, or, where nobody knows that, brought; Unix seconds."""
        return self.created_at if self.recorded_at is None else self.recorded_at

    @dated_at.inplace.expression
    @classmethod
    def _dated_at(cls) -> ColumnElement[float]:
        return func.coalesce(cls.recorded_at, cls.created_at)


def indexed(title: str, filename: str, tags: Sequence[str]) -> dict[str, str | None]:
    """`folded_name`, `long_name` and `indexed_tags` of a recording; parts of names are looked for folded."""
    name, tags_json = f"{title}\n{filename}".casefold(), json.dumps(list(tags), ensure_ascii=False)
    return {
        "folded_name": name[:INDEXED_LETTERS],
        "long_name": name if len(name) > INDEXED_LETTERS else None,
        "indexed_tags": tags_json if len(tags_json) <= INDEXED_LETTERS else None,
    }


@event.listens_for(Recording, "before_insert")
@event.listens_for(Recording, "before_update")
def _index(_mapper: object, connection: Connection, row: Recording) -> None:
    for name, value in indexed(row.title, row.filename, row.tags or []).items():
        setattr(row, name, value)
    changed = inspect(row).attrs
    if changed.transcript_id.history.has_changes() and not changed.engine.history.has_changes():
        made_by = text("SELECT engine FROM transcripts WHERE id = :id").bindparams(id=row.transcript_id)
        row.engine = None if row.transcript_id is None else connection.scalar(made_by) or ""


class Share(Row):
    """Somebody, or a group, with whom a recording is shared by name."""

    __tablename__ = "shares"
    __table_args__ = (Index("shares_with", "kind", "who"),)

    recording_id: Mapped[str] = mapped_column(
        ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True
    )
    kind: Mapped[ShareKind] = mapped_column(primary_key=True)
    who: Mapped[str] = mapped_column(primary_key=True)
    """The owner that a person is, or the name of a group in small letters."""
    access: Mapped[Access]


class GlossaryEntry(Row):
    """A name, product or abbreviation as it is written, and as engines mishear it."""

    __tablename__ = "glossary"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(index=True)
    right: Mapped[str]
    misheard: Mapped[list[str]] = mapped_column(default=list)
    languages: Mapped[list[str]] = mapped_column(default=list)
    """Codes of languages it is used in; empty: all."""
    created_at: Mapped[float] = mapped_column(default=time.time)


class Peaks(Row):
    """How loud a sound is along its length (`core.media.waveform.peaks`), for who draws it."""

    __tablename__ = "peaks"

    sha256: Mapped[str] = mapped_column(primary_key=True)
    peaks: Mapped[bytes] = mapped_column(LargeBinary)


class Diarization(Row):
    """Who speaks when in a recording, as it was found; what people corrected is in `edits`."""

    __tablename__ = "diarizations"
    __table_args__ = (
        Index(
            "diarizations_of_several",
            "recording_id",
            sqlite_where=SEVERAL_VOICES,
            postgresql_where=SEVERAL_VOICES,
        ),
    )

    recording_id: Mapped[str] = mapped_column(
        ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True
    )
    speakers: Mapped[str]
    """How many were looked for, as `Task.speakers`."""
    split_channels: Mapped[bool] = mapped_column(default=False)
    """Whether each channel was looked through by itself."""
    turns: Mapped[list[Any]] = mapped_column(JSON)
    """[start_s, end_s, speaker, channel] in order of time."""
    voices: Mapped[list[Any]] = mapped_column(JSON)
    """[speaker, alone_s, 192 numbers in base64] of each speaker."""
    error: Mapped[Json | None]
    """Why nobody could be found, where that is so."""
    took_s: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[float] = mapped_column(default=time.time)


class EditRow(Row):
    """One step in which people corrected the text or the speakers of a recording; `n` orders them."""

    __tablename__ = "edits"

    recording_id: Mapped[str] = mapped_column(
        ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True
    )
    n: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[EditSubject] = mapped_column(default=EditSubject.SPEAKERS)
    transcript_id: Mapped[str] = mapped_column(default="")
    """Which transcript a step of a text is of."""
    action_id: Mapped[str] = mapped_column(default=new_id, index=True)
    """Steps that were taken together, perhaps in several recordings."""
    edit: Mapped[Json] = mapped_column(JSON)
    who: Mapped[str] = mapped_column(default="")
    """The owner that took it; empty where nobody noted that."""
    undone: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[float] = mapped_column(default=time.time)


class Voice(Row):
    """Somebody whose voice is known again in other recordings of the same owner."""

    __tablename__ = "voices"
    __table_args__ = (UniqueConstraint("owner", "name"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    owner: Mapped[str]
    name: Mapped[str]
    created_at: Mapped[float] = mapped_column(default=time.time)


class VoiceSample(Row):
    """The voice of a speaker whom people named; goes with its recording."""

    __tablename__ = "voice_samples"

    recording_id: Mapped[str] = mapped_column(
        ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True
    )
    label: Mapped[str] = mapped_column(primary_key=True)
    voice_id: Mapped[str] = mapped_column(ForeignKey("voices.id", ondelete="CASCADE"), index=True)
    vector: Mapped[bytes]
    alone_s: Mapped[float]


class VoiceRejection(Row):
    """A speaker of a recording who is not this person, by somebody's word."""

    __tablename__ = "voice_rejections"

    recording_id: Mapped[str] = mapped_column(
        ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True
    )
    label: Mapped[str] = mapped_column(primary_key=True)
    voice_id: Mapped[str] = mapped_column(ForeignKey("voices.id", ondelete="CASCADE"), primary_key=True)


class KeptMoment(Row):
    """A stretch of a recording that somebody kept, with the text as it was then; outlives the recording."""

    __tablename__ = "kept_moments"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(index=True)
    recording_id: Mapped[str] = mapped_column(index=True)
    recording_title: Mapped[str]
    """As it was called when the moment was kept."""
    recorded_at: Mapped[float]
    """When the recording was made, or brought."""
    start_s: Mapped[float]
    end_s: Mapped[float]
    speaker: Mapped[str]
    text: Mapped[str]
    title: Mapped[str]
    note: Mapped[str]
    tags: Mapped[list[str]] = mapped_column(default=list)
    created_at: Mapped[float] = mapped_column(default=time.time, index=True)


class Collection(Row):
    """Kept moments under a title, in an order of somebody's own."""

    __tablename__ = "collections"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(index=True)
    title: Mapped[str]
    created_at: Mapped[float] = mapped_column(default=time.time)


class CollectionMoment(Row):
    """The place of a moment in a collection."""

    __tablename__ = "collection_moments"

    collection_id: Mapped[str] = mapped_column(
        ForeignKey("collections.id", ondelete="CASCADE"), primary_key=True
    )
    moment_id: Mapped[str] = mapped_column(
        ForeignKey("kept_moments.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    position: Mapped[int]
