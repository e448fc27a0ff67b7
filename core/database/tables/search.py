"""Passages, their vectors, and what was searched for."""

from __future__ import annotations

import time

from sqlalchemy import (
    ForeignKey,
    Index,
    LargeBinary,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.database.states import (
    EmbeddingMode,
    EmbeddingStatus,
)
from core.database.tables.base import Row, new_id


class PassageRow(Row):
    """A stretch of transcript that is searched."""

    __tablename__ = "passages"
    __table_args__ = (Index("passages_by_embedding_status", "embedding_status", "recording_id"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    n: Mapped[int]
    start_s: Mapped[float]
    end_s: Mapped[float]
    speaker: Mapped[str]
    language: Mapped[str]
    text: Mapped[str]
    embedding_status: Mapped[EmbeddingStatus] = mapped_column(default=EmbeddingStatus.OFF)
    embedding_mode: Mapped[EmbeddingMode] = mapped_column(default=EmbeddingMode.SYNC)
    text_hash: Mapped[str] = mapped_column(default="", index=True)


class BoughtVector(Row):
    """A vector that was paid for and is not in the index yet (`core/search/bought_vectors.py`)."""

    __tablename__ = "bought_vectors"

    recording_id: Mapped[str] = mapped_column(
        ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True
    )
    hash: Mapped[str] = mapped_column(primary_key=True)
    vector: Mapped[bytes] = mapped_column(LargeBinary)


class SentenceVectors(Row):
    """Vectors of the sentences of one passage (`core/search/sentences.py`).

    `key` is a hash of the model and of the sentences, so that what was said otherwise is never taken for it.
    """

    __tablename__ = "sentence_vectors"

    recording_id: Mapped[str] = mapped_column(
        ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True
    )
    key: Mapped[str] = mapped_column(primary_key=True)
    packed: Mapped[bytes] = mapped_column(LargeBinary)


class Searched(Row):
    """One question to the search; its words only where `SEARCH_LOG` is on and nothing answered."""

    __tablename__ = "searched"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[float] = mapped_column(index=True)
    answered: Mapped[bool]
    took_ms: Mapped[float]
    question: Mapped[str] = mapped_column(default="")


class OpenedHit(Row):
    """An answer that somebody opened, where `SEARCH_CLICKS` is on."""

    __tablename__ = "opened_hits"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[float] = mapped_column(index=True)
    question: Mapped[str]
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"))
    play_s: Mapped[float]
    place: Mapped[int]


class SavedSearch(Row):
    """A question somebody keeps; a standing one is asked of each new transcript."""

    __tablename__ = "saved_searches"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    owner: Mapped[str] = mapped_column(index=True)
    question: Mapped[str]
    mode: Mapped[str]
    standing: Mapped[bool] = mapped_column(index=True)
    callback_url: Mapped[str]
    created_at: Mapped[float] = mapped_column(default=time.time)


class SearchHit(Row):
    """A new moment for a standing search, until somebody has seen it."""

    __tablename__ = "search_hits"

    search_id: Mapped[str] = mapped_column(
        ForeignKey("saved_searches.id", ondelete="CASCADE"), primary_key=True
    )
    recording_id: Mapped[str] = mapped_column(
        ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True, index=True
    )
    start_s: Mapped[float] = mapped_column(primary_key=True)
    text: Mapped[str]
    found_at: Mapped[float] = mapped_column(default=time.time)
    notified_at: Mapped[float | None]
    """When the callback took it."""
    attempts: Mapped[int] = mapped_column(default=0)
    seen: Mapped[bool] = mapped_column(default=False)
