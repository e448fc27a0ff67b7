"""Index: cut the transcript into passages and make them searchable by words."""

from __future__ import annotations

import functools

from core.database.database import Database
from core.database.states import EmbeddingMode, EmbeddingStatus, JobKind
from core.library import recordings as recording_rows
from core.library.recordings import Recordings
from core.queue.jobs import Claim, JobQueue
from core.search.active_embedder import ActiveEmbedder
from core.search.index import Index
from core.search.passages import Passages, publish
from core.transcripts import chunking
from core.transcripts.exports_store import ExportStore
from core.transcripts.transcripts import Transcripts


class IndexStage:
    """Transcript → passages in the index; the task is complete then."""

    def __init__(
        self,
        database: Database,
        job_queue: JobQueue,
        recordings: Recordings,
        transcripts: Transcripts,
        passages: Passages,
        index: Index,
        active_embedder: ActiveEmbedder,
        exports: ExportStore,
    ) -> None:
        self._database = database
        self._job_queue = job_queue
        self._recordings = recordings
        self._transcripts = transcripts
        self._passages = passages
        self._index = index
        self._active_embedder = active_embedder
        self._exports = exports

    def run(self, claim: Claim) -> None:
        """Replace the recording's passages, publish them, complete the task, queue embedding if needed."""
        recording, task = self._recordings.of_task(claim.task_id)
        if not self._passages.acquire(claim):
            return
        embedder = self._active_embedder.embedder()
        pieces = chunking.passages(self._transcripts.utterances(task.transcript_id))
        passages = self._passages.replace(
            claim, recording.id, task.transcript_id, pieces, embedder, task.embedding_mode
        )
        publish(self._database, self._index, recording.id)
        self._exports.export(recording, task.transcript_id)
        waiting = any(
            passage.embedding_status == EmbeddingStatus.WAITING
            and passage.embedding_mode == EmbeddingMode.SYNC
            for passage in passages
        )
        complete = functools.partial(recording_rows.complete, task=task)
        self._job_queue.complete(claim, (JobKind.EMBED, "io") if waiting else None, complete)
        self._job_queue.wake_next(task.owner)
