"""What a database fails with, whichever it is, as an error with a sentence.

The doors translate, not `Database`: within core, `Unavailable` speaks of what was asked for beside the
database, and whoever pays must not take a write that failed for a provider that was not reached.
"""

from __future__ import annotations

import itertools
import logging
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

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

PAUSES_S = (0.2, 0.5, 1.0, 2.0, 5.0)
"""Between tries of a write that must not get lost; the last one again and again."""

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

log = logging.getLogger("stenogram.database")
T = TypeVar("T")


def persistently(write: Callable[[], T]) -> T:
    """Try a write until the database takes it: without it somebody who lives would hold something for good.

    It must be one that does no harm twice, as its first try may have been kept though its answer was lost.
    """
    for pause_s in itertools.chain(PAUSES_S, itertools.repeat(PAUSES_S[-1])):
        try:
            return write()
        except FAILURES as error:
            if is_mistake(error):
                raise
            log.warning("%s It is tried again in %g s.", unavailable(error), pause_s)
        time.sleep(pause_s)
    raise AssertionError


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
