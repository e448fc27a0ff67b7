"""What waits for a person's word: orders that may have been bought already. Read from SQL alone."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby

from sqlalchemy import select

from core.database.database import Database
from core.database.owned import visible_to
from core.database.states import TASK_UNFINISHED, BatchState, OrderState
from core.database.tables import Batch, Json, Order, Recording, Task
from core.orders import transcript_orders
from core.principal import Principal


@dataclass(frozen=True)
class Decision:
    """Parts of one recording: to be ordered again, or given up."""

    recording: Recording
    orders: tuple[Order, ...]
    """At least one."""

    @property
    def transcript_id(self) -> str:
        """Of which transcript these are parts."""
        return self.orders[0].transcript_id

    @property
    def order_ids(self) -> list[str]:
        """What the person's word is about; parts that are held later need another."""
        return [order.id for order in self.orders]

    @property
    def question(self) -> Json:
        """What happened, as a sentence with its facts."""
        return self.orders[0].error or {}

    @property
    def provider(self) -> str:
        """Whom it is bought from, by its name for people."""
        return str(self.question.get("facts", {}).get("provider", ""))

    @property
    def audio_s(self) -> float:
        """Seconds of sound."""
        return sum(order.duration_s for order in self.orders)

    @property
    def since(self) -> float:
        """When the first of them was sent, unix seconds."""
        return min(order.intended_at or order.created_at for order in self.orders)

    @property
    def usd(self) -> Decimal:
        """What they cost once more, at the prices by which they were ordered."""
        return sum((Decimal(order.usd) for order in self.orders), Decimal(0))


def waiting(database: Database, principal: Principal) -> list[Decision]:
    """What `principal` may see of it, those that wait longest first."""
    # Not the recording it was ordered for: that may be gone while another one waits for the same transcript.
    statement = (
        transcript_orders.held().add_columns(Recording).join(Task, Task.transcript_id == Order.transcript_id)
    )
    statement = statement.join(Recording, Recording.id == Task.recording_id).order_by(Task.created_at)
    statement = statement.where(Task.status.in_(TASK_UNFINISHED))
    with database.read() as session:
        rows = sorted(session.execute(visible_to(statement, principal, Recording)), key=_transcript)
    groups = [list(group) for _, group in groupby(rows, key=_transcript)]
    decisions = [Decision(group[0][1], tuple(dict.fromkeys(order for order, _ in group))) for group in groups]
    return sorted(decisions, key=lambda one: one.since)


def _transcript(row: tuple[Order, Recording]) -> str:
    return row[0].transcript_id


def questions(database: Database, transcript_ids: Collection[str]) -> dict[str, Json]:
    """What a person is asked about these transcripts; only those that wait for an answer."""
    statement = select(Order.transcript_id, Order.error)
    statement = statement.where(Order.state == OrderState.HELD, Order.transcript_id.in_(transcript_ids))
    with database.read() as session:
        return {transcript_id: error or {} for transcript_id, error in session.execute(statement)}


def stamp(database: Database) -> str:
    """Changes when something begins or ceases to wait for a person. Cheap."""
    batches = select(Batch.id).where(Batch.state == BatchState.HELD).order_by(Batch.id)
    with database.read() as session:
        held = [order.id for order in session.scalars(transcript_orders.held())]
        return " ".join([*held, *session.scalars(batches)])
