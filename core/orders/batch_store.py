"""Batches in SQL: their transitions (`core/orders/lifecycle.py`), ends and duplicates.

    planned → uploaded → submitting → submitted → ended → saved → complete
                  ↑            │            │                        └ failed texts wait again
                  ├────────────┘            ├→ failed, expired: halves are planned
                  └→ split: it was too large
      no such batch after the quiet period  ├→ cancelled
                                            └→ held: a person must look

The order of money: the intention and its reserved budget are committed before the order leaves;
an order whose answer was lost is looked for, never repeated; a result is on disk before it is
used, and stays there until its vectors were read back from the index.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.billing import plain
from core.billing.ledger import Call, CapReached, Ledger, PriceUnknown
from core.database.database import Database
from core.database.states import BatchAction, BatchState, EmbeddingRequestState, OrderState, PriceMode
from core.database.tables import Batch, EmbeddingRequestRow, Job
from core.embedding.embedder import BatchEmbedder, RemoteBatch
from core.errors import Code, StenogramError, Unavailable, Withdrawn, record
from core.failpoints import hit
from core.orders import embedding_requests
from core.orders.embedding_requests import EmbeddingRequest
from core.orders.lifecycle import FoundOrder, Money, Transitions
from core.queue.jobs import as_json, changed

LIVE = (
    BatchState.PLANNED,
    BatchState.UPLOADED,
    BatchState.SUBMITTING,
    BatchState.SUBMITTED,
    BatchState.ENDED,
    BatchState.SAVED,
)
ASKED = (BatchState.SUBMITTING, BatchState.SUBMITTED)
"""States in which the provider counts a batch's tokens as enqueued."""
FREE = (BatchState.PLANNED, BatchState.UPLOADED)
"""States in which nothing was ordered yet."""
PREFIX = "gam-"
POLL_MOST_S = 60.0
POLL_GROWTH = 1.5
BACKOFF_S = (5.0, 15.0, 30.0, 60.0)
OLD_S = 50 * 3600.0
"""A live batch older than this needs a person: providers end theirs after 48 hours."""


