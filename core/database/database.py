"""What is kept in SQL, and how it is read and written.

SQLite in WAL mode by default, PostgreSQL by address. Times are Unix seconds, money is a decimal
string. Every write is one `with database.write() as session` transaction.
"""

from __future__ import annotations

import functools
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import orjson
from sqlalchemy import (
    Connection,
    Engine,
    create_engine,
    event,
    func,
    make_url,
    select,
    text,
)
from sqlalchemy.orm import Session

from core.database.clock import DatabaseClock
from core.database.migrations import migrate
from core.database.recycle_bin import RecycleBinSession
from core.database.tables import KeyValue
from core.database.upsert import insert_if_absent, upsert
from core.errors import Code, Unavailable

BUSY_MS = 10_000
"""How long a write waits for another one, on SQLite and PostgreSQL."""
POSTGRESQL = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Seconds, and for the last milliseconds, after which a server that went away without a word is taken for
gone; what the address says itself wins (https://www.postgresql.org/docs/current/libpq-connect.html)."""
POOL_WAIT_S = 10.0
"""So long a request waits for a free connection."""


class TransactionHook(Protocol):
    """Something to be kept in the same transaction as whatever is written next."""

    def keep(self, session: Session) -> None:
        """Write it, or wait for a later transaction."""

    def committed(self) -> None:
        """The transaction has ended well."""


TRANSACTION_HOOK: ContextVar[TransactionHook | None] = ContextVar("transaction hook", default=None)
_SNAPSHOT: ContextVar[Session | None] = ContextVar("snapshot", default=None)


class Database:
    """The one way to the database of this installation."""

    def __init__(self, url: str, local_clock: Callable[[], float] = time.time) -> None:
        self._engine = _engine(url)
        migrate(self._engine)
        self._writing = self._engine.execution_options(immediate=True)
        self._reading = self._engine.execution_options(immediate=False)
        self.now = DatabaseClock(self._engine, local_clock)
        """Unix seconds, the same on all machines of this installation."""

    @property
    def has_local_clock(self) -> bool:
        """Whether `now` is the clock of this machine, which alone uses this database."""
        return self._engine.dialect.name == "sqlite"

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction; committed at the end, rolled back by any exception."""
        hook = TRANSACTION_HOOK.get()
        with self._session(immediate=True) as session, session.begin():
            yield session
            if hook is not None:
                hook.keep(session)
        if hook is not None:
            hook.committed()

    def advisory_lock(self, session: Session, name: str) -> None:
        """Who writes under this name comes one after the other, until the transaction ends.

        SQLite lets only one write at a time anyway; elsewhere two may otherwise both find nothing there.
        """
        if self._engine.dialect.name == "postgresql":
            session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(name, 0))))

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view; writes nothing and never waits for writers."""
        snapshot = _SNAPSHOT.get()
        if snapshot is not None and snapshot.bind is self._reading:
            yield snapshot
            return
        with self._session(immediate=False) as session:
            yield session

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that this thread reads meanwhile comes from one view.

        A transaction for each of many small queries takes as long as the queries.
        """
        with self._session(immediate=False) as session:
            token = _SNAPSHOT.set(session)
            try:
                yield
            finally:
                _SNAPSHOT.reset(token)

    def _session(self, *, immediate: bool) -> Session:
        return RecycleBinSession(self._writing if immediate else self._reading, expire_on_commit=False)

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
        stored = self.get_value(name)
        if stored is None or int(stored) < int(value):  # another check may have written a later one
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


def _engine(address: str) -> Engine:
    url = make_url(address)
    if url.get_backend_name() == "sqlite":
        engine = create_engine(url, json_deserializer=_read_json)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    bounds = {name: value for name, value in POSTGRESQL.items() if name not in url.query}
    engine = create_engine(
        url,
        json_deserializer=_read_json,
        pool_pre_ping=True,
        pool_timeout=POOL_WAIT_S,
        connect_args=bounds,
    )
    event.listen(engine, "connect", _prepare_postgresql)
    return engine


def _read_json(stored: str | bytes) -> Any:
    """What a JSON column holds; the words of a long transcript are most of what is read."""
    try:
        return orjson.loads(stored)
    except orjson.JSONDecodeError:
        return json.loads(stored)  # rows written with NaN, which is no JSON


def _prepare_postgresql(connection: Any, _record: object) -> None:
    connection.execute(f"SET lock_timeout = {BUSY_MS}")
    # Its own figure is of turning disks: it reads all rows where an index answers in a third of the time.
    connection.execute("SET random_page_cost = 1.1")
    # Its own figure begins two more processes for questions of 10 ms, which then take 20 to 30.
    connection.execute("SET parallel_setup_cost = 10000")
    connection.commit()
    connection.adapters.register_dumper(str, _text_dumper())


@functools.cache
def _text_dumper() -> type:
    """For texts with NUL, which PostgreSQL refuses even to look for: who asks for `%00` finds nothing."""
    from psycopg.types.string import StrDumperUnknown  # noqa: PLC0415 - only where PostgreSQL is used

    class TextDumper(StrDumperUnknown):
        def dump(self, obj: str) -> Any:
            return super().dump(obj.replace("\0", "\ufffd"))

    return TextDumper


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
