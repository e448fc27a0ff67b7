"""Passages in SQL: what of a recording is searched, and whether it is found by meaning too.

`meaning` of a passage: waiting (will get a vector), done, off (no embedder for its language), failed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import EmbeddingStatus, JobKind
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
        lane: str = "now",
    ) -> list[PassageRow]:
        """Take these passages for the recording's only ones. Their ids are the same each time.

        Raise Unavailable if the embedder is not the active one any more.
        """
        rows = [
            _row(recording_id, transcript_id, n, passage, embedder, lane)
            for n, passage in enumerate(passages)
        ]
        with self._database.write() as session:
            self._job_queue.keep(session, claim)
            if not is_active(session, embedder):
                raise Unavailable(Code.EMBEDDER_CHANGED)
            session.execute(delete(PassageRow).where(PassageRow.recording_id == recording_id))
            session.add_all(rows)
            refresh_meaning(session, recording_id)
        return rows

    def waiting(self, recording_id: str, limit: int) -> list[PassageRow]:
        """Passages that wait for their vector and are not left to a batch."""
        mine = select(PassageRow).where(
            PassageRow.recording_id == recording_id,
            PassageRow.meaning == EmbeddingStatus.WAITING,
            PassageRow.lane == "now",
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
                .where(PassageRow.recording_id == recording_id, PassageRow.meaning == EmbeddingStatus.WAITING)
                .where(PassageRow.lane == "now")
                .values(meaning=EmbeddingStatus.FAILED)
            )
            refresh_meaning(session, recording_id)


def refresh_meaning(session: Session, recording_id: str) -> str:
    """A recording's `meaning` follows from its passages: the least finished one speaks for all."""
    session.flush()
    mine = select(PassageRow.meaning).where(PassageRow.recording_id == recording_id).distinct()
    found = set(session.scalars(mine))
    meaning = next(
        (
            state
            for state in (EmbeddingStatus.WAITING, EmbeddingStatus.FAILED, EmbeddingStatus.DONE)
            if state in found
        ),
        EmbeddingStatus.OFF,
    )
    session.execute(update(Recording).where(Recording.id == recording_id).values(meaning=meaning))
    return meaning


def is_active(session: Session, embedder: Embedder) -> bool:
    """Whether passages get this embedder's vectors; if so, that holds until the transaction ends."""
    active = select(KeyValue.value).where(KeyValue.name == ACTIVE).with_for_update(read=True)
    return session.scalar(active) == embedder.name


def mark(session: Session, recording_id: str, ids: Iterable[str], embedder: Embedder) -> None:
    """These passages are found by meaning; they go on waiting if their embedder is active no more."""
    if is_active(session, embedder):
        mine = PassageRow.id.in_(list(ids)) & (PassageRow.meaning == EmbeddingStatus.WAITING)
        session.execute(update(PassageRow).where(mine).values(meaning=EmbeddingStatus.DONE))
        refresh_meaning(session, recording_id)


def wait_again(session: Session, recording_id: str, lanes: Iterable[str]) -> bool:
    """Failed passages of these lanes are to be tried once more; False if there are none."""
    mine = update(PassageRow).where(PassageRow.recording_id == recording_id, PassageRow.lane.in_(list(lanes)))
    failed = changed(
        session,
        mine.where(PassageRow.meaning == EmbeddingStatus.FAILED).values(meaning=EmbeddingStatus.WAITING),
    )
    refresh_meaning(session, recording_id)
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
    """How many passages there are in each state of `meaning`."""
    grouped = select(PassageRow.meaning, func.count()).group_by(PassageRow.meaning)
    return dict(session.execute(grouped).all())


def _row(
    recording_id: str, transcript_id: str, n: int, passage: Passage, embedder: Embedder, lane: str
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
        lane=lane,
        meaning=EmbeddingStatus.WAITING if understands(embedder, spoken) else EmbeddingStatus.OFF,
    )
