"""A clock that is set, forward or back, neither stops work nor hurries it, and deletes nothing.

Due times, leases and pauses are Unix seconds. Where SQLite is used they are by the clock of this machine: set
back an hour, all that waits would wait an hour longer; set forward, leases of workers that live would be
over, and orders whose answer was lost would be sent again too soon. So they are moved along. PostgreSQL's
clock is the server's, and no machine moves what others have written.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from sqlalchemy import ColumnElement, update
from sqlalchemy.orm import InstrumentedAttribute

from core.database.clock import counter
from core.database.database import Database
from core.database.states import JOB_UNFINISHED, ItemState
from core.database.tables import (
    Batch,
    Breaker,
    Callback,
    Cover,
    Job,
    Order,
    PeriodicTask,
    Row,
    Source,
    SourceItem,
)

JUMP_S = 5.0
"""A clock is corrected by less without anybody noticing."""
SETTLE_S = 3600.0
"""So long after it was set nothing is deleted for its age: a clock that was wrong once may be again."""
WAS_SET = "clock was set"

Columns = tuple[InstrumentedAttribute[float] | InstrumentedAttribute[float | None], ...]
WAITING: tuple[tuple[type[Row], ColumnElement[bool] | None, Columns], ...] = (
    (Job, Job.state.in_(JOB_UNFINISHED), (Job.run_at, Job.lease_until, Job.notified_at, Job.progressed_at)),
    (PeriodicTask, None, (PeriodicTask.next_at,)),
    (
        Batch,
        Batch.finished_at.is_(None),
        (Batch.next_at, Batch.intended_at, Batch.submitted_at, Batch.deadline_at),
    ),
    (Order, Order.finished_at.is_(None), (Order.next_at, Order.intended_at, Order.submitted_at)),
    (Cover, Cover.finished_at.is_(None), (Cover.next_at,)),
    (Callback, Callback.done_at.is_(None), (Callback.next_at,)),
    (Source, None, (Source.look_at,)),
    (SourceItem, SourceItem.state == ItemState.WAITING, (SourceItem.changed_at,)),
    (Breaker, None, (Breaker.open_until,)),
)
"""What is judged by the clock while it waits, and which rows of it do."""

log = logging.getLogger("stenogram.clock")


class ClockWatch:
    """Compares the clock with one that nobody can set; `look` often, from one process."""

    def __init__(
        self, database: Database, clock: Callable[[], float], count: Callable[[], float] = counter
    ) -> None:
        self._database = database
        self._clock = clock
        self._count = count
        self._offset_s = clock() - count()

    def look(self) -> float:
        """The seconds by which the clock was set since the last look; what waits by it is moved along."""
        before = self._count()
        now = self._clock()
        if self._count() - before > JUMP_S / 5:  # this process was asleep between the two
            return 0.0
        set_by_s = now - before - self._offset_s
        if abs(set_by_s) >= JUMP_S:
            log.warning("the clock was set by %.0f s", set_by_s)
            self._move(set_by_s)
            self._database.set_value(WAS_SET, str(now))
        self._offset_s = now - before
        return set_by_s if abs(set_by_s) >= JUMP_S else 0.0

    def _move(self, by_s: float) -> None:
        if not self._database.has_local_clock:
            return
        with self._database.write() as session:
            for table, waits, columns in WAITING:
                moved = update(table).values({column: column + by_s for column in columns})
                session.execute(moved if waits is None else moved.where(waits))


def is_settled(database: Database, now: float) -> bool:
    """Whether the clock can be trusted to delete by."""
    return abs(now - float(database.get_value(WAS_SET) or 0.0)) > SETTLE_S
