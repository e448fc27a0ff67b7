"""Jobs that bring the passages of a recording up to date: its words anew, its missing vectors."""

from __future__ import annotations

import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import EmbeddingMode, EmbeddingStatus, JobKind, JobState, TaskStatus
from core.database.tables import Job, PassageRow, Recording, Task, Transcript
from core.queue.jobs import JobQueue
from core.search.passages import refresh_embedding_status


def embed_job(session: Session, recording_id: str) -> Job | None:
    """Queue the embedding of a recording's waiting passages, on behalf of its newest task."""
    refresh_embedding_status(session, recording_id)
    newest = select(Task).where(Task.recording_id == recording_id, Task.excerpt.is_(None))
    task = session.scalars(newest.order_by(Task.created_at.desc())).first() or _placeholder_task(
        session, recording_id
    )
    if task is None:
        return None
    job = Job(task_id=task.id, kind=JobKind.EMBED, queue="io")
    session.add(job)
    session.flush()
    return job


def index_job(session: Session, recording_id: str, now: float) -> Job | None:
    """Queue the indexing of a recording that was corrected, soon; None if it is queued already."""
    row = session.get(Recording, recording_id)
    if row is None or row.transcript_id is None:
        return None
    statement = select(Task).where(
        Task.recording_id == recording_id,
        Task.transcript_id == row.transcript_id,
        Task.status == TaskStatus.COMPLETED,
    )
    queued = select(Job.id).join(Task, Task.id == Job.task_id).where(Task.recording_id == recording_id)
    queued = queued.where(Job.kind == JobKind.INDEX, Job.state == JobState.READY)
    if session.scalar(queued.limit(1)) is not None:
        return None
    task = session.scalars(statement.order_by(Task.created_at.desc())).first() or _placeholder_task(
        session, recording_id
    )
    if task is None:
        return None
    job = Job(task_id=task.id, kind=JobKind.INDEX, queue="index", run_at=now, notified_at=now, created_at=now)
    session.add(job)
    session.flush()
    return job


def index_again(database: Database, job_queue: JobQueue, recording_id: str) -> None:
    """What was corrected in a recording is so in its passages and exports, too, soon."""
    with database.write() as session:
        job = index_job(session, recording_id, job_queue.now())
    if job is not None:
        job_queue.notify(job)


def embed_rest(session: Session, recording_id: str) -> None:
    """A task was forgotten, and its jobs with it: what still waits for its vector now is not."""
    waits = (PassageRow.recording_id == recording_id, PassageRow.embedding_status == EmbeddingStatus.WAITING)
    now = select(PassageRow.id).where(*waits, PassageRow.embedding_mode == EmbeddingMode.SYNC).limit(1)
    if session.scalar(now) is not None:
        embed_job(session, recording_id)


def _placeholder_task(session: Session, recording_id: str) -> Task | None:
    """A completed task for a transcribed recording whose own tasks were all forgotten."""
    statement = select(Transcript, Recording.owner).join(Recording, Recording.transcript_id == Transcript.id)
    row = session.execute(statement.where(Recording.id == recording_id)).first()
    if row is None:
        return None
    (transcript, owner), now = row, time.time()
    task = Task(
        recording_id=recording_id,
        transcript_id=transcript.id,
        owner=owner,
        engine=transcript.engine,
        language=transcript.language,
        status=TaskStatus.COMPLETED,
        stage=TaskStatus.COMPLETED,
        progress=100,
        created_at=now,
        started_at=now,
        completed_at=now,
    )
    session.add(task)
    session.flush()
    return task
