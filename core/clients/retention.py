"""What is forgotten after a while: tasks of programs with their recordings, answers, half uploads.

Only what came through the API: what came through the pages stays until somebody deletes it. A task that
is not done is never touched, and one whose vectors are still bought by batch waits for those, to a limit.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import or_, select

from core.clients.idempotency import IdempotencyStore
from core.database.clock_jumps import is_settled
from core.database.database import Database
from core.database.recycle_bin import WITH_BIN
from core.database.states import JOB_UNFINISHED, TASK_ENDED, EmbeddingStatus
from core.database.tables import Job, Recording, Task
from core.errors import NotFound
from core.library.deletion import Deletion
from core.library.recordings import Recordings
from core.principal import PAGES, PERSON, SYSTEM
from core.search.index import Index
from core.settings import Settings
from core.speech.channels import Channels
from core.storage.mirror import MirroredBlobStore
from core.storage.resumable import ResumableUploads

LONGEST_WAIT_H = 72.0
AT_ONCE = 500
DAY_S = 24 * 3600.0
STALE_S = 3600.0
"""Nobody brings a file for so long without writing, or waits so long between bytes and task."""


class Retention:
    """Removes what is old enough."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        recordings: Recordings,
        deletion: Deletion,
        idempotency: IdempotencyStore,
        resumable_uploads: ResumableUploads,
        blobs: MirroredBlobStore,
        sound: Channels,
        index: Index,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._database = database
        self._recordings = recordings
        self._deletion = deletion
        self._idempotency = idempotency
        self._resumable_uploads = resumable_uploads
        self._blobs = blobs
        self._sound = sound
        self._index = index
        self._clock = clock

    def sweep(self) -> int:
        """Delete old tasks of API clients; says how many. `API_RETENTION_H=0` keeps them for ever.

        Nothing is old by a clock that has just been set.
        """
        now = self._clock()
        if not is_settled(self._database, now):
            return 0
        self._idempotency.forget()
        self._resumable_uploads.sweep()
        self._index.forget_vectors(now - self._settings.vector_cache_days * DAY_S)
        if not self._settings.api_retention_h:
            return 0
        expired = self._expired(now)
        for task_id in expired:
            try:
                self._deletion.delete_task(SYSTEM, task_id)
            except NotFound:
                continue  # its owner was faster
        return len(expired)

    def sweep_store(self) -> int:
        """Remove half-written files, and bytes of nobody: their task was refused, or we died before it."""
        if not is_settled(self._database, self._clock()):
            return 0
        swept = self._blobs.sweep(STALE_S) + self._sweep_sound()
        for sha256 in self._blobs.kept(STALE_S):
            swept += not self._recordings.has(sha256) and self._deletion.drop_unused(sha256)
        return swept

    def sweep_cache(self) -> int:
        """On a machine that keeps a cache only: remove what is deleted elsewhere, and what is too much."""
        return self.sweep_store() + self._blobs.evict(self._settings.cache_max_bytes)

    def _sweep_sound(self) -> int:
        """Decoded sound that no job needs: cancelled, given up, or transcribed on another machine."""
        jobs = select(Task.transcript_id).join(Job, Job.task_id == Task.id)
        with self._database.read() as session:
            needed = set(session.scalars(jobs.where(Job.state.in_(JOB_UNFINISHED))))
        unneeded = [name for name in self._sound.kept(STALE_S) if name.partition("-")[0] not in needed]
        for name in unneeded:
            self._sound.drop(name)
        return len(unneeded)

    def _expired(self, now: float) -> list[str]:
        keep_h = self._settings.api_retention_h
        ended = Task.status.in_(TASK_ENDED)
        has_all_vectors = Recording.embedding_status != EmbeddingStatus.WAITING
        due = or_(
            has_all_vectors & (Task.completed_at < now - keep_h * 3600),
            Task.completed_at < now - max(LONGEST_WAIT_H, keep_h) * 3600,
        )
        tasks = select(Task.id).join(Recording, Recording.id == Task.recording_id)
        tasks = tasks.where(Task.owner != PAGES, ~Task.owner.startswith(PERSON), ended, due).order_by(
            Task.completed_at
        )
        with self._database.read() as session:
            return list(session.scalars(tasks.limit(AT_ONCE).execution_options(**WITH_BIN)))
