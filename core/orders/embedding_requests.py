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
from core.database.tables import EmbeddingRequestRow, Job, PassageRow, Recording
from core.database.upsert import insert_if_absent
from core.embedding.embedder import BatchEmbedder, Embedder, text_hash, tokens_at_most
from core.search.embedding_jobs import embed_job
from core.search.index import Index
from core.search.passages import is_active, mark, publish, refresh_embedding_status

ENROLLED_AT_ONCE = 2000
LOOKED_UP = 1000
"""Vectors read at once, only to see whether they are there."""
MAX_ATTEMPTS = 3
MOST_VALUES = 5000
"""Values in one `IN (…)`; databases limit them."""


@dataclass(frozen=True)
class EmbeddingRequest:
    """A text on its way to a vector, from planning to the index.

    Sent under `custom_id`, answered by an `EmbeddingResult` with the same one; its vector is kept under
    `hash`, where every passage with this text finds it.
    """

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


class EmbeddingRequests:
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
        vectors = self._index.vectors_of(embedder, hashes.values())
        have = [passage for passage in passages if hashes[passage.id] in vectors]
        for recording_id, own in _by_recording(have):
            self._adopt(embedder, recording_id, own, {p.id: vectors[hashes[p.id]] for p in own}, hashes)
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
            EmbeddingRequestRow.hash == PassageRow.text_hash, EmbeddingRequestRow.model == embedder.name
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
        request_hashes = [hashes[one] for one in ids]
        found = [vectors[one] for one in ids]
        placed = self._index.put_vectors(embedder, recording_id, recording.owner, ids, request_hashes, found)
        with self._database.write() as session:
            mark(session, recording_id, placed, embedder)
        if len(placed) < len(ids):
            publish(self._database, self._index, recording_id)

    def waiting(self, embedder: BatchEmbedder, limit: int) -> list[EmbeddingRequest]:
        """Texts to send, those that wait longest first.

        Dropped are texts that nobody needs any more, and those that got a vector at once.
        """
        needed = exists().where(
            PassageRow.text_hash == EmbeddingRequestRow.hash,
            PassageRow.embedding_status == EmbeddingStatus.WAITING,
            PassageRow.embedding_mode == EmbeddingMode.BATCH,
        )
        with self._database.write() as session:
            idle = EmbeddingRequestRow.state == EmbeddingRequestState.WAITING
            session.execute(
                delete(EmbeddingRequestRow).where(
                    idle, (EmbeddingRequestRow.model != embedder.name) | ~needed
                )
            )
            oldest = (
                select(EmbeddingRequestRow)
                .where(idle)
                .order_by(EmbeddingRequestRow.since, EmbeddingRequestRow.hash)
                .limit(limit)
            )
            requests = _with_texts(session, list(session.scalars(oldest)))
        vectors = self._known(embedder, [request.hash for request in requests])
        if vectors:
            with self._database.write() as session:
                done(session, vectors)
        return [request for request in requests if request.hash not in vectors]

    def _known(self, embedder: BatchEmbedder, hashes: Sequence[str]) -> set[str]:
        chunks = (hashes[start : start + LOOKED_UP] for start in range(0, len(hashes), LOOKED_UP))
        return {key for chunk in chunks for key in self._index.vectors_of(embedder, chunk)}

    def of_batch(self, batch_id: str) -> list[EmbeddingRequest]:
        """The texts that a batch has, as far as somebody still needs them."""
        with self._database.read() as session:
            query = (
                select(EmbeddingRequestRow)
                .where(
                    EmbeddingRequestRow.batch_id == batch_id,
                    EmbeddingRequestRow.state == EmbeddingRequestState.SENT,
                )
                .order_by(EmbeddingRequestRow.hash)
            )
            return _with_texts(session, list(session.scalars(query)))

    def sent(self, batch_id: str) -> list[EmbeddingRequestRow]:
        """Everything that a batch has claimed."""
        with self._database.read() as session:
            return list(
                session.scalars(
                    select(EmbeddingRequestRow).where(
                        EmbeddingRequestRow.batch_id == batch_id,
                        EmbeddingRequestRow.state == EmbeddingRequestState.SENT,
                    )
                )
            )

    def pending(self, embedder: Embedder) -> Pending:
        """What waits to be sent."""
        idle = select(
            func.count(),
            func.coalesce(func.sum(EmbeddingRequestRow.tokens), 0),
            func.min(EmbeddingRequestRow.since),
        )
        query = idle.where(
            EmbeddingRequestRow.state == EmbeddingRequestState.WAITING,
            EmbeddingRequestRow.model == embedder.name,
        )
        with self._database.read() as session:
            number, tokens, since = session.execute(query).one()
        return Pending(number, int(tokens), since or 0.0)

    def _revive(self) -> None:
        """Failed texts whose passages wait again, because a person wants it, get all their tries again."""
        needed = exists().where(
            PassageRow.text_hash == EmbeddingRequestRow.hash,
            PassageRow.embedding_status == EmbeddingStatus.WAITING,
        )
        revived = (EmbeddingRequestRow.state == EmbeddingRequestState.FAILED, needed)
        with self._database.read() as session:
            if session.scalar(select(EmbeddingRequestRow.hash).where(*revived).limit(1)) is None:
                return
        with self._database.write() as session:
            again = {"state": EmbeddingRequestState.WAITING, "attempts": 0, "batch_id": None, "error": None}
            session.execute(update(EmbeddingRequestRow).where(*revived).values(again))


