"""Which periodic tasks have nothing to do, told by one short question, so that none is woken in vain."""

from __future__ import annotations

from sqlalchemy import ColumnElement, exists, or_, select
from sqlalchemy.orm import Session

from core.database.states import EmbeddingMode, EmbeddingStatus, ItemState
from core.database.tables import (
    Batch,
    Callback,
    Cover,
    Destination,
    EmbeddingRequestRow,
    KeyValue,
    Order,
    PassageRow,
    SavedSearch,
    SearchHit,
    Source,
    SourceItem,
)

IDLE_S = 300.0
"""So often they are woken all the same: for what they tidy, and what this list may not know of."""
UNFINISHED_ITEMS = (ItemState.SEEN, ItemState.WAITING, ItemState.FETCHING)


def _any(column: object, *which: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists(select(column).where(*which))  # type: ignore[call-overload]


NEEDED: dict[str, tuple[ColumnElement[bool], ...]] = {
    "batches": (
        _any(Batch.id, Batch.finished_at.is_(None)),
        _any(EmbeddingRequestRow.hash),
        _any(
            PassageRow.id,
            PassageRow.embedding_status == EmbeddingStatus.WAITING,
            PassageRow.embedding_mode == EmbeddingMode.BATCH,
        ),
        _any(KeyValue.name, KeyValue.name == "embedder for search", KeyValue.value != ""),
    ),
    "callbacks": (
        _any(Callback.task_id, Callback.done_at.is_(None)),
        _any(
            SearchHit.search_id,
            SearchHit.notified_at.is_(None),
            SearchHit.search_id.in_(select(SavedSearch.id).where(SavedSearch.callback_url != "")),
        ),
    ),
    "covers": (_any(Cover.id, Cover.finished_at.is_(None)),),
    "models": (
        _any(KeyValue.name, KeyValue.name.startswith("download "), KeyValue.value.contains('"asked": true')),
    ),
    "orders": (_any(Order.id, Order.finished_at.is_(None)),),
    "results": (_any(Destination.id, Destination.paused.is_(False)),),
    "sources": (_any(Source.id), _any(SourceItem.id, SourceItem.state.in_(UNFINISHED_ITEMS))),
}
"""By periodic task, of what there must be any for it to have something to do."""


def idle(session: Session) -> set[str]:
    """Periodic tasks that have nothing to do now."""
    asked = select(*(or_(*some).label(name) for name, some in NEEDED.items()))
    return {name for name, is_needed in session.execute(asked).mappings().one().items() if not is_needed}
