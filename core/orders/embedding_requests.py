"""Texts on their way to a vector by batch: enrolled from passages, sent once, adopted by hash.

A text is known by the hash of model, size, form and words, so that equal passages, also of other
recordings or of an earlier transcript, are one text and are paid for once.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, delete, exists, func, select, update
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import EmbeddingMode, EmbeddingRequestState, EmbeddingStatus
from core.database.tables import EmbeddingRequest, Job, PassageRow, Recording
from core.database.upsert import insert_if_absent
from core.embedding.embedder import BatchEmbedder, Embedder, text_hash, tokens_at_most
from core.search.embedding_jobs import embed_job
from core.search.index import Index
from core.search.passages import is_active, mark, publish, refresh_embedding_status

ENROLLED_AT_ONCE = 2000
LOOKED_UP = 1000
"""Vectors read at once, only to see whether they are there."""
MAX_ATTEMPTS = 3
SOME = 5000
"""Values in one `IN (…)`; databases limit them."""


@dataclass(frozen=True)
class Line:
    """A text that waits, with the words to send."""

    hash: str
    custom_id: str
    recording_id: str
    owner: str
    tokens: int
    text: str
    deadline_at: float | None = None


@dataclass(frozen=True)
class Pending:
    """What waits to be sent: how many texts, tokens at most, and since when the oldest does."""

    number: int
    tokens: int
    since: float


class Texts:
    """The texts of one installation."""

    def __init__(self, database: Database, index: Index) -> None:
        self._database = database
        self._index = index

    def enrol(self, embedder: BatchEmbedder, now: float) -> int:
        """Take up passages that newly wait for a batch; what has a vector already gets it now.

        How many passages were looked at; ask again while there are any.
        """
        self._revive()
        passages = self._fresh(embedder)
        if not passages:
            return 0
        hashes = {passage.id: text_hash(embedder, passage.text) for passage in passages}
        known = self._index.vectors_of(embedder, hashes.values())
        have = [passage for passage in passages if hashes[passage.id] in known]
        for recording_id, mine in _by_recording(have):
            self._adopt(embedder, recording_id, mine, {p.id: known[hashes[p.id]] for p in mine}, hashes)
        with self._database.write() as session:
            if not is_active(session, embedder):
                return 0
            for passage in passages:
                if passage not in have:
                    _enrol(session, passage, _new(passage, hashes[passage.id], embedder, now))
        return len(passages)

    def _fresh(self, embedder: Embedder) -> list[PassageRow]:
        """Passages waiting for a batch that no text of this model stands for."""
        stands = exists().where(
            EmbeddingRequest.hash == PassageRow.text_hash, EmbeddingRequest.model == embedder.name
        )
        waits = select(PassageRow).where(
            PassageRow.embedding_status == EmbeddingStatus.WAITING,
            PassageRow.embedding_mode == EmbeddingMode.BATCH,
            ~stands,
        )
        with self._database.read() as session:
            return list(session.scalars(waits.order_by(PassageRow.recording_id).limit(ENROLLED_AT_ONCE)))

    def _adopt(
        self,
        embedder: Embedder,
        recording_id: str,
        passages: Sequence[PassageRow],
        vectors: Mapping[str, NDArray[np.float32]],
        hashes: Mapping[str, str],
    ) -> None:
        with self._database.read() as session:
            recording = session.get(Recording, recording_id)
        if recording is None:
            return
        ids = [passage.id for passage in passages]
        wanted = [hashes[one] for one in ids]
        found = [vectors[one] for one in ids]
        placed = self._index.put_vectors(embedder, recording_id, recording.owner, ids, wanted, found)
        with self._database.write() as session:
            mark(session, recording_id, placed, embedder)
        if len(placed) < len(ids):
            publish(self._database, self._index, recording_id)

    def waiting(self, embedder: BatchEmbedder, limit: int) -> list[Line]:
        """Texts to send, those that wait longest first.

        Dropped are texts that nobody needs any more, and those that got a vector at once.
        """
        needed = exists().where(
            PassageRow.text_hash == EmbeddingRequest.hash,
            PassageRow.embedding_status == EmbeddingStatus.WAITING,
            PassageRow.embedding_mode == EmbeddingMode.BATCH,
        )
        with self._database.write() as session:
            idle = EmbeddingRequest.state == EmbeddingRequestState.WAITING
            session.execute(
                delete(EmbeddingRequest).where(idle, (EmbeddingRequest.model != embedder.name) | ~needed)
            )
            oldest = (
                select(EmbeddingRequest)
                .where(idle)
                .order_by(EmbeddingRequest.since, EmbeddingRequest.hash)
                .limit(limit)
            )
            lines = _lines(session, list(session.scalars(oldest)))
        known = self._known(embedder, [line.hash for line in lines])
        if known:
            with self._database.write() as session:
                done(session, known)
        return [line for line in lines if line.hash not in known]

    def _known(self, embedder: BatchEmbedder, hashes: Sequence[str]) -> set[str]:
        pieces = (hashes[start : start + LOOKED_UP] for start in range(0, len(hashes), LOOKED_UP))
        return {key for some in pieces for key in self._index.vectors_of(embedder, some)}

    def of_batch(self, batch_id: str) -> list[Line]:
        """The texts that a batch has, as far as somebody still needs them."""
        with self._database.read() as session:
            mine = (
                select(EmbeddingRequest)
                .where(
                    EmbeddingRequest.batch_id == batch_id,
                    EmbeddingRequest.state == EmbeddingRequestState.SENT,
                )
                .order_by(EmbeddingRequest.hash)
            )
            return _lines(session, list(session.scalars(mine)))

    def sent(self, batch_id: str) -> list[EmbeddingRequest]:
        """Everything that a batch has claimed."""
        with self._database.read() as session:
            return list(
                session.scalars(
                    select(EmbeddingRequest).where(
                        EmbeddingRequest.batch_id == batch_id,
                        EmbeddingRequest.state == EmbeddingRequestState.SENT,
                    )
                )
            )

    def pending(self, embedder: Embedder) -> Pending:
        """What waits to be sent."""
        idle = select(
            func.count(),
            func.coalesce(func.sum(EmbeddingRequest.tokens), 0),
            func.min(EmbeddingRequest.since),
        )
        mine = idle.where(
            EmbeddingRequest.state == EmbeddingRequestState.WAITING, EmbeddingRequest.model == embedder.name
        )
        with self._database.read() as session:
            number, tokens, since = session.execute(mine).one()
        return Pending(number, int(tokens), since or 0.0)

    def _revive(self) -> None:
        """Failed texts whose passages wait again, because a person said so, get all their tries again."""
        needed = exists().where(
            PassageRow.text_hash == EmbeddingRequest.hash,
            PassageRow.embedding_status == EmbeddingStatus.WAITING,
        )
        revived = (EmbeddingRequest.state == EmbeddingRequestState.FAILED, needed)
        with self._database.read() as session:
            if session.scalar(select(EmbeddingRequest.hash).where(*revived).limit(1)) is None:
                return
        with self._database.write() as session:
            again = {"state": EmbeddingRequestState.WAITING, "attempts": 0, "batch_id": None, "error": None}
            session.execute(update(EmbeddingRequest).where(*revived).values(again))


def claim(session: Session, lines: Sequence[Line], batch_id: str) -> bool:
    """Give these waiting texts to a batch, all or none: False if somebody else has one of them."""
    payers = {line.hash: line.recording_id for line in lines}
    rows = [row for row in _rows(session, payers) if row.state == EmbeddingRequestState.WAITING]
    for row in rows:
        row.state, row.batch_id, row.error = EmbeddingRequestState.SENT, batch_id, None
        row.recording_id = payers[row.hash]  # the first one may be deleted by now
    session.flush()
    return len(rows) == len(payers)


def billed(session: Session, tokens: Mapping[str, int]) -> dict[str, int]:
    """Tokens by recording, of tokens by hash."""
    shares: dict[str, int] = {}
    for row in _rows(session, tokens):
        shares[row.recording_id] = shares.get(row.recording_id, 0) + tokens[row.hash]
    return shares


def done(session: Session, hashes: Iterable[str]) -> None:
    """Their vectors are kept: passages find them by hash from now on."""
    for some in _pieces(hashes):
        session.execute(delete(EmbeddingRequest).where(EmbeddingRequest.hash.in_(some)))


def fail(session: Session, errors: Mapping[str, str], *, spent: bool = False) -> None:
    """No vector this time: another batch, or a person after the third time (at once if `spent`)."""
    rows = _rows(session, errors)
    for row in rows:
        row.attempts, row.error = row.attempts + 1, errors[row.hash]
        over = spent or row.attempts >= MAX_ATTEMPTS
        row.state, row.batch_id = (
            (EmbeddingRequestState.FAILED, row.batch_id) if over else (EmbeddingRequestState.WAITING, None)
        )
    session.flush()
    _mark(
        session,
        [row.hash for row in rows if row.state == EmbeddingRequestState.FAILED],
        EmbeddingStatus.WAITING,
        EmbeddingStatus.FAILED,
    )


def still_waiting(session: Session, lines: Sequence[Line]) -> list[Line]:
    """Those of the lines that are in no batch and were not given up."""
    waiting = {
        row.hash
        for row in _rows(session, [line.hash for line in lines])
        if row.state == EmbeddingRequestState.WAITING
    }
    return [line for line in lines if line.hash in waiting]


def overdue(session: Session, now: float) -> list[str]:
    """Hashes of texts that wait in no batch though a recording's deadline for them is over."""
    mine = (
        select(EmbeddingRequest.hash)
        .where(EmbeddingRequest.state == EmbeddingRequestState.WAITING, Recording.vectors_by <= now)
        .distinct()
    )
    mine = mine.join(PassageRow, PassageRow.text_hash == EmbeddingRequest.hash)
    mine = mine.join(Recording, Recording.id == PassageRow.recording_id)
    return list(
        session.scalars(
            mine.where(
                PassageRow.embedding_status == EmbeddingStatus.WAITING,
                PassageRow.embedding_mode == EmbeddingMode.BATCH,
            )
        )
    )


