"""Tasks, the jobs of their stages, and the processes that run them."""

from __future__ import annotations

import time

from sqlalchemy import (
    Connection,
    ForeignKey,
    Index,
    event,
    extract,
    func,
    select,
    text,
    update,
)
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import Mapped, mapped_column

from core.database.states import (
    EmbeddingMode,
    JobKind,
    JobState,
    Measure,
    RequestedAction,
    RunOutcome,
    TaskStatus,
)
from core.database.tables.base import Json, Row, new_id
from core.database.tables.recordings import Recording

SPEAKERS_OFF = "off"


class Task(Row):
    """One request to transcribe a recording; what the API calls a task."""

    __tablename__ = "tasks"
    __table_args__ = (
        Index("tasks_of_recording", "recording_id", "created_at"),
        Index("tasks_by_state", "status", "created_at", "id", "recording_id"),
        Index("tasks_by_time", "created_at", "id", "recording_id"),
        Index("tasks_by_end", "completed_at"),
        Index("tasks_of_owner", "owner", "created_at", "id", "recording_id"),
        Index(
            "tasks_newest",
            "status",
            "recording_id",
            sqlite_where=text("is_newest = 1"),
            postgresql_where=text("is_newest"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"))
    transcript_id: Mapped[str]
    owner: Mapped[str]
    status: Mapped[TaskStatus] = mapped_column(default=TaskStatus.QUEUED)
    stage: Mapped[str] = mapped_column(default=TaskStatus.QUEUED.value)
    """A JobKind while one is at work, else as `status`."""
    progress: Mapped[int] = mapped_column(default=0)
    engine: Mapped[str]
    language: Mapped[str]
    embedding_mode: Mapped[EmbeddingMode] = mapped_column(default=EmbeddingMode.SYNC)
    speakers: Mapped[str] = mapped_column(default=SPEAKERS_OFF)
    """How many speakers to find: `off` none, `auto`, a number, or a range such as `2-4`."""
    created_at: Mapped[float] = mapped_column(default=time.time)
    started_at: Mapped[float | None]
    completed_at: Mapped[float | None]
    error: Mapped[Json | None]
    group_id: Mapped[str | None] = mapped_column(index=True)
    """With which others it was asked for (`TaskGroup`)."""
    filename: Mapped[str] = mapped_column(default="")
    """Under which it was sent this time; empty: as the recording."""
    keep_corrections: Mapped[bool] = mapped_column(default=False)
    """Whether corrections of the earlier transcript are made in the new one, too, where they fit."""
    is_newest: Mapped[bool] = mapped_column(default=True)
    """Of its recording: each new one takes that from the one before."""
    excerpt: Mapped[Json | None]
    """Which stretch is listened to once more (`core.library.retranscription`); NULL: the whole recording.

    The transcript of an excerpt never becomes the recording's.
    """


@event.listens_for(Task, "before_insert")
def _supersede(_mapper: object, connection: Connection, row: Task) -> None:
    if row.excerpt is not None:
        row.is_newest = False
        return
    tasks = Task.__table__.c
    earlier = update(Task).where(tasks.recording_id == row.recording_id, tasks.is_newest)
    connection.execute(earlier.values(is_newest=False))


def _database_time(context: DefaultExecutionContext) -> float:
    """Unix seconds by the clock that all machines share: other machines judge by it whether a job is due."""
    if context.dialect.name != "postgresql":
        return time.time()
    return float(context.root_connection.scalar(select(extract("epoch", func.clock_timestamp()))) or 0.0)


def _of_its_task(context: DefaultExecutionContext) -> tuple[str, float]:
    """Whose task a new job is of, and how long its recording is, in seconds."""
    task_id = context.get_current_parameters()["task_id"]  # type: ignore[no-untyped-call]
    known = select(Task.owner, func.coalesce(Recording.duration_s, 0.0))
    known = known.join(Recording, Recording.id == Task.recording_id).where(Task.id == task_id)
    row = context.root_connection.execute(known).first()
    return (str(row[0]), float(row[1])) if row else ("", 0.0)


def _owner_of_task(context: DefaultExecutionContext) -> str:
    return _of_its_task(context)[0]


def _length_of_task(context: DefaultExecutionContext) -> float:
    return _of_its_task(context)[1]


class Job(Row):
    """One piece of queued work of a task. States: ready, running, done, failed, cancelled, quarantined."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_waiting", "state", "run_at"),
        Index("jobs_by_state", "state", "created_at"),
        Index("jobs_by_turn", "state", "queue", "kind", "priority", "owner", "audio_s"),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    kind: Mapped[JobKind]
    queue: Mapped[str]
    state: Mapped[JobState] = mapped_column(default=JobState.READY)
    epoch: Mapped[int] = mapped_column(default=0)
    crash_count: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str] = mapped_column(default="")
    lease_until: Mapped[float] = mapped_column(default=0.0)
    progressed_at: Mapped[float] = mapped_column(default=0.0)
    run_at: Mapped[float] = mapped_column(default=_database_time)
    notified_at: Mapped[float] = mapped_column(default=0.0)
    priority: Mapped[int] = mapped_column(default=0)
    """Higher runs sooner; the task's next job inherits it."""
    owner: Mapped[str] = mapped_column(default=_owner_of_task)
    """As its task has it: owners take turns."""
    audio_s: Mapped[float] = mapped_column(default=_length_of_task)
    """How long its recording is: short ones go before long ones."""
    waited_s: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[float] = mapped_column(default=time.time, index=True)
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None] = mapped_column(index=True)
    error: Mapped[Json | None]
    traceback: Mapped[str | None]


class Turn(Row):
    """When a job of an owner was begun last in a queue: whoever waits longest is next."""

    __tablename__ = "turns"

    queue: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True)
    served_at: Mapped[float]


class Lease(Row):
    """What only one process of all machines may do at a time (`core.queue.leases`)."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str] = mapped_column(default="")
    """Empty: nobody is at it."""
    epoch: Mapped[int] = mapped_column(default=0)
    """Grows each time somebody takes it; who held an earlier one holds it no more."""
    until: Mapped[float] = mapped_column(default=0.0)


class PeriodicTask(Row):
    """Something done again and again: when next, how it went last."""

    __tablename__ = "periodic_tasks"

    name: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[float] = mapped_column(default=0.0)
    worker: Mapped[str] = mapped_column(default="")
    began_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    took_s: Mapped[float | None]
    error: Mapped[str | None]


class Worker(Row):
    """A worker process as its runner last saw it."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[float]
    seen_at: Mapped[float]
    """When its main loop last gave a sign of life; that its process exists is not one."""
    rss_bytes: Mapped[int] = mapped_column(default=0)
    gpu_bytes: Mapped[int] = mapped_column(default=0)
    gpu_load: Mapped[float | None]
    version: Mapped[str] = mapped_column(default="")
    requested_action: Mapped[RequestedAction] = mapped_column(default=RequestedAction.NONE)
    """What a person wants of it: "", drain (take nothing new), or restart."""


class Run(Row):
    """One attempt at a job; stays when the job is gone.

    Outcomes: done, failed, cancelled, quarantined; not for good: later, stopped, died.
    """

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    job_id: Mapped[str]
    task_id: Mapped[str] = mapped_column(index=True)
    recording_id: Mapped[str]
    kind: Mapped[JobKind]
    queue: Mapped[str]
    outcome: Mapped[RunOutcome]
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
    measure: Mapped[Measure] = mapped_column(primary_key=True)
    at: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[JobKind] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[RunOutcome] = mapped_column(primary_key=True)
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


class TaskGroup(Row):
    """Tasks that were asked for together, until somebody has been told that all have ended."""

    __tablename__ = "task_groups"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    owner: Mapped[str]
    created_at: Mapped[float] = mapped_column(default=time.time)
    closed_at: Mapped[float | None]
    """Since when no task comes any more."""
    notified_at: Mapped[float | None] = mapped_column(index=True)
