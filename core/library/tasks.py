"""Cancelling and retrying tasks."""

from __future__ import annotations

import functools
from collections.abc import Callable

from sqlalchemy.orm import Session

from core.audit import audited
from core.database.database import Database
from core.database.owned import Right
from core.database.states import AuditAction, AuditSubject, EmbeddingMode, JobKind
from core.database.tables import Job, Task
from core.library.recordings import Recordings
from core.principal import Principal
from core.queue.jobs import JobQueue
from core.search.passages import wait_again

ReviveOrders = Callable[[Session, str], None]
"""Lets the failed orders of a transcript (its id) start afresh, within a transaction."""


class Tasks:
    """What a person may do with a task under way or ended."""

    def __init__(
        self, database: Database, recordings: Recordings, job_queue: JobQueue, revive_orders: ReviveOrders
    ) -> None:
        self._database = database
        self._recordings = recordings
        self._job_queue = job_queue
        self._revive_orders = revive_orders

    @audited(AuditAction.CHANGED, AuditSubject.TASK, "task_id")
    def cancel(self, principal: Principal, task_id: str) -> bool:
        """Stop a task and keep what is finished. False if it had already ended."""
        task = self._recordings.task(principal, task_id, Right.WRITE)
        cancelled = self._job_queue.cancel(task.id)
        self._job_queue.wake_next(task.owner)
        return cancelled

    @audited(AuditAction.CHANGED, AuditSubject.TASK, "task_id")
    def retry(self, principal: Principal, task_id: str) -> bool:
        """Go on from the stage that failed. False if there is nothing to retry."""
        task = self._recordings.task(principal, task_id, Right.WRITE)
        if self._job_queue.retry(task.id, functools.partial(self._start_afresh, task=task)):
            return True
        with self._database.write() as session:
            # The next batch takes them, no job.
            return wait_again(session, task.recording_id, [EmbeddingMode.BATCH])

    def _start_afresh(self, session: Session, job: Job, task: Task) -> None:
        """What failed with a job is tried again with it."""
        self._revive_orders(session, task.transcript_id)
        modes = list(EmbeddingMode) if job.kind == JobKind.EMBED else [EmbeddingMode.BATCH]
        wait_again(session, task.recording_id, modes)
