"""What programs call a batch: `batch_<task>` until the provider has given it a name."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import EmbeddingMode, EmbeddingRequestState
from core.database.tables import Batch, EmbeddingRequestRow, Order, PassageRow, Payment, Task
from core.speech.engine import BATCH


def of_tasks(database: Database, tasks: Sequence[Task]) -> dict[str, str]:
    """The name of the newest batch of each task that goes by batch, by task; of the others nothing.

    A transcript ordered by the engine goes before vectors. What was bought before a task is none of its.
    """
    batched = [
        task for task in tasks if task.embedding_mode == EmbeddingMode.BATCH or task.engine.endswith(BATCH)
    ]
    if not batched:
        return {}
    with database.read() as session:
        by_transcript = _transcripts(session, {task.transcript_id for task in batched})
        by_payment = _bought(session, {task.recording_id for task in batched})
        by_passage = _waiting(session, {task.recording_id for task in batched})
    return {
        task.id: by_transcript.get(task.transcript_id)
        or by_passage.get(task.recording_id)
        or next((name for at, name in by_payment.get(task.recording_id, ()) if at >= task.created_at), None)
        or f"batch_{task.id}"
        for task in batched
    }


def _transcripts(session: Session, ids: Collection[str]) -> dict[str, str]:
    """By transcript: the order that was given last."""
    ordered = select(Order.transcript_id, Order.remote_id).where(Order.transcript_id.in_(ids))
    named = ordered.where(Order.remote_id.is_not(None)).order_by(Order.submitted_at)
    return {transcript_id: name or "" for transcript_id, name in session.execute(named)}


def _bought(session: Session, ids: Collection[str]) -> dict[str, list[tuple[float, str]]]:
    """By recording: when batches were made for it and what they are called, newest first."""
    paid = select(Payment.recording_id, Payment.at, Batch.name).join(Batch, Batch.id == Payment.call_id)
    named = paid.where(Payment.recording_id.in_(ids), Batch.name.is_not(None))
    by_payment: dict[str, list[tuple[float, str]]] = {}
    for recording_id, at, name in session.execute(named.order_by(Payment.at.desc())):
        by_payment.setdefault(recording_id, []).append((at, name or ""))
    return by_payment


def _waiting(session: Session, ids: Collection[str]) -> dict[str, str]:
    """By recording: the batch under way that has its texts, which another recording may pay for."""
    statement = select(PassageRow.recording_id, Batch.name).distinct()
    statement = statement.join(EmbeddingRequestRow, EmbeddingRequestRow.hash == PassageRow.text_hash).join(
        Batch, Batch.id == EmbeddingRequestRow.batch_id
    )
    named = statement.where(
        PassageRow.recording_id.in_(ids),
        Batch.name.is_not(None),
        EmbeddingRequestRow.state == EmbeddingRequestState.SENT,
    )
    rows = session.execute(named.order_by(Batch.created_at).add_columns(Batch.created_at))
    return {recording_id: name or "" for recording_id, name, _ in rows}
