"""What goes on: what runs and how fast, what waits and until when. Read from SQL alone."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import JOB_UNFINISHED, JobKind, JobState, TaskStatus
from core.database.tables import Batch, Job, Recording, Run, Segment, Task, Transcript, Worker
from core.i18n.messages import N_
from core.library.recordings import visible_to
from core.orders.batch_store import LIVE
from core.principal import Principal
from core.queue import history, queues, workers

KINDS: Mapping[str, str] = {
    JobKind.PREPARE: N_("Reading the file"),
    JobKind.TRANSCRIBE: N_("Transcribing"),
    JobKind.DIARIZE: N_("Finding speakers"),
    JobKind.INDEX: N_("Indexing words"),
    JobKind.EMBED: N_("Indexing meaning"),
}
"""What each kind of job does, for people."""

STATUSES: Mapping[str, str] = {
    TaskStatus.QUEUED: N_("Waiting"),
    TaskStatus.PROCESSING: N_("In work"),
    TaskStatus.COMPLETED: N_("Ready"),
    TaskStatus.FAILED: N_("Failed"),
    TaskStatus.CANCELLED: N_("Cancelled"),
}
"""Where a task stands, for people."""


SHOWN = 50


@dataclass(frozen=True)
class Running:
    """A job that a worker has in hand."""

    job: Job
    task: Task
    recording: Recording
    speed: float | None
    """Seconds of speech a second of work; None while unknown."""
    left_s: float | None
    """Until the transcript is ready, at this speed."""


@dataclass(frozen=True)
class Waiting:
    """A queue with work that nobody has in hand."""

    queue: str
    jobs: int
    age_s: float
    """How long the oldest waits."""
    audio_s: float
    paused: bool = False


@dataclass(frozen=True)
class Delayed:
    """A job that could not be done yet and will be tried again."""

    job: Job
    task: Task
    recording: Recording


@dataclass(frozen=True)
class Now:
    """Everything at one moment."""

    running: list[Running]
    waiting: list[Waiting]
    delayed: list[Delayed]
    workers: list[Worker]
    done_in_s: float | None
    """When all sound will be transcribed, at the speed of the last days; None while that is unknown."""
    paused: set[str]
    batches: int
    """Batches of vectors under way."""

    @property
    def active(self) -> bool:
        """Whether something moves, so that looking again is worth it."""
        return bool(self.running or self.waiting)


def now(database: Database, who: Principal) -> Now:
    """What runs and waits."""
    at = time.time()
    alive = workers.alive(database)
    with database.read() as session:
        held = queues.paused(session)
        running = _running(session, who)
        ears = [worker.queue for worker in alive if worker.queue not in held]
        return Now(
            running=running,
            waiting=_waiting(session, who, at, held),
            delayed=[Delayed(*row) for row in session.execute(_delayed(who, at))],
            workers=alive,
            done_in_s=_done_in_s(session, ears, max((one.left_s or 0.0 for one in running), default=0.0)),
            paused=held,
            batches=_batches(session),
        )


def stamp(database: Database) -> str:
    """Changes when a job begins, ends or is put off, or a queue is paused. Cheap."""
    last = select(func.max(Run.ended_at))
    moving = select(Job.state, func.count(), func.max(Job.started_at)).where(Job.state.in_(JOB_UNFINISHED))
    with database.read() as session:
        counted = [tuple(row) for row in session.execute(moving.group_by(Job.state))]
        return f"{session.scalar(last)} {counted} {sorted(queues.paused(session))}"


def active(database: Database) -> bool:
    """Whether anything runs or is ready to run. Cheap."""
    moving = select(Job.id).where(Job.state.in_(JOB_UNFINISHED), Job.run_at <= time.time()).limit(1)
    with database.read() as session:
        return session.scalar(moving) is not None


def _jobs(who: Principal) -> Select[Job, Task, Recording]:
    joined = select(Job, Task, Recording).join(Task, Task.id == Job.task_id)
    return visible_to(joined.join(Recording, Recording.id == Task.recording_id), who, Task)


def _running(session: Session, who: Principal) -> list[Running]:
    rows = session.execute(_jobs(who).where(Job.state == JobState.RUNNING).order_by(Job.started_at)).all()
    speeds = _speeds(session, {task.transcript_id for job, task, _ in rows if job.kind == JobKind.TRANSCRIBE})
    return [Running(job, task, rec, *speeds.get(task.transcript_id, (None, None))) for job, task, rec in rows]


def _speeds(session: Session, transcripts: Iterable[str]) -> dict[str, tuple[float | None, float | None]]:
    """Of each transcript: the speed so far, and the time that the rest needs at it."""
    length = func.sum(Segment.end_s - Segment.start_s)
    sums = (
        select(
            Segment.transcript_id,
            func.max(Transcript.processing_s),
            length.filter(Segment.text.is_not(None)),
            length.filter(Segment.text.is_(None)),
        )
        .join(Transcript, Transcript.id == Segment.transcript_id)
        .where(Segment.transcript_id.in_(list(transcripts)))
        .group_by(Segment.transcript_id)
    )
    return {row[0]: _speed(*row[1:]) for row in session.execute(sums)}


def _speed(
    processing_s: float, heard_s: float | None, rest_s: float | None
) -> tuple[float | None, float | None]:
    if not processing_s or not heard_s:
        return None, None
    speed = heard_s / processing_s
    return speed, (rest_s or 0.0) / speed


def _waiting(session: Session, who: Principal, at: float, held: set[str]) -> list[Waiting]:
    counted = visible_to(
        select(
            Job.queue,
            func.count(),
            func.min(Job.run_at),
            func.coalesce(func.sum(Recording.duration_s), 0.0),
        )
        .join(Task, Task.id == Job.task_id)
        .join(Recording, Recording.id == Task.recording_id)
        .where(Job.state == JobState.READY, Job.run_at <= at)
        .group_by(Job.queue),
        who,
        Task,
    )
    rows = session.execute(counted.order_by(Job.queue))
    return [Waiting(queue, n, at - oldest, audio_s, queue in held) for queue, n, oldest, audio_s in rows]


def _done_in_s(session: Session, ears: Sequence[str], least_s: float) -> float | None:
    """How long workers of these queues need for all unheard sound; no less than one that runs still needs."""
    no_op = (
        select(func.sum(Recording.duration_s * (100 - Task.progress) / 100))
        .join(Task, Task.recording_id == Recording.id)
        .join(Job, Job.task_id == Task.id)
        .where(Job.state.in_(JOB_UNFINISHED), Job.kind.in_((JobKind.PREPARE, JobKind.TRANSCRIBE)))
    )
    left_s = session.scalar(no_op) or 0.0
    speeds = history.speeds(session, time.time() - history.DAY) or history.speeds(session, 0)
    together = sum(speeds.get(queue, 0.0) for queue in ears)
    return max(left_s / together, least_s) if left_s and together else None


def _batches(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Batch).where(Batch.state.in_(LIVE))) or 0


def _delayed(who: Principal, at: float) -> Select[Job, Task, Recording]:
    later = _jobs(who).where(Job.state == JobState.READY, Job.run_at > at)
    return later.order_by(Job.run_at).limit(SHOWN)
