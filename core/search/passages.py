"""Passages in SQL: what of a recording is searched, and whether it is found by meaning too.

A passage waits for its vector, has it, gets none (no embedder reads its language), or has failed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from sqlalchemy import Select, delete, exists, func, select, update
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.owned import owned_by, visible_to
from core.database.states import EmbeddingMode, EmbeddingStatus, JobKind
from core.database.tables import (
    Collection,
    CollectionMoment,
    Job,
    KeptMoment,
    KeyValue,
    PassageRow,
    Recording,
    Task,
    Transcript,
)
from core.embedding.embedder import Embedder, understands
from core.errors import Code, Unavailable
from core.principal import Principal
from core.queue.jobs import Claim, JobQueue, changed
from core.queue.locks import acquire_exclusive
from core.search.index import Index, Row, Scope
from core.search.operators import SearchQuery
from core.transcripts.chunking import Passage, language
from core.transcripts.speakers import CHANNEL_LABELS, LABEL

ACTIVE = "embedder"
"""The fact that names the embedder whose vectors passages get."""
SEARCHED = (
    PassageRow.id,
    PassageRow.recording_id,
    Recording.owner,
    PassageRow.start_s,
    PassageRow.end_s,
    PassageRow.text,
    PassageRow.language,
    PassageRow.speaker,
)
"""The columns of a `Row`, in its order."""


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
        statement = select(PassageRow).where(
            PassageRow.recording_id == recording_id,
            PassageRow.embedding_status == EmbeddingStatus.WAITING,
            PassageRow.embedding_mode == EmbeddingMode.SYNC,
        )
        with self._database.read() as session:
            return list(session.scalars(statement.order_by(PassageRow.n).limit(limit)))

    def rows(self, ids: Iterable[str]) -> dict[str, Row]:
        """Passages by id as they are searched; those that are gone are left out."""
        statement = select(*SEARCHED).join(Recording, PassageRow.recording_id == Recording.id)
        with self._database.read() as session:
            rows = session.execute(statement.where(PassageRow.id.in_(list(ids))))
            return {values[0]: Row(*values) for values in rows}

    def speakers(self, principal: Principal) -> dict[str, int]:
        """In how many recordings people with a name speak, by name; most first."""
        recording_count = func.count(PassageRow.recording_id.distinct())
        named = select(PassageRow.speaker, recording_count).join(
            Recording, Recording.id == PassageRow.recording_id
        )
        named = named.where(PassageRow.speaker.not_in(("", *CHANNEL_LABELS)))
        named = named.where(PassageRow.speaker.not_like(f"{LABEL.rstrip('_')}\\_%", escape="\\"))
        named = visible_to(named, principal, Recording)
        named = named.group_by(PassageRow.speaker).order_by(recording_count.desc(), PassageRow.speaker)
        with self._database.read() as session:
            return {row[0]: row[1] for row in session.execute(named)}

    def of_speakers(self, principal: Principal, names: Sequence[str], limit: int) -> list[Row]:
        """What these people say, newest recordings first."""
        statement = select(*SEARCHED).join(Recording, PassageRow.recording_id == Recording.id)
        statement = statement.where(PassageRow.speaker.in_(names))
        statement = visible_to(statement, principal, Recording)
        statement = statement.order_by(Recording.dated_at.desc(), PassageRow.start_s).limit(limit)
        with self._database.read() as session:
            return [Row(*values) for values in session.execute(statement)]

    def scope(self, principal: Principal) -> Scope | None:
        """Where somebody may look; None: nowhere. Of two ways to say it the shorter one."""
        if principal.only:
            return Scope(None, (principal.only,))
        if principal.admin or not principal.is_person:
            return Scope(None if principal.admin else principal.owner)
        with self._database.read() as session:
            visible = set(session.scalars(visible_to(select(Recording.id), principal, Recording)))
            hidden = set(session.scalars(select(Recording.id))) - visible
        if not visible:
            return None
        return Scope(hidden=tuple(hidden)) if len(hidden) < len(visible) else Scope(None, tuple(visible))

    def visible(self, principal: Principal, recording_ids: Iterable[str]) -> set[str]:
        """Of these recordings those that they may see now."""
        known = select(Recording.id).where(Recording.id.in_(list(recording_ids)))
        with self._database.read() as session:
            return set(session.scalars(visible_to(known, principal, Recording)))

    def recordings_of(self, principal: Principal, query: SearchQuery) -> list[str]:
        """Recordings that they may see, with all these tags, that were made in this time."""
        statement = select(Recording.id, Recording.tags).order_by(Recording.dated_at.desc())
        statement = visible_to(statement, principal, Recording)
        if query.before is not None:
            statement = statement.where(Recording.dated_at < query.before)
        if query.after is not None:
            statement = statement.where(Recording.dated_at >= query.after)
        statement = _narrowed(statement, principal, query)
        wanted_tags = {tag.casefold() for tag in query.tags}
        with self._database.read() as session:
            return [
                id_
                for id_, tags in session.execute(statement)
                if wanted_tags <= {tag.casefold() for tag in tags}
            ]

    def all_of(self, recording_id: str) -> list[PassageRow]:
        """The passages of a recording, in order."""
        statement = select(PassageRow).where(PassageRow.recording_id == recording_id).order_by(PassageRow.n)
        with self._database.read() as session:
            return list(session.scalars(statement))

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


def _narrowed(
    statement: Select[str, list[str]], principal: Principal, query: SearchQuery
) -> Select[str, list[str]]:
    """By language, engine, state, length and collection."""
    if languages := query.values("lang"):
        statement = statement.where(func.lower(Recording.language).in_(languages))
    if states := query.values("state"):
        statement = statement.where(
            Recording.embedding_status.in_([s for s in EmbeddingStatus if s.value in states])
        )
    if engines := query.values("engine"):
        transcript_join = Transcript.id == Recording.transcript_id, func.lower(Transcript.engine).in_(engines)
        statement = statement.where(exists().where(*transcript_join))
    if query.longer_s is not None:
        statement = statement.where(Recording.duration_s >= query.longer_s)
    if query.shorter_s is not None:
        statement = statement.where(Recording.duration_s <= query.shorter_s)
    if titles := query.values("in"):
        kept_moments = select(KeptMoment.recording_id)
        kept_moments = kept_moments.join(CollectionMoment, CollectionMoment.moment_id == KeptMoment.id)
        kept_moments = kept_moments.join(Collection, Collection.id == CollectionMoment.collection_id)
        kept_moments = owned_by(kept_moments, principal, Collection)
        statement = statement.where(
            Recording.id.in_(kept_moments.where(func.lower(Collection.title).in_(titles)))
        )
    return statement


def refresh_embedding_status(session: Session, recording_id: str) -> EmbeddingStatus:
    """A recording's embedding status follows from its passages: the least finished one speaks for all."""
    session.flush()
    statement = select(PassageRow.embedding_status).where(PassageRow.recording_id == recording_id).distinct()
    statuses = set(session.scalars(statement))
    status = next(
        (
            state
            for state in (EmbeddingStatus.WAITING, EmbeddingStatus.FAILED, EmbeddingStatus.DONE)
            if state in statuses
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
        condition = PassageRow.id.in_(list(ids)) & (PassageRow.embedding_status == EmbeddingStatus.WAITING)
        session.execute(update(PassageRow).where(condition).values(embedding_status=EmbeddingStatus.DONE))
        refresh_embedding_status(session, recording_id)


def wait_again(session: Session, recording_id: str, modes: Iterable[EmbeddingMode]) -> bool:
    """Failed passages of these modes are to be tried once more; False if there are none."""
    statement = update(PassageRow).where(
        PassageRow.recording_id == recording_id, PassageRow.embedding_mode.in_(list(modes))
    )
    failed = changed(
        session,
        statement.where(PassageRow.embedding_status == EmbeddingStatus.FAILED).values(
            embedding_status=EmbeddingStatus.WAITING
        ),
    )
    refresh_embedding_status(session, recording_id)
    return failed


def publish(database: Database, index: Index, recording_id: str) -> None:
    """Have the index say what is kept here, also where that changes at this very moment."""
    word_rows: list[Row] | None = None
    while (rows := _rows(database, recording_id)) != word_rows:
        index.put(recording_id, rows)
        word_rows = rows


def sweep(database: Database, index: Index) -> int:
    """Take out of the index what was deleted here and stayed there; says of how many recordings."""
    indexed_ids = index.recordings()
    with database.read() as session:
        deleted_ids = indexed_ids - set(session.scalars(select(Recording.id)))
    for recording_id in deleted_ids:
        index.remove(recording_id)
    return len(deleted_ids)


def _rows(database: Database, recording_id: str) -> list[Row]:
    statement = select(*SEARCHED).join(Recording, PassageRow.recording_id == Recording.id)
    statement = statement.where(Recording.id == recording_id).order_by(PassageRow.n)
    with database.read() as session:
        return [Row(*values) for values in session.execute(statement)]


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
