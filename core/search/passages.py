"""Passages in SQL: what of a recording is searched, and whether it is found by meaning too.

A passage waits for its vector, has it, gets none (no embedder reads its language), or has failed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import EmbeddingMode, EmbeddingStatus, JobKind
from core.database.tables import Job, KeyValue, PassageRow, Recording, Task
from core.embedding.embedder import Embedder, understands
from core.errors import Code, Unavailable
from core.queue.jobs import Claim, JobQueue, changed
from core.queue.locks import acquire_exclusive
from core.search.index import Index, Row
from core.transcripts.chunking import Passage, language

ACTIVE = "embedder"
"""The fact that names the embedder whose vectors passages get."""


class Passages:
    """The passages of all recordings."""

    def __init__(self, database: Database, work: JobQueue) -> None:
        self._database = database
        self._job_queue = work

    def acquire(self, claim: Claim) -> bool:
        """Whether no other job is at the passages of this recording now. Else this one is put off."""
        at_it = (Task.recording_id == claim.recording_id) & Job.kind.in_((JobKind.INDEX, JobKind.EMBED))
        return acquire_exclusive(self._database, self._job_queue, claim, claim.recording_id, at_it)

    def replace(
        self,
        claim: Claim,
        recording_id: str,
        transcript_id: str,
        passages: Sequence[Passage],
        embedder: Embedder,
        mode: EmbeddingMode = EmbeddingMode.SYNC,
    ) -> list[PassageRow]:
        """Take these passages for the recording's only ones. Their ids are the same each time.

        Raise Unavailable if the embedder is not the active one any more.
        """
        rows = [
            _row(recording_id, transcript_id, n, passage, embedder, mode)
            for n, passage in enumerate(passages)
        ]
        with self._database.write() as session:
            self._job_queue.keep(session, claim)
            if not is_active(session, embedder):
                raise Unavailable(Code.EMBEDDER_CHANGED)
            session.execute(delete(PassageRow).where(PassageRow.recording_id == recording_id))
            session.add_all(rows)
            refresh_embedding_status(session, recording_id)
        return rows

    def waiting(self, recording_id: str, limit: int) -> list[PassageRow]:
        """Passages that wait for their vector and are not left to a batch."""
        mine = select(PassageRow).where(
            PassageRow.recording_id == recording_id,
            PassageRow.embedding_status == EmbeddingStatus.WAITING,
            PassageRow.embedding_mode == EmbeddingMode.SYNC,
        )
        with self._database.read() as session:
            return list(session.scalars(mine.order_by(PassageRow.n).limit(limit)))

    def mark(self, claim: Claim, recording_id: str, ids: Iterable[str], embedder: Embedder) -> None:
        """These passages have their vectors by this embedder."""
        with self._database.write() as session:
            self._job_queue.keep(session, claim)
            mark(session, recording_id, ids, embedder)

    def give_up(self, recording_id: str) -> None:
        """Nothing more will be tried: what still waits has failed."""
        with self._database.write() as session:
            session.execute(
                update(PassageRow)
                .where(
                    PassageRow.recording_id == recording_id,
                    PassageRow.embedding_status == EmbeddingStatus.WAITING,
                )
                .where(PassageRow.embedding_mode == EmbeddingMode.SYNC)
                .values(embedding_status=EmbeddingStatus.FAILED)
            )
            refresh_embedding_status(session, recording_id)


def refresh_embedding_status(session: Session, recording_id: str) -> EmbeddingStatus:
    """A recording's embedding status follows from its passages: the least finished one speaks for all."""
    session.flush()
    mine = select(PassageRow.embedding_status).where(PassageRow.recording_id == recording_id).distinct()
    found = set(session.scalars(mine))
    status = next(
        (
            state
            for state in (EmbeddingStatus.WAITING, EmbeddingStatus.FAILED, EmbeddingStatus.DONE)
            if state in found
        ),
        EmbeddingStatus.OFF,
    )
    session.execute(update(Recording).where(Recording.id == recording_id).values(embedding_status=status))
    return status


def is_active(session: Session, embedder: Embedder) -> bool:
    """Whether passages get this embedder's vectors; if so, that holds until the transaction ends."""
    active = select(KeyValue.value).where(KeyValue.name == ACTIVE).with_for_update(read=True)
    return session.scalar(active) == embedder.name


def mark(session: Session, recording_id: str, ids: Iterable[str], embedder: Embedder) -> None:
    """These passages are found by meaning; they go on waiting if their embedder is active no more."""
    if is_active(session, embedder):
        mine = PassageRow.id.in_(list(ids)) & (PassageRow.embedding_status == EmbeddingStatus.WAITING)
        session.execute(update(PassageRow).where(mine).values(embedding_status=EmbeddingStatus.DONE))
        refresh_embedding_status(session, recording_id)


def wait_again(session: Session, recording_id: str, modes: Iterable[EmbeddingMode]) -> bool:
    """Failed passages of these modes are to be tried once more; False if there are none."""
    mine = update(PassageRow).where(
        PassageRow.recording_id == recording_id, PassageRow.embedding_mode.in_(list(modes))
    )
    failed = changed(
        session,
        mine.where(PassageRow.embedding_status == EmbeddingStatus.FAILED).values(
            embedding_status=EmbeddingStatus.WAITING
        ),
    )
    refresh_embedding_status(session, recording_id)
    return failed


def publish(database: Database, index: Index, recording_id: str) -> None:
    """Have the index say what is kept here, also where that changes at this very moment."""
    said: list[Row] | None = None
    while (rows := _rows(database, recording_id)) != said:
        index.put(recording_id, rows)
        said = rows


def sweep(database: Database, index: Index) -> int:
    """Take out of the index what was deleted here and stayed there; says of how many recordings."""
    there = index.recordings()
    with database.read() as session:
        gone = there - set(session.scalars(select(Recording.id)))
    for recording_id in gone:
        index.remove(recording_id)
    return len(gone)


def _rows(database: Database, recording_id: str) -> list[Row]:
    mine = select(Recording, PassageRow).join(PassageRow, PassageRow.recording_id == Recording.id)
    mine = mine.where(Recording.id == recording_id).order_by(PassageRow.n)
    with database.read() as session:
        return [_searched(recording, passage) for recording, passage in session.execute(mine)]


def _searched(recording: Recording, passage: PassageRow) -> Row:
    return Row(
        passage.id,
        recording.id,
        recording.owner,
        passage.start_s,
        passage.end_s,
        passage.text,
        passage.language,
        passage.speaker,
    )


def counts(session: Session) -> dict[str, int]:
    """How many passages there are in each embedding status."""
    grouped = select(PassageRow.embedding_status, func.count()).group_by(PassageRow.embedding_status)
    return dict(session.execute(grouped).all())


def _row(
    recording_id: str, transcript_id: str, n: int, passage: Passage, embedder: Embedder, mode: EmbeddingMode
) -> PassageRow:
    spoken = language(passage.text)
    return PassageRow(
        id=hashlib.sha256(f"{recording_id}|{transcript_id}|{n}".encode()).hexdigest()[:32],
        recording_id=recording_id,
        n=n,
        start_s=passage.start_s,
        end_s=passage.end_s,
        speaker=passage.speaker,
        language=spoken,
        text=passage.text,
        embedding_mode=mode,
        embedding_status=EmbeddingStatus.WAITING if understands(embedder, spoken) else EmbeddingStatus.OFF,
    )
