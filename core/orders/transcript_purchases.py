"""Paid transcripts from elsewhere, each bought once, whatever dies meanwhile.

An engine that answers at once is called between a promise of money and the commit of what it said. One
that takes long gets an order for each segment (`orders.py`): the intention is committed before the
request leaves, the provider's id right after it came, and then the order is looked at now and then, by
jobs that never sleep. Where a reply was lost nobody knows whether there is an order: it is looked for, and
bought again only when it is cheap, said and booked twice; a dear one is held for a person.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

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
)
from core.failpoints import hit
from core.media.waveform import Waveform
from core.orders import transcript_orders
from core.orders.breakers import Breakers
from core.orders.transcript_orders import Orders
from core.queue.jobs import Claim, JobQueue, as_json
from core.speech.engine import AsyncRemoteEngine, Engine, RemoteEngine, Report, Speech
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


@dataclass(frozen=True)
class Looked:
    """What became of a look at the orders: seconds until the next one, or None when all is heard."""

    wait_s: float | None
    trouble: StenogramError | None = None


@dataclass(frozen=True)
class Place:
    """A job at its transcript; `sound` cuts out a segment."""

    claim: Claim
    recording: Recording
    transcript: Transcript
    sound: Callable[[Segment], Waveform]


class RemoteTranscription:
    """Engines elsewhere, and the orders they have."""

    def __init__(self, database: Database, work: JobQueue, transcripts: Transcripts, ledger: Ledger) -> None:
        self._database = database
        self._job_queue = work
        self._transcripts = transcripts
        self._ledger = ledger
        self.orders = Orders(database, work, ledger)
        self.breakers = Breakers(database, self.orders.now)

    def transcribe(self, engine: RemoteEngine, place: Place) -> bool:
        """Bring a transcript forward. False: there is something to wait for, and its job was put off."""
        if not self._transcripts.acquire(place.claim, place.transcript.id):
            return False
        if not isinstance(engine, AsyncRemoteEngine):
            self._hear_all(engine, place)
            return True
        looked = self._tick(engine, place)
        if looked.wait_s is not None:
            self._job_queue.wait(place.claim, looked.wait_s, looked.trouble)
        return looked.wait_s is None

    def _hear_all(self, engine: RemoteEngine, place: Place) -> None:
        total = self._transcripts.count(place.transcript.id)
        pending = self._transcripts.pending(place.transcript.id)
        for start in range(0, len(pending), engine.batch_segments):
            self._hear(engine, place, pending[start : start + engine.batch_segments])
            left = max(0, len(pending) - start - engine.batch_segments)
            self._job_queue.report(place.claim, 95 - 80 * left // total)

    def _hear(self, engine: RemoteEngine, place: Place, segments: Sequence[Segment]) -> None:
        """Buy the transcripts of these segments at once, and keep them."""
        began = time.monotonic()
        duration_s = sum(segment.end_s - segment.start_s for segment in segments)
        sounds = [place.sound(one) for one in segments]
        with self._database.write() as session:
            self._job_queue.keep(session, place.claim)
            call_id = self._ledger.reserve(
                session, transcript_orders.call(engine, place.recording, duration_s)
            )
        try:
            with self.breakers.around(engine.provider, engine.http):
                speeches = engine.transcribe(sounds, place.transcript.language)
        except StenogramError as error:
            with self._database.write() as session:
                end = self._ledger.dispute if isinstance(error, OutcomeUnknown) else self._ledger.release
                end(session, call_id)
            raise
        with self._database.write() as session:
            self._ledger.settle(session, call_id, {place.recording.id: engine.price(duration_s)[2]})
        self._transcripts.commit(place.claim, segments, speeches, time.monotonic() - began)

    def _tick(self, engine: AsyncRemoteEngine, place: Place) -> Looked:
        """Look at what is out, keep what has come, and order what is still to be ordered.

        Raise Rejected when a segment cannot be had. Trouble with the provider only makes us wait.
        """
        pending = {segment.n: segment for segment in self._transcripts.pending(place.transcript.id)}
        if not pending:
            return Looked(None)
        self.orders.plan(place.claim, engine, place.recording, pending.values())
        trouble: StenogramError | None = None
        for order in self.orders.due(place.transcript.id):
            if order.n not in pending:
                continue
            try:
                self._step(engine, place, order, pending[order.n])
            except (ProviderBusy, ProviderRefused) as error:
                trouble = error
                break
        return self._outlook(place, trouble)

    def _step(self, engine: AsyncRemoteEngine, place: Place, order: Order, segment: Segment) -> None:
        _Step(self.orders, self._transcripts, self.breakers, engine, place, order, segment).take()

    def _outlook(self, place: Place, trouble: StenogramError | None) -> Looked:
        if not self._transcripts.pending(place.transcript.id):
            return Looked(None)
        mine, now = self.orders.of(place.transcript.id), self._job_queue.now()
        self._job_queue.report(place.claim, self.orders.progress(mine))
        nexts = [
            order.next_at - now
            for order in mine
            if order.state in transcript_orders.LIVE and order.next_at > now
        ]
        asked = [float(getattr(trouble, "retry_after_s", None) or LOOK_S)] if trouble else nexts
        return Looked(max(1.0, min([LOOK_S, *asked])), trouble or self.orders.trouble(mine))

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
        if on_its_way and self._job_queue.now() < (order.submit_at or 0.0) + QUIET_S:
            return
        try:
            with self.breakers.around(engine.provider, engine.http):
                found = engine.find(order.id) if on_its_way else order.remote_id
                if isinstance(found, str) and order.state != OrderState.PLANNED:
                    engine.cancel(found)
        except Unavailable:
            return
        self.orders.end(order, OrderState.CANCELLED)


class _Step:
    """One look at one order."""

    def __init__(
        self,
        book: Orders,
        transcripts: Transcripts,
        breakers: Breakers,
        engine: AsyncRemoteEngine,
        place: Place,
        order: Order,
        segment: Segment,
    ) -> None:
        self._book = book
        self._transcripts = transcripts
        self._breakers = breakers
        self._engine = engine
        self._place = place
        self._order = order
        self._segment = segment
        self._now = book.now()

    def take(self) -> None:
        """Whatever its state asks for; a held one waits for a person, or for its answer to turn up."""
        match self._order.state:
            case OrderState.PLANNED | OrderState.CANCELLED:
                self._submit()
            case "submitting":
                self._doubt(OutcomeUnknown(self._engine.http.provider, "the reply to an order was lost"))
            case "submitted":
                self._poll()
            case "held":
                self._look_for()
            case "failed":
                raise transcript_orders.reason(self._order)

    def _submit(self) -> None:
        order, language = self._order, self._place.transcript.language
        sound = self._place.sound(self._segment)
        hit("order.before_commit")
        if not self._book.intend(self._place.claim, self._engine, self._place.recording, order):
            return
        hit("order.before_send")
        try:
            with self._breakers.around(self._engine.provider, self._engine.http):
                remote_id = self._engine.submit(sound, language, order.id, order.patience)
        except OutcomeUnknown as error:
            self._doubt(error)
            return
        except StenogramError as error:
            self._book.not_ordered(order, error)
            raise
        hit("order.after_reply")
        self._ordered(remote_id)
        hit("order.after_commit")

    def _ordered(self, remote_id: str) -> None:
        """Kept even if the work was cancelled meanwhile: only so can it be stopped there."""
        at = self._order.submit_at or self._now
        values = {"remote_id": remote_id, "fate": OrderFate.WAITING, "submitted_at": at, "error": None}
        self._book.move(self._order, OrderState.SUBMITTED, **values, next_at=self._now + self._engine.poll_s)

    def _doubt(self, error: OutcomeUnknown) -> None:
        """The reply was lost, so the order may be there: look, and look again, before anything is bought."""
        found = self._found()
        if isinstance(found, Speech):
            self._keep(found)
        elif found is not None:
            self._ordered(found)
        elif self._engine.findable and self._now < (self._order.submit_at or 0.0) + QUIET_S:
            self._book.move(
                self._order, OrderState.SUBMITTING, next_at=self._now + LOOK_S, error=as_json(error)
            )
        else:
            self._buy_again_or_hold(str(error.facts["detail"]))

    def _look_for(self) -> None:
        """While a person thinks about it, the answer may come after all."""
        found = self._found()
        if self._order.remote_id is not None and not isinstance(found, Speech):
            found = self._brought()
        if isinstance(found, Speech):
            self._keep(found)
        elif found is not None:
            self._ordered(found)
        else:
            self._book.move(self._order, OrderState.HELD, next_at=self._now + PARKED_S)

    def _found(self) -> str | Speech | None:
        """What a look for the order finds; a provider that cannot be asked has not answered either."""
        if not self._engine.findable:
            return None
        with self._breakers.around(self._engine.provider, self._engine.http):
            return self._engine.find(self._order.id)

    def _brought(self) -> Speech | None:
        """What an order that was too late has brought by now."""
        with self._breakers.around(self._engine.provider, self._engine.http):
            return self._engine.poll(self._order.remote_id or "", self._order.id).speech

    def _poll(self) -> None:
        with self._breakers.around(self._engine.provider, self._engine.http):
            report = self._engine.poll(self._order.remote_id or "", self._order.id)
        hit("order.after_poll")
        match report.fate:
            case OrderFate.DONE if report.speech is not None:
                self._keep(report.speech)
            case OrderFate.BROKEN | OrderFate.DONE:
                self._broken(report)
            case OrderFate.REFUSED:
                self._fail(report.reason)
            case OrderFate.LOST:
                self._lost(report)
            case _:
                self._still_out(report)

    def _keep(self, speech: Speech) -> None:
        """The transcript, the end of the order and its price, in one write."""
        order = self._order
        took_s = self._now - (order.submitted_at or order.submit_at or self._now)
        quantity = self._engine.price(order.duration_s)[2]
        self._transcripts.commit(
            self._place.claim,
            [self._segment],
            [speech],
            took_s,
            lambda session: self._book.done(session, order, quantity),
        )
        hit("order.after_speech")

    def _broken(self, report: Report) -> None:
        """It ran there and failed; a few times that is tried again, with more time if time was short."""
        order, reason = self._order, report.reason or "it ended without a result"
        if order.breaks + 1 >= BREAKS:
            self._fail(reason)
        self._book.again(
            order,
            breaks=order.breaks + 1,
            patience=order.patience + report.too_slow,
            next_at=self._now + AGAIN_S,
            error=as_json(ProviderBusy(self._engine.http.provider, reason)),
        )

    def _lost(self, report: Report) -> None:
        """The provider no longer knows it; a worker of ours may have left its result in our store."""
        found = self._engine.find(self._order.id)
        if isinstance(found, Speech):
            self._keep(found)
        else:
            self._buy_again_or_hold(report.reason)

    def _buy_again_or_hold(self, reason: str) -> None:
        order, provider = self._order, self._engine.http.provider.display_name
        if Decimal(order.usd) > HOLD_USD or order.doubts:
            held = Unavailable(Code.ORDER_HELD, provider=provider, reason=reason)
            self._book.move(order, OrderState.HELD, error=as_json(held))
            return
        again = Unavailable(Code.ORDERED_AGAIN, provider=provider, reason=reason)
        self._book.again(order, doubts=order.doubts + 1, error=as_json(again))

    def _still_out(self, report: Report) -> None:
        order = self._order
        since_s = self._now - (order.submitted_at or self._now)
        if since_s > self._engine.deadline_s:
            self._buy_again_or_hold("it was not ready in time")
            return
        working_at = order.working_at or (self._now if report.fate == OrderFate.WORKING else None)
        pause_s = PARKED_S if since_s > self._engine.parked_after_s else self._engine.poll_s
        values = {"fate": report.fate, "working_at": working_at, "next_at": self._now + pause_s}
        self._book.move(order, OrderState.SUBMITTED, **values)

    def _fail(self, reason: str) -> None:
        error = Rejected(
            Code.PART_FAILED,
            provider=self._engine.http.provider.display_name,
            reason=reason,
        )
        self._book.end(self._order, OrderState.FAILED, error)
        raise error
