"""Index: cut the transcript into passages and make them searchable by words."""

from __future__ import annotations

import functools

from core.database.database import Database
from core.database.states import EmbeddingMode, EmbeddingStatus, JobKind
from core.library import recordings as recording_rows
from core.library.recording_text import RecordingText
from core.library.recordings import Recordings
from core.library.saved_searches import SavedSearches
from core.queue.jobs import Claim, JobQueue
from core.search.active_embedder import ActiveEmbedder
from core.search.index import Index
from core.search.passages import Passages, publish
from core.transcripts import chunking
from core.transcripts.exports_store import ExportStore
from core.transcripts.transcripts import Transcripts

SPEAKERS_S = 30.0
"""After so long it is asked again whether the speakers were found; whoever finds them says so at once."""


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
        saved_searches: SavedSearches,
        recording_text: RecordingText,
    ) -> None:
        self._database = database
        self._job_queue = job_queue
        self._recordings = recordings
        self._transcripts = transcripts
        self._passages = passages
        self._index = index
        self._active_embedder = active_embedder
        self._exports = exports
        self._saved_searches = saved_searches
        self._recording_text = recording_text

    def run(self, claim: Claim) -> None:
        """Replace the recording's passages, publish them, complete the task, queue embedding if needed.

        Waits for the speakers: passages never mix two of them.
        """
        recording, task = self._recordings.of_task(claim.task_id)
        if self._job_queue.wait_for(claim, JobKind.DIARIZE, SPEAKERS_S) or not self._passages.acquire(claim):
            return
        self._recording_text.carry_over_corrections(task)
        embedder = self._active_embedder.embedder()
        pieces = chunking.passages(self._transcripts.utterances(task.transcript_id, recording.id))
        passages = self._passages.replace(
            claim, recording.id, task.transcript_id, pieces, embedder, task.embedding_mode
        )
        publish(self._database, self._index, recording.id)
        self._exports.export(recording, task.transcript_id)
        self._saved_searches.run(recording)
        waiting = any(
            passage.embedding_status == EmbeddingStatus.WAITING
            and passage.embedding_mode == EmbeddingMode.SYNC
            for passage in passages
        )
        complete = functools.partial(recording_rows.complete, task=task)
        self._job_queue.complete(claim, *([(JobKind.EMBED, "io")] if waiting else []), also=complete)
        self._job_queue.wake_next(task.owner)
