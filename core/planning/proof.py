"""The proof: what was estimated against what it came to, what was saved, and a month by other routes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.audit import audited
from core.billing import Quote, is_under_a_cent
from core.billing.ledger import BILLION, Ledger
from core.billing.tariffs import ALL, Tariffs
from core.database.database import Database
from core.database.owned import visible_to
from core.database.states import (
    AuditAction,
    AuditSubject,
    EmbeddingStatus,
    PaymentState,
    PriceMode,
    TaskStatus,
)
from core.database.tables import (
    Budget,
    Cover,
    Job,
    Key,
    PassageRow,
    Payment,
    Plan,
    Recording,
    Task,
    Transcript,
)
from core.embedding.embedder import tokens_at_most
from core.orders.batch_planner import CAPPED
from core.planning.estimates import Estimates
from core.planning.holds import capped
from core.principal import Principal

MONTHS = 24
LARGEST = 5
TENTH = 0.1


@dataclass(frozen=True)
class Paid:
    """A call's share for one recording: promised, and what it came to. Quantities are tokens or seconds."""

    at: float
    waited_s: float | None
    provider: str
    model: str
    mode: PriceMode
    owner: str
    recording_id: str
    title: str
    state: str
    promised: int
    counted: int
    promised_usd: Decimal
    usd: Decimal


@dataclass(frozen=True)
class Proved:
    """A plan that was taken: the quote and what its recordings have cost and taken since."""

    at: float
    route: str
    recordings: int
    done: int
    quoted_usd: Decimal
    usd: Decimal
    quoted_tokens: int
    tokens: int
    p50_s: float | None
    p90_s: float | None
    took_s: float | None

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.done == self.recordings


@dataclass(frozen=True)
class Sum:
    """A month, a provider or a key, in money."""

    name: str
    calls: int
    promised_usd: Decimal
    usd: Decimal


@dataclass(frozen=True)
class Month(Sum):
    """A month with what batches saved in it."""

    saved_usd: Decimal


class Reason(StrEnum):
    """Why an estimate lay off by more than a tenth."""

    TINY = "tiny"
    """Amounts below a cent: minimums and rounding weigh more than the work."""
    COUNTED = "counted"
    """The provider counted more or fewer tokens or seconds than were promised."""
    PRICE = "price"
    """The quantity was right, so the price has changed since."""


@dataclass(frozen=True)
class Budgeted:
    """The month of somebody: spent, promised, and the most it may be."""

    scope: str
    name: str
    spent: Decimal
    reserved: Decimal
    cap: Decimal | None


@dataclass(frozen=True)
class Saved:
    """What was not paid, USD."""

    by_batching: Decimal
    by_not_paying_twice: Decimal


