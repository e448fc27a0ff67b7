"""Calls to programs, as people see them: which arrived, which are tried again, which were given up."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import func, select, update

from core.audit import audited
from core.database.database import Database
from core.database.owned import Right, get_owned, owned_by, visible_to
from core.database.states import TASK_ENDED, AuditAction, AuditSubject
from core.database.tables import Callback, Recording, SavedSearch, SearchHit, Task
from core.errors import NotFound
from core.library.saved_searches import TRIES
from core.principal import Principal
from core.queue.jobs import changed


class DeliveryState(StrEnum):
    """Where a call is."""

    WAITING = "waiting"
    """Its task is still under way."""
    RETRYING = "retrying"
    ARRIVED = "arrived"
    FAILED = "failed"
    """Given up after the third time."""


@dataclass(frozen=True)
class Delivery:
    """A call about a task, or about what a standing search found in a recording."""

    task_id: str
    recording_id: str
    title: str
    url: str
    state: DeliveryState
    failures: int
    error: str
    """What went wrong last: `HTTP 500`, or the kind of the fault."""
    done_at: float | None
    search_id: str = ""
    """Of a call about a search, which has no task."""


class Deliveries:
    """Calls that were asked for with tasks and standing searches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self, principal: Principal, limit: int = 50, offset: int = 0) -> list[Delivery]:
        """Newest first."""
        found = select(Callback, Task.status, Recording.id, Recording.title)
        found = found.join(Task, Task.id == Callback.task_id).join(
            Recording, Recording.id == Task.recording_id
        )
        found = visible_to(found, principal, Task)
        newest = found.order_by(Task.created_at.desc(), Task.id).limit(limit).offset(offset)
        with self._database.read() as session:
            rows = session.execute(newest).all()
        return [
            Delivery(
                row.task_id,
                recording_id,
                title,
                row.url,
                _state(row, ended=status in TASK_ENDED),
                row.attempts,
                row.error or "",
                row.done_at,
            )
            for row, status, recording_id, title in rows
        ]

    def of_searches(self, principal: Principal, limit: int = 50, offset: int = 0) -> list[Delivery]:
        """Calls about what standing searches found, one of each recording, newest first."""
        attempts, heard_at = func.max(SearchHit.attempts), func.max(SearchHit.notified_at)
        unheard = func.count().filter(SearchHit.notified_at.is_(None))
        found = select(SavedSearch, Recording.id, Recording.title, attempts, heard_at, unheard)
        found = found.join(SearchHit, SearchHit.search_id == SavedSearch.id)
        found = found.join(Recording, Recording.id == SearchHit.recording_id)
        found = owned_by(found.where(SavedSearch.callback_url != ""), principal, SavedSearch)
        found = visible_to(found, principal, Recording).group_by(SavedSearch.id, Recording.id)
        newest = found.order_by(func.max(SearchHit.found_at).desc(), SavedSearch.id, Recording.id)
        with self._database.read() as session:
            rows = session.execute(newest.limit(limit).offset(offset)).all()
        return [
            Delivery(
                "",
                recording_id,
                title,
                search.callback_url,
                _state_of_search(failures, unheard),
                failures,
                "",
                None if unheard else heard_at,
                search.id,
            )
            for search, recording_id, title, failures, heard_at, unheard in rows
        ]

    @audited(AuditAction.CHANGED, AuditSubject.SEARCH, "search_id")
    def search_again(self, principal: Principal, search_id: str, recording_id: str) -> None:
        """Tell of what a search found in a recording once more, with its retries. Raises NotFound."""
        with self._database.write() as session:
            get_owned(session, SavedSearch, principal, search_id, right=Right.WRITE)
            get_owned(session, Recording, principal, recording_id)
            mine = update(SearchHit).where(
                SearchHit.search_id == search_id, SearchHit.recording_id == recording_id
            )
            if not changed(session, mine.values(attempts=0, notified_at=None)):
                raise NotFound

    @audited(AuditAction.CHANGED, AuditSubject.TASK, "task_id")
    def again(self, principal: Principal, task_id: str) -> None:
        """Make a call once more, with its retries. Raises NotFound."""
        principal.must_write()
        with self._database.write() as session:
            get_owned(session, Task, principal, task_id, right=Right.WRITE)
            if session.get(Callback, task_id) is None:
                raise NotFound
            mine = update(Callback).where(Callback.task_id == task_id)
            session.execute(mine.values(attempts=0, next_at=0.0, done_at=None, error=None))


def _state_of_search(failures: int, unheard: int) -> DeliveryState:
    if not unheard:
        return DeliveryState.ARRIVED
    return DeliveryState.FAILED if failures >= TRIES else DeliveryState.RETRYING


def _state(row: Callback, *, ended: bool) -> DeliveryState:
    if row.done_at is not None:
        return DeliveryState.FAILED if row.error else DeliveryState.ARRIVED
    return DeliveryState.RETRYING if ended else DeliveryState.WAITING
