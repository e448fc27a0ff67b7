"""Insert-or-get and insert-or-update in one statement.

To look first and insert then fails on PostgreSQL when two do it at once: neither sees the other's row,
and the second gets an IntegrityError. With `on conflict` it waits for the first and finds its row.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import inspect
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from core.database.tables import Row


def insert_if_absent(session: Session, row: Row) -> None:
    """Insert a row (not one of the session) unless one with its key is there, which then stays as it is."""
    session.execute(_insert(session, row).on_conflict_do_nothing())


def upsert(session: Session, row: Row) -> None:
    """Insert a row (not one of the session), or give the one with its key the values that are set on it."""
    mapper = inspect(type(row))
    key = [column.name for column in mapper.primary_key]
    values = {name: value for name, value in _values(row).items() if name not in key}
    statement = _insert(session, row)
    if values:
        session.execute(statement.on_conflict_do_update(index_elements=key, set_=values))
    else:
        session.execute(statement.on_conflict_do_nothing())


def _insert(session: Session, row: Row) -> Any:  # of one of two dialects, which share no type
    dialect = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    return dialect.insert(type(row)).values(_values(row))


def _values(row: Row) -> dict[str, Any]:
    """What is set on a row; the rest is for the defaults of its table."""
    state = inspect(row)
    return {name: state.dict[name] for name in state.mapper.column_attrs.keys() if name in state.dict}  # noqa: SIM118 - no dict
