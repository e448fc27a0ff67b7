"""Paid transcripts from elsewhere, each bought once, whatever dies meanwhile.

An engine that answers at once is called between the reservation of money and the commit of its answer. One
that takes long gets an order for each segment (`transcript_orders.py`): the intention is committed before the
request leaves, the provider's id right after it came, and then the order is looked at now and then, by
jobs that never sleep. Where a reply was lost nobody knows whether there is an order: it is looked for, and
bought again only when it is cheap, shown and booked twice; a dear one is held for a person.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from core.billing.ledger import Ledger
from core.database.database import Database
from core.database.states import OrderFate, OrderState
from core.database.tables import Order, Recording, Segment, Transcript
from core.errors import (
    Code,
    OutcomeUnknown,
    ProviderBusy,
    ProviderRefused,
    Rejected,
    StenogramError,
    Unavailable,
    Withdrawn,
)
from core.failpoints import hit
from core.media.waveform import Waveform
from core.orders import transcript_orders
from core.orders.breakers import Breakers
from core.orders.lifecycle import FoundOrder, Money, OrderLifecycle, OrderReport, Superseded
from core.orders.transcript_orders import Orders
from core.queue.jobs import Claim, JobQueue, as_json
from core.speech.engine import AsyncRemoteEngine, Engine, RemoteEngine, Report, Speech, spoken
from core.transcripts.transcripts import Transcripts

POINTS = (
    "order.before_commit",
    "order.before_send",
    "order.after_reply",
    "order.after_commit",
    "order.after_poll",
    "order.after_speech",
)
"""Where tests kill this process, in the order in which an order passes them."""

HOLD_USD = Decimal(1)
"""Nobody buys twice for more than this without being asked."""
QUIET_S = 900.0
"""After a lost reply: longer than a request may last and a list may lag."""
BREAKS = 3
AGAIN_S = 60.0
"""Runs that failed at the provider are ordered again so often, after this pause."""
PARKED_S = 600.0
"""Between two looks at a parked order."""
LOOK_S = 60.0
NO_RESULT = "it ended without a result"


@dataclass(frozen=True)
class TickOutcome:
    """What a round over the orders came to: seconds until the next one, None when all is transcribed."""

    wait_s: float | None
    error: StenogramError | None = None


@dataclass(frozen=True)
class TranscriptionJob:
    """A claimed job and its transcript; `sound` cuts out a segment."""

    claim: Claim
    recording: Recording
    transcript: Transcript
    sound: Callable[[Segment], Waveform]


def language_of(job: TranscriptionJob, segment: Segment) -> str:
    """What is spoken in a segment."""
    return segment.language or job.transcript.language


class RemoteTranscription:
    """Engines elsewhere, and the orders they have."""

    def __init__(
        self, database: Database, job_queue: JobQueue, transcripts: Transcripts, ledger: Ledger
    ) -> None:
        self._database = database
        self._job_queue = job_queue
        self._transcripts = transcripts
        self._ledger = ledger
        self.orders = Orders(database, job_queue, ledger)
        self.breakers = Breakers(database, self.orders.now)

    def transcribe(self, engine: RemoteEngine, job: TranscriptionJob) -> bool:
        """Bring a transcript forward. False: there is something to wait for, and its job was put off."""
        if not self._transcripts.acquire(job.claim, job.transcript.id):
            return False
        if not isinstance(engine, AsyncRemoteEngine):
            self._transcribe_all(engine, job)
            return True
        outcome = self._tick(engine, job)
        if outcome.wait_s is not None:
            self._job_queue.wait(job.claim, outcome.wait_s, outcome.error)
        return outcome.wait_s is None

    def _transcribe_all(self, engine: RemoteEngine, job: TranscriptionJob) -> None:
        total = self._transcripts.count(job.transcript.id)
        pending = self._transcripts.pending(job.transcript.id, engine.name)
        left = len(self._transcripts.pending(job.transcript.id))
        for language in dict.fromkeys(language_of(job, each) for each in pending):
            segments = [each for each in pending if language_of(job, each) == language]
            for start in range(0, len(segments), engine.batch_segments):
                some = segments[start : start + engine.batch_segments]
                self._buy(engine, job, some, language)
                left -= len(some)
                self._job_queue.report(job.claim, 95 - 80 * left // total)

    def _buy(
        self, engine: RemoteEngine, job: TranscriptionJob, segments: Sequence[Segment], language: str
    ) -> None:
        """Buy the transcripts of these segments of one language at once, and keep them."""
        began = time.monotonic()
        duration_s = sum(segment.end_s - segment.start_s for segment in segments)
        sounds = [job.sound(one) for one in segments]
        with self._database.write() as session:
            self._job_queue.keep(session, job.claim)
            call_id = self._ledger.reserve(session, transcript_orders.call(engine, job.recording, duration_s))
        try:
            with self.breakers.around(engine.provider, engine.http):
                speeches = engine.transcribe(sounds, spoken(engine, language))
        except StenogramError as error:
            with self._database.write() as session:
                end = self._ledger.dispute if isinstance(error, OutcomeUnknown) else self._ledger.release
                end(session, call_id)
            raise
        paid = {job.recording.id: engine.price(duration_s)[2]}

        def settle(session: Session) -> None:
            self._ledger.settle(session, call_id, paid)

        try:  # what was paid for and its price in one write: neither is there without the other
            self._transcripts.commit(job.claim, segments, speeches, time.monotonic() - began, also=settle)
        except StenogramError:  # the job is another's by now, and the text is refused
            with self._database.write() as session:
                settle(session)
            raise

    def _tick(self, engine: AsyncRemoteEngine, job: TranscriptionJob) -> TickOutcome:
        """Look at what is out, keep what has come, and order what is still to be ordered.

        Raise Rejected when a segment cannot be had. A provider that fails only makes us wait.
        """
        waiting = self._transcripts.pending(job.transcript.id, engine.name)
        pending = {segment.n: segment for segment in waiting}
        if not pending:
            return TickOutcome(None)
        self.orders.plan(job.claim, engine, job.recording, pending.values())
        lifecycle = TranscriptLifecycle(self.orders, self._transcripts, self.breakers, engine, job, pending)
        problem: StenogramError | None = None
        for order in self.orders.due(job.transcript.id):
            if order.n not in pending:
                continue
            try:
                lifecycle.step(order)
            except Superseded:
                continue
            except (ProviderBusy, ProviderRefused) as error:
                problem = error
                break
        return self._outcome(engine, job, problem)

    def _outcome(self, engine: Engine, job: TranscriptionJob, problem: StenogramError | None) -> TickOutcome:
        if not self._transcripts.pending(job.transcript.id, engine.name):
            return TickOutcome(None)
        orders, now = self.orders.of(job.transcript.id), self._job_queue.now()
        self._job_queue.report(job.claim, self.orders.progress(orders))
        waits_s = [
            order.next_at - now
            for order in orders
            if order.state in transcript_orders.LIVE and order.next_at > now
        ]
        if problem is not None:
            waits_s = [float(getattr(problem, "retry_after_s", None) or LOOK_S)]
        return TickOutcome(max(1.0, min([LOOK_S, *waits_s])), problem or self.orders.problem(orders))

    def sweep(self, engines: Mapping[str, Engine]) -> None:
        """Cancel what nobody waits for any more, and forget old orders."""
        for order in self.orders.abandoned():
            engine = engines.get(order.engine)
            if isinstance(engine, AsyncRemoteEngine):
                self._abandon(order, engine)
        self.orders.forget()

    def _abandon(self, order: Order, engine: AsyncRemoteEngine) -> None:
        """Stop an order there if it is known there. A request that may be on its way is waited for."""
        on_its_way = order.state == OrderState.SUBMITTING
        if on_its_way and self._job_queue.now() < (order.intended_at or 0.0) + QUIET_S:
            return
        try:
            with self.breakers.around(engine.provider, engine.http):
                remote_id = engine.find(order.id) if on_its_way else order.remote_id
                if isinstance(remote_id, str) and order.state != OrderState.PLANNED:
                    engine.cancel(remote_id)
        except Unavailable:
            return
        with suppress(Superseded):
            self.orders.move(order, OrderState.CANCELLED, Money.DISPUTED, finished_at=self._job_queue.now())


class TranscriptLifecycle(OrderLifecycle[Order, Speech]):
    """The steps of the orders of one transcript, taken by one job."""

    failpoints = "order"
    quiet_s = QUIET_S
    max_failures = BREAKS

    def __init__(
        self,
        orders: Orders,
        transcripts: Transcripts,
        breakers: Breakers,
        engine: AsyncRemoteEngine,
        job: TranscriptionJob,
        pending: Mapping[int, Segment],
    ) -> None:
        self.now = orders.now
        self._orders = orders
        self._transcripts = transcripts
        self._breakers = breakers
        self._engine = engine
        self._job = job
        self._pending = pending
        self._sounds: dict[str, Waveform] = {}

    def step(self, order: Order) -> None:
        """Whatever its state asks for; a held one waits for a person, or for its answer to turn up.

        Raise Rejected when the transcript cannot be had, else what the provider raises, or Superseded.
        """
        match order.state:
            case OrderState.PLANNED | OrderState.CANCELLED:
                self._sounds = {order.id: self._job.sound(self._pending[order.n])}  # before the intention
                self.submit(order)
            case OrderState.SUBMITTING:
                lost = OutcomeUnknown(self._engine.http.provider, "the reply to an order was lost")
                self.resolve(order, lost)
            case OrderState.SUBMITTED:
                self.poll(order)
            case OrderState.HELD:
                self.recheck(order)
            case OrderState.FAILED:
                raise transcript_orders.failure(order)

    def recheck(self, order: Order) -> None:
        """While a person thinks about a held order, its answer may come after all."""
        remote_order = self.find(order)
        if order.remote_id is not None and (remote_order is None or remote_order.result is None):
            remote_order = None
            if speech := self._poll(order).speech:  # it was late, and may have come by now
                remote_order = FoundOrder(result=speech)
        if remote_order is not None:
            self.take_over(order, remote_order)
        else:
            self._orders.move(order, OrderState.HELD, next_at=self.now() + PARKED_S)

    # As the lifecycle wants it

    @property
    def findable(self) -> bool:
        """As the engine says."""
        return self._engine.findable

    def intended_at(self, row: Order) -> float:
        """When its last intention was committed."""
        return row.intended_at or 0.0

    def failure_count(self, row: Order) -> int:
        """Runs that failed at the provider."""
        return row.failure_count

    def intend(self, row: Order) -> bool:
        """Not more at a time than the engine takes."""
        return self._orders.intend(self._job.claim, self._engine, self._job.recording, row)

    def send(self, row: Order) -> FoundOrder[Speech]:
        """Our id travels with it where the provider keeps it."""
        language = spoken(self._engine, language_of(self._job, self._pending[row.n]))
        sound = self._sounds.pop(row.id)
        with self._breakers.around(self._engine.provider, self._engine.http):
            return FoundOrder(self._engine.submit(sound, language, row.id, row.timeout_count))

    def find(self, row: Order) -> FoundOrder[Speech] | None:
        """By our id."""
        if not self.findable:
            return None
        with self._breakers.around(self._engine.provider, self._engine.http):
            remote_order = self._engine.find(row.id)
        if remote_order is None:
            return None
        return (
            FoundOrder(result=remote_order) if isinstance(remote_order, Speech) else FoundOrder(remote_order)
        )

    def ask(self, row: Order) -> OrderReport[Speech]:
        """How it stands at the provider."""
        report = self._poll(row)
        hit("order.after_poll")
        return OrderReport(report.fate, report.speech, report.reason, too_slow=report.too_slow)

    def _poll(self, row: Order) -> Report:
        with self._breakers.around(self._engine.provider, self._engine.http):
            return self._engine.poll(row.remote_id or "", row.id)

    def keep(self, row: Order, result: Speech) -> None:
        """The transcript, the end of the order and its price, in one write."""
        took_s = self.now() - (row.submitted_at or row.intended_at or self.now())
        quantity = self._engine.price(row.duration_s)[2]
        self._transcripts.commit(
            self._job.claim,
            [self._pending[row.n]],
            [result],
            took_s,
            lambda session: self._orders.complete(session, row, quantity),
        )
        hit("order.after_speech")

    def adopt(self, row: Order, remote_order: FoundOrder[Speech]) -> None:
        """Kept even if the work was cancelled meanwhile: only so can it be stopped there."""
        at = row.intended_at or self.now()
        values: dict[str, Any] = {
            "remote_id": remote_order.remote_id,
            "fate": OrderFate.WAITING,
            "submitted_at": at,
            "error": None,
        }
        next_at = self.now() + self._engine.poll_s
        self._orders.move(row, OrderState.SUBMITTED, **values, next_at=next_at)

    def not_ordered(self, row: Order, error: StenogramError) -> None:
        """As before, and no money reserved."""
        error_json = None if isinstance(error, Withdrawn) else as_json(error)
        self._orders.move(row, OrderState.PLANNED, Money.RELEASED, error=error_json)

    def reject(self, row: Order, error: Rejected) -> None:
        """The job fails with it."""
        self._orders.move(row, OrderState.FAILED, Money.RELEASED, error=as_json(error))
        raise error

    def wait(self, row: Order, error: OutcomeUnknown) -> None:
        """The list may lag."""
        self._orders.move(row, OrderState.SUBMITTING, next_at=self.now() + LOOK_S, error=as_json(error))

    def not_found(self, row: Order, reason: str) -> None:
        """Perhaps it was bought: a cheap one is bought again, once, and both are booked; else it is held."""
        provider = self._engine.http.provider.display_name
        if Decimal(row.usd) > HOLD_USD or row.unknown_outcome_count:
            held_error = Unavailable(Code.ORDER_HELD, provider=provider, reason=reason)
            self._orders.move(row, OrderState.HELD, error=as_json(held_error))
            return
        again = Unavailable(Code.ORDERED_AGAIN, provider=provider, reason=reason)
        values: dict[str, Any] = {
            "unknown_outcome_count": row.unknown_outcome_count + 1,
            "error": as_json(again),
        }
        self._orders.move(row, OrderState.PLANNED, Money.DISPUTED, **values)

    def resubmit(self, row: Order, report: OrderReport[Speech]) -> None:
        """After a pause, with more time if time was short."""
        error = ProviderBusy(self._engine.http.provider, report.reason or NO_RESULT)
        self._orders.move(
            row,
            OrderState.PLANNED,
            Money.DISPUTED,
            failure_count=row.failure_count + 1,
            timeout_count=row.timeout_count + report.too_slow,
            next_at=self.now() + AGAIN_S,
            error=as_json(error),
        )

    def fail(self, row: Order, report: OrderReport[Speech]) -> None:
        """The job fails with it; nobody knows what was billed."""
        error = Rejected(
            Code.PART_FAILED,
            provider=self._engine.http.provider.display_name,
            reason=report.reason or NO_RESULT,
        )
        values: dict[str, Any] = {"finished_at": self.now(), "error": as_json(error)}
        self._orders.move(row, OrderState.FAILED, Money.DISPUTED, **values)
        raise error

    def still_running(self, row: Order, report: OrderReport[Speech]) -> None:
        """Ask again, seldom after a long time; at the deadline it counts as lost."""
        since_s = self.now() - (row.submitted_at or self.now())
        if since_s > self._engine.deadline_s:
            self.not_found(row, "it was not ready in time")
            return
        working_at = row.working_at or (self.now() if report.fate == OrderFate.WORKING else None)
        pause_s = PARKED_S if since_s > self._engine.parked_after_s else self._engine.poll_s
        values: dict[str, Any] = {
            "fate": report.fate,
            "working_at": working_at,
            "next_at": self.now() + pause_s,
        }
        self._orders.move(row, OrderState.SUBMITTED, **values)
