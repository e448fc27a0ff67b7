"""Batches as people see them: where each stands in plain words, how long it may take, what it saves."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.billing.ledger import Ledger
from core.database.database import Database
from core.database.states import BatchAction, BatchState, EmbeddingRequestState, PriceMode
from core.database.tables import Batch, EmbeddingRequestRow, Json
from core.embedding.embedder import Embedder, batching
from core.i18n.messages import N_
from core.orders.batch_planner import CAPPED
from core.orders.batch_store import LIVE
from core.settings import Settings

STATES = {
    BatchState.PLANNED: N_("Collected; about to be sent"),
    BatchState.UPLOADED: N_("Sent to the provider; about to be ordered"),
    BatchState.SUBMITTING: N_("Ordered; the provider has not answered yet, it will be looked for"),
    BatchState.SUBMITTED: N_("In progress at the provider"),
    BatchState.ENDED: N_("Ready at the provider; the result is being fetched"),
    BatchState.SAVED: N_("Fetched; vectors are being stored"),
    BatchState.COMPLETE: N_("Ready: these passages are found by meaning"),
    BatchState.FAILED: N_("The provider could not do it; its passages were sent anew"),
    BatchState.EXPIRED: N_("The provider took longer than 48 hours; its passages were sent anew"),
    BatchState.CANCELLED: N_("Cancelled"),
    BatchState.SPLIT: N_("Too large for the provider; its passages were collected anew"),
    BatchState.HELD: N_("Stopped: a person must look"),
}
"""Where a batch stands, for people."""

REQUESTED = {
    BatchAction.CANCEL: N_("Being cancelled"),
    BatchAction.SYNC: N_("Being cancelled; the rest will be made now"),
    BatchAction.LATE: N_("Late, so it is being cancelled; what is due will be made now"),
}
"""What was asked of a batch under way, for people."""

FINISHED = N_("Finished now: what it lacked went to be made at once, at the full price")
LATE = N_("It was late and is cancelled; what was due went to be made at once")

DISPUTED = (BatchState.FAILED, BatchState.EXPIRED, BatchState.HELD)
"""Ends without a result, of which nobody knows whether they are billed: they stay booked."""
PAUSED = "batch paused"
"""The fact that says until when the provider is not asked, and why."""
TYPICAL_S = (600.0, 1800.0)
"""How long a batch usually takes, from practice; used until this installation has seen some itself."""
PROMISED_S = 86_400.0
ENOUGH = 3
REMEMBERED = 30


@dataclass(frozen=True)
class Expected:
    """When results can be expected, in seconds after the order: usually between, at the latest."""

    low_s: float
    high_s: float
    latest_s: float
    own: bool
    """Whether this is from batches of this installation."""


@dataclass(frozen=True)
class BatchSummary:
    """One batch as a person sees it."""

    id: str
    state: str
    says: str
    """Where it stands, or how it ended: a template."""
    name: str
    """The provider's name for it, or ours while it has none."""
    texts: int
    good: int
    failed: int
    at_once: int
    """Texts that left it to be made at once, at the full price."""
    waiting: int
    age_s: float
    next_check_s: float | None
    expected: Expected | None
    usd: Decimal
    """What it costs: an estimate until it is complete."""
    saved_usd: Decimal | None
    """Against single calls; None where nobody knows the price of that."""
    late: bool
    error: Json | None
    alarm: Json | None
    live: bool
    """Whether it can be cancelled or finished now."""
    emulated: bool


@dataclass(frozen=True)
class Queue:
    """What waits to be sent, and why it may not go out."""

    texts: int
    age_s: float | None
    tokens: int
    usd: Decimal | None
    saved_usd: Decimal | None
    """None where no price is known."""
    stopped: Json | None
    """Why nothing is sent: a refused key, the monthly cap, no price; None if nothing stands in the way."""
    capped: bool
    """Whether a cap holds it. No way is cheaper: the price knows no sizes, and models are not mixed."""


