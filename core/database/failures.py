"""What a database fails with, whichever it is, as an error with a sentence.

The doors translate, not `Database`: within core, `Unavailable` speaks of what was asked for beside the
database, and whoever pays must not take a write that failed for a provider that was not reached.
"""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    NotSupportedError,
    ProgrammingError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from core.errors import Code, Unavailable

FAILURES = (DBAPIError, PoolTimeoutError, sqlite3.Error)
"""Everything a database raises, also while a connection is made."""
MISTAKES = (DataError, IntegrityError, NotSupportedError, ProgrammingError)
"""Of these ours, which trying again does not mend."""

PRIMARY = 0xFF
"""SQLite's extended result codes keep the primary one in their lowest byte."""
BY_SQLITE = {
    sqlite3.SQLITE_BUSY: Code.DATABASE_BUSY,
    sqlite3.SQLITE_LOCKED: Code.DATABASE_BUSY,
    sqlite3.SQLITE_FULL: Code.DATABASE_FULL,
    sqlite3.SQLITE_READONLY: Code.DATABASE_READ_ONLY,
    sqlite3.SQLITE_CORRUPT: Code.DATABASE_DAMAGED,
    sqlite3.SQLITE_NOTADB: Code.DATABASE_DAMAGED,
    sqlite3.SQLITE_FORMAT: Code.DATABASE_DAMAGED,
}
BY_POSTGRESQL = {
    "55P03": Code.DATABASE_BUSY,  # lock_not_available
    "40P01": Code.DATABASE_BUSY,  # deadlock_detected
    "40001": Code.DATABASE_BUSY,  # serialization_failure
    "57014": Code.DATABASE_BUSY,  # query_canceled: over its time
    "53100": Code.DATABASE_FULL,
    "25006": Code.DATABASE_READ_ONLY,
    "XX001": Code.DATABASE_DAMAGED,
    "XX002": Code.DATABASE_DAMAGED,
}


def unavailable(error: Exception) -> Unavailable:
    """What one of `FAILURES` means for whoever asked."""
    original = error.orig if isinstance(error, DBAPIError) else error
    number = getattr(original, "sqlite_errorcode", None)
    if number is not None:
        return Unavailable(BY_SQLITE.get(number & PRIMARY, Code.DATABASE_SILENT))
    return Unavailable(BY_POSTGRESQL.get(str(getattr(original, "sqlstate", "")), Code.DATABASE_SILENT))


def is_mistake(error: Exception) -> bool:
    """Whether it is a mistake of this tool and not a state of the database."""
    return isinstance(error, MISTAKES)
