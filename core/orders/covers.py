"""Pictures for recordings: asked for by prompts, made elsewhere, kept in the object store.

A picture costs a cent, so one whose order was lost is simply ordered again, and both are booked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import delete, select

from core.audit import audited
from core.billing.ledger import Call, Ledger
from core.database.database import Database
from core.database.owned import Right, get_owned
from core.database.states import AuditAction, AuditSubject, OrderFate, OrderState, PriceMode
from core.database.tables import Cover, Recording, new_id
from core.errors import (
    BadRequest,
    Code,
    NotFound,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRefused,
    Rejected,
    StenogramError,
)
from core.orders.breakers import Breakers
from core.orders.lifecycle import (
    FoundOrder,
    Money,
    OrderLifecycle,
    OrderReport,
    Superseded,
    Transitions,
)
from core.orders.pictures import PictureOptions, PictureReport, Pictures
from core.principal import Principal
from core.queue.jobs import as_json
from core.storage.object_store import ObjectStore

PROVIDER = "runpod-images"
LIVE = (OrderState.PLANNED, OrderState.SUBMITTING, OrderState.SUBMITTED)
BREAKS = 3
AGAIN_S = 60.0
"""A picture that failed is ordered again so often, after this pause."""
POLL_S = 3.0
LOST_S = 120.0
"""An order that has been on its way for so long has lost its process."""
TYPICAL_S = 60
"""GPU seconds that are promised to a picture."""
MOST_PROMPTS = 20


@dataclass(frozen=True)
class Series:
    """Pictures that were asked for together."""

    total: int
    successful: int
    failed: int

    @property
    def ended(self) -> bool:
        """Whether nothing more will come."""
        return self.successful + self.failed == self.total


PictureNotifier = Callable[[str], None]
"""Wakes a worker for a picture (its id). May lose it: the periodic task finds it."""


def no_notification(_cover_id: str) -> None:
    """Wake nobody: the periodic task looks, some seconds later."""


class PictureOrders(Transitions[Cover]):
    """Orders of pictures in SQL."""

    table = Cover
    attempt_column = "failure_count"

    def call_id(self, row: Cover) -> str:
        """Each order is paid for on its own."""
        return f"{row.id}/{row.failure_count}"

    def intend(self, row: Cover, gpu: str) -> bool:
        """Commit that it is about to be ordered, with its money; False if its recording is gone.

        Raise Superseded, CapReached, PriceUnknown.
        """
        with self._database.write() as session:
            recording = session.get(Recording, row.recording_id)
            if recording is None:
                return False
            self.transition(session, row, OrderState.SUBMITTING, next_at=self.now() + LOST_S)
            paid = {(recording.id, recording.owner): TYPICAL_S}
            self._ledger.reserve(session, Call("runpod", gpu, PriceMode.SYNC, paid), self.call_id(row))
        row.state = OrderState.SUBMITTING
        return True

    def end_run(self, row: Cover, to: OrderState, gpu_s: int | None, **values: Any) -> None:
        """A run has ended: its GPU seconds are booked if they are known, else what was reserved."""
        with self._database.write() as session:
            self.transition(session, row, to, **values)
            if gpu_s is None:
                self._ledger.dispute(session, self.call_id(row))
            else:
                self._ledger.settle(session, self.call_id(row), {row.recording_id: gpu_s})


class PictureLifecycle(OrderLifecycle[Cover, PictureReport]):
    """The steps of pictures. An order whose answer was lost cannot be found, and is ordered again."""

    failpoints = "picture"
    quiet_s = 0.0
    max_failures = BREAKS

    def __init__(
        self, orders: PictureOrders, pictures: Pictures, storage: ObjectStore, breakers: Breakers
    ) -> None:
        self.now = orders.now
        self._orders = orders
        self._pictures = pictures
        self._storage = storage
        self._breakers = breakers

    def step(self, cover: Cover) -> None:
        """Whatever its state asks for. Raise what the provider raises, or Superseded."""
        match cover.state:
            case OrderState.PLANNED:
                self.submit(cover)
            case OrderState.SUBMITTING:
                self.resolve(cover, OutcomeUnknown(self._pictures.http.provider, "its order was lost"))
            case _:
                self.poll(cover)

    # As the lifecycle wants it

    @property
    def findable(self) -> bool:
        """They list nothing."""
        return False

    def intended_at(self, row: Cover) -> float:  # noqa: ARG002
        """It cannot be found, so there is no quiet period."""
        return 0.0

    def failure_count(self, row: Cover) -> int:
        """Runs that failed, and orders that were lost."""
        return row.failure_count

    def intend(self, row: Cover) -> bool:
        """With the price of a typical picture."""
        return self._orders.intend(row, self._pictures.gpu)

    def send(self, row: Cover) -> FoundOrder[PictureReport]:
        """One picture."""
        with self._breakers.around(PROVIDER, self._pictures.http):
            return FoundOrder(self._pictures.submit(PictureOptions(**row.options)))

    def find(self, row: Cover) -> FoundOrder[PictureReport] | None:  # noqa: ARG002
        """They list nothing."""
        return None

    def ask(self, row: Cover) -> OrderReport[PictureReport]:
        """How it stands; one that is late is stopped there."""
        remote_id, timeout_s = row.remote_id or "", self._pictures.timeout_s
        with self._breakers.around(PROVIDER, self._pictures.http):
            report = self._pictures.poll(remote_id)
            late = self.now() > (row.submitted_at or 0.0) + timeout_s
            if late and report.fate in (OrderFate.WAITING, OrderFate.WORKING):
                self._pictures.cancel(remote_id)
                return OrderReport(OrderFate.BROKEN, reason=f"it was not ready in {timeout_s:g} s")
        return OrderReport(report.fate, report, report.reason)

    def keep(self, row: Cover, result: PictureReport) -> None:
        """First the picture, then that it is there."""
        name = f"covers/{row.recording_id}/{row.id}"
        self._storage.put(name, result.picture)
        done = {"object": name, "finished_at": self.now(), "error": None}
        self._orders.end_run(row, OrderState.DONE, result.gpu_s, **done)

    def adopt(self, row: Cover, remote_order: FoundOrder[PictureReport]) -> None:
        """Somebody waits at the screen, so it is asked about soon."""
        now = self.now()
        values: dict[str, Any] = {
            "remote_id": remote_order.remote_id,
            "submitted_at": now,
            "next_at": now + POLL_S,
        }
        self._orders.move(row, OrderState.SUBMITTED, **values)

    def not_ordered(self, row: Cover, error: StenogramError) -> None:
        """Later, when the provider says."""
        next_at = self.now() + (getattr(error, "retry_after_s", None) or AGAIN_S)
        self._orders.move(row, OrderState.PLANNED, Money.RELEASED, next_at=next_at, error=as_json(error))

    def reject(self, row: Cover, error: Rejected) -> None:
        """It will never be made."""
        values: dict[str, Any] = {"finished_at": self.now(), "error": as_json(error)}
        self._orders.move(row, OrderState.FAILED, Money.RELEASED, **values)

    def wait(self, row: Cover, error: OutcomeUnknown) -> None:
        """Never needed: there is no quiet period."""
        self.not_found(row, str(error.facts["detail"]))

    def not_found(self, row: Cover, reason: str) -> None:
        """It counts as a run that failed."""
        self.failed_run(row, OrderReport(OrderFate.BROKEN, reason=reason))

    def resubmit(self, row: Cover, report: OrderReport[PictureReport]) -> None:
        """After a pause; the picture costs a cent."""
        values: dict[str, Any] = {"failure_count": row.failure_count + 1, "next_at": self.now() + AGAIN_S}
        error = as_json(_not_made(report))
        self._orders.end_run(row, OrderState.PLANNED, _gpu_s(report), **values, error=error)

    def fail(self, row: Cover, report: OrderReport[PictureReport]) -> None:
        """It failed too often."""
        values: dict[str, Any] = {"finished_at": self.now(), "error": as_json(_not_made(report))}
        self._orders.end_run(row, OrderState.FAILED, _gpu_s(report), **values)

    def still_running(self, row: Cover, report: OrderReport[PictureReport]) -> None:  # noqa: ARG002
        """Ask again soon."""
        self._orders.move(row, OrderState.SUBMITTED, next_at=self.now() + POLL_S)


def _not_made(report: OrderReport[PictureReport]) -> Rejected:
    return Rejected(Code.PICTURE_FAILED, reason=report.reason)


def _gpu_s(report: OrderReport[PictureReport]) -> int | None:
    """Seconds of a GPU that are billed, where the provider says so."""
    return report.result.gpu_s if report.result else None


class Covers:
    """The pictures of this installation."""

    def __init__(
        self,
        database: Database,
        storage: ObjectStore,
        pictures: Pictures,
        ledger: Ledger,
        breakers: Breakers,
        clock: Callable[[], float],
        notifier: PictureNotifier,
    ) -> None:
        self._database = database
        self._storage = storage
        self.pictures = pictures
        self._orders = PictureOrders(database, ledger, clock)
        self._lifecycle = PictureLifecycle(self._orders, pictures, storage, breakers)
        self.now = clock
        self.notifier = notifier

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def ask(
        self, principal: Principal, recording_id: str, prompts: Sequence[str], options: PictureOptions
    ) -> str:
        """Ask for a picture a prompt; the id of the series.

        Raises ReadOnly, NotFound, BadRequest, or Rejected if not ready.
        """
        with self._database.read() as session:
            get_owned(session, Recording, principal, recording_id, right=Right.WRITE)
        all_options = [
            replace(options, prompt=prompt.strip()).checked() for prompt in prompts if prompt.strip()
        ]
        if not 1 <= len(all_options) <= MOST_PROMPTS:
            raise BadRequest(Code.PICTURE_COUNT, most=MOST_PROMPTS)
        readiness = self.pictures.readiness()
        if not readiness.ready:
            raise Rejected(Code.PROVIDER_NOT_READY, reason=readiness.reason)
        series = new_id()
        rows = [Cover(recording_id=recording_id, series=series, options=one.as_json()) for one in all_options]
        with self._database.write() as session:
            get_owned(session, Recording, principal, recording_id)
            session.add_all(rows)
        for row in rows:
            self.notifier(row.id)
        return series

    def tick(self) -> None:
        """Bring every picture forward that is due."""
        due = select(Cover.id).where(Cover.state.in_(LIVE), Cover.next_at <= self.now())
        with self._database.read() as session:
            covers = list(session.scalars(due.order_by(Cover.created_at)))
        for cover_id in covers:
            self.step(cover_id)

    def step(self, cover_id: str) -> None:
        """Bring one picture forward. A provider that fails only makes it wait."""
        with self._database.read() as session:
            cover = session.get(Cover, cover_id)
        if cover is None or cover.state not in LIVE or cover.next_at > self.now():
            return
        try:
            self._lifecycle.step(cover)
        except Superseded:
            return
        except (ProviderBusy, ProviderRefused, Rejected) as error:
            wait_s = getattr(error, "retry_after_s", None) or AGAIN_S
            with suppress(Superseded):  # if it was put back to be sent, its pause stands there already
                self._orders.move(cover, cover.state, next_at=self.now() + wait_s, error=as_json(error))

    # Views

    def of(self, recording_id: str) -> list[Cover]:
        """All pictures of a recording, the newest first."""
        query = select(Cover).where(Cover.recording_id == recording_id).order_by(Cover.created_at.desc())
        with self._database.read() as session:
            return list(session.scalars(query))

    def series(self, series: str) -> Series:
        """How far the pictures are that were asked for together."""
        with self._database.read() as session:
            states = list(session.scalars(select(Cover.state).where(Cover.series == series)))
        return Series(len(states), states.count(OrderState.DONE), states.count(OrderState.FAILED))

    def picture(self, recording_id: str) -> bytes | None:
        """The newest finished picture of a recording, or None."""
        for cover in sorted(self.of(recording_id), key=lambda one: -(one.finished_at or 0.0)):
            if cover.state == OrderState.DONE and cover.object:
                try:
                    return self._storage.get(cover.object)
                except NotFound:
                    continue
        return None

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def remove(self, principal: Principal, recording_id: str, cover_id: str) -> None:
        """Forget one picture."""
        with self._database.write() as session:
            get_owned(session, Recording, principal, recording_id, right=Right.WRITE)
            cover = session.get(Cover, cover_id)
            if cover is None or cover.recording_id != recording_id:
                raise NotFound
            session.execute(delete(Cover).where(Cover.id == cover_id))
        if cover.object:
            self._storage.remove(cover.object)
