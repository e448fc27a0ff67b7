"""What paid calls cost: promised before they are made, settled when they end, by recording.

A promise is committed together with the intention to call, and refused by the month's cap in the
same statement that books it, so that two callers cannot both take the last dollar. Money is
counted in whole billionths of a dollar and shown as a decimal string.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from core.audit import record
from core.billing import Book, plain, shipped
from core.billing.tariffs import ALL, cap
from core.database.database import Database
from core.database.states import AuditAction, AuditSubject, PaymentState, PriceMode
from core.database.tables import Budget, Payment, new_id
from core.database.upsert import insert_if_absent
from core.embedding.embedder import Embedder, Vectors, batching, tokens_at_most
from core.errors import Code, OutcomeUnknown, ProviderRefused, StenogramError, display_name
from core.principal import SYSTEM, Principal
from core.queue.jobs import changed

BILLION = 1_000_000_000
ABANDONED_S = 3600.0
"""A call of seconds that has not been settled for so long lost its process: it may have been billed."""


CAP_CODES = (Code.CAP_REACHED, Code.KEY_CAP_REACHED)


class CapReached(ProviderRefused):
    """The month's cap does not allow this call; work waits for the next month or a higher cap."""

    def __init__(self, provider: str, *, of_key: bool = False) -> None:
        code = Code.KEY_CAP_REACHED if of_key else Code.CAP_REACHED
        facts = {"provider": display_name(provider), "setting": "MONTHLY_CAP_USD"}
        StenogramError.__init__(self, code, **facts)


class PriceUnknown(ProviderRefused):
    """Nobody knows what this call costs; work waits until a person has entered a price."""

    def __init__(self, provider: str, model: str, mode: str) -> None:
        facts = {"provider": display_name(provider), "model": model, "mode": mode}
        StenogramError.__init__(self, Code.PRICE_UNKNOWN, **facts)


@dataclass(frozen=True)
class Call:
    """What is about to be paid for: who asks which model by which price, and tokens by recording."""

    provider: str
    model: str
    mode: PriceMode
    tokens: Mapping[tuple[str, str], int]
    """By recording id and owner."""


@dataclass(frozen=True)
class Spent:
    """A month in money, USD."""

    month: str
    spent: Decimal
    reserved: Decimal
    cap: Decimal | None


