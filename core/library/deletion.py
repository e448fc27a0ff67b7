"""Deleting recordings and tasks: rows first, then what is derived from them, then the bytes."""

from __future__ import annotations

from contextlib import suppress

from core.audit import audited
from core.database.database import Database
from core.database.owned import Right
from core.database.states import AuditAction, AuditSubject
from core.database.tables import Recording
from core.errors import Unavailable
from core.library.recordings import Recordings
from core.media.playback import Playback
from core.principal import Principal
from core.queue.jobs import JobQueue
from core.search.index import Index
from core.storage.mirror import MirroredBlobStore
from core.transcripts.exports_store import ExportStore


class Deletion:
    """Removes recordings with everything that was made of them."""

    def __init__(
        self,
        database: Database,
        recordings: Recordings,
        job_queue: JobQueue,
        index: Index,
        blobs: MirroredBlobStore,
        exports: ExportStore,
        playback: Playback,
    ) -> None:
        self._database = database
        self._recordings = recordings
        self._job_queue = job_queue
        self._index = index
        self._blobs = blobs
        self._exports = exports
        self._playback = playback

    @audited(AuditAction.DELETED, AuditSubject.RECORDING, "recording_id")
    def delete_recording(self, principal: Principal, recording_id: str) -> None:
        """Remove a recording and all that belongs to it. Raises NotFound."""
        self._clear(self._recordings.delete(principal, recording_id))

    @audited(AuditAction.DELETED, AuditSubject.TASK, "task_id")
    def delete_task(self, principal: Principal, task_id: str) -> None:
        """Cancel a task and remove it, with its recording if that came by the API and has no other task."""
        task = self._recordings.task(principal, task_id, Right.OWN, with_bin=True)
        self._job_queue.cancel(task.id)
        self._job_queue.wake_next(task.owner)
        if recording := self._recordings.forget(principal, task_id):
            self._clear(recording)

    def withdraw(self, recording_id: str) -> None:
        """Take what was derived of a recording, in the bin or not, out of search and object store."""
        with suppress(Unavailable):  # the index is busy: what is left there is swept away
            self._index.remove(recording_id)
        with suppress(Unavailable):  # the object store is away: what is left there is nobody's
            self._exports.clear(recording_id)

    def drop_unused(self, sha256: str) -> bool:
        """Remove bytes that no recording has; True if so."""
        with self._database.write() as session:
            self._database.advisory_lock(session, sha256)  # nobody takes the same bytes in meanwhile
            unused = not self._recordings.has(sha256)
            if unused:
                self._blobs.remove(sha256)
        return unused

    def _clear(self, recording: Recording) -> None:
        self.withdraw(recording.id)
        if self.drop_unused(recording.sha256):
            self._playback.drop(recording.sha256)
            with suppress(Unavailable):
                self._blobs.drop_copy(recording.sha256)
