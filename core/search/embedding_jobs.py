"""Jobs that give the waiting passages of a recording their vectors."""

from __future__ import annotations

import time

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.database.states import EmbeddingMode, EmbeddingStatus, JobKind, TaskStatus
from core.database.tables import Job, PassageRow, Recording, Task, Transcript
from core.search.passages import refresh_embedding_status


def embed_job(session: Session, recording_id: str) -> Job | None:
    """Queue the embedding of a recording's waiting passages, on behalf of its newest task."""
    refresh_embedding_status(session, recording_id)
    newest = select(Task).where(Task.recording_id == recording_id).order_by(Task.created_at.desc())
    task = session.scalars(newest).first() or _stand_in(session, recording_id)
    if task is None:
        return None
    job = Job(task_id=task.id, kind=JobKind.EMBED, queue="io")
    session.add(job)
    session.flush()
    return job


def embed_rest(session: Session, recording_id: str) -> None:
    """A task was forgotten, and its jobs with it: what still waits for its vector now is not."""
    waits = (PassageRow.recording_id == recording_id, PassageRow.embedding_status == EmbeddingStatus.WAITING)
    now = select(PassageRow.id).where(*waits, PassageRow.embedding_mode == EmbeddingMode.SYNC).limit(1)
    if session.scalar(now) is not None:
        embed_job(session, recording_id)


def _stand_in(session: Session, recording_id: str) -> Task | None:
    """A completed task for a transcribed recording whose own tasks were all forgotten."""
    heard = select(Transcript, Recording.owner).join(Recording, Recording.transcript_id == Transcript.id)
    found = session.execute(heard.where(Recording.id == recording_id)).first()
    if found is None:
        return None
    (transcript, owner), now = found, time.time()
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
