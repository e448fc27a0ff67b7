"""Embed: give each waiting passage its vector, so that it is found by meaning."""

from __future__ import annotations

from core.billing.ledger import Ledger
from core.database.database import Database
from core.database.tables import Recording
from core.embedding.embedder import Embedder, text_hash
from core.library.recordings import Recordings
from core.queue.jobs import Claim, JobQueue
from core.search.active_embedder import ActiveEmbedder
from core.search.index import Index
from core.search.passages import Passages, publish

TEXTS_PER_CALL = 100
"""Gemini takes no more."""


class EmbedStage:
    """Passages → vectors in the index; a text that has a vector already costs nothing."""

    def __init__(
        self,
        database: Database,
        job_queue: JobQueue,
        recordings: Recordings,
        passages: Passages,
        index: Index,
        active_embedder: ActiveEmbedder,
        ledger: Ledger,
    ) -> None:
        self._database = database
        self._job_queue = job_queue
        self._recordings = recordings
        self._passages = passages
        self._index = index
        self._active_embedder = active_embedder
        self._ledger = ledger

    def run(self, claim: Claim) -> None:
        """Embed the recording's waiting passages, a call at a time."""
        recording, _ = self._recordings.of_task(claim.task_id)
        if not self._passages.acquire(claim):
            return
        while self._embed_some(claim, recording, self._active_embedder.embedder()):
            continue
        self._job_queue.complete(claim)

    def _embed_some(self, claim: Claim, recording: Recording, embedder: Embedder) -> bool:
        """One call's worth of passages; False when none waits."""
        passages = self._passages.waiting(recording.id, TEXTS_PER_CALL)
        if not passages:
            return False
        hashes = [text_hash(embedder, passage.text) for passage in passages]
        known = self._index.vectors_of(embedder, hashes)
        missing = {h: p.text for h, p in zip(hashes, passages, strict=True) if h not in known}
        if missing:
            bought = self._ledger.buy(embedder, recording.id, recording.owner, list(missing.values()))
            known.update(zip(missing, bought, strict=True))
        ids, vectors = [passage.id for passage in passages], [known[h] for h in hashes]
        placed = self._index.put_vectors(embedder, recording.id, recording.owner, ids, hashes, vectors)
        self._passages.mark(claim, recording.id, placed, embedder)
        if len(placed) < len(ids):
            publish(self._database, self._index, recording.id)
        return True