class Ledger:
    """The book of payments of this installation."""

    def __init__(
        self,
        database: Database,
        cap_usd: Decimal | None = None,
        book: Callable[[], Book] = shipped,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._cap = cap_usd
        self._book = book
        self.now = clock

    def cost_usd(self, provider: str, model: str, mode: str, tokens: int) -> Decimal | None:
        """Price of so many tokens, or seconds of sound; None where no price is known."""
        return self.priced(provider, model, mode)(tokens)

    def priced(self, provider: str, model: str, mode: str) -> Callable[[int], Decimal | None]:
        """What so many cost, None where no price is known; the book is read once."""
        book = self._book()
        price = book.price(provider, model, mode)
        if price is None:
            return lambda _tokens: None
        return lambda tokens: book.usd(price.cost(Decimal(tokens)), price.currency)

    def required_usd(self, provider: str, model: str, mode: str, tokens: int) -> Decimal:
        """The price of something that is about to be bought. Raise PriceUnknown."""
        usd = self.cost_usd(provider, model, mode, tokens)
        if usd is None:
            raise PriceUnknown(provider, model, mode)
        return usd

    def reserve(self, session: Session, call: Call, call_id: str = "") -> str:
        """Promise money to a call, within the transaction that decides to make it.

        Raise CapReached, or PriceUnknown: what has no price is not bought, whatever the cap.
        """
        call_id, now = call_id or new_id(), self.now()
        month = _month(now)
        cost, totals = self.priced(call.provider, call.model, call.mode), dict.fromkeys([ALL], 0)
        for (recording_id, owner), tokens in call.tokens.items():
            usd = cost(tokens)
            if usd is None:
                raise PriceUnknown(call.provider, call.model, call.mode)
            for scope in scopes(owner):
                totals[scope] = totals.get(scope, 0) + _billionths(usd)
            session.add(
                Payment(
                    call_id=call_id,
                    at=now,
                    month=month,
                    provider=call.provider,
                    model=call.model,
                    mode=call.mode,
                    recording_id=recording_id,
                    owner=owner,
                    tokens_estimated=tokens,
                    usd_estimated=plain(usd),
                )
            )
        session.flush()
        for scope, total in sorted(totals.items()):  # in one order, so that no two wait for each other
            self._take(session, call.provider, month, scope, total)
        promised = plain(Decimal(totals[ALL]) / BILLION)
        record(session, SYSTEM, AuditAction.PAID, AuditSubject.ORDER, call_id, call.provider, promised)
        return call_id

    def _take(self, session: Session, provider: str, month: str, scope: str, total: int) -> None:
        name = self._budget(session, month, scope)
        statement = update(Budget).where(Budget.month == name).values(reserved=Budget.reserved + total)
        most = self._most(session, scope)
        if most is not None:
            statement = statement.where(Budget.spent + Budget.reserved + total <= _billionths(most))
        if not changed(session, statement):
            raise CapReached(provider, of_key=scope != ALL)

    def _budget(self, session: Session, month: str, scope: str) -> str:
        """The name of a budget that is there."""
        name = f"{month} {scope}".strip()
        insert_if_absent(session, Budget(month=name, spent=0, reserved=0))
        return name

    def _most(self, session: Session, scope: str) -> Decimal | None:
        """What people said on the page, else the setting."""
        cap_usd = cap(session, scope)
        return self._cap if cap_usd is None and scope == ALL else cap_usd

    def settle(self, session: Session, call_id: str, tokens: Mapping[str, int]) -> Decimal:
        """Book what a call really cost, by recording; what was promised is free again. The sum."""
        total, cost = Decimal(0), functools.cache(self.priced)
        for payment in self._open(session, call_id):
            payment.tokens = tokens.get(payment.recording_id, 0)
            usd = cost(payment.provider, payment.model, payment.mode)(payment.tokens)
            usd = _as_estimated(payment) if usd is None else usd
            payment.usd, total = plain(usd), total + usd
            self._end(session, payment, PaymentState.SETTLED, usd)
        return total

    def release(self, session: Session, call_id: str) -> None:
        """It is proved that the call was not made: nothing was spent."""
        for payment in self._open(session, call_id):
            self._end(session, payment, PaymentState.RELEASED, Decimal(0))

    def dispute(self, session: Session, call_id: str) -> Decimal:
        """Nobody knows whether the call is billed: it stays booked as it was promised. The sum."""
        total = Decimal(0)
        for payment in self._open(session, call_id):
            payment.tokens, payment.usd = payment.tokens_estimated, payment.usd_estimated
            total += Decimal(payment.usd)
            self._end(session, payment, PaymentState.DISPUTED, Decimal(payment.usd))
        return total

    def book_again(self, session: Session, call_id: str) -> None:
        """The provider made the same call twice: the second is booked too, and disputed."""
        twin = f"{call_id}/{new_id()[:8]}"
        for payment in session.scalars(select(Payment).where(Payment.call_id == call_id)).all():
            shared = {name: getattr(payment, name) for name in _SHARED}
            session.add(Payment(call_id=twin, at=self.now(), **shared))
            self._take_anyway(session, payment)
        session.flush()
        self.dispute(session, twin)

    def _take_anyway(self, session: Session, payment: Payment) -> None:
        more = Budget.reserved + _billionths(Decimal(payment.usd_estimated))
        session.execute(update(Budget).where(_of(payment)).values(reserved=more))

    def buy(
        self,
        embedder: Embedder,
        recording_id: str,
        owner: str,
        texts: Sequence[str],
        keep: Callable[[Session, Vectors], None] = lambda _session, _vectors: None,
    ) -> Vectors:
        """Vectors now, with what they cost in the book; nothing is booked where nothing has to be paid.

        `keep` is called in the transaction that books the price: what was paid for is never without a place.
        """
        paid = batching(embedder)
        if paid is None:
            return embedder.embed(texts)
        guess = sum(map(tokens_at_most, texts))
        with self._database.write() as session:
            call = Call(paid.provider, paid.model, PriceMode.SYNC, {(recording_id, owner): guess})
            call_id = self.reserve(session, call)
        try:
            vectors, tokens = paid.embed_counted(texts)
        except StenogramError as error:
            with self._database.write() as session:
                end = self.dispute if isinstance(error, OutcomeUnknown) else self.release
                end(session, call_id)
            raise
        with self._database.write() as session:
            self.settle(session, call_id, {recording_id: tokens})
            keep(session, vectors)
        return vectors

    def sweep(self) -> None:
        """Calls of seconds whose process died in the middle may have been billed.

        An order, whose calls are named "order/number", may take a day; whoever made it ends it.
        """
        of_seconds = and_(Payment.mode == PriceMode.SYNC, ~Payment.call_id.contains("/"))
        late = select(Payment.call_id).where(
            of_seconds, Payment.state == PaymentState.RESERVED, Payment.at < self.now() - ABANDONED_S
        )
        with self._database.write() as session:
            for call_id in set(session.scalars(late)):
                self.dispute(session, call_id)

    def _open(self, session: Session, call_id: str) -> list[Payment]:
        session.flush()
        statement = select(Payment).where(Payment.call_id == call_id, Payment.state == PaymentState.RESERVED)
        return list(session.scalars(statement))

    def _end(self, session: Session, payment: Payment, state: PaymentState, usd: Decimal) -> None:
        payment.state, payment.ended_at = state, self.now()
        session.execute(
            update(Budget)
            .where(_of(payment))
            .values(
                reserved=Budget.reserved - _billionths(Decimal(payment.usd_estimated)),
                spent=Budget.spent + _billionths(usd),
            )
        )

    # Views

    def month(self, scope: str = ALL) -> Spent:
        """The present month of everybody or of one owner: spent, promised, and the cap."""
        month = _month(self.now())
        with self._database.read() as session:
            row = session.get(Budget, f"{month} {scope}".strip()) or Budget(spent=0, reserved=0)
            most = self._most(session, scope)
            return Spent(month, Decimal(row.spent) / BILLION, Decimal(row.reserved) / BILLION, most)

    def of_recording(self, recording_id: str) -> Decimal:
        """What a recording has cost so far, USD."""
        return self.of_recordings({recording_id})[recording_id]

    def of_recordings(self, ids: Collection[str]) -> dict[str, Decimal]:
        """What each of these recordings has cost so far, USD."""
        paid: dict[str, list[str]] = {recording_id: [] for recording_id in ids}
        statement = select(Payment.recording_id, Payment.usd).where(Payment.recording_id.in_(ids))
        with self._database.read() as session:
            for recording_id, usd in session.execute(statement):
                paid[recording_id].append(usd)
        return {recording_id: _sum(amounts) for recording_id, amounts in paid.items()}

    def saved(self, month: str = "") -> Decimal:
        """What batches have saved against single calls in a month, or so far, USD.

        Where nobody knows the price of single calls, nothing is claimed to be saved.
        """
        paid = select(Payment).where(Payment.mode == PriceMode.BATCH, Payment.state == PaymentState.SETTLED)
        if month:
            paid = paid.where(Payment.month == month)
        with self._database.read() as session:
            rows = list(session.scalars(paid))
        at_once = ((row, self.cost_usd(row.provider, row.model, PriceMode.SYNC, row.tokens)) for row in rows)
        return sum((usd - Decimal(row.usd) for row, usd in at_once if usd is not None), Decimal(0))

    def payments(self, limit: int = 100) -> list[Payment]:
        """The newest payments first."""
        with self._database.read() as session:
            return list(session.scalars(select(Payment).order_by(Payment.at.desc()).limit(limit)))


_SHARED = (
    "month",
    "provider",
    "model",
    "mode",
    "recording_id",
    "owner",
    "tokens_estimated",
    "usd_estimated",
)


def _of(payment: Payment) -> ColumnElement[bool]:
    """The budgets that a payment is part of."""
    return Budget.month.in_([f"{payment.month} {scope}".strip() for scope in scopes(payment.owner)])


def scopes(owner: str) -> tuple[str, ...]:
    """The caps that hold for an owner: everybody's, that of all people together, and their own."""
    return tuple(dict.fromkeys((ALL, Principal(owner).common, owner)))


def _as_estimated(payment: Payment) -> Decimal:
    """The price was taken back while the call was under way: the one it was reserved at holds, USD."""
    estimated = Decimal(payment.usd_estimated)
    return estimated * payment.tokens / payment.tokens_estimated if payment.tokens_estimated else estimated


def _month(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m")


def _billionths(usd: Decimal) -> int:
    return int((usd * BILLION).to_integral_value())


def _sum(amounts: Iterable[str]) -> Decimal:
    return sum((Decimal(amount) for amount in amounts), Decimal(0))
