"""Jobs that need something for themselves come one after the other."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.sql import ColumnElement

from core.database.database import Database
from core.database.states import JobState
from core.database.tables import Job, Task
from core.queue.jobs import Claim, JobQueue

OTHERS_S = 5.0
"""After so long a job looks again whether another one is still at it."""


def acquire_exclusive(
    database: Database, work: JobQueue, claim: Claim, name: str, at_it: ColumnElement[bool]
) -> bool:
    """Whether no other running job is at what has this name. Else this one is put off.

    Asking and putting off are one write, so of jobs that ask at the same moment one goes on.
    """
    others = select(Job.id).join(Task, Task.id == Job.task_id)
    others = others.where(at_it, Job.state == JobState.RUNNING, Job.id != claim.job_id)
    with database.write() as session:
        database.advisory_lock(session, name)
        busy = session.scalar(others.limit(1)) is not None
        if busy:
            work.defer(session, claim, OTHERS_S)
    return not busy