def put_back(session: Session, batch_id: str) -> None:
    """A batch gives up its texts before they were paid for: they wait again, no try is counted."""
    mine = update(EmbeddingRequest).where(
        EmbeddingRequest.batch_id == batch_id, EmbeddingRequest.state == EmbeddingRequestState.SENT
    )
    session.execute(mine.values(state=EmbeddingRequestState.WAITING, batch_id=None))


def again(session: Session, batch_id: str) -> int:
    """Failed texts of a batch wait for the next one, with all their tries."""
    hashes = failed(session, batch_id)
    for some in _pieces(hashes):
        session.execute(
            update(EmbeddingRequest)
            .where(EmbeddingRequest.hash.in_(some))
            .values(state=EmbeddingRequestState.WAITING, batch_id=None, attempts=0, error=None)
        )
    _mark(session, hashes, EmbeddingStatus.FAILED, EmbeddingStatus.WAITING)
    return len(hashes)


def failed(session: Session, batch_id: str) -> list[str]:
    """Hashes of a batch's texts that were given up."""
    mine = select(EmbeddingRequest.hash).where(
        EmbeddingRequest.batch_id == batch_id, EmbeddingRequest.state == EmbeddingRequestState.FAILED
    )
    return list(session.scalars(mine))


def change_mode(session: Session, recording_id: str, mode: EmbeddingMode) -> Job | None:
    """Passages that wait in no batch are embedded in this mode; the job that embeds them at once, if so."""
    session.execute(update(PassageRow).where(*_idle(recording_id)).values(embedding_mode=mode))
    return embed_job(session, recording_id) if mode == EmbeddingMode.SYNC else None