def claim(session: Session, requests: Sequence[EmbeddingRequest], batch_id: str) -> bool:
    """Give these waiting texts to a batch, all or none: False if somebody else has one of them."""
    payers = {request.hash: request.recording_id for request in requests}
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
    for chunk in _chunks(hashes):
        session.execute(delete(EmbeddingRequestRow).where(EmbeddingRequestRow.hash.in_(chunk)))


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
    _set_status(
        session,
        [row.hash for row in rows if row.state == EmbeddingRequestState.FAILED],
        EmbeddingStatus.WAITING,
        EmbeddingStatus.FAILED,
    )


def still_waiting(session: Session, requests: Sequence[EmbeddingRequest]) -> list[EmbeddingRequest]:
    """Those of the requests that are in no batch and were not given up."""
    waiting = {
        row.hash
        for row in _rows(session, [request.hash for request in requests])
        if row.state == EmbeddingRequestState.WAITING
    }
    return [request for request in requests if request.hash in waiting]


def overdue(session: Session, now: float) -> list[str]:
    """Hashes of texts that wait in no batch though a recording's deadline for them is over."""
    query = (
        select(EmbeddingRequestRow.hash)
        .where(EmbeddingRequestRow.state == EmbeddingRequestState.WAITING, Recording.vectors_by <= now)
        .distinct()
    )
    query = query.join(PassageRow, PassageRow.text_hash == EmbeddingRequestRow.hash)
    query = query.join(Recording, Recording.id == PassageRow.recording_id)
    return list(
        session.scalars(
            query.where(
                PassageRow.embedding_status == EmbeddingStatus.WAITING,
                PassageRow.embedding_mode == EmbeddingMode.BATCH,
            )
        )
    )


def requeue(session: Session, batch_id: str) -> None:
    """A batch gives up its texts before they were paid for: they wait again, no try is counted."""
    statement = update(EmbeddingRequestRow).where(
        EmbeddingRequestRow.batch_id == batch_id, EmbeddingRequestRow.state == EmbeddingRequestState.SENT
    )
    session.execute(statement.values(state=EmbeddingRequestState.WAITING, batch_id=None))


def again(session: Session, batch_id: str) -> int:
    """Failed texts of a batch wait for the next one, with all their tries."""
    hashes = failed(session, batch_id)
    for chunk in _chunks(hashes):
        session.execute(
            update(EmbeddingRequestRow)
            .where(EmbeddingRequestRow.hash.in_(chunk))
            .values(state=EmbeddingRequestState.WAITING, batch_id=None, attempts=0, error=None)
        )
    _set_status(session, hashes, EmbeddingStatus.FAILED, EmbeddingStatus.WAITING)
    return len(hashes)


def failed(session: Session, batch_id: str) -> list[str]:
    """Hashes of a batch's texts that were given up."""
    query = select(EmbeddingRequestRow.hash).where(
        EmbeddingRequestRow.batch_id == batch_id, EmbeddingRequestRow.state == EmbeddingRequestState.FAILED
    )
    return list(session.scalars(query))


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
        EmbeddingRequestRow.hash == PassageRow.text_hash,
        EmbeddingRequestRow.state == EmbeddingRequestState.SENT,
    )
    return (
        PassageRow.recording_id == recording_id,
        PassageRow.embedding_status == EmbeddingStatus.WAITING,
        ~under_way,
    )


