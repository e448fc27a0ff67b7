"""What is kept in SQL: recordings, tasks, jobs, transcripts, passages, keys; and how it is written.

What belongs to one part of the tool is in the `rows` of that part: `batch`, `remote`, `watch`.
SQLite in WAL mode by default, PostgreSQL by address. Times are Unix seconds, money is a decimal
string. Every write is one `with records.write() as session` transaction.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Connection,
    Float,
    ForeignKey,
    Index,
    UniqueConstraint,
    create_engine,
    event,
    func,
    select,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from core.migrations import migrate

Json = dict[str, Any]


def new_id() -> str:
    """128 random bits in hexadecimal: cannot be guessed, says nothing."""
    return secrets.token_hex(16)


def utc(unix: float) -> datetime:
    """A time as it is kept, for programs and charts."""
    return datetime.fromtimestamp(unix, UTC)


class Row(DeclarativeBase):
    """A row of a table of this tool."""

    type_annotation_map = {Json: JSON, list[str]: JSON, float: Float(53), int: BigInteger}  # noqa: RUF012


class Recording(Row):
    """A sound with an owner, a title and tags. The bytes live in the store under `sha256`."""

    __tablename__ = "recordings"
    __table_args__ = (UniqueConstraint("owner", "sha256"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    owner: Mapped[str]
    sha256: Mapped[str] = mapped_column(index=True)
    filename: Mapped[str]
    title: Mapped[str]
    tags: Mapped[list[str]] = mapped_column(default=list)
    language: Mapped[str]
    size_bytes: Mapped[int]
    duration_s: Mapped[float | None]
    channels: Mapped[int] = mapped_column(default=1)
    format: Mapped[str] = mapped_column(default="")
    created_at: Mapped[float] = mapped_column(default=time.time, index=True)
    transcript_id: Mapped[str | None]
    meaning: Mapped[str] = mapped_column(default="off")
    vectors_by: Mapped[float | None]


class Task(Row):
    """One request to transcribe a recording; what the API calls a task."""

    __tablename__ = "tasks"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    transcript_id: Mapped[str]
    owner: Mapped[str] = mapped_column(index=True)
    status: Mapped[str] = mapped_column(default="queued", index=True)
    stage: Mapped[str] = mapped_column(default="queued")
    progress: Mapped[int] = mapped_column(default=0)
    engine: Mapped[str]
    language: Mapped[str]
    lane: Mapped[str] = mapped_column(default="now")
    created_at: Mapped[float] = mapped_column(default=time.time, index=True)
    started_at: Mapped[float | None]
    completed_at: Mapped[float | None]
    error: Mapped[Json | None]
    filename: Mapped[str] = mapped_column(default="")
    """Under which it was sent this time; empty: as the recording."""


class Job(Row):
    """One piece of queued work of a task. States: ready, running, done, failed, cancelled, quarantined."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_waiting", "state", "run_at"),
        Index("jobs_by_state", "state", "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    kind: Mapped[str]
    queue: Mapped[str]
    state: Mapped[str] = mapped_column(default="ready")
    epoch: Mapped[int] = mapped_column(default=0)
    starts: Mapped[int] = mapped_column(default=0)
    tries: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str] = mapped_column(default="")
    lease_until: Mapped[float] = mapped_column(default=0.0)
    progressed_at: Mapped[float] = mapped_column(default=0.0)
    run_at: Mapped[float] = mapped_column(default=time.time)
    rung_at: Mapped[float] = mapped_column(default=0.0)
    priority: Mapped[int] = mapped_column(default=0)
    """Higher runs sooner; the task's next job inherits it."""
    waited_s: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[float] = mapped_column(default=time.time, index=True)
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None] = mapped_column(index=True)
    error: Mapped[Json | None]
    traceback: Mapped[str | None]


class Transcript(Row):
    """What one engine heard in one sound. `key` is what makes it reusable: content, engine, options."""

    __tablename__ = "transcripts"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(unique=True)
    sha256: Mapped[str] = mapped_column(index=True)
    engine: Mapped[str]
    engine_version: Mapped[str]
    language: Mapped[str]
    split_channels: Mapped[bool] = mapped_column(default=False)
    subtitles: Mapped[bool] = mapped_column(default=False)
    planned: Mapped[bool] = mapped_column(default=False)
    complete: Mapped[bool] = mapped_column(default=False)
    duration_s: Mapped[float | None]
    processing_s: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[float] = mapped_column(default=time.time)


class Segment(Row):
    """A stretch of speech given to an engine. `text` is NULL until it was transcribed."""

    __tablename__ = "segments"

    transcript_id: Mapped[str] = mapped_column(
        ForeignKey("transcripts.id", ondelete="CASCADE"), primary_key=True
    )
    n: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(default="mono")
    start_s: Mapped[float]
    end_s: Mapped[float]
    text: Mapped[str | None]
    words: Mapped[list[Any] | None] = mapped_column(JSON)