def idle(session: Session, recording_id: str) -> dict[str, int]:
    """How many passages wait in no batch, by mode."""
    grouped = (
        select(PassageRow.embedding_mode, func.count())
        .where(*_idle(recording_id))
        .group_by(PassageRow.embedding_mode)
    )
    return dict(session.execute(grouped).all())


def _idle(recording_id: str) -> tuple[ColumnElement[bool], ...]:
    under_way = exists().where(
        EmbeddingRequest.hash == PassageRow.text_hash, EmbeddingRequest.state == EmbeddingRequestState.SENT
    )
    return (
        PassageRow.recording_id == recording_id,
        PassageRow.embedding_status == EmbeddingStatus.WAITING,
        ~under_way,
    )


def to_now(session: Session, hashes: Sequence[str]) -> list[Job]:
    """Leave batches: these texts' passages are embedded now. Jobs to ring after the commit."""
    recordings: set[str] = set()
    for some in _pieces(hashes):
        mine = PassageRow.text_hash.in_(some) & PassageRow.embedding_status.in_(
            (EmbeddingStatus.WAITING, EmbeddingStatus.FAILED)
        )
        recordings.update(session.scalars(select(PassageRow.recording_id).where(mine).distinct()))
        session.execute(
            update(PassageRow)
            .where(mine)
            .values(embedding_mode=EmbeddingMode.SYNC, embedding_status=EmbeddingStatus.WAITING)
        )
        session.execute(delete(EmbeddingRequest).where(EmbeddingRequest.hash.in_(some)))
    jobs = [embed_job(session, recording_id) for recording_id in sorted(recordings)]
    return [job for job in jobs if job is not None]