class View:
    """What pages and programs show of batches; reads, never writes."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        ledger: Ledger,
        embedder: Callable[[], Embedder],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._database = database
        self._ledger = ledger
        self._embedder = embedder
        self.now = clock

    def list(self, limit: int = 50) -> list[BatchSummary]:
        """Batches, those under way first, then the newest."""
        with self._database.read() as session:
            rows = list(session.scalars(select(Batch).order_by(Batch.created_at.desc()).limit(limit)))
            failed = _failed(session, [row.id for row in rows])
            expected = _expected(_durations(session))
        rows.sort(key=lambda row: row.state not in LIVE)
        return [self._seen(row, failed.get(row.id, 0), expected) for row in rows]

    def held(self) -> Sequence[BatchSummary]:
        """Batches that a person must look at, the oldest first."""
        waiting = select(Batch).where(Batch.state == BatchState.HELD).order_by(Batch.created_at)
        with self._database.read() as session:
            expected = _expected(_durations(session))
            return [self._seen(row, 0, expected) for row in session.scalars(waiting)]

    def late(self) -> Sequence[float]:
        """Of each batch that is under way for longer than `BATCH_DEADLINE_H`: since when, unix seconds."""
        began = func.coalesce(Batch.submitted_at, Batch.created_at)
        before = self.now() - self._settings.batch_deadline_h * 3600
        with self._database.read() as session:
            statement = select(began).where(Batch.state.in_(LIVE), began < before)
            return list(session.scalars(statement.order_by(began)))

    def paused(self) -> Json | None:
        """Why the provider is not asked at the moment: its key was refused; None if it is."""
        paused: Json = json.loads(self._database.get_value(PAUSED) or "{}")
        return paused if self.now() < float(paused.get("until", 0)) else None

    def queue(self) -> Queue:
        """What waits for a batch."""
        embedder = batching(self._embedder())
        name = embedder.name if embedder else ""
        idle = select(
            func.count(),
            func.min(EmbeddingRequestRow.since),
            func.coalesce(func.sum(EmbeddingRequestRow.tokens), 0),
        )
        with self._database.read() as session:
            number, since, tokens = session.execute(
                idle.where(
                    EmbeddingRequestRow.state == EmbeddingRequestState.WAITING,
                    EmbeddingRequestRow.model == name,
                )
            ).one()
        usd = self._cost_usd(name, PriceMode.BATCH, int(tokens))
        capped = json.loads(self._database.get_value(CAPPED) or "null") if number else None
        age_s = self.now() - since if number else None
        stopped = self.paused() or capped
        saved = self._saved_usd(name, int(tokens), usd)
        by_cap = bool(capped and capped.get("by_cap", True))
        return Queue(number, age_s, int(tokens), usd, saved, stopped, capped=by_cap)

    def _seen(self, row: Batch, failed: int, expected: Expected) -> BatchSummary:
        live = row.state in LIVE
        usd = Decimal(row.paid_usd or row.usd)
        saved = self._saved_usd(row.model, row.paid_tokens if row.paid_usd else row.tokens, usd)
        if not (live or row.paid_usd):
            usd, saved = (usd if row.state in DISPUTED else Decimal(0)), Decimal(0)
        started = row.submitted_at or row.created_at
        left = (
            row.texts - row.good
            if row.requested_action == BatchAction.SYNC
            and row.state in (BatchState.CANCELLED, BatchState.COMPLETE)
            else 0
        )
        ended_at = None if row.state == BatchState.HELD else row.finished_at
        return BatchSummary(
            id=row.id,
            state=row.state,
            says=_says(row, live=live, left=left),
            name=row.name or row.display_name,
            texts=row.texts,
            good=row.good,
            failed=row.texts if row.state == BatchState.HELD else failed,
            at_once=left,
            waiting=row.texts if live else 0,
            age_s=(ended_at or self.now()) - row.created_at,
            next_check_s=max(0.0, row.next_at - self.now()) if live else None,
            expected=expected if live else None,
            usd=usd,
            saved_usd=saved,
            late=live and self.now() - started > self._settings.batch_deadline_h * 3600,
            error=row.error,
            alarm=row.alarm,
            live=live and not row.requested_action,
            emulated="emulator" in row.model,
        )

    def _saved_usd(self, model: str, tokens: int, usd: Decimal | None) -> Decimal | None:
        """What a batch at this price saves against single calls."""
        at_once = self._cost_usd(model, PriceMode.SYNC, tokens)
        return None if at_once is None or usd is None else at_once - usd

    def _cost_usd(self, model: str, mode: str, tokens: int) -> Decimal | None:
        return self._ledger.cost_usd("gemini", model.partition("@")[0], mode, tokens)


def _says(row: Batch, *, live: bool, left: int) -> str:
    if live and row.requested_action in REQUESTED:
        return REQUESTED[row.requested_action]
    if left:
        return FINISHED
    return (
        LATE
        if (row.state, row.requested_action) == (BatchState.CANCELLED, BatchAction.LATE)
        else STATES[row.state]
    )


def _failed(session: Session, batch_ids: Sequence[str]) -> dict[str, int]:
    grouped = select(EmbeddingRequestRow.batch_id, func.count()).where(
        EmbeddingRequestRow.batch_id.in_(batch_ids), EmbeddingRequestRow.state == EmbeddingRequestState.FAILED
    )
    return {
        str(key): number for key, number in session.execute(grouped.group_by(EmbeddingRequestRow.batch_id))
    }


def _durations(session: Session) -> list[float]:
    """Seconds from order to result of the last batches."""
    ended = select(Batch.ended_at - Batch.submitted_at).where(Batch.ended_at.is_not(None))
    return list(session.scalars(ended.order_by(Batch.ended_at.desc()).limit(REMEMBERED)))


def _expected(durations_s: Sequence[float]) -> Expected:
    if len(durations_s) < ENOUGH:
        return Expected(*TYPICAL_S, PROMISED_S, own=False)
    quarters = statistics.quantiles(durations_s, n=4, method="inclusive")
    return Expected(quarters[0], quarters[2], max(PROMISED_S, *durations_s), own=True)