class PassageRow(Row):
    """A stretch of transcript that is searched. `meaning`: done, waiting, off or failed."""

    __tablename__ = "passages"
    __table_args__ = (Index("passages_by_meaning", "meaning", "recording_id"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    n: Mapped[int]
    start_s: Mapped[float]
    end_s: Mapped[float]
    speaker: Mapped[str]
    language: Mapped[str]
    text: Mapped[str]
    meaning: Mapped[str] = mapped_column(default="off")
    lane: Mapped[str] = mapped_column(default="now")
    text_hash: Mapped[str] = mapped_column(default="", index=True)


class Payment(Row):
    """One paid call's share for one recording. States: reserved, settled, released, disputed."""

    __tablename__ = "payments"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    call_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[float] = mapped_column(index=True)
    month: Mapped[str]
    provider: Mapped[str]
    model: Mapped[str]
    lane: Mapped[str]
    recording_id: Mapped[str] = mapped_column(index=True)
    owner: Mapped[str]
    state: Mapped[str] = mapped_column(default="reserved")
    tokens_estimated: Mapped[int]
    usd_estimated: Mapped[str]
    tokens: Mapped[int] = mapped_column(default=0)
    """Or seconds of sound, where those are sold."""
    usd: Mapped[str] = mapped_column(default="0")
    ended_at: Mapped[float | None]


class Budget(Row):
    """What a month has cost, and what is promised to calls under way; billionths of a dollar.

    One row for everybody, under the month; one for each owner, under "month owner".
    """

    __tablename__ = "budgets"

    month: Mapped[str] = mapped_column(primary_key=True)
    spent: Mapped[int] = mapped_column(default=0)
    reserved: Mapped[int] = mapped_column(default=0)


class Key(Row):
    """An API key: only its digest is kept."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    digest: Mapped[str]
    admin: Mapped[bool] = mapped_column(default=False)
    language: Mapped[str] = mapped_column(default="en")
    created_at: Mapped[float] = mapped_column(default=time.time)
    last_used_at: Mapped[float | None]
    revoked_at: Mapped[float | None]


class Fact(Row):
    """A named value that outlives a restart: the active embedder, the pepper of keys, applied migrations."""

    __tablename__ = "facts"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class Chore(Row):
    """Something done again and again: when next, how it went last."""

    __tablename__ = "chores"

    name: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[float] = mapped_column(default=0.0)
    worker: Mapped[str] = mapped_column(default="")
    began_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    took_s: Mapped[float | None]
    error: Mapped[str | None]


class Worker(Row):
    """A worker process as its runner last saw it."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[float]
    seen_at: Mapped[float]
    rss_bytes: Mapped[int] = mapped_column(default=0)
    gpu_bytes: Mapped[int] = mapped_column(default=0)
    gpu_load: Mapped[float | None]
    version: Mapped[str] = mapped_column(default="")
    wish: Mapped[str] = mapped_column(default="")
    """What a person wants of it: "", drain (take nothing new), or restart."""


class Records:
    """The one way to the database of this installation."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        migrate(self._engine)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction; committed at the end, rolled back by any exception."""
        with self._session(immediate=True) as session, session.begin():
            yield session

    def alone(self, session: Session, name: str) -> None:
        """Who writes under this name comes one after the other, until the transaction ends.

        SQLite lets only one write at a time anyway; elsewhere two may otherwise both find nothing there.
        """
        if self._engine.dialect.name == "postgresql":
            session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view; writes nothing and never waits for writers."""
        with self._session(immediate=False) as session:
            yield session

    def _session(self, *, immediate: bool) -> Session:
        return Session(self._engine.execution_options(immediate=immediate), expire_on_commit=False)

    def fact(self, name: str) -> str | None:
        """A named value, or None."""
        with self.read() as session:
            row = session.get(Fact, name)
            return row.value if row else None

    def keep_first(self, name: str, value: str) -> str:
        """Keep a named value unless there is one; whoever comes first wins. The value that holds."""
        with self.write() as session:
            self.alone(session, name)
            row = session.get(Fact, name)
            if row is None:
                row = Fact(name=name, value=value)
                session.add(row)
            return row.value

    def set_fact(self, name: str, value: str) -> None:
        """Keep a named value, whatever it was before."""
        with self.write() as session:
            self.alone(session, name)
            session.merge(Fact(name=name, value=value))

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions on its own
    connection.execute("PRAGMA busy_timeout = 10000")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # money and accepted files are worth the fsync
    connection.execute("PRAGMA foreign_keys = ON")
    # SQLite's own knows the Latin alphabet only, and ILIKE is written with it.
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(text: str | None) -> str | None:
    return None if text is None else str(text).lower()


def _begin_sqlite(connection: Connection) -> None:
    # A deferred transaction that reads and then writes fails at once with "database is locked".
    immediate = connection.get_execution_options().get("immediate", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")
