"""How the tables came to be: small steps, applied in order, once, by name.

Append; never edit one that people have run. A fresh database gets all tables from the first step, so
each later step first looks whether there is anything left to do.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, Engine, inspect, text


def _m001_the_road(connection: Connection) -> None:
    from core.records import Row  # noqa: PLC0415 - it imports this module

    Row.metadata.create_all(connection)


def _m002_names_of_uploads(connection: Connection) -> None:
    if "filename" not in {column["name"] for column in inspect(connection).get_columns("tasks")}:
        connection.execute(text("ALTER TABLE tasks ADD COLUMN filename VARCHAR NOT NULL DEFAULT ''"))


def _m003_promises(connection: Connection) -> None:
    from core.promises import TABLES  # noqa: PLC0415 - as above
    from core.records import Row  # noqa: PLC0415

    Row.metadata.create_all(connection, [Row.metadata.tables[name] for name in TABLES])


def _m004_orders(connection: Connection) -> None:
    from core.records import Row  # noqa: PLC0415 - as above

    names = ("orders", "breakers", "covers")
    Row.metadata.create_all(connection, [Row.metadata.tables[name] for name in names])


MIGRATIONS: list[Callable[[Connection], None]] = [
    _m001_the_road,
    _m002_names_of_uploads,
    _m003_promises,
    _m004_orders,
]


def migrate(engine: Engine) -> None:
    """Bring the tables to what this code expects. Safe to call from several processes at once."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(7365)"))
        connection.execute(text("CREATE TABLE IF NOT EXISTS migrations (name VARCHAR PRIMARY KEY)"))
        applied = set(connection.scalars(text("SELECT name FROM migrations")))
        for step in MIGRATIONS:
            if step.__name__ not in applied:
                step(connection)
                connection.execute(
                    text("INSERT INTO migrations VALUES (:name)").bindparams(name=step.__name__)
                )
