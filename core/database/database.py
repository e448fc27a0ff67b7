"""What is kept in SQL: recordings, tasks, jobs, transcripts, passages, keys; and how it is written.

What belongs to one part of the tool is in the `rows` of that part: `batch`, `remote`, `watch`.
SQLite in WAL mode by default, PostgreSQL by address. Times are Unix seconds, money is a decimal
string. Every write is one `with records.write() as session` transaction.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import (
    Connection,
    create_engine,
    event,
    func,
    select,
    text,
)
from sqlalchemy.orm import Session

from core.database.clock import DatabaseClock
from core.database.migrations import migrate
from core.database.tables import KeyValue
from core.database.upsert import insert_if_absent, upsert
from core.errors import Code, Unavailable

BUSY_MS = 10_000
"""How long SQLite waits for another writer, and no request longer than that for the first of its writes."""


class Database:
    """The one way to the database of this installation."""

    def __init__(self, url: str, local_clock: Callable[[], float] = time.time) -> None:
        self._engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        migrate(self._engine)
        self.now = DatabaseClock(self._engine, local_clock)
        """Unix seconds, the same on all machines of this installation."""

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction; committed at the end, rolled back by any exception."""
        with self._session(immediate=True) as session, session.begin():
            yield session

    def advisory_lock(self, session: Session, name: str) -> None:
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

    def get_value(self, name: str) -> str | None:
        """A named value, or None."""
        with self.read() as session:
            row = session.get(KeyValue, name)
            return row.value if row else None

    def set_if_absent(self, name: str, value: str) -> str:
        """Keep a named value unless there is one; whoever comes first wins. The value that holds."""
        with self.write() as session:
            insert_if_absent(session, KeyValue(name=name, value=value))
            return session.get_one(KeyValue, name).value

    def set_value(self, name: str, value: str) -> None:
        """Keep a named value, whatever it was before."""
        with self.write() as session:
            upsert(session, KeyValue(name=name, value=value))

    def check(self, wait_s: float) -> None:
        """Write a row and read it back. Raises what the database raises, for a lock after `wait_s`."""
        name, value = f"health of {socket.gethostname()}", str(time.time_ns())
        with self._session(immediate=False) as session, session.begin(), self._waiting(session, wait_s):
            upsert(session, KeyValue(name=name, value=value))
        kept = self.get_value(name)
        if kept is None or int(kept) < int(value):  # another check may have written a later one
            raise Unavailable(Code.DATABASE_DAMAGED)

    @contextmanager
    def _waiting(self, session: Session, wait_s: float) -> Iterator[None]:
        """Statements within wait so long for a lock, and no longer."""
        wait_ms = round(wait_s * 1000)
        if self._engine.dialect.name == "postgresql":
            session.execute(
                text(f"SET LOCAL lock_timeout = {wait_ms}; SET LOCAL statement_timeout = {wait_ms}")
            )
            yield
            return
        connection = session.connection()
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {wait_ms}")
        try:
            yield
        finally:
            connection.exec_driver_sql(f"PRAGMA busy_timeout = {BUSY_MS}")

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions on its own
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
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
