"""The life of a paid order at a provider: one state machine for batches, transcripts and pictures.

    planned ──▶ submitting ──▶ submitted ──▶ done, or what else a kind does with its result
       ▲             │              │
       ├── refused ──┤              ├── failed there: ordered again, `max_failures` times at most
       ├── not found after the quiet period
       │             ├── not found, and too dear to be ordered again: held for a person
       │             └── rejected: failed for good          (cancelled: from any of them)
       └─ a batch has a step before (uploaded) and two after it (ended, saved)

What it guarantees, whatever dies and whatever the provider does:

1. Every transition is a compare-and-set on (id, state, attempt count): of two processes one wins, the
   other gets `Superseded`. The count fences off a process that was thought dead.
2. Money moves in the commit of the transition: reserved with the intention before the request leaves,
   released only when it is proved that nothing was ordered, settled with the result, else disputed.
3. An order whose answer was lost is looked for, never sent again at once. Only when the provider has
   said that it does not have it, after the quiet period, is it sent again or held. A provider that
   cannot be asked has not answered.
4. What failed at the provider is ordered again a limited number of times, and booked each time.

`Transitions` are the writes, `OrderLifecycle` the decisions. How a kind of order is sent, found, asked
about and kept is said in its subclasses: `batches`, `transcript_purchases`, `covers`.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import update
from sqlalchemy.orm import Session

from core.billing.ledger import Ledger
from core.database.database import Database
from core.database.states import BatchState, OrderFate, OrderState
from core.database.tables import Batch, Cover, Order
from core.errors import Code, OutcomeUnknown, Rejected, StenogramError, Unavailable, Withdrawn
from core.failpoints import hit
from core.queue.jobs import changed

SEND_WITHIN_S = 5.0
"""An order is sent at once after its intention is committed, or not at all: a process that was frozen in
between may have been given up, and its order sent by another."""

OrderRow = TypeVar("OrderRow", Batch, Order, Cover)
Result = TypeVar("Result")


class Superseded(Withdrawn):
    """Another process has moved this order meanwhile; what it did holds."""


class Money(Enum):
    """What becomes of the money reserved for an attempt, in the commit of a transition."""

    KEPT = auto()
    """It stays reserved: the order goes on, or its result settles it."""
    RELEASED = auto()
    """It is proved that nothing was ordered."""
    DISPUTED = auto()
    """Nobody knows whether it is billed: it stays booked as it was reserved."""


@dataclass(frozen=True)
class OrderReport(Generic[Result]):
    """How an order stands at the provider."""

    fate: OrderFate
    result: Result | None = None
    """When done."""
    reason: str = ""
    remote_state: str = ""
    """The provider's own word for it."""
    too_slow: bool = False
    """It failed because its time was over: the next attempt gets more."""


@dataclass(frozen=True)
class FoundOrder(Generic[Result]):
    """An order as the provider has it: its id there, or already its result."""

    remote_id: str = ""
    result: Result | None = None
    remote_state: str = ""
    duplicates: int = 0
    """How often the provider has it besides; those were cancelled."""


class Transitions(ABC, Generic[OrderRow]):
    """The writes of one kind of order: compare-and-set, with the money in the same commit."""

    table: ClassVar[type[Any]]
    attempt_column: ClassVar[str] = "attempt_count"
    """The column that counts attempts, part of every compare-and-set."""

    def __init__(self, database: Database, ledger: Ledger, clock: Callable[[], float]) -> None:
        self._database = database
        self._ledger = ledger
        self.now = clock

    @abstractmethod
    def call_id(self, row: OrderRow) -> str:
        """Under which the ledger has the money of the present attempt."""

    def try_transition(self, session: Session, row: OrderRow, values: dict[str, Any]) -> bool:
        """Compare-and-set within a transaction; False if another process was faster."""
        unchanged = update(self.table).where(
            self.table.id == row.id,
            self.table.state == row.state,
            getattr(self.table, self.attempt_column) == getattr(row, self.attempt_column),
        )
        return changed(session, unchanged.values(values))

    def transition(
        self,
        session: Session,
        row: OrderRow,
        to: BatchState | OrderState,
        money: Money = Money.KEPT,
        **values: Any,
    ) -> None:
        """A transition with its money, within a transaction. Raise Superseded."""
        if not self.try_transition(session, row, {"state": to, **values}):
            raise Superseded
        if money is Money.RELEASED:
            self._ledger.release(session, self.call_id(row))
        elif money is Money.DISPUTED:
            self._ledger.dispute(session, self.call_id(row))

    def move(
        self, row: OrderRow, to: BatchState | OrderState, money: Money = Money.KEPT, **values: Any
    ) -> None:
        """The same in a transaction of its own."""
        with self._database.write() as session:
            self.transition(session, row, to, money, **values)


