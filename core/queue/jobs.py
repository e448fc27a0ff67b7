"""Pieces of work: claimed by one worker, finished once, whatever dies meanwhile.

The truth is here, in SQL; the broker only carries wake-ups, which may be lost or come twice.
A claim holds a lease that the worker's parent renews, and an epoch that fences off a worker
which was thought dead: every write of a job first passes `keep`, which refuses once the job was
cancelled, taken over or finished.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, case, func, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import JOB_UNFINISHED, TASK_UNFINISHED, JobKind, JobState, RunOutcome, TaskStatus
from core.database.tables import Job, Json, Task, Turn
from core.database.upsert import upsert
from core.errors import (
    Busy,
    Code,
    NoSpace,
    ProviderRefused,
    ProviderResting,
    StenogramError,
    Unavailable,
    Withdrawn,
    record,
)
from core.principal import PAGES, PERSON, is_person
from core.queue import history, queues, workers

LEASE_S = 20.0
NOTIFY_AGAIN_S = 30.0
MAX_CRASHES = 3
"""Starts without an orderly end after which a job is set aside: it probably kills its worker."""
MAX_ATTEMPTS = 5
BACKOFF_S = (5.0, 20.0, 60.0, 300.0)
REFUSED_PAUSE_S = 60.0
GIVEN_WAY_S = 1.0
LONG_S = 120.0
"""Recordings of at most this length are done in the order in which they came: nobody gains by another."""
OVERTAKEN_S = 600.0
"""So long short recordings of an owner go before a long one."""
BESIDE = (JobKind.DIARIZE,)
"""Kinds that run beside the others of their task, which does without them where they fail."""

Notifier = Callable[[str, str, str], None]
"""Wake a worker: queue, kind, job id. May be lost, may come twice."""


def no_op(_queue: str, _kind: str, _job_id: str) -> None:
    """Wake nobody: the reconciler will, some seconds later."""


@dataclass(frozen=True)
class Claim:
    """The right to work on a job until the lease runs out."""

    job_id: str
    task_id: str
    kind: JobKind
    epoch: int
    recording_id: str = ""


def as_json(error: StenogramError) -> Json:
    """An error as it is kept: its code and facts, so that each reader gets their language."""
    return record(error.code, **error.facts)


class JobQueue:
    """The state machine of jobs."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], float] | None = None,
        notifier: Notifier = no_op,
        *,
        tasks_per_owner: int = 0,
    ) -> None:
        self._database = database
        self._tasks_per_owner = tasks_per_owner
        self.now = clock or database.now
        self.notifier = notifier

    def notify(self, job: Job) -> None:
        """Wake a worker for this job. Call after the commit that made it ready."""
        self.notifier(job.queue, job.kind, job.id)

    def claim(self, job_id: str, worker: str) -> Claim | None:
        """The right to do this job, or None: it is done, cancelled, too early or somebody else's."""
        with self._database.write() as session:
            job = session.get(Job, job_id)
            if job is None or self._must_wait(session, job_id) or self._held_back(session, job, worker):
                return None
            other = self._before(session, job)
            claim = self._take(session, other or job, worker)
        if other is not None:
            self.notify(job)  # its wake-up was spent on the other one
        return claim

    def _take(self, session: Session, job: Job, worker: str) -> Claim | None:
        now = self.now()
        claimed = changed(
            session,
            update(Job)
            .where(Job.id == job.id, Job.state == JobState.READY, Job.run_at <= now)
            .values(
                state=JobState.RUNNING,
                worker=worker,
                epoch=Job.epoch + 1,
                crash_count=Job.crash_count + 1,
                waited_s=now - Job.run_at,
                lease_until=now + LEASE_S,
                progressed_at=now,
                started_at=now,
            ),
        )
        if not claimed:
            return None
        session.refresh(job)
        upsert(session, Turn(queue=job.queue, owner=job.owner, served_at=now))
        task = session.get_one(Task, job.task_id)
        if task.status == TaskStatus.QUEUED:
            task.status, task.started_at = TaskStatus.PROCESSING, now
        if task.status == TaskStatus.PROCESSING and job.kind not in BESIDE:
            task.stage = job.kind
        return Claim(job.id, job.task_id, job.kind, job.epoch, task.recording_id)

    def _held_back(self, session: Session, job: Job, worker: str) -> bool:
        """Whether its queue is paused, or this worker is to take nothing new."""
        if queues.is_paused(session, job.queue):
            return True
        if not workers.is_drained(session, worker):
            return False
        job.notified_at = 0.0  # for another worker
        return True

    def _before(self, session: Session, job: Job) -> Job | None:
        """A ready job of the same kind that goes first, whoever was woken for what; None if `job` does.

        A higher priority goes before all. Of the same one owners take turns, and of one owner's recordings
        short ones go before long ones, until a long one has waited for `OVERTAKEN_S`.
        """
        if job.state != JobState.READY or job.run_at > self.now():
            return None  # its wake-up came twice, or too early
        others = select(Job).join(Task, Task.id == Job.task_id).where(Job.state == JobState.READY)
        others = others.where(Job.queue == job.queue, Job.kind == job.kind, Job.run_at <= self.now())
        if crowded := self._owners_at_limit(session):
            others = others.where(or_(Task.status != TaskStatus.QUEUED, Task.owner.not_in(crowded)))
        urgent = others.where(Job.priority > job.priority).order_by(Job.priority.desc(), Job.run_at)
        if first := session.scalars(urgent.limit(1)).first():
            return first
        others = others.where(Job.priority == job.priority)
        owner = self._next_owner(session, job)
        if owner != job.owner:
            theirs = others.where(Job.owner == owner).order_by(Job.audio_s, Job.run_at)
            if first := session.scalars(theirs.limit(1)).first():
                return first
        if job.audio_s <= LONG_S or job.created_at < self.now() - OVERTAKEN_S:
            return None
        shorter = others.where(Job.owner == job.owner, Job.audio_s < job.audio_s)
        return session.scalars(shorter.order_by(Job.audio_s, Job.run_at).limit(1)).first()

    def _next_owner(self, session: Session, job: Job) -> str:
        """Of the owners who have something like this to do, the one who has waited longest for a turn."""
        same = (Job.state == JobState.READY, Job.queue == job.queue, Job.kind == job.kind)
        waiting = select(Job.owner).where(*same, Job.priority == job.priority, Job.run_at <= self.now())
        served = select(Turn.owner, Turn.served_at).where(Turn.queue == job.queue)
        owners = set(session.scalars(waiting.distinct()))
        at = {owner: served_at for owner, served_at in session.execute(served) if owner in owners}
        return min(owners | {job.owner}, key=lambda owner: (at.get(owner, 0.0), owner != job.owner))

    def _must_wait(self, session: Session, job_id: str) -> bool:
        """Whether this job would begin a task of somebody who has enough tasks under way."""
        whose = select(Task.owner).join(Job, Job.task_id == Task.id)
        owner = session.scalar(whose.where(Job.id == job_id, Task.status == TaskStatus.QUEUED))
        return owner is not None and owner in self._owners_at_limit(session)

    def _owners_at_limit(self, session: Session) -> set[str]:
        """Owners with as many tasks under way as they may have; the pages may have any number."""
        if not self._tasks_per_owner:
            return set()
        busy = select(Task.owner).where(Task.status == TaskStatus.PROCESSING, Task.owner != PAGES)
        busy = busy.where(~Task.owner.startswith(PERSON))
        full = func.count() >= self._tasks_per_owner
        return set(session.scalars(busy.group_by(Task.owner).having(full)))

    def wake_next(self, owner: str) -> None:
        """Wake the oldest waiting task of somebody whose task has just ended."""
        if not self._tasks_per_owner or is_person(owner):
            return
        waiting = select(Job).join(Task, Task.id == Job.task_id)
        waiting = waiting.where(
            Task.owner == owner, Task.status == TaskStatus.QUEUED, Job.state == JobState.READY
        )
        with self._database.read() as session:
            job = session.scalars(waiting.order_by(Task.created_at).limit(1)).first()
        if job is not None:
            self.notify(job)

    def keep(self, session: Session, claim: Claim) -> None:
        """Refuse with Withdrawn unless this claim still holds. Begin every write of a job with it."""
        renewed = changed(session, _held(claim).values(progressed_at=self.now()))
        if not renewed:
            raise Withdrawn

    def beat(self, claim: Claim) -> None:
        """A sign of life of a job that is at something long. Raise Withdrawn if the claim holds no longer."""
        with self._database.write() as session:
            self.keep(session, claim)

    def advance(self, session: Session, claim: Claim) -> None:
        """The same for a write that brings the job forward: earlier attempts and deaths count no more."""
        self.keep(session, claim)
        session.execute(update(Job).where(Job.id == claim.job_id).values(attempts=0, crash_count=0))

    def report(self, claim: Claim, progress: int) -> None:
        """Show how far the task is, in percent."""
        with self._database.write() as session:
            self.keep(session, claim)
            session.execute(update(Task).where(Task.id == claim.task_id).values(progress=progress))

    def finish(self, session: Session, claim: Claim, *then: tuple[JobKind, str]) -> list[Job]:
        """End a job within its last write; `then` are kinds and queues of the task's next jobs."""
        now = self.now()
        if not changed(
            session, _held(claim).values(state=JobState.DONE, finished_at=now, crash_count=0, error=None)
        ):
            raise Withdrawn
        done = self._note(session, claim.job_id, RunOutcome.DONE)
        jobs = [
            Job(
                task_id=claim.task_id,
                kind=kind,
                queue=queue,
                run_at=now,
                notified_at=now,
                created_at=now,
                priority=done.priority,
            )
            for kind, queue in then
        ]
        session.add_all(jobs)
        session.flush()
        return jobs

    def complete(
        self,
        claim: Claim,
        *next_jobs: tuple[JobKind, str],
        also: Callable[[Session], None] | None = None,
    ) -> None:
        """End a job in one write with `also`, and notify workers of the task's next ones (kind, queue)."""
        with self._database.write() as session:
            jobs = self.finish(session, claim, *next_jobs)
            if also is not None:
                also(session)
        for job in jobs:
            self.notify(job)

    def unfinished(self, task_id: str, kind: JobKind) -> bool:
        """Whether a job of this kind of a task waits or runs."""
        with self._database.read() as session:
            return _unfinished(session, task_id, kind)

    def wait_for(self, claim: Claim, kind: JobKind, seconds: float) -> bool:
        """Put a job off while another of its task, of this kind, waits or runs. False if none does.

        `expedite` ends the wait; the task is shown at the other's stage meanwhile.
        """
        with self._database.write() as session:
            self._database.advisory_lock(session, claim.task_id)
            if not _unfinished(session, claim.task_id, kind):
                return False
            self.defer(session, claim, seconds)
            statement = update(Task).where(Task.id == claim.task_id, Task.status == TaskStatus.PROCESSING)
            session.execute(statement.values(stage=kind))
        return True

    def yields_to_waiting(self, claim: Claim, kind: JobKind) -> bool:
        """Put a long job off if one of this kind waits for a worker of the same queue."""
        with self._database.write() as session:
            queue = select(Job.queue).where(Job.id == claim.job_id).scalar_subquery()
            waiting = self._may_run(session, select(Job.id), self.now())
            waiting = waiting.where(Job.kind == kind, Job.queue == queue)
            if session.scalar(waiting.limit(1)) is None:
                return False
            self.defer(session, claim, GIVEN_WAY_S)
        return True

    def requeue(self, claim: Claim) -> None:
        """An orderly stop in the middle: the job is ready again and lost nothing."""
        with self._database.write() as session:
            if changed(
                session,
                _held(claim).values(state=JobState.READY, crash_count=0, run_at=self.now(), notified_at=0.0),
            ):
                self._note(session, claim.job_id, RunOutcome.STOPPED)

    def wait(self, claim: Claim, seconds: float, error: StenogramError | None = None) -> None:
        """Nothing to do for a while: the job is ready again then, burns nothing, and may say why."""
        with self._database.write() as session:
            self.defer(session, claim, seconds, error)

    def defer(
        self, session: Session, claim: Claim, seconds: float, error: StenogramError | None = None
    ) -> None:
        """The same within another write."""
        values = {
            "state": JobState.READY,
            "crash_count": 0,
            "run_at": self.now() + seconds,
            "notified_at": 0.0,
        }
        if changed(session, _held(claim).values({**values, "error": as_json(error) if error else None})):
            self._note(session, claim.job_id, RunOutcome.LATER)

    def fail(self, claim: Claim, error: StenogramError, traceback: str | None = None) -> bool:
        """End a job with a reason; an unfinished task fails with it. False if the claim was lost."""
        values = {
            "state": JobState.FAILED,
            "finished_at": self.now(),
            "crash_count": 0,
            "error": as_json(error),
        }
        if traceback:
            values["traceback"] = traceback
        with self._database.write() as session:
            if not changed(session, _held(claim).values(values)):
                return False
            self._note(session, claim.job_id, RunOutcome.FAILED)
            if claim.kind not in BESIDE:
                self._end_task(session, claim.task_id, TaskStatus.FAILED, as_json(error))
            return True

    def try_later(self, claim: Claim, error: StenogramError, traceback: str | None = None) -> bool:
        """Put a job off with growing pauses. False: it was tried often enough.

        A refused key, a provider that wants to be left alone, whoever has to come first and a full disk
        burn no try.
        Raise Withdrawn if the job is gone.
        """
        refused = isinstance(error, ProviderRefused)
        free = refused or isinstance(error, (ProviderResting, Busy, NoSpace))
        with self._database.write() as session:
            job = session.get(Job, claim.job_id)
            if job is None:
                raise Withdrawn  # its recording was deleted meanwhile
            attempts = job.attempts + (not free)
            spent = attempts >= MAX_ATTEMPTS
            pause_s = REFUSED_PAUSE_S if refused else _pause(error, attempts)
            values = {"attempts": attempts, "error": as_json(error), "traceback": traceback}
            if not spent:
                run_at = self.now() + pause_s
                values |= {"state": JobState.READY, "crash_count": 0, "run_at": run_at, "notified_at": 0.0}
            if changed(session, _held(claim).values(values)) and not spent:
                self._note(session, claim.job_id, RunOutcome.LATER)
        return not spent

    def cancel(self, task_id: str) -> bool:
        """Stop a task: at once if queued, at its next write if running. False if it had already ended."""
        return bool(self.cancel_all([task_id]))

    def cancel_all(self, task_ids: Iterable[str]) -> list[str]:
        """Stop these tasks in one write; those that had not ended yet."""
        with self._database.write() as session:
            return [task_id for task_id in task_ids if self._cancel(session, task_id)]

    def stop(self, session: Session, recording_id: str) -> None:
        """Cancel whatever is done with a recording, also after its task was complete.

        Its jobs are locked before anything else of it, in the order in which workers take the locks.
        """
        unfinished = select(Job).join(Task, Task.id == Job.task_id).where(Task.recording_id == recording_id)
        unfinished = unfinished.where(Job.state.in_(JOB_UNFINISHED)).order_by(Job.id).with_for_update(of=Job)
        while jobs := list(session.scalars(unfinished)):  # what was locked may have left a next one
            for job in jobs:
                self._withdraw(session, job)
            session.flush()
        for task_id in session.scalars(select(Task.id).where(Task.recording_id == recording_id)):
            self._end_task(session, task_id, TaskStatus.CANCELLED, None)

    def _withdraw(self, session: Session, job: Job) -> None:
        history.note(session, job, RunOutcome.CANCELLED, self.now(), ran=job.state == JobState.RUNNING)
        job.state, job.finished_at = JobState.CANCELLED, self.now()

    def _cancel(self, session: Session, task_id: str) -> bool:
        if not self._end_task(session, task_id, TaskStatus.CANCELLED, None):
            return False
        unfinished = select(Job).where(Job.task_id == task_id, Job.state.in_(JOB_UNFINISHED))
        for job in session.scalars(unfinished.with_for_update()):
            self._withdraw(session, job)
        return True

    def retry(self, task_id: str, also: Callable[[Session, Job], None] | None = None) -> bool:
        """Go on, in one write with `also`, from the stage that failed or was cancelled. False if none was.

        What was cancelled beside that stage goes on, too.
        """
        with self._database.write() as session:
            stopped = _stopped(session, task_id)
            if not stopped:
                return False
            for job in stopped:
                job.state, job.crash_count, job.attempts, job.error, job.traceback = (
                    JobState.READY,
                    0,
                    0,
                    None,
                    None,
                )
                job.run_at = job.notified_at = self.now()
            task = session.get(Task, task_id)
            if task is None:
                return False  # deleted at this moment
            if task.status != TaskStatus.COMPLETED:
                task.status, task.error, task.completed_at = TaskStatus.QUEUED, None, None
            if also is not None:
                also(session, stopped[0])
        for job in stopped:
            self.notify(job)
        return True

    def expedite(self, task_id: str) -> bool:
        """Try what was postponed now. False if nothing was."""
        with self._database.write() as session:
            later = select(Job).where(
                Job.task_id == task_id, Job.state == JobState.READY, Job.run_at > self.now()
            )
            jobs = list(session.scalars(later.with_for_update()))
            for job in jobs:
                job.run_at = job.notified_at = self.now()
        for job in jobs:
            self.notify(job)
        return bool(jobs)

    def set_priority(self, task_ids: Iterable[str], priority: int) -> int:
        """Have these tasks done before (or, if negative, after) others. How many have not ended."""
        open_tasks = Task.status.in_(TASK_UNFINISHED)
        with self._database.write() as session:
            tasks = list(session.scalars(select(Task.id).where(Task.id.in_(list(task_ids)), open_tasks)))
            jobs = update(Job).where(Job.task_id.in_(tasks), Job.state.in_(JOB_UNFINISHED))
            session.execute(jobs.values(priority=priority))
        return len(tasks)

    def pause(self, queue: str) -> None:
        """Begin nothing more in this queue; what runs goes on."""
        with self._database.write() as session:
            queues.pause(session, queue)

    def resume(self, queue: str) -> None:
        """Let its jobs run again, at once."""
        with self._database.write() as session:
            queues.resume(session, queue)
            session.execute(
                update(Job).where(Job.queue == queue, Job.state == JobState.READY).values(notified_at=0.0)
            )
        self.reconcile()

    def renew(self, workers: Iterable[str]) -> None:
        """Keep the leases of workers that are alive; called by their parent."""
        theirs = (Job.state == JobState.RUNNING, Job.worker.in_(list(workers)))
        with self._database.read() as session:
            if session.scalar(select(Job.id).where(*theirs).limit(1)) is None:
                return
        with self._database.write() as session:
            session.execute(update(Job).where(*theirs).values(lease_until=self.now() + LEASE_S))

    def release(self, worker: str, held: Collection[str] = ()) -> None:
        """A worker died: its jobs run again at once, or are set aside if they keep killing workers.

        With `held`, ids of jobs that it is at, it lives and knows nothing of others.
        """
        with self._database.write() as session:
            session.execute(
                update(Job)
                .where(Job.state == JobState.RUNNING, Job.worker == worker, Job.id.not_in(held))
                .values(lease_until=self.now() - 1)
            )
        self.reconcile()

    def holders(self) -> set[str]:
        """Workers that hold a running job, dead or alive."""
        with self._database.read() as session:
            return set(session.scalars(select(Job.worker).where(Job.state == JobState.RUNNING)))

    def stuck(self, workers: Iterable[str], silent_s: float) -> set[str]:
        """Those of these workers that hold a job which has shown no progress for so long."""
        late = select(Job.worker).where(Job.state == JobState.RUNNING, Job.worker.in_(list(workers)))
        with self._database.read() as session:
            return set(session.scalars(late.where(Job.progressed_at < self.now() - silent_s)))

    def waiting(self, now: float) -> dict[str, tuple[int, float]]:
        """By queue, how many jobs may run at `now`, and how long the oldest has waited, in seconds."""
        with self._database.read() as session:
            counted = select(Job.queue, func.count(), func.min(Job.run_at))
            rows = session.execute(self._may_run(session, counted, now).group_by(Job.queue))
            return {queue: (n, now - run_at) for queue, n, run_at in rows}

    def postponed(self, now: float) -> tuple[int, float]:
        """How many jobs will be tried again after `now`, and in how many seconds the first of them."""
        later = select(func.count(), func.min(Job.run_at)).where(
            Job.state == JobState.READY, Job.run_at > now
        )
        with self._database.read() as session:
            n, next_at = session.execute(later).one()
            return n, (next_at or now) - now

    def running(self, silent_s: float) -> dict[str, tuple[int, int]]:
        """By queue, how many jobs run, and how many of them have shown no progress for so long."""
        late = func.sum(case((Job.progressed_at < self.now() - silent_s, 1), else_=0))
        running = select(Job.queue, func.count(), late).where(Job.state == JobState.RUNNING)
        with self._database.read() as session:
            return {queue: (n, silent) for queue, n, silent in session.execute(running.group_by(Job.queue))}

    def _may_run(self, session: Session, jobs: Any, now: float) -> Any:  # selects of any columns
        """Of these jobs, those that wait for nothing but a worker."""
        waiting = jobs.join(Task, Task.id == Job.task_id)
        waiting = waiting.where(Job.state == JobState.READY, Job.run_at <= now)
        waiting = waiting.where(Job.queue.not_in(queues.paused(session)))
        if crowded := self._owners_at_limit(session):
            waiting = waiting.where(or_(Task.status != TaskStatus.QUEUED, Task.owner.not_in(crowded)))
        return waiting

    def reconcile(self) -> int:
        """Wake what waits unheard; take back what lost its worker. The number of jobs woken."""
        now = self.now()
        lost = (Job.state == JobState.RUNNING, Job.lease_until < now)
        waits = (Job.state == JobState.READY, Job.run_at <= now, Job.notified_at < now - NOTIFY_AGAIN_S)
        with self._database.read() as session:  # mostly there is nothing, and a look costs less than a write
            if session.scalar(select(Job.id).where(or_(and_(*lost), and_(*waits))).limit(1)) is None:
                return 0
        with self._database.write() as session:
            for job in session.scalars(select(Job).where(*lost).with_for_update(skip_locked=True)):
                self._take_back(session, job)
            session.flush()
            unheard = self._may_run(session, select(Job), now).where(*waits)
            jobs = list(session.scalars(unheard.order_by(Job.created_at).limit(500)))
            for job in jobs:
                job.notified_at = now
        for job in jobs:
            self.notify(job)
        return len(jobs)

    def _take_back(self, session: Session, job: Job) -> None:
        if job.crash_count < MAX_CRASHES:
            history.note(session, job, RunOutcome.DIED, self.now())
            job.state, job.run_at, job.notified_at = JobState.READY, self.now(), 0.0
            return
        error = Unavailable(Code.CRASHED_REPEATEDLY, times=job.crash_count)
        job.state, job.finished_at, job.error = JobState.QUARANTINED, self.now(), as_json(error)
        history.note(session, job, RunOutcome.QUARANTINED, self.now())
        if job.kind not in BESIDE:
            self._end_task(session, job.task_id, TaskStatus.FAILED, as_json(error))

    def _note(self, session: Session, job_id: str, outcome: RunOutcome) -> Job:
        job = session.get_one(Job, job_id, populate_existing=True)
        history.note(session, job, outcome, self.now())
        return job

    def _end_task(self, session: Session, task_id: str, status: TaskStatus, error: Json | None) -> bool:
        return changed(
            session,
            update(Task)
            .where(Task.id == task_id, Task.status.in_(TASK_UNFINISHED))
            .values(status=status, error=error, completed_at=self.now()),
        )