def _enrol(session: Session, passage: PassageRow, text: EmbeddingRequest) -> None:
    mine = update(PassageRow).where(PassageRow.id == passage.id)
    if not passage.text.strip():
        session.execute(mine.values(embedding_status=EmbeddingStatus.OFF))
        refresh_embedding_status(session, passage.recording_id)
        return
    session.execute(mine.values(text_hash=text.hash))
    insert_if_absent(session, text)


def _new(passage: PassageRow, key: str, embedder: BatchEmbedder, now: float) -> EmbeddingRequest:
    return EmbeddingRequest(
        hash=key,
        custom_id=f"chunk_{passage.id}",
        model=embedder.name,
        recording_id=passage.recording_id,
        tokens=tokens_at_most(passage.text),
        since=now,
    )


def _lines(session: Session, texts: Sequence[EmbeddingRequest]) -> list[Line]:
    """Texts with their words, and for whom first; one whose last passage is gone has none and is left out."""
    spoken: dict[str, tuple[str, Recording]] = {}
    for some in _pieces([text.hash for text in texts]):
        mine = select(PassageRow.text_hash, PassageRow.text, Recording)
        mine = mine.join(Recording, Recording.id == PassageRow.recording_id)
        for key, words, recording in session.execute(mine.where(PassageRow.text_hash.in_(some))):
            if key not in spoken or _due_at(recording) < _due_at(spoken[key][1]):
                spoken[key] = (words, recording)
    return [_line(text, *spoken[text.hash]) for text in texts if text.hash in spoken]


def _due_at(recording: Recording) -> float:
    return recording.vectors_by or math.inf


def _line(text: EmbeddingRequest, words: str, recording: Recording) -> Line:
    return Line(
        text.hash,
        text.custom_id,
        recording.id,
        recording.owner,
        text.tokens,
        words,
        recording.vectors_by,
    )


def _rows(session: Session, hashes: Iterable[str]) -> list[EmbeddingRequest]:
    return [
        row
        for some in _pieces(hashes)
        for row in session.scalars(select(EmbeddingRequest).where(EmbeddingRequest.hash.in_(some)))
    ]


def _mark(session: Session, hashes: Sequence[str], before: EmbeddingStatus, after: EmbeddingStatus) -> None:
    """Passages of these texts change from one embedding status to another; their recordings follow."""
    recordings: set[str] = set()
    for some in _pieces(hashes):
        mine = PassageRow.text_hash.in_(some) & (PassageRow.embedding_status == before)
        mine &= PassageRow.embedding_mode == EmbeddingMode.BATCH
        recordings.update(session.scalars(select(PassageRow.recording_id).where(mine).distinct()))
        session.execute(update(PassageRow).where(mine).values(embedding_status=after))
    for recording_id in sorted(recordings):
        refresh_embedding_status(session, recording_id)


def _by_recording(passages: Iterable[PassageRow]) -> Iterator[tuple[str, list[PassageRow]]]:
    grouped = itertools.groupby(sorted(passages, key=lambda p: p.recording_id), key=lambda p: p.recording_id)
    return ((recording_id, list(mine)) for recording_id, mine in grouped)


def _pieces(values: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(values)
    return (ordered[start : start + SOME] for start in range(0, len(ordered), SOME))
