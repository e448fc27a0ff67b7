"""What is kept in SQL of what went on: attempts at jobs, their numbers, what people did by hand."""

from __future__ import annotations

import time

from sqlalchemy.orm import Mapped, mapped_column

from core.records import Json, Row, new_id


class Run(Row):
    """One attempt at a job; stays when the job is gone.

    Outcomes: done, failed, cancelled, quarantined; not for good: later, stopped, died.
    """

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    job_id: Mapped[str]
    task_id: Mapped[str] = mapped_column(index=True)
    recording_id: Mapped[str]
    kind: Mapped[str]
    queue: Mapped[str]
    outcome: Mapped[str]
    worker: Mapped[str]
    waited_s: Mapped[float]
    started_at: Mapped[float]
    ended_at: Mapped[float] = mapped_column(index=True)
    error: Mapped[Json | None]


class Tally(Row):
    """How many jobs ended within a span of time, by outcome; and how long they took, as histograms.

    `measure` is ended (step 0), run or wait; `step` is a step of the histogram, `total_s` the sum of it.
    """

    __tablename__ = "tallies"

    span_s: Mapped[int] = mapped_column(primary_key=True)
    measure: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[str] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int]
    total_s: Mapped[float]
    audio_s: Mapped[float]


class Action(Row):
    """What somebody did by hand: when, who, what, to what. `count` is how many things it met."""

    __tablename__ = "actions"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[float] = mapped_column(default=time.time, index=True)
    who: Mapped[str]
    what: Mapped[str]
    about: Mapped[list[str]] = mapped_column(default=list)
    count: Mapped[int] = mapped_column(default=1)