def leave_batches(session: Session, hashes: Sequence[str]) -> list[Job]:
    """Leave batches: these texts' passages are embedded now. Jobs to ring after the commit."""
    recordings: set[str] = set()
    for chunk in _chunks(hashes):
        condition = PassageRow.text_hash.in_(chunk) & PassageRow.embedding_status.in_(
            (EmbeddingStatus.WAITING, EmbeddingStatus.FAILED)
        )
        recordings.update(session.scalars(select(PassageRow.recording_id).where(condition).distinct()))
        session.execute(
            update(PassageRow)
            .where(condition)
            .values(embedding_mode=EmbeddingMode.SYNC, embedding_status=EmbeddingStatus.WAITING)
        )
        session.execute(delete(EmbeddingRequestRow).where(EmbeddingRequestRow.hash.in_(chunk)))
    jobs = [embed_job(session, recording_id) for recording_id in sorted(recordings)]
    return [job for job in jobs if job is not None]


def _enrol(session: Session, passage: PassageRow, text: EmbeddingRequestRow) -> None:
    statement = update(PassageRow).where(PassageRow.id == passage.id)
    if not passage.text.strip():
        session.execute(statement.values(embedding_status=EmbeddingStatus.OFF))
        refresh_embedding_status(session, passage.recording_id)
        return
    session.execute(statement.values(text_hash=text.hash))
    insert_if_absent(session, text)


def _new(passage: PassageRow, key: str, embedder: BatchEmbedder, now: float) -> EmbeddingRequestRow:
    return EmbeddingRequestRow(
        hash=key,
        custom_id=f"chunk_{passage.id}",
        model=embedder.name,
        recording_id=passage.recording_id,
        tokens=tokens_at_most(passage.text),
        since=now,
    )


def _with_texts(session: Session, texts: Sequence[EmbeddingRequestRow]) -> list[EmbeddingRequest]:
    """Requests with their texts, and for whom first; one whose last passage is gone has none: left out."""
    texts_by_hash: dict[str, tuple[str, Recording]] = {}
    for chunk in _chunks([text.hash for text in texts]):
        query = select(PassageRow.text_hash, PassageRow.text, Recording)
        query = query.join(Recording, Recording.id == PassageRow.recording_id)
        for key, content, recording in session.execute(query.where(PassageRow.text_hash.in_(chunk))):
            if key not in texts_by_hash or _due_at(recording) < _due_at(texts_by_hash[key][1]):
                texts_by_hash[key] = (content, recording)
    return [_request(text, *texts_by_hash[text.hash]) for text in texts if text.hash in texts_by_hash]


def _due_at(recording: Recording) -> float:
    return recording.vectors_by or math.inf


def _request(row: EmbeddingRequestRow, text: str, recording: Recording) -> EmbeddingRequest:
    return EmbeddingRequest(
        row.hash,
        row.custom_id,
        recording.id,
        recording.owner,
        row.tokens,
        text,
        recording.vectors_by,
    )


def _rows(session: Session, hashes: Iterable[str]) -> list[EmbeddingRequestRow]:
    return [
        row
        for chunk in _chunks(hashes)
        for row in session.scalars(select(EmbeddingRequestRow).where(EmbeddingRequestRow.hash.in_(chunk)))
    ]


def _set_status(
    session: Session, hashes: Sequence[str], before: EmbeddingStatus, after: EmbeddingStatus
) -> None:
    """Passages of these texts change from one embedding status to another; their recordings follow."""
    recordings: set[str] = set()
    for chunk in _chunks(hashes):
        condition = PassageRow.text_hash.in_(chunk) & (PassageRow.embedding_status == before)
        condition &= PassageRow.embedding_mode == EmbeddingMode.BATCH
        recordings.update(session.scalars(select(PassageRow.recording_id).where(condition).distinct()))
        session.execute(update(PassageRow).where(condition).values(embedding_status=after))
    for recording_id in sorted(recordings):
        refresh_embedding_status(session, recording_id)


def _by_recording(passages: Iterable[PassageRow]) -> Iterator[tuple[str, list[PassageRow]]]:
    grouped = itertools.groupby(sorted(passages, key=lambda p: p.recording_id), key=lambda p: p.recording_id)
    return ((recording_id, list(group)) for recording_id, group in grouped)


def _chunks(values: Iterable[str]) -> Iterator[list[str]]:
    ordered = sorted(values)
    return (ordered[start : start + MOST_VALUES] for start in range(0, len(ordered), MOST_VALUES))
