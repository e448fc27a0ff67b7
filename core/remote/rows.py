"""What is kept in SQL of work done elsewhere: orders, pictures, and how providers answered."""

from __future__ import annotations

import time

from sqlalchemy import JSON, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from core.records import Json, Row, new_id


class Order(Row):
    """A segment's transcript ordered at a provider, from before it is asked for until it is kept.

    States: planned, submitting, submitted; for good: done, failed, cancelled; held ones wait for a
    person. `fate` is what the provider said last. `doubts` counts replies that were lost, `breaks`
    runs that failed there, `patience` those of them that ran out of time.
    """

    __tablename__ = "orders"
    __table_args__ = (UniqueConstraint("transcript_id", "n"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    transcript_id: Mapped[str]
    n: Mapped[int]
    recording_id: Mapped[str]
    owner: Mapped[str]
    engine: Mapped[str]
    state: Mapped[str] = mapped_column(default="planned", index=True)
    fate: Mapped[str] = mapped_column(default="")
    remote_id: Mapped[str | None]
    duration_s: Mapped[float]
    usd: Mapped[str] = mapped_column(default="0")
    submissions: Mapped[int] = mapped_column(default=0)
    doubts: Mapped[int] = mapped_column(default=0)
    breaks: Mapped[int] = mapped_column(default=0)
    patience: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[float]
    submit_at: Mapped[float | None]
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
    wish: Mapped[Json] = mapped_column(JSON)
    state: Mapped[str] = mapped_column(default="planned", index=True)
    remote_id: Mapped[str | None]
    breaks: Mapped[int] = mapped_column(default=0)
    object: Mapped[str | None]
    created_at: Mapped[float] = mapped_column(default=time.time)
    submitted_at: Mapped[float | None]
    next_at: Mapped[float] = mapped_column(default=0.0)
    finished_at: Mapped[float | None]
    error: Mapped[Json | None]
