"""Filling an index again that lost passages, because it was moved, emptied or damaged, from what SQL keeps.

Words come from the passages. Vectors come from where they are remembered, by the hash of their text; what is
remembered nowhere is made again where that costs nothing, and else left to a person, who sees its price.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping

from sqlalchemy import ColumnElement, func, select, update

from core.database.database import Database
from core.database.states import EmbeddingMode, EmbeddingStatus, JobKind, JobState
from core.database.tables import Job, Json, PassageRow, Recording, Task
from core.embedding.embedder import batching, text_hash
from core.search.active_embedder import SEARCHED, ActiveEmbedder
from core.search.embedding_jobs import embed_job
from core.search.index import Index
from core.search.passages import publish, refresh_embedding_status

LACKS = "index lacks"
"""The value that says how many passages the index has of all, while it is filled again; else empty."""
TIDIED_AFTER = 200
"""Recordings; each leaves small files behind."""


def lacking(database: Database) -> Json | None:
    """How many passages are `done` of the `total`, while the index is filled again; else None."""
    stored = database.get_value(LACKS)
    return json.loads(stored) if stored else None


class Refill:
    """Finds what the index lacks, and brings it back."""

    def __init__(
        self,
        database: Database,
        index: Index,
        active_embedder: ActiveEmbedder,
        notify: Callable[[Job], None],
    ) -> None:
        self._database = database
        self._index = index
        self._active_embedder = active_embedder
        self._notify = notify

    def run(self, limit_s: float, on_progress: Callable[[int, int], object] = lambda *_: None) -> bool:
        """Bring back what is lacking; False if time was up before all was. Raises Unavailable or NoSpace.

        `on_progress` is told how many passages the index has of all, now and then.
        """
        until = time.monotonic() + limit_s
        lost = sorted(self._without_words() | self._without_vectors())
        for n, recording_id in enumerate(lost):
            if n % TIDIED_AFTER == 0:
                on_progress(*self._note())
                self._index.maintain()
            if time.monotonic() >= until:
                return False
            publish(self._database, self._index, recording_id)
            self._restore_vectors(recording_id)
        if lost:
            on_progress(*self._note())
        if self._database.get_value(LACKS):
            self._database.set_value(LACKS, "")
        return True

    def _note(self) -> tuple[int, int]:
        with self._database.read() as session:
            total = session.scalar(select(func.count()).select_from(PassageRow)) or 0
        done = min(self._index.count(), total)
        self._database.set_value(LACKS, json.dumps({"done": done, "total": total}))
        return done, total

    def _without_words(self) -> set[str]:
        """Recordings that have other numbers of passages here and there, and that no job is at."""
        indexed = self._index.by_recording()
        at_it = select(Task.recording_id).join(Job, Job.task_id == Task.id)
        at_it = at_it.where(Job.kind == JobKind.INDEX, Job.state.in_((JobState.READY, JobState.RUNNING)))
        with self._database.read() as session:
            busy = set(session.scalars(at_it))
        return {each for each, n in self._counted().items() if indexed.get(each, 0) != n} - busy

    def _without_vectors(self) -> set[str]:
        """Recordings that have fewer vectors than SQL says; none while the embedder is changed."""
        if self._database.get_value(SEARCHED):
            return set()
        indexed = self._index.by_recording(self._active_embedder.embedder())
        done = self._counted(PassageRow.embedding_status == EmbeddingStatus.DONE)
        return {each for each, n in done.items() if indexed.get(each, 0) < n}

    def _counted(self, *which: ColumnElement[bool]) -> Mapping[str, int]:
        counted = select(PassageRow.recording_id, func.count()).where(*which)
        with self._database.read() as session:
            return dict(session.execute(counted.group_by(PassageRow.recording_id)).all())

    def _restore_vectors(self, recording_id: str) -> None:
        embedder = self._active_embedder.embedder()
        done = select(PassageRow).where(
            PassageRow.recording_id == recording_id, PassageRow.embedding_status == EmbeddingStatus.DONE
        )
        with self._database.read() as session:
            rows = list(session.scalars(done))
        indexed = self._index.with_vectors(embedder, recording_id) if rows else set()
        hashes = {row.id: text_hash(embedder, row.text) for row in rows if row.id not in indexed}
        known_vectors = self._index.vectors_of(embedder, hashes.values())
        ids = [key for key, digest in hashes.items() if digest in known_vectors]
        if ids:
            vectors = [known_vectors[hashes[key]] for key in ids]
            owner = self._owner(recording_id)
            self._index.put_vectors(embedder, recording_id, owner, ids, [hashes[key] for key in ids], vectors)
        if rest := hashes.keys() - set(ids):
            self._forget(recording_id, rest, is_paid=batching(embedder) is not None)

    def _owner(self, recording_id: str) -> str:
        with self._database.read() as session:
            return session.scalar(select(Recording.owner).where(Recording.id == recording_id)) or ""

    def _forget(self, recording_id: str, ids: set[str], *, is_paid: bool) -> None:
        """These have no vector any more: one is made, unless it has to be paid for a second time."""
        status = EmbeddingStatus.FAILED if is_paid else EmbeddingStatus.WAITING
        condition = PassageRow.id.in_(ids) & (PassageRow.embedding_status == EmbeddingStatus.DONE)
        with self._database.write() as session:
            again = {"embedding_status": status, "embedding_mode": EmbeddingMode.SYNC}
            session.execute(update(PassageRow).where(condition).values(again))
            refresh_embedding_status(session, recording_id)
            job = None if is_paid else embed_job(session, recording_id)
        if job is not None:
            self._notify(job)
