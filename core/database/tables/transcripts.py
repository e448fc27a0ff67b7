"""What engines recognised."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import (
    JSON,
    ForeignKey,
    Index,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.database.tables.base import Json, Row, new_id

WARNED = text("json_array_length(warnings) > 0")
"""Of a transcript; in these very words in a question, or the index is not used."""


class Transcript(Row):
    """What engines heard in one sound. `key` is what makes it reusable: content, engines, options.

    Until its language was identified, `language` is `auto`, and `engine` what was asked for, perhaps `auto`.
    """

    __tablename__ = "transcripts"
    __table_args__ = (Index("transcripts_warned", "id", sqlite_where=WARNED, postgresql_where=WARNED),)

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(unique=True)
    sha256: Mapped[str] = mapped_column(index=True)
    engine: Mapped[str]
    engine_version: Mapped[str]
    language: Mapped[str]
    split_channels: Mapped[bool] = mapped_column(default=False)
    subtitles: Mapped[bool] = mapped_column(default=False)
    translate: Mapped[bool] = mapped_column(default=False)
    """Whether the text is in English whatever is spoken."""
    temperature: Mapped[float] = mapped_column(default=0.0)
    """How much chance decided between words."""
    hints: Mapped[str] = mapped_column(default="")
    """What its engine was told to expect (`core.transcripts.hints`)."""
    tracks: Mapped[str] = mapped_column(default="")
    """Which tracks of several to hear: "" those in its language, `each`, `mix`, or the number of one."""
    warnings: Mapped[list[Any]] = mapped_column(JSON, default=list)
    """What readers should know (`core.transcripts.warnings`): code and facts."""
    identified: Mapped[Json | None]
    """What was heard of its language: `languages`, the main one first, and the main one's `probability`."""
    planned: Mapped[bool] = mapped_column(default=False)
    complete: Mapped[bool] = mapped_column(default=False)
    duration_s: Mapped[float | None]
    processing_s: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[float] = mapped_column(default=time.time)


class Segment(Row):
    """A stretch of speech given to an engine. `text` is NULL until it was transcribed."""

    __tablename__ = "segments"
    __table_args__ = (Index("segments_by_time", "transcript_id", "start_s", "end_s"),)

    transcript_id: Mapped[str] = mapped_column(
        ForeignKey("transcripts.id", ondelete="CASCADE"), primary_key=True
    )
    n: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(default="mono")
    start_s: Mapped[float]
    end_s: Mapped[float]
    text: Mapped[str | None]
    words: Mapped[list[Any] | None] = mapped_column(JSON)
    language: Mapped[str | None]
    """None: that of the transcript; `engine` likewise."""
    engine: Mapped[str | None]
    log_probability: Mapped[float | None]
    """Mean natural logarithm of the probability of a token, where the engine says it."""
    no_speech: Mapped[float | None]
    """Probability that nobody speaks, where the engine says it."""
    doubtful: Mapped[bool] = mapped_column(default=False)
    """Whether it reads as if the engine had not understood."""
