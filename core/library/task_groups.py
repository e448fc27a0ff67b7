"""Tasks that were asked for together, so that somebody can be told once when all of them have ended."""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import TASK_UNFINISHED, TaskStatus
from core.database.tables import Recording, Task, TaskGroup, new_id
from core.principal import Principal

ABANDONED_S = 3600.0
"""A group that was never closed takes nothing in after so long: whoever filled it has gone."""
AT_ONCE = 50
TITLES = 10


@dataclass(frozen=True)
class Finished:
    """A group whose tasks have all ended."""

    id: str
    good: int
    failed: int
    cancelled: int
    titles: tuple[str, ...]
    """Of the first recordings."""
    failed_titles: tuple[str, ...]

    @property
    def total(self) -> int:
        """How many tasks there were."""
        return self.good + self.failed + self.cancelled


class TaskGroups:
    """What was asked for together, until it has been told of."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, principal: Principal) -> str:
        """A group that takes tasks in (`TranscriptionOptions.group_id`); its id."""
        principal.must_write()
        group = TaskGroup(id=new_id(), owner=principal.owner, created_at=time.time())
        with self._database.write() as session:
            session.add(group)
        return group.id

    def close(self, group_id: str) -> None:
        """No task comes any more."""
        self._set(group_id, closed_at=time.time())

    def finished(self) -> list[Finished]:
        """Groups whose tasks have all ended and that nobody was told of."""
        full = TaskGroup.closed_at.is_not(None) | (TaskGroup.created_at < time.time() - ABANDONED_S)
        open_ = select(Task.id).where(Task.group_id == TaskGroup.id, Task.status.in_(TASK_UNFINISHED))
        ended = select(TaskGroup.id).where(TaskGroup.notified_at.is_(None), full, ~open_.exists())
        with self._database.read() as session:
            ids = list(session.scalars(ended.order_by(TaskGroup.created_at).limit(AT_ONCE)))
            return [_finished(session, id_) for id_ in ids]

    def record_notified(self, group_id: str) -> None:
        """Whoever wanted to know has been told."""
        self._set(group_id, notified_at=time.time())

    def _set(self, group_id: str, **values: float) -> None:
        with self._database.write() as session:
            session.execute(update(TaskGroup).where(TaskGroup.id == group_id).values(**values))


def _finished(session: Session, group_id: str) -> Finished:
    mine = Task.group_id == group_id
    counted = select(Task.status, func.count()).where(mine).group_by(Task.status)
    by_status = dict(session.execute(counted).all())
    titles = select(Recording.title).join(Task, Task.recording_id == Recording.id).where(mine)
    titles = titles.order_by(Task.created_at, Task.id).limit(TITLES)
    return Finished(
        group_id,
        by_status.get(TaskStatus.COMPLETED, 0),
        by_status.get(TaskStatus.FAILED, 0),
        by_status.get(TaskStatus.CANCELLED, 0),
        tuple(session.scalars(titles)),
        tuple(session.scalars(titles.where(Task.status == TaskStatus.FAILED))),
    )