class OrderLifecycle(ABC, Generic[OrderRow, Result]):
    """The decisions about one kind of order; what is abstract is how that kind does a step."""

    failpoints: ClassVar[str]
    """Prefix of the places where tests kill the process."""
    looks_at_once: ClassVar[bool] = True
    """Whether a lost answer is looked for at once, or with the next step."""
    quiet_s: float
    """After a lost answer: longer than a request may last and than the provider's list may lag."""
    max_failures: ClassVar[int]
    """Runs that fail at the provider before the order has failed."""

    now: Callable[[], float]

    # Decisions

    def submit(self, row: OrderRow) -> None:
        """Order it, with exactly one request. An unknown outcome leaves it submitting.

        Raise Unavailable when the provider does not take it now, OutcomeUnknown if it is to be looked for.
        """
        hit(f"{self.failpoints}.before_commit")
        if not self.intend(row):
            return
        committed = time.monotonic()
        hit(f"{self.failpoints}.before_send")
        if time.monotonic() - committed > SEND_WITHIN_S:
            self.not_ordered(row, Unavailable(Code.ORDER_TOO_LATE))
            return
        try:
            remote_order = self.send(row)
        except OutcomeUnknown as error:
            if not self.looks_at_once:
                raise
            self.resolve(row, error)
        except (Unavailable, Withdrawn) as error:  # Withdrawn: cancelled before anything was sent
            self.not_ordered(row, error)
            raise
        except Rejected as error:
            self.reject(row, error)
        else:
            hit(f"{self.failpoints}.after_reply")
            self.adopt(row, remote_order)
            hit(f"{self.failpoints}.after_commit")

    def resolve(self, row: OrderRow, error: OutcomeUnknown) -> None:
        """An order whose answer was lost: take over what the provider has, wait, or decide without it."""
        remote_order = self.find(row)
        if remote_order is not None:
            self.take_over(row, remote_order)
        elif self.findable and self.now() < self.intended_at(row) + self.quiet_s:
            self.wait(row, error)
        else:
            self.not_found(row, str(error.facts["detail"]))

    def take_over(self, row: OrderRow, remote_order: FoundOrder[Result]) -> None:
        """An order that was found: its result if it is there already, else it is submitted."""
        if remote_order.result is not None:
            self.keep(row, remote_order.result)
        else:
            self.adopt(row, remote_order)

    def poll(self, row: OrderRow) -> None:
        """Ask how an order stands, and do what follows from it."""
        report = self.ask(row)
        match report.fate:
            case OrderFate.DONE if report.result is not None:
                self.keep(row, report.result)
            case OrderFate.BROKEN | OrderFate.DONE:
                self.failed_run(row, report)
            case OrderFate.REFUSED:
                self.fail(row, report)
            case OrderFate.LOST:
                self.lost(row, report)
            case _:
                self.still_running(row, report)

    def failed_run(self, row: OrderRow, report: OrderReport[Result]) -> None:
        """It ran at the provider and failed there: once more, a limited number of times."""
        if self.failure_count(row) + 1 >= self.max_failures:
            self.fail(row, report)
        else:
            self.resubmit(row, report)

    def lost(self, row: OrderRow, report: OrderReport[Result]) -> None:
        """The provider no longer knows an order that it had taken; its result may be somewhere."""
        remote_order = self.find(row)
        if remote_order is not None and remote_order.result is not None:
            self.keep(row, remote_order.result)
        else:
            self.not_found(row, report.reason)

    # How a kind of order does a step

    @property
    def findable(self) -> bool:
        """Whether `find` can find an order that is still in work, or at least its result."""
        return True

    @abstractmethod
    def intended_at(self, row: OrderRow) -> float:
        """When the intention of the present attempt was committed, in Unix seconds."""

    @abstractmethod
    def failure_count(self, row: OrderRow) -> int:
        """Runs that have failed at the provider so far."""

    @abstractmethod
    def intend(self, row: OrderRow) -> bool:
        """Commit that it is about to be sent, with its money; False if it is not sent now.

        Raise CapReached, PriceUnknown, Superseded.
        """

    @abstractmethod
    def send(self, row: OrderRow) -> FoundOrder[Result]:
        """Exactly one paid request, and nothing else that may last."""

    @abstractmethod
    def find(self, row: OrderRow) -> FoundOrder[Result] | None:
        """Look for an order whose answer was lost; None: the provider says that it has none.

        Raise Unavailable where it cannot be asked, which is no answer.
        """

    @abstractmethod
    def ask(self, row: OrderRow) -> OrderReport[Result]:
        """How it stands at the provider."""

    @abstractmethod
    def keep(self, row: OrderRow, result: Result) -> None:
        """Keep the result and go on to the state that follows."""

    @abstractmethod
    def adopt(self, row: OrderRow, remote_order: FoundOrder[Result]) -> None:
        """The provider has it: submitted, known by its id there."""

    @abstractmethod
    def not_ordered(self, row: OrderRow, error: StenogramError) -> None:
        """It is proved that nothing was ordered: back to be sent later."""

    @abstractmethod
    def reject(self, row: OrderRow, error: Rejected) -> None:
        """Nothing was ordered, and the provider will never take it: failed."""

    @abstractmethod
    def wait(self, row: OrderRow, error: OutcomeUnknown) -> None:
        """Look for it again later."""

    @abstractmethod
    def not_found(self, row: OrderRow, reason: str) -> None:
        """The provider does not have it: back to be sent, or held for a person."""

    @abstractmethod
    def resubmit(self, row: OrderRow, report: OrderReport[Result]) -> None:
        """Back to be sent after a failed run."""

    @abstractmethod
    def fail(self, row: OrderRow, report: OrderReport[Result]) -> None:
        """Failed for good."""

    @abstractmethod
    def still_running(self, row: OrderRow, report: OrderReport[Result]) -> None:
        """Still in work: ask again later, or stop waiting."""