def _held(claim: Claim):  # type: ignore[no-untyped-def]  # sqlalchemy's Update is generic over nothing useful
    return update(Job).where(Job.id == claim.job_id, Job.epoch == claim.epoch, Job.state == JobState.RUNNING)


def _unfinished(session: Session, task_id: str, kind: JobKind) -> bool:
    statement = select(Job.id).where(Job.task_id == task_id, Job.kind == kind, Job.state.in_(JOB_UNFINISHED))
    return session.scalar(statement.limit(1)) is not None


def _stopped(session: Session, task_id: str) -> list[Job]:
    """The job at which a task stopped, and what was cancelled beside it."""
    ended = (JobState.FAILED, JobState.CANCELLED, JobState.QUARANTINED)
    jobs = list(session.scalars(select(Job).where(Job.task_id == task_id, Job.state.in_(ended))))
    jobs.sort(key=lambda job: (job.created_at, job.kind not in BESIDE), reverse=True)
    beside = [job for job in jobs[1:] if job.kind in BESIDE and job.state == JobState.CANCELLED]
    return [*jobs[:1], *beside[:1]]


def changed(session: Session, statement: object) -> bool:
    """Whether this write met any row: a compare-and-set must look."""
    result = session.execute(statement)  # type: ignore[call-overload]
    assert isinstance(result, CursorResult)
    return result.rowcount > 0


def _pause(error: StenogramError, attempts: int) -> float:
    retry_after_s = getattr(error, "retry_after_s", None)
    return float(retry_after_s) if retry_after_s else BACKOFF_S[max(0, min(attempts, len(BACKOFF_S)) - 1)]
