"""Uploads that this machine took in while the object store was away, and that others wait for."""

from __future__ import annotations

from sqlalchemy import select

from core.database.database import Database
from core.database.states import JobKind, JobState
from core.database.tables import Job, Recording, Task
from core.errors import Code, code_of
from core.queue.jobs import JobQueue
from core.storage.mirror import MirroredBlobStore


class UploadSharing:
    """Brings uploads to the object store that only this machine has."""

    def __init__(self, database: Database, job_queue: JobQueue, blobs: MirroredBlobStore) -> None:
        self._database = database
        self._job_queue = job_queue
        self._blobs = blobs

    def run(self) -> int:
        """Bring those that a job on another machine looked for in vain; says how many. Raises Unavailable."""
        looked = select(Job.error, Job.task_id, Recording.sha256).join(Task, Task.id == Job.task_id)
        looked = looked.join(Recording, Recording.id == Task.recording_id)
        ready = (Job.kind == JobKind.PREPARE, Job.state == JobState.READY, Job.error.is_not(None))
        with self._database.read() as session:
            rows = session.execute(looked.where(*ready)).all()
        ours = [
            (task_id, sha256)
            for error, task_id, sha256 in rows
            if code_of(error) == Code.UPLOAD_ELSEWHERE and self._blobs.place(sha256).is_file()
        ]
        for task_id, sha256 in ours:
            self._blobs.copy(sha256)
            self._job_queue.expedite(task_id)
        return len(ours)
