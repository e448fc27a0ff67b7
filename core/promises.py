"""What programs were promised: one task for one request however often it is sent, a call when it ends.

An `Idempotency-Key` with the same body gives the same task for a day. A `callback_url` gets the task as
JSON when it ends, up to three times.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable

from sqlalchemy import ForeignKey, delete, select, update
from sqlalchemy.orm import Mapped, mapped_column

from core.errors import Conflict
from core.records import Records, Row, Task

TABLES = ("replays", "callbacks", "resumables")
REPLAY_S = 24 * 3600.0
PAUSES_S = (10.0, 60.0)
"""Between the first and second, and the second and third try of a callback."""


class Replay(Row):
    """A request that was answered with a task, under the key its sender gave it."""

    __tablename__ = "replays"

    owner: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[str]
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[float] = mapped_column(default=time.time)


class Callback(Row):
    """Somebody who wants to hear when a task ends. `tries` counts calls that failed."""

    __tablename__ = "callbacks"

    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    url: Mapped[str]
    tries: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[float] = mapped_column(default=0.0)
    done_at: Mapped[float | None]
    error: Mapped[str | None]


class Resumable(Row):
    """An upload that may be interrupted and go on (tus). How much has arrived is the length of its file."""

    __tablename__ = "resumables"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    size_bytes: Mapped[int]
    facts: Mapped[str]
    created_at: Mapped[float] = mapped_column(default=time.time)
    task_id: Mapped[str | None]
