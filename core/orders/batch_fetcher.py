"""A batch's result: fetched whole, kept on disk until its vectors were read back from the index."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from core.database.states import BatchState
from core.database.tables import Batch, Job
from core.embedding.embedder import BatchEmbedder
from core.errors import INDEX, Code, NotFound, ProviderBusy
from core.failpoints import hit
from core.orders import batch_results
from core.orders.batch_store import BatchStore
from core.orders.embedding_requests import EmbeddingRequests
from core.search.index import Index
from core.storage.temporary import temporary_path


class Fetcher:
    """Fetches results, and stores their vectors."""

    def __init__(
        self,
        folder: Path,
        index: Index,
        texts: EmbeddingRequests,
        store: BatchStore,
        notify: Callable[[Job], None],
    ) -> None:
        self._folder = folder
        self._index = index
        self._texts = texts
        self._store = store
        self._notify = notify

    def fetch(self, embedder: BatchEmbedder, batch: Batch) -> None:
        """Bring the result to disk, whole. A count that the provider contradicts is fetched twice."""
        with temporary_path(self._folder, f"{batch.id}.result.jsonl") as path:
            self._fetch(embedder, batch, path)

    def _fetch(self, embedder: BatchEmbedder, batch: Batch, path: Path) -> None:
        hit("fetch.in_the_middle")
        try:
            embedder.download(batch.result or "", path)
        except NotFound:
            self._store.hold(batch, Code.BATCH_RESULT_GONE)
            return
        digest, lines = batch_results.digest(path), batch_results.count(path)
        if batch.lines not in (None, lines) and batch.sha256 != digest:
            self._store.later(batch, sha256=digest)
            return
        hit("fetch.before_rename")
        batch_results.keep(path, self._path(batch, "result.jsonl"))
        hit("fetch.after_rename")
        self._store.move(batch, BatchState.SAVED, sha256=digest)
        hit("save.after_commit")

    def store(self, embedder: BatchEmbedder, batch: Batch) -> None:
        """Keep every good vector under its text, see that it is there, and settle."""
        path = self._path(batch, "result.jsonl")
        if not path.exists() or batch_results.digest(path) != batch.sha256:
            self._store.move(batch, BatchState.ENDED)
            return
        claimed = {row.custom_id: row for row in self._texts.sent(batch.id)}
        match = batch_results.Match({key: row.tokens for key, row in claimed.items()}, embedder.dim)
        for keys, vectors in match.vectors(path):
            hashes = [claimed[key].hash for key in keys]
            self._index.put_vectors(embedder, "", "", hashes, hashes, vectors)  # kept by hash
            hit("store.in_the_middle")
        tokens_by_hash = {claimed[key].hash: tokens for key, tokens in match.tokens.items()}
        self._verify(embedder, list(tokens_by_hash))
        hit("store.after_index")
        errors = {claimed[key].hash: why for key, why in match.errors.items()}
        errors |= {claimed[key].hash: "missing in the result" for key in match.missing}
        alarm = Code.BATCH_RESULT_STRANGE if match.suspicious else None
        for job in self._store.complete(batch, tokens_by_hash, errors, alarm):
            self._notify(job)
        path.unlink()

    def _verify(self, embedder: BatchEmbedder, hashes: Sequence[str]) -> None:
        """Read the vectors back; until they are there, the result on disk is the only copy."""
        for start in range(0, len(hashes), batch_results.BLOCK):
            block = hashes[start : start + batch_results.BLOCK]
            if len(self._index.vectors_of(embedder, block)) < len(block):
                raise ProviderBusy(INDEX, "vectors are missing after writing")

    def _path(self, batch: Batch, name: str) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{batch.id}.{name}"
