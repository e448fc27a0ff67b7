"""Dates of recordings that were taken in before anybody read them from names of files."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select, update

from core.database.database import Database
from core.database.recycle_bin import WITH_BIN
from core.database.tables import KeyValue, Recording
from core.database.upsert import upsert
from core.media import dates

UP_TO: Final = "dated up to"
"""The value that says which recording was looked at last; DONE when all were."""
DONE: Final = "done"
STEP: Final = 500


def date_by_names(database: Database) -> None:
    """Date, once, what has no date though its file's name says it; so many at a time that nobody waits.

    What is taken in from now on has its date already, or a person has said that nobody knows it.
    """
    while database.get_value(UP_TO) != DONE:
        _step(database)


def _step(database: Database) -> None:
    with database.write() as session:
        last = session.get(KeyValue, UP_TO)
        undated = select(Recording.id, Recording.filename).where(Recording.recorded_at.is_(None))
        undated = undated.where(Recording.id > (last.value if last else "")).order_by(Recording.id)
        rows = session.execute(undated.limit(STEP).execution_options(**WITH_BIN)).all()
        for id_, filename in rows:
            if when := dates.of_file(filename, ()):
                one = update(Recording).where(Recording.id == id_, Recording.recorded_at.is_(None))
                one = one.values(recorded_at=when.at, recorded_kind=when.kind)
                session.execute(one.execution_options(synchronize_session=False))
        upsert(session, KeyValue(name=UP_TO, value=rows[-1].id if len(rows) == STEP else DONE))