class BatchStore(Transitions[Batch]):
    """The batches of one installation, as SQL knows them."""

    table = Batch

    def __init__(
        self, database: Database, ledger: Ledger, poll_s: float, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(database, ledger, clock)
        self._poll_s = poll_s

    def call_id(self, row: Batch) -> str:
        """A batch is reserved once, when its texts are claimed: its name finds every attempt again."""
        return row.id

    def get(self, batch_id: str) -> Batch:
        """One batch, as it is now."""
        with self._database.read() as session:
            return session.get_one(Batch, batch_id)

    def live(self) -> list[Batch]:
        """Batches that have not ended, oldest first."""
        query = select(Batch).where(Batch.state.in_(LIVE)).order_by(Batch.created_at)
        with self._database.read() as session:
            return list(session.scalars(query))

    def due(self) -> list[Batch]:
        """Live batches whose next step is due, those that wait longest first."""
        query = select(Batch).where(Batch.state.in_(LIVE), Batch.next_at <= self.now())
        with self._database.read() as session:
            return list(session.scalars(query.order_by(Batch.next_at)))

    def in_flight(self) -> tuple[int, int]:
        """How many batches live, and how many tokens they hold at the provider or soon will."""
        counted = select(func.count(), func.coalesce(func.sum(Batch.tokens), 0))
        with self._database.read() as session:
            number = session.scalar(select(func.count()).where(Batch.state.in_(LIVE))) or 0
            tokens = session.execute(counted.where(Batch.state.in_((*FREE, *ASKED)))).one()[1]
            return number, int(tokens)

    # Steps

    def plan(self, embedder: BatchEmbedder, requests: Sequence[EmbeddingRequest]) -> Batch | None:
        """Claim these texts for a new batch and reserve its price; None if somebody else has one of them.

        Raise CapReached when the month's cap does not allow it, PriceUnknown without a price; then
        nothing is changed.
        """
        try:
            with self._database.write() as session:
                batch = self._insert(session, embedder, requests)
                hit("plan.before_commit")
        except Withdrawn:
            return None
        hit("plan.after_commit")
        return batch

    def _insert(
        self, session: Session, embedder: BatchEmbedder, requests: Sequence[EmbeddingRequest]
    ) -> Batch:
        batch = Batch(
            model=embedder.name,
            display_name=_display_name(session, embedder, requests),
            texts=len(requests),
            tokens=sum(request.tokens for request in requests),
            usd="0",
            created_at=self.now(),
            next_at=self.now(),
            deadline_at=min(
                (request.deadline_at for request in requests if request.deadline_at), default=None
            ),
        )
        session.add(batch)
        session.flush()
        if not embedding_requests.claim(session, requests, batch.id):
            raise Withdrawn
        call = Call(embedder.provider, embedder.model, PriceMode.BATCH, _tokens_by_recording(requests))
        self._ledger.reserve(session, call, batch.id)
        batch.usd = plain(
            self._ledger.required_usd(embedder.provider, embedder.model, PriceMode.BATCH, batch.tokens)
        )
        return batch

    def transition(
        self,
        session: Session,
        row: Batch,
        to: BatchState | OrderState,
        money: Money = Money.KEPT,
        **values: Any,
    ) -> None:
        """As of any order; the next step is due at once, and nothing is wrong any more."""
        fresh = {"poll_count": 0, "next_at": self.now(), "error": None}
        super().transition(session, row, to, money, **(fresh | values))

    def submitted(self, batch: Batch, remote_order: FoundOrder[RemoteBatch]) -> None:
        """The provider has it: from now on it is known by its name there. Duplicates are booked as well."""
        values: dict[str, Any] = {"name": remote_order.remote_id, "remote_state": remote_order.remote_state}
        values |= {"submitted_at": self.now(), "next_at": self.now() + self._poll_s}
        with self._database.write() as session:
            self.transition(session, batch, BatchState.SUBMITTED, **values)
            if remote_order.duplicates:
                self._book_duplicates(session, batch, remote_order.duplicates)

    def book_duplicates(self, batch: Batch, number: int) -> None:
        """The provider turned out to have a batch more than once: a person should know, the book too."""
        with self._database.write() as session:
            self._book_duplicates(session, batch, number)

    def _book_duplicates(self, session: Session, batch: Batch, number: int) -> None:
        alarm = record(Code.BATCH_REPEATED, times=number + 1)
        session.execute(update(Batch).where(Batch.id == batch.id).values(alarm=alarm))
        for _ in range(number):
            self._ledger.book_again(session, batch.id)

    def later(self, batch: Batch, error: StenogramError | None = None, **values: Any) -> None:
        """Nothing new, or it could not be done now: look again later, with growing pauses."""
        values |= {"poll_count": batch.poll_count + 1, "next_at": self.now() + self.pause_s(batch, error)}
        values["error"] = as_json(error) if error else None
        with self._database.write() as session:
            self.try_transition(session, batch, values)

    def pause_s(self, batch: Batch, error: StenogramError | None) -> float:
        """Until the next look: 10 s growing to 60 s; after an error what the provider asks for."""
        if error is None:
            return min(POLL_MOST_S, self._poll_s * POLL_GROWTH**batch.poll_count)
        retry_after_s = error.retry_after_s if isinstance(error, Unavailable) else None
        return retry_after_s or BACKOFF_S[min(batch.poll_count, len(BACKOFF_S) - 1)]

    def refused(self, batch: Batch, error: StenogramError) -> None:
        """The order was refused: nothing was bought, and the same order may be made again later."""
        next_at = self.now() + self.pause_s(batch, error)
        hit("refuse.before_commit")
        self.move(
            batch, BatchState.UPLOADED, error=as_json(error), poll_count=batch.poll_count + 1, next_at=next_at
        )

    def hold(self, batch: Batch, code: Code) -> None:
        """Stop here until a person has looked; what may be billed stays booked."""
        self.move(batch, BatchState.HELD, alarm=record(code), finished_at=self.now())

    def watch(self) -> None:
        """Whatever holds a live batch up for too long, a person should know of it."""
        alarm = record(Code.BATCH_OLD, hours=int(OLD_S / 3600))
        old = [batch for batch in self.live() if batch.created_at < self.now() - OLD_S and not batch.alarm]
        for batch in old:
            with self._database.write() as session:
                session.execute(update(Batch).where(Batch.id == batch.id).values(alarm=alarm))

    # Ends

    def complete(
        self, batch: Batch, good: Mapping[str, int], errors: Mapping[str, str], alarm: Code | None = None
    ) -> list[Job]:
        """Its vectors are kept: book what it cost, let its texts go, send the others where they belong.

        `good` are the tokens of good texts by hash, `errors` what was wrong with the others. Jobs to ring.
        """
        with self._database.write() as session:
            usd = self._ledger.settle(session, batch.id, embedding_requests.billed(session, good))
            self.transition(
                session,
                batch,
                BatchState.COMPLETE,
                good=len(good),
                bad=len(errors),
                paid_tokens=sum(good.values()),
                paid_usd=plain(usd),
                finished_at=self.now(),
                alarm=record(alarm) if alarm else batch.alarm,
            )
            embedding_requests.done(session, good)
            jobs = _send_on(session, batch, errors)
        hit("store.after_commit")
        return jobs

    def abandon(
        self, batch: Batch, state: BatchState, money: Money, error: StenogramError | None = None
    ) -> list[Job]:
        """It ended without results; what becomes of its money is told. Jobs to notify after that."""
        with self._database.write() as session:
            why = as_json(error) if error else None
            self.transition(session, batch, state, money, finished_at=self.now(), error=why)
            query = select(EmbeddingRequestRow.hash).where(
                EmbeddingRequestRow.batch_id == batch.id,
                EmbeddingRequestRow.state == EmbeddingRequestState.SENT,
            )
            hashes = list(session.scalars(query))
            if error is None and batch.requested_action in (BatchAction.NONE, BatchAction.LATE):
                embedding_requests.requeue(session, batch.id)
                return []
            return _send_on(session, batch, dict.fromkeys(hashes, str(error or "cancelled")))

    def replan(
        self,
        batch: Batch,
        embedder: BatchEmbedder,
        requests: Sequence[EmbeddingRequest],
        state: BatchState,
        why: str,
    ) -> None:
        """It ended at the provider without results: what was not tried too often goes out in halves.

        Whether it is billed is not known, so it stays booked. If the cap is reached, the texts wait.
        """
        with self._database.write() as session:
            failure = record(Code.BATCH_FAILED, why=why)
            self.transition(session, batch, state, Money.DISPUTED, finished_at=self.now(), error=failure)
            embedding_requests.fail(session, {request.hash: why for request in requests})
            embedding_requests.requeue(session, batch.id)
            self._halves(session, embedder, embedding_requests.still_waiting(session, requests))
            hit("replan.before_commit")
        hit("replan.after_commit")

    def _halves(
        self, session: Session, embedder: BatchEmbedder, requests: Sequence[EmbeddingRequest]
    ) -> None:
        middle = (len(requests) + 1) // 2
        for half in filter(None, (requests[:middle], requests[middle:])):
            # without room or a price they wait like any others
            with suppress(CapReached, PriceUnknown), session.begin_nested():
                self._insert(session, embedder, half)

    def request_action(self, batch_id: str, action: BatchAction) -> bool:
        """Note what a person wants of a live batch; its next step is due now. False if it has ended."""
        statement = update(Batch).where(Batch.id == batch_id, Batch.state.in_(LIVE))
        with self._database.write() as session:
            return changed(
                session, statement.values(requested_action=action, next_at=self.now(), poll_count=0)
            )

    def finished(self, session: Session, batch_id: str) -> None:
        """A cancelled batch is called finished now: its texts are made at once after all."""
        statement = update(Batch).where(Batch.id == batch_id, Batch.state == BatchState.CANCELLED)
        session.execute(statement.values(requested_action=BatchAction.SYNC))


def _display_name(session: Session, embedder: BatchEmbedder, requests: Sequence[EmbeddingRequest]) -> str:
    """Derived from the content, so that it can be found again; and how often the same was tried before."""
    content = "|".join([embedder.name, *sorted(request.hash for request in requests)])
    name = f"{PREFIX}{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    before = select(func.count()).where(Batch.display_name.startswith(name))
    return f"{name}-{session.scalar(before)}"


def _tokens_by_recording(requests: Sequence[EmbeddingRequest]) -> dict[tuple[str, str], int]:
    tokens: dict[tuple[str, str], int] = {}
    for request in requests:
        payer = (request.recording_id, request.owner)
        tokens[payer] = tokens.get(payer, 0) + request.tokens
    return tokens


def _send_on(session: Session, batch: Batch, errors: Mapping[str, str]) -> list[Job]:
    """Texts without a vector: now if a person wants that, to a person after a cancel, else another try.

    A late batch gives them back as they came: those that are due are embedded at once from the next tick on.
    """
    if batch.requested_action == BatchAction.SYNC:
        return embedding_requests.leave_batches(session, list(errors))
    if batch.requested_action == BatchAction.LATE:
        embedding_requests.requeue(session, batch.id)
        return []
    embedding_requests.fail(session, errors, spent=batch.requested_action == BatchAction.CANCEL)
    return []
