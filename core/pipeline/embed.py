"""Embed: give each waiting passage its vector, so that it is found by meaning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from core.billing.ledger import Ledger
from core.database.database import Database
from core.database.tables import Recording
from core.embedding.embedder import Embedder, Vectors, text_hash, understands
from core.library.recordings import Recordings
from core.queue.jobs import Claim, JobQueue
from core.search.active_embedder import ActiveEmbedder
from core.search.bought_vectors import BoughtVectors
from core.search.index import Index
from core.search.passages import Passages, publish
from core.search.sentences import SentenceStore, sentences
from core.search.service import for_sentences
from core.transcripts.transcripts import Transcripts

TEXTS_PER_CALL = 100
"""Gemini takes no more."""
PASSAGES_AT_ONCE = 10
"""Between two signs of life while sentences get their vectors."""


T = TypeVar("T")


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
        transcripts: Transcripts,
        sentence_store: SentenceStore,
    ) -> None:
        self._database = database
        self._job_queue = job_queue
        self._recordings = recordings
        self._passages = passages
        self._index = index
        self._active_embedder = active_embedder
        self._ledger = ledger
        self._transcripts = transcripts
        self._sentence_store = sentence_store
        self._bought_vectors = BoughtVectors(database)

    def run(self, claim: Claim) -> None:
        """Embed the recording's waiting passages, a call at a time."""
        recording, _ = self._recordings.of_task(claim.task_id)
        if not self._passages.acquire(claim):
            return
        while self._embed_some(claim, recording, self._active_embedder.embedder()):
            continue
        self._prepare_sentences(claim, recording.id)
        self._job_queue.complete(claim)

    def _prepare_sentences(self, claim: Claim, recording_id: str) -> None:
        """Give the sentences of its passages vectors, so that a search can start at the one that answers."""
        embedder = for_sentences(self._active_embedder.embedder())
        if embedder is None:
            return
        rows = [row for row in self._passages.all_of(recording_id) if understands(embedder, row.language)]
        sentence_lists = [
            sentences(words)
            for some in _in_lots(rows, TEXTS_PER_CALL)
            for words in self._transcripts.words_at([(recording_id, row.start_s, row.end_s) for row in some])
        ]
        for some in _in_lots(
            self._sentence_store.missing(embedder, recording_id, sentence_lists), PASSAGES_AT_ONCE
        ):
            self._job_queue.beat(claim)
            self._sentence_store.prepare(embedder, recording_id, some)

    def _embed_some(self, claim: Claim, recording: Recording, embedder: Embedder) -> bool:
        """One call's worth of passages; False when none waits."""
        passages = self._passages.waiting(recording.id, TEXTS_PER_CALL)
        if not passages:
            return False
        hashes = [text_hash(embedder, passage.text) for passage in passages]
        known_vectors = self._index.vectors_of(embedder, hashes)
        missing = {h: p.text for h, p in zip(hashes, passages, strict=True) if h not in known_vectors}
        if missing:
            known_vectors |= self._buy(embedder, recording, missing)
        ids, vectors = [passage.id for passage in passages], [known_vectors[h] for h in hashes]
        placed = self._index.put_vectors(embedder, recording.id, recording.owner, ids, hashes, vectors)
        self._passages.mark(claim, recording.id, placed, embedder)
        with self._database.write() as session:
            BoughtVectors.forget(session, recording.id, hashes)
        if len(placed) < len(ids):
            publish(self._database, self._index, recording.id)
        return True

    def _buy(
        self, embedder: Embedder, recording: Recording, texts: Mapping[str, str]
    ) -> dict[str, NDArray[np.float32]]:
        """Vectors of texts by hash; those that were paid for before the index failed are not paid again."""
        vectors = self._bought_vectors.of(recording.id, texts)
        missing = {key: text for key, text in texts.items() if key not in vectors}
        if missing:

            def keep(session: Session, bought: Vectors) -> None:
                BoughtVectors.keep(session, recording.id, dict(zip(missing, bought, strict=True)))

            bought = self._ledger.buy(embedder, recording.id, recording.owner, list(missing.values()), keep)
            vectors.update(zip(missing, bought, strict=True))
        return vectors


def _in_lots(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The same in order, so many at a time."""
    return (things[start : start + size] for start in range(0, len(things), size))
