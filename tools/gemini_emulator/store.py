"""Everything the emulator remembers, in one SQLite file that outlives it."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from tools.gemini_emulator.wire import ConnectionCut

SETTINGS: dict[str, float] = {
    "processing_s": 60,  # from create to success; a quarter of it is spent PENDING
    "enqueued_tokens": 500_000,  # of all live batches together
    "live_batches": 100,
    "list_lag_s": 0,  # how long a new batch is missing from the list
    "page_size": 100,  # of any list, at most
    "clock_offset_s": 0,
}

_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value REAL);
CREATE TABLE IF NOT EXISTS faults (id INTEGER PRIMARY KEY, name TEXT, times INTEGER, options TEXT);
CREATE TABLE IF NOT EXISTS calls (at REAL, call TEXT, path TEXT, status INTEGER, fault TEXT);
CREATE TABLE IF NOT EXISTS uploads (id TEXT PRIMARY KEY, file TEXT, data BLOB);
CREATE TABLE IF NOT EXISTS files (
    id INTEGER PRIMARY KEY, name TEXT UNIQUE, created_at REAL, display_name TEXT, mime_type TEXT, data BLOB);
CREATE TABLE IF NOT EXISTS batches (
    id INTEGER PRIMARY KEY, name TEXT UNIQUE, model TEXT, display_name TEXT, file TEXT, created_at REAL,
    starts_at REAL, ends_at REAL, listed_at REAL, final TEXT, output INTEGER, deleted INTEGER, quirks TEXT);
CREATE TABLE IF NOT EXISTS texts (
    id INTEGER PRIMARY KEY, at REAL, batch INTEGER, model TEXT, dim INTEGER, key TEXT, text TEXT,
    tokens INTEGER, truncated INTEGER, task_type TEXT, flaw TEXT, usable INTEGER);
CREATE INDEX IF NOT EXISTS texts_of_batch ON texts (batch);
"""


class Store:
    """Every use but `close` belongs into `transaction`."""

    def __init__(self, folder: Path | None) -> None:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(
            folder / "gemini.sqlite" if folder else ":memory:", check_same_thread=False, isolation_level=None
        )
        self._db.row_factory = sqlite3.Row
        self._db.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF;" + _SCHEMA)
        self._lock = threading.Lock()
        self._closed = False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One request at a time, wholly or not at all. Raise ConnectionCut after close."""
        with self._lock:
            if self._closed:
                raise ConnectionCut
            self._db.execute("BEGIN")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._db.close()

    def rows(self, sql: str, *values: object) -> list[sqlite3.Row]:
        return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, *values: object) -> sqlite3.Row | None:
        """The first row, or None."""
        return next(iter(self.rows(sql, *values)), None)

    def insert(self, table: str, **values: object) -> int:
        """Add a row; its id."""
        marks = ", ".join("?" * len(values))
        sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})"  # noqa: S608 - names are our own
        return self._db.execute(sql, tuple(values.values())).lastrowid or 0

    def setting(self, name: str) -> float:
        row = self.row("SELECT value FROM settings WHERE name = ?", name)
        return float(row["value"]) if row else SETTINGS[name]

    def change(self, name: str, value: float) -> None:
        """Change a setting. Raise KeyError if there is none of this name."""
        SETTINGS[name]
        self._db.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def now(self) -> float:
        """Virtual time in unix seconds: it runs like any clock, and tests push it forward."""
        return time.time() + self.setting("clock_offset_s")

    def take_faults(
        self, call: str, names: set[str], most: int | None = None
    ) -> list[tuple[str, dict[str, Any]]]:
        """The faults that strike this call now, at most so many; each is used up once."""
        active: list[tuple[str, dict[str, Any]]] = []
        for row in self.rows("SELECT * FROM faults ORDER BY id"):
            options = json.loads(row["options"])
            if row["name"] not in names or not fnmatchcase(call, options["call"]) or len(active) == most:
                continue
            if options["skip"]:
                options["skip"] -= 1
                self.rows("UPDATE faults SET options = ? WHERE id = ?", json.dumps(options), row["id"])
                continue
            active.append((row["name"], options))
            self.rows("UPDATE faults SET times = times - 1 WHERE id = ?", row["id"])
        self.rows("DELETE FROM faults WHERE times = 0")
        return active
