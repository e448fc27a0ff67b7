"""How the tables came to be: small steps, applied in order, once, by name.

Append; never edit one that people have run. A fresh database gets all tables from the first step, so
each later step first looks whether there is anything left to do.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, Engine, inspect, text

from core.database.error_codes import add_codes
from core.database.tables import Row


def _create(connection: Connection, *names: str) -> None:
    """Those of the named tables that are not there yet."""
    known = Row.metadata
    known.create_all(connection, [known.tables[name] for name in names])


def _add(connection: Connection, table: str, **columns: str) -> None:
    """Those of the named columns that are not there yet."""
    there = {column["name"] for column in inspect(connection).get_columns(table)}
    for name, kind in columns.items():
        if name not in there:
            connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {name} {kind}"))


def _m001_the_road(connection: Connection) -> None:
    Row.metadata.create_all(connection)


def _m002_names_of_uploads(connection: Connection) -> None:
    _add(connection, "tasks", filename="VARCHAR NOT NULL DEFAULT ''")


def _m003_promises(connection: Connection) -> None:
    _create(connection, "replays", "callbacks", "resumables")


def _m004_orders(connection: Connection) -> None:
    _create(connection, "orders", "breakers", "covers")


def _m005_tariffs(connection: Connection) -> None:
    _create(connection, "own_prices", "own_figures", "own_limits", "caps", "plans")
    _add(connection, "payments", ended_at="DOUBLE PRECISION")


def _m006_monitor(connection: Connection) -> None:
    _add(connection, "jobs", priority="BIGINT NOT NULL DEFAULT 0", waited_s="FLOAT NOT NULL DEFAULT 0")
    _add(
        connection,
        "workers",
        gpu_bytes="BIGINT NOT NULL DEFAULT 0",
        gpu_load="FLOAT",
        version="VARCHAR NOT NULL DEFAULT ''",
        wish="VARCHAR NOT NULL DEFAULT ''",
    )
    _create(connection, "runs", "tallies", "actions")
    for index in Row.metadata.tables["jobs"].indexes:
        index.create(connection, checkfirst=True)


def _m007_own_limits(connection: Connection) -> None:
    _create(connection, "own_limits")


def _m008_subtitles(connection: Connection) -> None:
    _add(connection, "transcripts", subtitles="BOOLEAN NOT NULL DEFAULT FALSE")


def _m009_deadlines(connection: Connection) -> None:
    _add(connection, "recordings", vectors_by="FLOAT")


def _m010_codes_of_errors(connection: Connection) -> None:
    add_codes(connection)


MIGRATIONS: list[Callable[[Connection], None]] = [
    _m001_the_road,
    _m002_names_of_uploads,
    _m003_promises,
    _m004_orders,
    _m005_tariffs,
    _m006_monitor,
    _m007_own_limits,
    _m008_subtitles,
    _m009_deadlines,
    _m010_codes_of_errors,
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