class Proof:
    """What the ledger says afterwards."""

    def __init__(self, database: Database, ledger: Ledger, tariffs: Tariffs, estimates: Estimates) -> None:
        self._database = database
        self._ledger = ledger
        self._tariffs = tariffs
        self._estimates = estimates

    def paid(self, principal: Principal, *, month: str = "", limit: int = 200) -> list[Paid]:
        """The newest payments for recordings that they may see, of one month or all."""
        statement = select(Payment, Recording.title).outerjoin(
            Recording, Recording.id == Payment.recording_id
        )
        statement = visible_to(statement, principal, Recording)
        if month:
            statement = statement.where(Payment.month == month)
        with self._database.read() as session:
            rows = session.execute(statement.order_by(Payment.at.desc()).limit(limit)).all()
        return [_paid(payment, title or "") for payment, title in rows]

    def plans(self, limit: int = 20) -> list[Proved]:
        """Plans that were taken, newest first, each against the ledger."""
        with self._database.read() as session:
            plans = list(session.scalars(select(Plan).order_by(Plan.at.desc()).limit(limit)))
            return [_proved(session, plan) for plan in plans]

    def sums(self, by: str) -> list[Sum]:
        """Settled money by `month`, `provider` or `owner`, the newest month or largest sum first."""
        column = {"month": Payment.month, "provider": Payment.provider, "owner": Payment.owner}[by]
        ended = select(column, Payment.call_id, Payment.usd_estimated, Payment.usd)
        groups: dict[str, list[tuple[str, str, str]]] = {}
        with self._database.read() as session:
            for name, *row in session.execute(
                ended.where(Payment.state.in_((PaymentState.SETTLED, PaymentState.DISPUTED)))
            ):
                groups.setdefault(name, []).append((row[0], row[1], row[2]))
        sums = [_summed(name, rows) for name, rows in groups.items()]
        if by == "month":
            return sorted(sums, key=lambda each: each.name, reverse=True)[:MONTHS]
        return sorted(sums, key=lambda each: -each.usd)

    def months(self) -> list[Month]:
        """Each month's promises, bills and savings, the newest first."""
        return [
            Month(each.name, each.calls, each.promised_usd, each.usd, self._ledger.saved(each.name))
            for each in self.sums("month")
        ]

    def largest(self, principal: Principal, limit: int = LARGEST) -> list[Sum]:
        """The recordings that have cost most, by title, dearest first; of those that they may see."""
        column = func.coalesce(Recording.title, "")
        ended = (
            select(Payment.recording_id, column, Payment.call_id, Payment.usd_estimated, Payment.usd)
            .outerjoin(Recording, Recording.id == Payment.recording_id)
            .where(Payment.state.in_((PaymentState.SETTLED, PaymentState.DISPUTED)))
        )
        ended = visible_to(ended, principal, Recording)
        groups: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
        with self._database.read() as session:
            for id_, title, *row in session.execute(ended):
                groups.setdefault((id_, title), []).append((row[0], row[1], row[2]))
        sums = [_summed(title, rows) for (_, title), rows in groups.items()]
        return sorted(sums, key=lambda each: -each.usd)[:limit]

    def why(self, month: Sum) -> Reason | None:
        """Why a month's estimate lay off by more than a tenth; None where it did not."""
        off = error(month.promised_usd, month.usd)
        if off is None or abs(off) <= TENTH:
            return None
        if is_under_a_cent(max(month.promised_usd, month.usd)):
            return Reason.TINY
        counted = select(func.sum(Payment.tokens_estimated), func.sum(Payment.tokens)).where(
            Payment.month == month.name, Payment.state == PaymentState.SETTLED
        )
        with self._database.read() as session:
            promised, came = session.execute(counted).one()
        far = promised and came and abs(promised / came - 1) > TENTH / 2
        return Reason.COUNTED if far else Reason.PRICE

    def saved(self) -> Saved:
        """By batching, against single calls; by not paying twice, for vectors and transcripts at hand."""
        return Saved(self._ledger.saved(), self._vectors_at_hand() + self._transcripts_at_hand())

    def _transcripts_at_hand(self) -> Decimal:
        """Transcripts that came to more than one task, at what the ledger says that each has cost."""
        sold = self._estimates.providers()
        with self._database.read() as session:
            used = select(Transcript.id, Transcript.engine, func.count()).join(
                Task, Task.transcript_id == Transcript.id
            )
            used = used.where(Task.status == TaskStatus.COMPLETED, Transcript.engine.in_(list(sold)))
            again = session.execute(used.group_by(Transcript.id).having(func.count() > 1)).all()
            costs = [(times - 1) * _cost(session, id_, engine, sold[engine]) for id_, engine, times in again]
        return sum(costs, Decimal(0))

    def _vectors_at_hand(self) -> Decimal:
        """Texts with vectors that nobody paid for here, at what single calls would have asked.

        Without a price for those nothing is claimed to be saved.
        """
        with self._database.read() as session:
            paid = _promised(session)
            letters = _embedded(session)
            counted = _counted_share(session)
        free = sum(max(0, tokens - paid.get(id_, 0)) for id_, tokens in letters.items())
        if not paid:
            return Decimal(0)
        usd = self._ledger.cost_usd("gemini", self._estimates.model, PriceMode.SYNC, int(free * counted))
        return Decimal(0) if usd is None else usd

    # Budgets

    def budgets(self) -> list[Budgeted]:
        """The present month: everybody's, then each owner's who spends or has a cap."""
        month, caps = self._ledger.month(), self._tariffs.caps()
        with self._database.read() as session:
            rows = session.scalars(select(Budget).where(Budget.month.startswith(f"{month.month} ")))
            spent = {row.month.partition(" ")[2]: (row.spent, row.reserved) for row in rows}
            names = {row.id: row.name for row in session.scalars(select(Key))}
        whole = Budgeted(ALL, "", month.spent, month.reserved, month.cap)
        scopes = sorted({*spent, *caps} - {ALL})
        return [whole, *(_budgeted(scope, names, spent, caps.get(scope)) for scope in scopes)]

    def held(self) -> int:
        """How many pieces of work wait because of a cap."""
        with self._database.read() as session:
            return len(capped(session))

    @audited(AuditAction.CHANGED, AuditSubject.BUDGET, "scope")
    def set_cap(self, principal: Principal, scope: str, usd: object) -> None:
        """Another cap; what waited for it is looked at again at once. Raises AdminsOnly, BadRequest."""
        self._tariffs.set_cap(principal, scope, usd)
        self._database.set_value(CAPPED, "")
        with self._database.write() as session:
            waiting = update(Job).where(Job.id.in_(capped(session)))
            session.execute(waiting.values(run_at=self._ledger.now(), notified_at=0.0))

    # Another route

    def replay(self, month: str) -> tuple[Decimal, list[Quote]]:
        """What a month of transcripts has cost, and what the same recordings cost by every route."""
        first, last = _bounds(month)
        done = (
            select(Recording.id, Recording.duration_s, Recording.language)
            .join(Task, Task.recording_id == Recording.id)
            .where(Task.status == TaskStatus.COMPLETED, Task.excerpt.is_(None))
            .where(Task.completed_at >= first, Task.completed_at < last)
            .distinct()
        )
        with self._database.read() as session:
            rows = [(length, language) for _, length, language in session.execute(done) if length]
            spent = session.scalars(
                select(Payment.usd).where(
                    Payment.month == month, Payment.state.in_((PaymentState.SETTLED, PaymentState.DISPUTED))
                )
            )
            paid = sum((Decimal(usd) for usd in spent), Decimal(0))
        if not rows:
            return paid, []
        languages = [language for _, language in rows]
        answer = self._estimates.answer(
            durations_s=[length for length, _ in rows], language=max(set(languages), key=languages.count)
        )
        return paid, [quote for quote in answer.quotes if quote.total_usd is not None]


