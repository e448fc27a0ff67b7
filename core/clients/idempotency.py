"""What programs were promised: one task for one request however often it is sent, a call when it ends.

An `Idempotency-Key` with the same body gives the same task for a day. A `callback_url` gets the task as
JSON when it ends, up to three times.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import TASK_ENDED
from core.database.tables import Callback, IdempotencyKey, Recording, Task
from core.database.upsert import upsert
from core.errors import Code, Conflict

REPLAY_S = 24 * 3600.0
PAUSES_S = (10.0, 60.0)
"""Between the first and second, and the second and third try of a callback."""


@dataclass(frozen=True)
class IdempotentRequest:
    """What a request wants besides its task: to be answered once under a name, and to be called back."""

    name: str = ""
    body: str = ""
    """A digest of everything that was sent; the same name with another body is refused. Empty in a row that
    an earlier version wrote, whose digests cannot be compared."""
    callback_url: str = ""


NOTHING_MORE = IdempotentRequest()


class Replayed(Exception):
    """No error: it undoes a transaction, because the request has its task already."""

    def __init__(self, task_id: str) -> None:
        super().__init__(task_id)
        self.task_id = task_id


class IdempotencyStore:
    """Keeping them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def answered(self, owner: str, request: IdempotentRequest) -> str | None:
        """The task that the same request got before. Raises Conflict if that was another request."""
        if not request.name:
            return None
        with self._database.read() as session:
            return _answered(session, owner, request)

    def keep(self, session: Session, task: Task, idempotent: IdempotentRequest) -> None:
        """Write down what was promised with the task, in its transaction. Raises Answered, Conflict."""
        if idempotent.name:
            self._database.advisory_lock(session, f"{task.owner} {idempotent.name}")
            if (task_id := _answered(session, task.owner, idempotent)) is not None:
                raise Replayed(task_id)
            request = IdempotencyKey(
                owner=task.owner, name=idempotent.name, body=idempotent.body, task_id=task.id
            )
            request.created_at = time.time()
            upsert(session, request)
        if idempotent.callback_url:
            session.add(Callback(task_id=task.id, url=idempotent.callback_url))

    def due(self, at_most: int) -> list[Callback]:
        """Calls to make now: their tasks have ended. New ones come first."""
        ended = Task.status.in_(TASK_ENDED)
        waiting = select(Callback).join(Task, Task.id == Callback.task_id).where(ended)
        waiting = waiting.join(Recording, Recording.id == Task.recording_id)  # none of the bin
        waiting = waiting.where(Callback.done_at.is_(None), Callback.next_at <= time.time())
        with self._database.read() as session:
            return list(session.scalars(waiting.order_by(Callback.next_at).limit(at_most)))

    def called(self, task_id: str, error: str | None) -> None:
        """A call was made: it is done, or tried again later, or given up after the third time."""
        now = time.time()
        with self._database.write() as session:
            row = session.get(Callback, task_id)
            if row is None:
                return
            row.error = error
            row.attempts += error is not None
            if error is None or row.attempts > len(PAUSES_S):
                row.done_at = now
            else:
                row.next_at = now + PAUSES_S[row.attempts - 1]

    def forget(self) -> None:
        """Forget requests that are older than a day."""
        with self._database.write() as session:
            session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < time.time() - REPLAY_S))


def _answered(session: Session, owner: str, request: IdempotentRequest) -> str | None:
    row = session.get(IdempotencyKey, (owner, request.name))
    if row is None or row.created_at < time.time() - REPLAY_S:
        return None
    if row.body and row.body != request.body:
        raise Conflict(Code.IDEMPOTENCY_KEY_REUSED)
    return row.task_id
