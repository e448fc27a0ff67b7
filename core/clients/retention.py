"""What is forgotten after a while: tasks of programs with their recordings, answers, half uploads.

Only what came through the API: what came through the pages stays until somebody deletes it. A task that
is not done is never touched, and one whose vectors are still bought by batch waits for those, to a limit.
"""

from __future__ import annotations

import time

from sqlalchemy import or_, select

from core.application import Application
from core.database.states import JOB_UNFINISHED, TASK_ENDED, EmbeddingStatus
from core.database.tables import Job, Recording, Task
from core.errors import NotFound
from core.principal import EVERYONE, PAGES

LONGEST_WAIT_H = 72.0
AT_ONCE = 500
DAY_S = 24 * 3600.0
STALE_S = 3600.0
"""Nobody brings a file for so long without writing, or waits so long between bytes and task."""


def sweep(app: Application, now: float | None = None) -> int:
    """Forget what is old enough; says how many tasks. `API_RETENTION_H=0` keeps tasks for ever."""
    now = time.time() if now is None else now
    app.idempotency.forget()
    app.resumable_uploads.sweep()
    app.index_store.forget_vectors(now - app.settings.vector_cache_days * DAY_S)
    if not app.settings.api_retention_h:
        return 0
    old = _old(app, now)
    for task_id in old:
        try:
            app.forget(EVERYONE, task_id)
        except NotFound:
            continue  # its owner was faster
    return len(old)


def sweep_store(app: Application) -> int:
    """Remove half-written files, and bytes of nobody: their task was refused, or we died before it."""
    swept = app.store.sweep(STALE_S) + _sweep_sound(app)
    for sha256 in app.store.kept(STALE_S):
        swept += not app.recordings.has(sha256) and app.drop_unused(sha256)
    return swept


def _sweep_sound(app: Application) -> int:
    """Decoded sound that no job needs: it was cancelled or given up, or heard on another machine."""
    jobs = select(Task.transcript_id).join(Job, Job.task_id == Task.id)
    with app.database.read() as session:
        needed = set(session.scalars(jobs.where(Job.state.in_(JOB_UNFINISHED))))
    left = [name for name in app.channels.kept(STALE_S) if name.partition("-")[0] not in needed]
    for name in left:
        app.channels.drop(name)
    return len(left)


def _old(app: Application, now: float) -> list[str]:
    ended = Task.status.in_(TASK_ENDED)
    unbought = Recording.embedding_status == EmbeddingStatus.WAITING
    due = or_(
        ~unbought & (Task.completed_at < now - app.settings.api_retention_h * 3600),
        Task.completed_at < now - max(LONGEST_WAIT_H, app.settings.api_retention_h) * 3600,
    )
    tasks = select(Task.id).join(Recording, Recording.id == Task.recording_id)
    tasks = tasks.where(Task.owner != PAGES, ended, due).order_by(Task.completed_at)
    with app.database.read() as session:
        return list(session.scalars(tasks.limit(AT_ONCE)))
