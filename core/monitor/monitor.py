"""What goes on: what runs and how fast, what waits and until when. Read from SQL alone."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.owned import visible_to
from core.database.states import JOB_UNFINISHED, TASK_UNFINISHED, JobKind, JobState, TaskStatus
from core.database.tables import Batch, Job, Recording, Run, Segment, Task, Transcript, Worker
from core.i18n.messages import N_
from core.orders.batch_store import LIVE
from core.principal import Principal
from core.queue import history, queues, workers

KINDS: Mapping[str, str] = {
    JobKind.PREPARE: N_("Reading the file"),
    JobKind.TRANSCRIBE: N_("Transcribing"),
    JobKind.DIARIZE: N_("Finding speakers"),
    JobKind.INDEX: N_("Indexing words"),
    JobKind.EMBED: N_("Indexing meaning"),
    JobKind.RETRANSCRIBE: N_("Listening once more"),
}
"""What each kind of job does, for people."""

STATUSES: Mapping[str, str] = {
    TaskStatus.QUEUED: N_("Waiting"),
    TaskStatus.PROCESSING: N_("In progress"),
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
    empty_s: float | None = None
    """Until it is empty, as fast as jobs of its kind usually go; None while nobody knows."""


@dataclass(frozen=True)
class Delayed:
    """A job that could not be done yet and will be tried again."""

    job: Job
    task: Task
    recording: Recording


@dataclass(frozen=True)
class Postponed:
    """Jobs of a queue that will be tried again, and when the first of them is, unix seconds."""

    jobs: int
    next_at: float


@dataclass(frozen=True)
class MonitorSnapshot:
    """Everything at one moment."""

    running: list[Running]
    waiting: list[Waiting]
    delayed: list[Delayed]
    """The first SHOWN of them."""
    postponed: dict[str, Postponed]
    """All of them, by queue."""
    workers: list[Worker]
    done_in_s: float | None
    """When all sound will be transcribed, at the speed of the last days, and not before what is postponed;
    None while that is unknown."""
    paused: set[str]
    batches: int
    """Batches of vectors under way."""
    pace_s: list[float]
    """Seconds of sound transcribed in each minute of the last hour, the oldest first."""

    @property
    def active(self) -> bool:
        """Whether something moves, so that looking again is worth it."""
        return bool(self.running or self.waiting)


def now(database: Database, principal: Principal) -> MonitorSnapshot:
    """What runs and waits."""
    at = time.time()
    alive = workers.alive(database)
    with database.read() as session:
        paused_queues = queues.paused(session)
        running = _running(session, principal)
        ears = [worker.queue for worker in alive if worker.queue not in paused_queues]
        return MonitorSnapshot(
            running=running,
            waiting=_waiting(session, principal, at, paused_queues, alive),
            delayed=[Delayed(*row) for row in session.execute(_delayed(principal, at))],
            postponed=_postponed(session, principal, at),
            workers=alive,
            done_in_s=_done_in_s(session, at, ears, max((one.left_s or 0.0 for one in running), default=0.0)),
            paused=paused_queues,
            batches=_batches(session),
            pace_s=history.pace(session, at),
        )


def stamp(database: Database) -> str:
    """Changes when a job begins, ends or is put off, a batch moves or was asked about, a queue is paused."""
    last = select(func.max(Run.ended_at))
    moving = select(Job.state, func.count(), func.max(Job.started_at)).where(Job.state.in_(JOB_UNFINISHED))
    with database.read() as session:
        counted = [tuple(row) for row in session.execute(moving.group_by(Job.state))]
        batches = select(Batch.state, func.count(), func.sum(Batch.good), func.sum(Batch.poll_count))
        ordered = [tuple(row) for row in session.execute(batches.group_by(Batch.state).order_by(Batch.state))]
        now = f"{session.scalar(last)} {counted} {ordered} {sorted(queues.paused(session))}"
    return hashlib.sha256(now.encode()).hexdigest()[:16]  # others may see that something changed, not what


def active(database: Database) -> bool:
    """Whether anything runs or is ready to run. Cheap."""
    moving = select(Job.id).where(Job.state.in_(JOB_UNFINISHED), Job.run_at <= time.time()).limit(1)
    with database.read() as session:
        return session.scalar(moving) is not None


def open_tasks(database: Database, principal: Principal) -> int:
    """How many tasks wait or run. Cheap."""
    counted = select(func.count()).select_from(Task).where(Task.status.in_(TASK_UNFINISHED))
    with database.read() as session:
        return session.scalar(visible_to(counted, principal, Task)) or 0


def _jobs(principal: Principal) -> Select[Job, Task, Recording]:
    joined = select(Job, Task, Recording).join(Task, Task.id == Job.task_id)
    return visible_to(joined.join(Recording, Recording.id == Task.recording_id), principal, Task)


def _running(session: Session, principal: Principal) -> list[Running]:
    rows = session.execute(
        _jobs(principal).where(Job.state == JobState.RUNNING).order_by(Job.started_at)
    ).all()
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


def _waiting(
    session: Session, principal: Principal, at: float, paused_queues: set[str], alive: Sequence[Worker]
) -> list[Waiting]:
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
        principal,
        Task,
    )
    rows = session.execute(counted.order_by(Job.queue)).all()
    usual_s = history.usual_s(session, at - history.DAY) if rows else {}
    hands = Counter(worker.queue for worker in alive)
    return [
        Waiting(
            queue,
            n,
            at - oldest,
            audio_s,
            queue in paused_queues,
            n * usual_s[queue] / hands[queue]
            if queue in usual_s and hands[queue] and queue not in paused_queues
            else None,
        )
        for queue, n, oldest, audio_s in rows
    ]


def _done_in_s(session: Session, at: float, ears: Sequence[str], least_s: float) -> float | None:
    """How long workers of these queues need for all unheard sound.

    No less than one that runs still needs, and not before the last of what is postponed is tried again.
    """
    unheard = (
        select(
            func.sum(Recording.duration_s * (100 - Task.progress) / 100),
            func.max(Job.run_at).filter(Job.state == JobState.READY),
        )
        .join(Task, Task.recording_id == Recording.id)
        .join(Job, Job.task_id == Task.id)
        .where(Job.state.in_(JOB_UNFINISHED), Job.kind.in_((JobKind.PREPARE, JobKind.TRANSCRIBE)))
    )
    left_s, last_at = session.execute(unheard).one()
    least_s = max(least_s, (last_at or at) - at)
    speeds = history.speeds(session, time.time() - history.DAY) or history.speeds(session, 0)
    together = sum(speeds.get(queue, 0.0) for queue in ears)
    return max(left_s / together, least_s) if left_s and together else None


def _postponed(session: Session, principal: Principal, at: float) -> dict[str, Postponed]:
    counted = select(Job.queue, func.count(), func.min(Job.run_at)).join(Task, Task.id == Job.task_id)
    counted = counted.join(Recording, Recording.id == Task.recording_id)
    counted = counted.where(Job.state == JobState.READY, Job.run_at > at).group_by(Job.queue)
    rows = session.execute(visible_to(counted, principal, Task))
    return {queue: Postponed(n, next_at) for queue, n, next_at in rows}


def _batches(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Batch).where(Batch.state.in_(LIVE))) or 0


def _delayed(principal: Principal, at: float) -> Select[Job, Task, Recording]:
    later = _jobs(principal).where(Job.state == JobState.READY, Job.run_at > at)
    return later.order_by(Job.run_at).limit(SHOWN)
