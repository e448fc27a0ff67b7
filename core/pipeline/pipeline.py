"""Jobs to stages, and what becomes of a job whose stage failed."""

from __future__ import annotations

from collections.abc import Mapping

from core.database.states import JobKind
from core.errors import StenogramError
from core.library.recordings import Recordings
from core.pipeline.stage import Stage
from core.queue.jobs import Claim, JobQueue
from core.search.passages import Passages


class Pipeline:
    """Runs claimed jobs."""

    def __init__(
        self,
        stages: Mapping[JobKind, Stage],
        job_queue: JobQueue,
        recordings: Recordings,
        passages: Passages,
    ) -> None:
        self.stages = stages
        self._job_queue = job_queue
        self._recordings = recordings
        self._passages = passages

    def run(self, claim: Claim) -> None:
        """Do a claimed job. Raises what its stage raises."""
        self.stages[JobKind(claim.kind)].run(claim)

    def give_up(self, claim: Claim, error: StenogramError, traceback: str | None = None) -> None:
        """Fail a job for good; a transcript that is there stays searchable by words."""
        if not self._job_queue.fail(claim, error, traceback):
            return
        recording, task = self._recordings.of_task(claim.task_id, with_bin=True)
        self._job_queue.wake_next(task.owner)
        if claim.kind == JobKind.EMBED:
            self._passages.give_up(recording.id)

    def try_later(self, claim: Claim, error: StenogramError, traceback: str | None = None) -> None:
        """Put a job off, or give it up when it was tried often enough."""
        if not self._job_queue.try_later(claim, error, traceback):
            self.give_up(claim, error)
