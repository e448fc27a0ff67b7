"""What a cap holds back, and the way out that costs less: another engine, or another embedding mode.

Held work is a job that was put off because a call would have passed a cap. It goes on by itself when the
cap is raised or a new month begins; taking the cheaper way sends it on at once, as the same task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.audit import audited
from core.billing import Quote
from core.billing.ledger import CAP_CODES, Ledger, Spent, scopes
from core.database.database import Database
from core.database.states import (
    AuditAction,
    AuditSubject,
    EmbeddingMode,
    EmbeddingStatus,
    JobKind,
    JobState,
    PriceMode,
    RunOutcome,
)
from core.database.tables import Job, PassageRow, Recording, Task, Transcript
from core.embedding.embedder import Embedder, batching, tokens_at_most
from core.errors import code_of
from core.orders import embedding_requests
from core.planning.estimates import Estimates
from core.principal import Principal
from core.queue import history
from core.queue.jobs import JobQueue, changed
from core.speech.engine import Engine
from core.transcripts import transcripts


@dataclass(frozen=True)
class Group:
    """Held work that may go one way together: of one owner, kind, engine, language and embedding mode."""

    owner: str
    kind: str
    """transcribe, or embed: only vectors are still to be bought."""
    engine: str
    language: str
    embedding_mode: EmbeddingMode
    jobs: tuple[str, ...]
    recordings: tuple[str, ...]
    audio_s: tuple[float, ...]


@dataclass(frozen=True)
class Alternative:
    """A cheaper way for a group: what is still to be paid to others by it, and by the present one, USD."""

    group: Group
    quote: Quote | None
    """None: the same engine, vectors in a batch."""
    engine: str
    embedding_mode: EmbeddingMode
    usd: Decimal
    before_usd: Decimal


class BudgetHolds:
    """Work that waits for money."""

    def __init__(
        self,
        database: Database,
        work: JobQueue,
        ledger: Ledger,
        estimates: Estimates,
        engines: Mapping[str, Engine],
        embedder: Callable[[], Embedder],
        *,
        share_results: bool,
    ) -> None:
        self._database = database
        self._job_queue = work
        self._ledger = ledger
        self._estimates = estimates
        self._engines = engines
        self._embedder = embedder
        self._share = share_results

    def groups(self) -> list[Group]:
        """All that a cap holds back, largest group first."""
        found: dict[tuple[str, ...], list[tuple[str, str, float]]] = {}
        statement = (
            select(Job.id, Job.kind, Task, Recording.duration_s)
            .join(Task, Task.id == Job.task_id)
            .join(Recording, Recording.id == Task.recording_id)
            .where(Task.excerpt.is_(None))  # what was asked of one engine goes no other way
        )
        with self._database.read() as session:
            for job_id, kind, task, length_s in session.execute(statement.where(Job.id.in_(capped(session)))):
                key = (task.owner, kind, task.engine, task.language, task.embedding_mode)
                found.setdefault(key, []).append((job_id, task.recording_id, length_s or 0.0))
        groups = [_group(key, rows) for key, rows in found.items()]
        return sorted(groups, key=lambda group: -len(group.jobs))

    def ways(self) -> list[Alternative]:
        """For each group the cheapest way that costs less than its own and fits under the cap."""
        return [way for group in self.groups() if (way := self._way(group)) is not None]

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, lambda given: given["way"].group.recordings)
    def take(self, principal: Principal, way: Alternative) -> int:
        """Send a group on by its cheaper way. How much of it was still held. Raises AdminsOnly."""
        principal.must_administer()
        jobs: list[Job] = []
        taken = 0
        with self._database.write() as session:
            for job_id in way.group.jobs:
                if (task := self._release_job(session, job_id)) is None:
                    continue
                taken += 1
                if way.group.kind == JobKind.EMBED:
                    embedding_requests.change_mode(session, task.recording_id, way.embedding_mode)
                else:
                    jobs.append(self._begin(session, task, way))
        for job in jobs:
            self._job_queue.notify(job)
        return taken

    # What costs less

    def _way(self, group: Group) -> Alternative | None:
        if group.kind == JobKind.EMBED:
            return self._by_batch(group)
        answer = self._estimates.answer(durations_s=group.audio_s, language=group.language)
        own = self._estimates.of_engine(answer, group.engine, group.embedding_mode)
        before = self._estimates.payable(own) if own else None
        room = self._room(group.owner)
        for quote in answer.quotes:
            usd = self._estimates.payable(quote)
            if quote.blocked is not None or usd is None or before is None:
                continue  # what nobody knows the price of is not cheaper
            if usd <= room and usd < before:
                options = self._estimates.options(quote, group.language)
                return Alternative(
                    group, quote, options.engine, options.embedding_mode or group.embedding_mode, usd, before
                )
        return None

    def _by_batch(self, group: Group) -> Alternative | None:
        """Vectors at half the price."""
        paid = batching(self._embedder())
        if paid is None or group.embedding_mode == EmbeddingMode.BATCH:
            return None
        waiting = select(PassageRow.text).where(
            PassageRow.recording_id.in_(group.recordings),
            PassageRow.embedding_status == EmbeddingStatus.WAITING,
        )
        with self._database.read() as session:
            tokens = sum(map(tokens_at_most, session.scalars(waiting)))
        usd, before = (
            self._ledger.cost_usd(paid.provider, paid.model, mode, tokens)
            for mode in (PriceMode.BATCH, PriceMode.SYNC)
        )
        if usd is None or before is None or not usd < before or usd > self._room(group.owner):
            return None
        return Alternative(group, None, group.engine, EmbeddingMode.BATCH, usd, before)

    def _room(self, owner: str) -> Decimal:
        """What may still be spent this month by somebody."""
        return min(_left(self._ledger.month(scope)) for scope in scopes(owner))

    # Going it

    def _release_job(self, session: Session, job_id: str) -> Task | None:
        """The task of a job that is still held; the job itself is over."""
        statement = update(Job).where(Job.id == job_id, Job.state == JobState.READY, Job.error.is_not(None))
        if not changed(
            session, statement.values(state=JobState.CANCELLED, finished_at=self._job_queue.now())
        ):
            return None
        job = session.get_one(Job, job_id, populate_existing=True)
        history.note(session, job, RunOutcome.CANCELLED, self._job_queue.now(), ran=False)
        return session.get_one(Task, job.task_id)

    def _begin(self, session: Session, task: Task, way: Alternative) -> Job:
        """The same task, from its beginning, with another engine."""
        old, engine = session.get_one(Transcript, task.transcript_id), self._engines[way.engine]
        form = transcripts.form_of(old, "" if self._share else task.owner)
        if len((old.identified or {}).get("languages", ())) > 1:  # each stretch is to be found again
            transcript = transcripts.undecided(old.sha256, engine.name, form)
        else:
            transcript = transcripts.new_transcript(old.sha256, {task.language: engine}, form)
        stored = transcripts.find_or_begin(session, transcript)
        session.flush()
        task.engine, task.embedding_mode, task.transcript_id = stored.engine, way.embedding_mode, stored.id
        task.language = stored.language
        kind, queue = (JobKind.INDEX, "index") if stored.complete else (JobKind.PREPARE, "cpu")
        now = self._job_queue.now()
        job = Job(task_id=task.id, kind=kind, queue=queue, run_at=now, notified_at=now, created_at=now)
        session.add(job)
        session.flush()
        return job


def capped(session: Session) -> list[str]:
    """Jobs that were put off because of a cap."""
    waiting = select(Job.id, Job.error).where(Job.state == JobState.READY, Job.error.is_not(None))
    return [id_ for id_, error in session.execute(waiting) if code_of(error) in CAP_CODES]


def _group(key: tuple[str, ...], rows: Sequence[tuple[str, str, float]]) -> Group:
    owner, kind, engine, language, mode = key
    jobs, recordings, audio_s = zip(*rows, strict=True)
    return Group(owner, kind, engine, language, EmbeddingMode(mode), jobs, recordings, audio_s)


def _left(month: Spent) -> Decimal:
    return Decimal("Infinity") if month.cap is None else month.cap - month.spent - month.reserved
