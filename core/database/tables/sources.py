"""Where recordings come from by themselves, and where results are written."""

from __future__ import annotations

import time

from sqlalchemy import (
    ForeignKey,
    Index,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.database.states import (
    ItemState,
    SourceKind,
    SourceState,
)
from core.database.tables.base import Json, Row, new_id


class Source(Row):
    """Where recordings come from by themselves: a feed, a folder of the server, a part of a bucket."""

    __tablename__ = "sources"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(index=True)
    kind: Mapped[SourceKind]
    address: Mapped[str]
    title: Mapped[str] = mapped_column(default="")
    state: Mapped[SourceState] = mapped_column(default=SourceState.LOOKING, index=True)
    watch: Mapped[bool] = mapped_column(default=True)
    """Whether what comes later is taken too; else it ends once what is there was taken."""
    options: Mapped[Json]
    """How its recordings are heard (`TranscriptionOptions`)."""
    move_to: Mapped[str] = mapped_column(default="")
    """Folder inside of it that files move to once they are here; empty: they stay."""
    error: Mapped[Json | None]
    """Why it could not be looked at last."""
    looked_at: Mapped[float | None]
    look_at: Mapped[float] = mapped_column(default=0.0)
    """When to look next."""
    taken_at: Mapped[float] = mapped_column(default=0.0)
    """When something of it was taken last: the one that waits longest is next."""
    created_at: Mapped[float] = mapped_column(default=time.time)


class SourceItem(Row):
    """Something of a source that is or becomes a recording; or a link that somebody gave, of no source."""

    __tablename__ = "source_items"
    __table_args__ = (
        UniqueConstraint("source_id", "address"),
        Index("source_items_by_state", "state", "source_id"),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    source_id: Mapped[str | None] = mapped_column(ForeignKey("sources.id", ondelete="CASCADE"))
    owner: Mapped[str] = mapped_column(index=True)
    address: Mapped[str]
    """A web address, or a path or name below the source's own; of an episode, what its feed calls it."""
    url: Mapped[str] = mapped_column(default="")
    """Where it is fetched from; empty for files."""
    version: Mapped[str] = mapped_column(default="")
    """Differs once its content does: size and time of a file, ETag of an object."""
    state: Mapped[ItemState] = mapped_column(default=ItemState.SEEN)
    title: Mapped[str] = mapped_column(default="")
    facts: Mapped[Json]
    """What its source says of it (`core.sources.links.LinkFacts`)."""
    options: Mapped[Json | None]
    """How it is heard; None: as the source says."""
    size_bytes: Mapped[int] = mapped_column(default=0)
    """0 where nobody knows."""
    duration_s: Mapped[float | None]
    done_bytes: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    error: Mapped[Json | None]
    task_id: Mapped[str] = mapped_column(default="", index=True)
    recording_id: Mapped[str] = mapped_column(default="")
    created_at: Mapped[float] = mapped_column(default=time.time)
    changed_at: Mapped[float] = mapped_column(default=time.time)


class Destination(Row):
    """A folder of the server, or a part of a bucket, that results are written to as they come."""

    __tablename__ = "destinations"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(index=True)
    address: Mapped[str]
    formats: Mapped[list[str]]
    """Of `core.transcripts.export.FORMATS`."""
    since: Mapped[float] = mapped_column(default=0.0)
    """Recordings that were brought before are left out."""
    paused: Mapped[bool] = mapped_column(default=False)
    error: Mapped[Json | None]
    """Why it could not be written last."""
    created_at: Mapped[float] = mapped_column(default=time.time)


class WrittenResult(Row):
    """That a destination has the result of a recording, and as of when."""

    __tablename__ = "written_results"

    destination_id: Mapped[str] = mapped_column(
        ForeignKey("destinations.id", ondelete="CASCADE"), primary_key=True
    )
    recording_id: Mapped[str] = mapped_column(
        ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    transcript_id: Mapped[str]
    edits: Mapped[int]
    """How many corrections were in it."""
    name: Mapped[str]
    """Of its files, without their endings."""
    written_at: Mapped[float]
