"""What is kept of batches in SQL: each batch, and each text on its way to a vector."""

from __future__ import annotations

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from core.records import Json, Row, new_id


class Batch(Row):
    """One provider job of many texts, from before it is asked for until its vectors are kept.

    States: planned, uploaded, submitting, submitted, ended, saved; for good: complete, split, failed,
    expired, cancelled; held ones wait for a person. `wish` is what is wanted of it: "", cancel,
    now (cancel, and give the rest to the other lane), or late (the same for what is due by now).
    """

    __tablename__ = "batches"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    model: Mapped[str]
    display_name: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(default="planned", index=True)
    epoch: Mapped[int] = mapped_column(default=0)
    wish: Mapped[str] = mapped_column(default="")
    texts: Mapped[int]
    tokens: Mapped[int]
    usd: Mapped[str]
    file: Mapped[str | None]
    name: Mapped[str | None] = mapped_column(index=True)
    remote_state: Mapped[str] = mapped_column(default="")
    result: Mapped[str | None]
    lines: Mapped[int | None]
    sha256: Mapped[str | None]
    good: Mapped[int] = mapped_column(default=0)
    bad: Mapped[int] = mapped_column(default=0)
    paid_tokens: Mapped[int] = mapped_column(default=0)
    paid_usd: Mapped[str | None]
    created_at: Mapped[float]
    uploaded_at: Mapped[float | None]
    submit_at: Mapped[float | None]
    submitted_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    deadline_at: Mapped[float | None]
    next_at: Mapped[float] = mapped_column(index=True)
    polls: Mapped[int] = mapped_column(default=0)
    error: Mapped[Json | None]
    alarm: Mapped[Json | None]


class Text(Row):
    """A text on its way to a vector by batch; at most one batch has it. States: waiting, sent, failed."""

    __tablename__ = "batch_texts"
    __table_args__ = (Index("batch_texts_waiting", "model", "state", "since"),)

    hash: Mapped[str] = mapped_column(primary_key=True)
    custom_id: Mapped[str]
    model: Mapped[str]
    recording_id: Mapped[str] = mapped_column(index=True)
    state: Mapped[str] = mapped_column(default="waiting")
    batch_id: Mapped[str | None] = mapped_column(index=True)
    tries: Mapped[int] = mapped_column(default=0)
    tokens: Mapped[int]
    since: Mapped[float]
    error: Mapped[str | None]
