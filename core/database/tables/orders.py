"""What was ordered from providers."""

from __future__ import annotations

import time

from sqlalchemy import (
    JSON,
    ForeignKey,
    Index,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.database.states import (
    BatchAction,
    BatchState,
    EmbeddingRequestState,
    OrderFate,
    OrderState,
)
from core.database.tables.base import Json, Row, new_id


class Batch(Row):
    """One provider job of many texts, from before it is asked for until its vectors are kept.

    States: planned, uploaded, submitting, submitted, ended, saved; for good: complete, split, failed,
    expired, cancelled; held ones wait for a person. `requested_action` is what is wanted of it: "", cancel,
    now (cancel, and give the rest to the other lane), or late (the same for what is due by now).
    """

    __tablename__ = "batches"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    model: Mapped[str]
    display_name: Mapped[str] = mapped_column(unique=True)
    state: Mapped[BatchState] = mapped_column(default=BatchState.PLANNED, index=True)
    attempt_count: Mapped[int] = mapped_column(default=0)
    requested_action: Mapped[BatchAction] = mapped_column(default=BatchAction.NONE)
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
    intended_at: Mapped[float | None]
    submitted_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    deadline_at: Mapped[float | None]
    next_at: Mapped[float] = mapped_column(index=True)
    poll_count: Mapped[int] = mapped_column(default=0)
    error: Mapped[Json | None]
    alarm: Mapped[Json | None]


class EmbeddingRequestRow(Row):
    """A text on its way to a vector by batch; at most one batch has it. States: waiting, sent, failed."""

    __tablename__ = "embedding_requests"
    __table_args__ = (Index("embedding_requests_waiting", "model", "state", "since"),)

    hash: Mapped[str] = mapped_column(primary_key=True)
    custom_id: Mapped[str]
    model: Mapped[str]
    recording_id: Mapped[str] = mapped_column(index=True)
    state: Mapped[EmbeddingRequestState] = mapped_column(default=EmbeddingRequestState.WAITING)
    batch_id: Mapped[str | None] = mapped_column(index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    tokens: Mapped[int]
    since: Mapped[float]
    error: Mapped[str | None]


class Order(Row):
    """A segment's transcript ordered at a provider, from before it is asked for until it is kept.

    States: planned, submitting, submitted; for good: done, failed, cancelled; held ones wait for a
    person. `fate` is what the provider said last. `unknown_outcome_count` counts
    replies that were lost, `failure_count` runs that failed there, `timeout_count` those of them that ran
    out of time.
    """

    __tablename__ = "orders"
    __table_args__ = (UniqueConstraint("transcript_id", "n"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    transcript_id: Mapped[str]
    n: Mapped[int]
    recording_id: Mapped[str]
    owner: Mapped[str]
    engine: Mapped[str]
    state: Mapped[OrderState] = mapped_column(default=OrderState.PLANNED, index=True)
    fate: Mapped[OrderFate] = mapped_column(default=OrderFate.UNKNOWN)
    remote_id: Mapped[str | None]
    duration_s: Mapped[float]
    usd: Mapped[str] = mapped_column(default="0")
    attempt_count: Mapped[int] = mapped_column(default=0)
    unknown_outcome_count: Mapped[int] = mapped_column(default=0)
    failure_count: Mapped[int] = mapped_column(default=0)
    timeout_count: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[float]
    intended_at: Mapped[float | None]
    submitted_at: Mapped[float | None]
    working_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    next_at: Mapped[float] = mapped_column(default=0.0)
    error: Mapped[Json | None]


class Breaker(Row):
    """How a provider answered lately. While `open_until` is ahead nobody asks it."""

    __tablename__ = "breakers"

    provider: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(default="")
    failures: Mapped[int] = mapped_column(default=0)
    refused: Mapped[bool] = mapped_column(default=False)
    open_until: Mapped[float] = mapped_column(default=0.0)
    error: Mapped[Json | None]
    tested_at: Mapped[float | None]
    latency_s: Mapped[float | None]


class Cover(Row):
    """A picture for a recording, ordered at an image endpoint. States as those of an order."""

    __tablename__ = "covers"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    series: Mapped[str] = mapped_column(index=True)
    options: Mapped[Json] = mapped_column(JSON)
    state: Mapped[OrderState] = mapped_column(default=OrderState.PLANNED, index=True)
    remote_id: Mapped[str | None]
    failure_count: Mapped[int] = mapped_column(default=0)
    object: Mapped[str | None]
    created_at: Mapped[float] = mapped_column(default=time.time)
    submitted_at: Mapped[float | None]
    next_at: Mapped[float] = mapped_column(default=0.0)
    finished_at: Mapped[float | None]
    error: Mapped[Json | None]