def error(estimate: Decimal | int, actual: Decimal | int) -> float | None:
    """How far an estimate lay off, as a share of what came; None where nothing came."""
    return float((Decimal(estimate) - Decimal(actual)) / Decimal(actual)) if actual else None


def _paid(payment: Payment, title: str) -> Paid:
    return Paid(
        at=payment.at,
        waited_s=None if payment.ended_at is None else payment.ended_at - payment.at,
        provider=payment.provider,
        model=payment.model,
        mode=payment.mode,
        owner=payment.owner,
        recording_id=payment.recording_id,
        title=title,
        state=payment.state,
        promised=payment.tokens_estimated,
        counted=payment.tokens,
        promised_usd=Decimal(payment.usd_estimated),
        usd=Decimal(payment.usd),
    )


def _proved(session: Session, plan: Plan) -> Proved:
    ids = list(plan.recordings)
    recordings = list(session.scalars(select(Recording).where(Recording.id.in_(ids))))
    paid = list(
        session.scalars(select(Payment).where(Payment.recording_id.in_(ids), Payment.at >= plan.at - 60))
    )
    done = [
        row for row in recordings if row.transcript_id and row.embedding_status != EmbeddingStatus.WAITING
    ]
    return Proved(
        at=plan.at,
        route=plan.route,
        recordings=len(recordings),
        done=len(done),
        quoted_usd=Decimal(plan.usd),
        usd=sum((Decimal(row.usd) for row in paid), Decimal(0)),
        quoted_tokens=plan.tokens,
        tokens=sum(row.tokens for row in paid if row.provider == "gemini"),
        p50_s=plan.p50_s,
        p90_s=plan.p90_s,
        took_s=_took_s(session, plan, ids, paid) if len(done) == len(recordings) else None,
    )


