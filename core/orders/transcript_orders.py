"""Orders in SQL: each a segment's transcript bought elsewhere, from intention to end.

planned → submitting → submitted → done; or failed, cancelled, held (`core/orders/lifecycle.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session

from core.billing import plain
from core.billing.ledger import Call, Ledger
from core.database.database import Database
from core.database.states import JOB_UNFINISHED, JobState, OrderFate, OrderState
from core.database.tables import Job, Order, Recording, Segment, Task
from core.errors import Code, NotFound, Rejected, StenogramError, Unavailable, record
from core.orders.lifecycle import Money, Superseded, Transitions
from core.queue.jobs import Claim, JobQueue
from core.speech.engine import AsyncRemoteEngine, RemoteEngine

LIVE = (OrderState.PLANNED, OrderState.SUBMITTING, OrderState.SUBMITTED, OrderState.HELD)
KEPT_S = 30 * 24 * 3600.0
"""Finished orders are the history from which the next ones are estimated."""
GUESS = (60.0, 0.1)
"""Without history: seconds for an order, and for each second of sound."""


def call(engine: RemoteEngine, recording: Recording, duration_s: float) -> Call:
    """The paid call for a transcript of so many seconds."""
    model, mode, quantity = engine.price(duration_s)
    return Call(engine.provider, model, mode, {(recording.id, recording.owner): quantity})


def failure(order: Order) -> Rejected:
    """Why an order failed, as it was kept."""
    return Rejected.restored(order.error) if order.error else Rejected(Code.ORDER_FAILED)


def held() -> Select[Order]:
    """Orders that wait for a person, as long as a job waits for them: perhaps they were bought."""
    waiting = select(Order).where(Order.state == OrderState.HELD, Order.transcript_id.in_(_waited_for()))
    return waiting.order_by(Order.created_at)


class Orders(Transitions[Order]):
    """Orders of transcripts in SQL."""

    table = Order

    def __init__(self, database: Database, job_queue: JobQueue, ledger: Ledger) -> None:
        super().__init__(database, ledger, job_queue.now)
        self._job_queue = job_queue

    def call_id(self, row: Order) -> str:
        """Each submission is paid for on its own."""
        return f"{row.id}/{row.attempt_count}"

    # Steps

    def plan(
        self, claim: Claim, engine: AsyncRemoteEngine, recording: Recording, pending: Iterable[Segment]
    ) -> None:
        """An order for each segment that has none; they stand in SQL before anything is sent.

        Raise PriceUnknown.
        """
        with self._database.write() as session:
            self._job_queue.keep(session, claim)
            for segment in pending:
                query = select(Order.id).where(
                    Order.transcript_id == segment.transcript_id, Order.n == segment.n
                )
                if session.scalar(query) is None:
                    session.add(self._new(engine, recording, segment))

    def _new(self, engine: AsyncRemoteEngine, recording: Recording, segment: Segment) -> Order:
        duration_s = segment.end_s - segment.start_s
        model, mode, quantity = engine.price(duration_s)
        return Order(
            transcript_id=segment.transcript_id,
            n=segment.n,
            recording_id=recording.id,
            owner=recording.owner,
            engine=engine.name,
            duration_s=duration_s,
            usd=plain(self._ledger.required_usd(engine.provider, model, mode, quantity)),
            created_at=self.now(),
        )

    def due(self, transcript_id: str) -> list[Order]:
        """Orders to look at now: first those that are out, then those that wait to be sent."""
        query = select(Order).where(Order.transcript_id == transcript_id, Order.next_at <= self.now())
        with self._database.read() as session:
            rows = list(session.scalars(query.where(Order.state != OrderState.DONE).order_by(Order.n)))
        return sorted(rows, key=lambda order: order.state in (OrderState.PLANNED, OrderState.CANCELLED))

    def intend(self, claim: Claim, engine: AsyncRemoteEngine, recording: Recording, order: Order) -> bool:
        """Commit that the order is about to be sent, with its money; False while enough are out.

        Raise Superseded, CapReached, PriceUnknown, Withdrawn.
        """
        out = select(func.count()).select_from(Order)
        out = out.where(
            Order.engine == engine.name, Order.state.in_((OrderState.SUBMITTING, OrderState.SUBMITTED))
        )
        attempt, now = order.attempt_count + 1, self.now()
        values: dict[str, Any] = {
            "attempt_count": attempt,
            "intended_at": now,
            "remote_id": None,
            "fate": OrderFate.UNKNOWN,
        }
        values |= {"working_at": None, "finished_at": None}
        with self._database.write() as session:
            self._job_queue.keep(session, claim)
            if (session.scalar(out) or 0) >= engine.at_once:
                return False
            self.transition(session, order, OrderState.SUBMITTING, **values)
            order.state, order.attempt_count, order.intended_at = OrderState.SUBMITTING, attempt, now
            self._ledger.reserve(session, call(engine, recording, order.duration_s), self.call_id(order))
        return True

    def complete(self, session: Session, order: Order, quantity: int) -> None:
        """The transcript came: part of the write that keeps it, whatever its order's state is by now."""
        ended = {"state": OrderState.DONE, "fate": OrderFate.DONE, "finished_at": self.now(), "error": None}
        session.execute(update(Order).where(Order.id == order.id).values(ended))
        self._ledger.settle(session, self.call_id(order), {order.recording_id: quantity})

    # Decisions of a person

    def held(self) -> list[Order]:
        """Orders that wait for a person, the oldest first."""
        with self._database.read() as session:
            return list(session.scalars(held()))

    def decide(self, order_id: str, *, again: bool) -> None:
        """A person's word on a held order: buy it again, or give it up. Raise NotFound."""
        state = OrderState.PLANNED if again else OrderState.FAILED
        code = Code.ORDERED_AGAIN if again else Code.ORDER_GIVEN_UP
        with self._database.write() as session:
            order = session.get(Order, order_id)
            if order is None or order.state != OrderState.HELD:
                raise NotFound
            values: dict[str, Any] = {
                "unknown_outcome_count": 0,
                "next_at": 0.0,
                "finished_at": None if again else self.now(),
            }
            values["error"] = record(code, **(order.error or {}).get("facts", {}))
            try:
                self.transition(session, order, state, Money.DISPUTED, **values)
            except Superseded as error:
                raise NotFound from error
            jobs = list(session.scalars(_jobs_of(order.transcript_id)))
            for job in jobs:
                job.run_at = self.now()
        for job in jobs:
            self._job_queue.notify(job)

    def revive(self, session: Session, transcript_id: str) -> None:
        """A person asks again: what had failed starts afresh."""
        ended = update(Order).where(
            Order.transcript_id == transcript_id, Order.state.in_((OrderState.FAILED, OrderState.CANCELLED))
        )
        afresh = {
            "state": OrderState.PLANNED,
            "failure_count": 0,
            "unknown_outcome_count": 0,
            "timeout_count": 0,
            "next_at": 0.0,
            "error": None,
        }
        session.execute(ended.values(afresh))

    # Views

    def of(self, transcript_id: str) -> list[Order]:
        """The orders of a transcript, in the order of its segments."""
        query = select(Order).where(Order.transcript_id == transcript_id).order_by(Order.n)
        with self._database.read() as session:
            return list(session.scalars(query))

    def problem(self, orders: Sequence[Order]) -> StenogramError | None:
        """What is wrong with orders that are not done: held ones first."""
        failing = [order for order in orders if order.error and order.state in LIVE]
        for order in sorted(failing, key=lambda order: order.state != OrderState.HELD):
            return Unavailable.restored(order.error or {})
        return None

    def progress(self, orders: Sequence[Order]) -> int:
        """Percent: waiting there is up to 20, work up to 80 by the clock, what has come counts whole."""
        total_s = sum(order.duration_s for order in orders) or 1.0
        return round(sum(order.duration_s * self._share(order) for order in orders) / total_s)

    def _share(self, order: Order) -> float:
        if order.state == OrderState.DONE:
            return 95.0
        if order.state != OrderState.SUBMITTED:
            return 15.0
        if order.fate != OrderFate.WORKING or order.working_at is None:
            return 20.0
        took_s = self.now() - order.working_at
        return 20 + 60 * min(1.0, took_s / max(1.0, self.expected_s(order.engine, order.duration_s)))

    def expected_s(self, engine: str, duration_s: float) -> float:
        """How long an order of so much sound will take, by those of this engine that have ended."""
        done = select(func.sum(Order.finished_at - Order.submitted_at), func.sum(Order.duration_s))
        with self._database.read() as session:
            took_s, sound_s = session.execute(
                done.where(Order.engine == engine, Order.state == OrderState.DONE)
            ).one()
        return duration_s * (took_s or 0.0) / sound_s if sound_s else GUESS[0] + GUESS[1] * duration_s

    def abandoned(self) -> list[Order]:
        """Live orders of transcripts on which no job works any more."""
        live = select(Order).where(Order.state.in_(LIVE), Order.transcript_id.not_in(_waited_for()))
        with self._database.read() as session:
            return list(session.scalars(live))

    def forget(self) -> None:
        """Old orders have served as history for long enough."""
        with self._database.write() as session:
            session.execute(delete(Order).where(Order.finished_at < self.now() - KEPT_S))


def _waited_for() -> Select[str]:
    """Transcripts on which a job works."""
    jobs = select(Task.transcript_id).join(Job, Job.task_id == Task.id)
    return jobs.where(Job.state.in_(JOB_UNFINISHED))


def _jobs_of(transcript_id: str):  # type: ignore[no-untyped-def]  # as above
    jobs = select(Job).join(Task, Task.id == Job.task_id)
    return jobs.where(Task.transcript_id == transcript_id, Job.state == JobState.READY)
