"""Programs and people that call, what they sent and what they are told."""

from __future__ import annotations

import time

from sqlalchemy import (
    ForeignKey,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.database.states import (
    Channel,
)
from core.database.tables.base import Json, Row


class Key(Row):
    """An API key: only its digest is kept."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    owner: Mapped[str]
    """Whose things it opens: the id of the first key, where this one has taken its place."""
    digest: Mapped[str]
    admin: Mapped[bool] = mapped_column(default=False)
    read_only: Mapped[bool] = mapped_column(default=False)
    language: Mapped[str] = mapped_column(default="en")
    created_at: Mapped[float] = mapped_column(default=time.time)
    last_used_at: Mapped[float | None]
    expires_at: Mapped[float | None]
    revoked_at: Mapped[float | None]


class SignIn(Row):
    """One sign-in of a person; its session is over with `ended_at`, or by the clock."""

    __tablename__ = "sign_ins"

    id: Mapped[str] = mapped_column(primary_key=True)
    """Digest of what the provider signed."""
    name: Mapped[str]
    began_at: Mapped[float] = mapped_column(index=True)
    ended_at: Mapped[float | None]


class Person(Row):
    """Somebody who has signed in, as they were when they did so last."""

    __tablename__ = "people"

    id: Mapped[str] = mapped_column(primary_key=True)
    """The owner that they are."""
    name: Mapped[str]
    groups: Mapped[list[str]]
    seen_at: Mapped[float]


class ShareLink(Row):
    """A link to a recording, or to one kept moment of it: only its digest is kept."""

    __tablename__ = "share_links"

    id: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    owner: Mapped[str] = mapped_column(index=True)
    """Who made it."""
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    moment_id: Mapped[str] = mapped_column(default="")
    created_at: Mapped[float]
    expires_at: Mapped[float]
    revoked_at: Mapped[float | None]


class IdempotencyKey(Row):
    """A request that was answered with a task, under the key its sender gave it."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[str]
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[float] = mapped_column(default=time.time)


class Callback(Row):
    """Somebody who wants to hear when a task ends. `attempts` counts calls that failed."""

    __tablename__ = "callbacks"

    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    url: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[float] = mapped_column(default=0.0)
    done_at: Mapped[float | None]
    error: Mapped[str | None]


class Notification(Row):
    """Something that people are to hear of by one way. `attempts` counts tries that failed."""

    __tablename__ = "notifications"

    event: Mapped[str] = mapped_column(primary_key=True)
    channel: Mapped[Channel] = mapped_column(primary_key=True)
    kind: Mapped[str]
    facts: Mapped[Json]
    created_at: Mapped[float] = mapped_column(default=time.time)
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[float] = mapped_column(default=0.0)
    done_at: Mapped[float | None] = mapped_column(index=True)
    error: Mapped[str | None]


class Resumable(Row):
    """An upload that may be interrupted and go on (tus). How much has arrived is the length of its file."""

    __tablename__ = "resumables"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    visitor: Mapped[str] = mapped_column(default="")
    """Whose it is of those who share the owner: the visitors of the pages."""
    size_bytes: Mapped[int]
    facts: Mapped[str]
    created_at: Mapped[float] = mapped_column(default=time.time)
    task_id: Mapped[str | None]
