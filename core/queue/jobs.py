"""Pieces of work: claimed by one worker, finished once, whatever dies meanwhile.

The truth is here, in SQL; the broker only carries wake-ups, which may be lost or come twice.
A claim holds a lease that the worker's parent renews, and an epoch that fences off a worker
which was thought dead: every write of a job first passes `keep`, which refuses once the job was
cancelled, taken over or finished.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, or_, select, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import JOB_UNFINISHED, TASK_UNFINISHED, JobKind, JobState, RunOutcome, TaskStatus
from core.database.tables import Job, Json, Task
from core.errors import Code, ProviderRefused, ProviderResting, StenogramError, Unavailable, Withdrawn, record
from core.principal import PAGES
from core.queue import history, queues, workers

LEASE_S = 20.0
NOTIFY_AGAIN_S = 30.0
MAX_CRASHES = 3
"""Starts without an orderly end after which a job is set aside: it probably kills its worker."""
MAX_ATTEMPTS = 5
BACKOFF_S = (5.0, 20.0, 60.0, 300.0)
REFUSED_PAUSE_S = 60.0

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
            urgent = self._more_urgent(session, job)
            claim = self._take(session, urgent or job, worker)
        if urgent is not None:
            self.notify(job)  # its wake-up was spent on the other one
        return claim

    def _take(self, session: Session, job: Job, worker: str) -> Claim | None:
        now = self.now()
        taken = changed(
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
        if not taken:
            return None
        session.refresh(job)
        task = session.get_one(Task, job.task_id)
        if task.status == TaskStatus.QUEUED:
            task.status, task.started_at = TaskStatus.PROCESSING, now
        if task.status == TaskStatus.PROCESSING:
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

    def _more_urgent(self, session: Session, job: Job) -> Job | None:
        """A ready job of the same kind with a higher priority. It goes first, whoever was woken for what."""
        others = select(Job).join(Task, Task.id == Job.task_id)
        others = others.where(Job.state == JobState.READY, Job.kind == job.kind, Job.queue == job.queue)
        others = others.where(Job.priority > job.priority, Job.run_at <= self.now())
        if crowded := self._crowded(session):
            others = others.where(or_(Task.status != TaskStatus.QUEUED, Task.owner.not_in(crowded)))
        return session.scalars(others.order_by(Job.priority.desc(), Job.run_at).limit(1)).first()

    def _must_wait(self, session: Session, job_id: str) -> bool:
        """Whether this job would begin a task of somebody who has enough tasks under way."""
        whose = select(Task.owner).join(Job, Job.task_id == Task.id)
        owner = session.scalar(whose.where(Job.id == job_id, Task.status == TaskStatus.QUEUED))
        return owner is not None and owner in self._crowded(session)

    def _crowded(self, session: Session) -> set[str]:
        """Owners with as many tasks under way as they may have; the pages may have any number."""
        if not self._tasks_per_owner:
            return set()
        busy = select(Task.owner).where(Task.status == TaskStatus.PROCESSING, Task.owner != PAGES)
        full = func.count() >= self._tasks_per_owner
        return set(session.scalars(busy.group_by(Task.owner).having(full)))

    def wake_next(self, owner: str) -> None:
        """Wake the oldest waiting task of somebody whose task has just ended."""
        if not self._tasks_per_owner or owner == PAGES:
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
        held = changed(session, _held(claim).values(progressed_at=self.now()))
        if not held:
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

    def finish(self, session: Session, claim: Claim, then: tuple[JobKind, str] | None = None) -> Job | None:
        """End a job within its last write; `then` is the kind and queue of the task's next job."""
        now = self.now()
        if not changed(
            session, _held(claim).values(state=JobState.DONE, finished_at=now, crash_count=0, error=None)
        ):
            raise Withdrawn
        done = self._note(session, claim.job_id, RunOutcome.DONE)
        if then is None:
            return None
        job = Job(
            task_id=claim.task_id, kind=then[0], queue=then[1], run_at=now, notified_at=now, created_at=now
        )
        job.priority = done.priority
        session.add(job)
        session.flush()
        return job

    def complete(
        self,
        claim: Claim,
        next_job: tuple[JobKind, str] | None = None,
        also: Callable[[Session], None] | None = None,
    ) -> None:
        """End a job in one write with `also`, and notify a worker of the task's next one (kind, queue)."""
        with self._database.write() as session:
            job = self.finish(session, claim, next_job)
            if also is not None:
                also(session)
        if job is not None:
            self.notify(job)

    def put_back(self, claim: Claim) -> None:
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
            self.put_off(session, claim, seconds, error)

    def put_off(
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
            self._end_task(session, claim.task_id, TaskStatus.FAILED, as_json(error))
            return True

    def try_later(self, claim: Claim, error: StenogramError, traceback: str | None = None) -> bool:
        """Put a job off with growing pauses. False: it was tried often enough.

        A refused key and a provider that wants to be left alone burn no try. Raise Withdrawn if the job
        is gone.
        """
        refused = isinstance(error, ProviderRefused)
        free = refused or isinstance(error, ProviderResting)
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

    def _cancel(self, session: Session, task_id: str) -> bool:
        if not self._end_task(session, task_id, TaskStatus.CANCELLED, None):
            return False
        unfinished = select(Job).where(Job.task_id == task_id, Job.state.in_(JOB_UNFINISHED))
        for job in session.scalars(unfinished.with_for_update()):
            history.note(session, job, RunOutcome.CANCELLED, self.now(), ran=job.state == JobState.RUNNING)
            job.state, job.finished_at = JobState.CANCELLED, self.now()
        return True

    def retry(self, task_id: str, also: Callable[[Session, Job], None] | None = None) -> bool:
        """Go on, in one write with `also`, from the stage that failed or was cancelled. False if none was."""
        with self._database.write() as session:
            job = session.scalars(
                select(Job)
                .where(
                    Job.task_id == task_id,
                    Job.state.in_((JobState.FAILED, JobState.CANCELLED, JobState.QUARANTINED)),
                )
                .order_by(Job.created_at.desc())
            ).first()
            if job is None:
                return False
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
                also(session, job)
        self.notify(job)
        return True

    def hasten(self, task_id: str) -> bool:
        """Try a postponed job now. False if none is postponed."""
        with self._database.write() as session:
            later = select(Job).where(
                Job.task_id == task_id, Job.state == JobState.READY, Job.run_at > self.now()
            )
            job = session.scalars(later.with_for_update()).first()
            if job is None:
                return False
            job.run_at = job.notified_at = self.now()
        self.notify(job)
        return True

    def urge(self, task_ids: Iterable[str], priority: int) -> int:
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
        with self._database.write() as session:
            session.execute(
                update(Job)
                .where(Job.state == JobState.RUNNING, Job.worker.in_(list(workers)))
                .values(lease_until=self.now() + LEASE_S)
            )

    def release(self, worker: str) -> None:
        """A worker died: its jobs run again at once, or are set aside if they keep killing workers."""
        with self._database.write() as session:
            session.execute(
                update(Job)
                .where(Job.state == JobState.RUNNING, Job.worker == worker)
                .values(lease_until=self.now() - 1)
            )
        self.reconcile()

    def holders(self) -> set[str]:
        """Workers that hold a running job, dead or alive."""
        with self._database.read() as session:
            return set(session.scalars(select(Job.worker).where(Job.state == JobState.RUNNING)))

    def stuck(self, worker: str, silent_s: float) -> bool:
        """Whether this worker holds a job that has shown no progress for so long."""
        with self._database.read() as session:
            late = Job.progressed_at < self.now() - silent_s
            return (
                session.scalar(
                    select(Job.id).where(Job.state == JobState.RUNNING, Job.worker == worker, late)
                )
                is not None
            )

    def waiting_s(self) -> dict[str, float]:
        """By queue, how long the oldest job has waited that may run now, in seconds."""
        now = self.now()
        with self._database.read() as session:
            oldest = self._may_run(session, select(Job.queue, func.min(Job.run_at)), now)
            return {queue: now - run_at for queue, run_at in session.execute(oldest.group_by(Job.queue))}

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
        if crowded := self._crowded(session):
            waiting = waiting.where(or_(Task.status != TaskStatus.QUEUED, Task.owner.not_in(crowded)))
        return waiting

    def reconcile(self) -> int:
        """Wake what waits unheard; take back what lost its worker. The number of jobs woken."""
        now = self.now()
        with self._database.write() as session:
            expired = select(Job).where(Job.state == JobState.RUNNING, Job.lease_until < now)
            for job in session.scalars(expired.with_for_update(skip_locked=True)):
                self._take_back(session, job)
            session.flush()
            unheard = self._may_run(session, select(Job), now).where(Job.notified_at < now - NOTIFY_AGAIN_S)
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


def changed(session: Session, statement: object) -> bool:
    """Whether this write met any row: a compare-and-set must look."""
    result = session.execute(statement)  # type: ignore[call-overload]
    assert isinstance(result, CursorResult)
    return result.rowcount > 0


def _pause(error: StenogramError, attempts: int) -> float:
    asked = getattr(error, "retry_after_s", None)
    return float(asked) if asked else BACKOFF_S[max(0, min(attempts, len(BACKOFF_S)) - 1)]