def _took_s(session: Session, plan: Plan, ids: Sequence[str], paid: Iterable[Payment]) -> float | None:
    """From taking the plan to its last finished work."""
    jobs = select(func.max(Job.finished_at)).join(Task, Task.id == Job.task_id)
    last = session.scalar(jobs.where(Task.recording_id.in_(ids), Task.created_at >= plan.at - 60))
    ends = [last or 0.0, *(row.ended_at or 0.0 for row in paid)]
    return max(ends) - plan.at if max(ends) > plan.at else None


def _summed(name: str, rows: Sequence[tuple[str, str, str]]) -> Sum:
    promised, usd = (sum((Decimal(row[n]) for row in rows), Decimal(0)) for n in (1, 2))
    return Sum(name, len({row[0] for row in rows}), promised, usd)


def _budgeted(
    scope: str, names: dict[str, str], spent: dict[str, tuple[int, int]], cap: Decimal | None
) -> Budgeted:
    out, promised = spent.get(scope, (0, 0))
    return Budgeted(scope, names.get(scope, scope), Decimal(out) / BILLION, Decimal(promised) / BILLION, cap)


def _cost(session: Session, transcript_id: str, engine: str, provider: str) -> Decimal:
    """What a transcript was paid for; where its sound was transcribed anew by force, an equal share."""
    ids = list(session.scalars(select(Task.recording_id).where(Task.transcript_id == transcript_id)))
    pictures = set(session.scalars(select(Cover.id).where(Cover.recording_id.in_(ids))))
    paid = select(Payment.call_id, Payment.usd).where(
        Payment.recording_id.in_(ids), Payment.provider == provider
    )
    usd = [Decimal(usd) for call, usd in session.execute(paid) if call.partition("/")[0] not in pictures]
    statement = select(func.count(Task.transcript_id.distinct())).where(
        Task.recording_id.in_(ids), Task.engine == engine, Task.excerpt.is_(None)
    )
    return sum(usd, Decimal(0)) / (session.scalar(statement) or 1)


def _promised(session: Session) -> dict[str, int]:
    """Tokens as they were promised, of what was paid for, by recording."""
    paid = select(Payment.recording_id, func.sum(Payment.tokens_estimated)).where(
        Payment.provider == "gemini", Payment.state.in_((PaymentState.SETTLED, PaymentState.DISPUTED))
    )
    return {id_: int(tokens) for id_, tokens in session.execute(paid.group_by(Payment.recording_id))}


def _embedded(session: Session) -> dict[str, int]:
    """The same count for all texts that have vectors, by recording."""
    tokens: dict[str, int] = {}
    for id_, text in session.execute(
        select(PassageRow.recording_id, PassageRow.text).where(
            PassageRow.embedding_status == EmbeddingStatus.DONE
        )
    ):
        tokens[id_] = tokens.get(id_, 0) + tokens_at_most(text)
    return tokens


def _counted_share(session: Session) -> float:
    """Tokens that providers counted, for one that was promised."""
    sums = select(func.sum(Payment.tokens), func.sum(Payment.tokens_estimated))
    counted, promised = session.execute(
        sums.where(Payment.provider == "gemini", Payment.state == PaymentState.SETTLED)
    ).one()
    return counted / promised if promised else 1.0


def _bounds(month: str) -> tuple[float, float]:
    """The first second of a month and of the next one."""
    first = datetime.strptime(f"{month}-01", "%Y-%m-%d").replace(tzinfo=UTC)
    year, number = (first.year + 1, 1) if first.month == 12 else (first.year, first.month + 1)
    return first.timestamp(), first.replace(year=year, month=number).timestamp()
