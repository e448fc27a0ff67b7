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
    from core.programs.promises import TABLES  # noqa: PLC0415 - as above
    from core.records import Row  # noqa: PLC0415

    Row.metadata.create_all(connection, [Row.metadata.tables[name] for name in TABLES])


def _m004_orders(connection: Connection) -> None:
    from core.records import Row  # noqa: PLC0415 - as above

    names = ("orders", "breakers", "covers")
    Row.metadata.create_all(connection, [Row.metadata.tables[name] for name in names])


def _m005_tariffs(connection: Connection) -> None:
    from core.money.tariffs import TABLES  # noqa: PLC0415
    from core.records import Row  # noqa: PLC0415 - as above

    Row.metadata.create_all(connection, [Row.metadata.tables[name] for name in TABLES])
    if "ended_at" not in {column["name"] for column in inspect(connection).get_columns("payments")}:
        connection.execute(text("ALTER TABLE payments ADD COLUMN ended_at DOUBLE PRECISION"))


def _m006_monitor(connection: Connection) -> None:
    from core.records import Row  # noqa: PLC0415 - as above

    for table, columns in MONITORED.items():
        there = {column["name"] for column in inspect(connection).get_columns(table)}
        for name, kind in columns.items():
            if name not in there:
                connection.execute(text(f"ALTER TABLE {table} ADD COLUMN {name} {kind}"))
    tables = Row.metadata.tables
    Row.metadata.create_all(connection, [tables[name] for name in ("runs", "tallies", "actions")])
    for index in tables["jobs"].indexes:
        index.create(connection, checkfirst=True)


def _m007_own_limits(connection: Connection) -> None:
    from core.records import Row  # noqa: PLC0415 - as above

    Row.metadata.create_all(connection, [Row.metadata.tables["own_limits"]])


def _m008_subtitles(connection: Connection) -> None:
    if "subtitles" not in {column["name"] for column in inspect(connection).get_columns("transcripts")}:
        connection.execute(
            text("ALTER TABLE transcripts ADD COLUMN subtitles BOOLEAN NOT NULL DEFAULT FALSE")
        )


MONITORED = {
    "jobs": {"priority": "BIGINT NOT NULL DEFAULT 0", "waited_s": "FLOAT NOT NULL DEFAULT 0"},
    "workers": {
        "gpu_bytes": "BIGINT NOT NULL DEFAULT 0",
        "gpu_load": "FLOAT",
        "version": "VARCHAR NOT NULL DEFAULT ''",
        "wish": "VARCHAR NOT NULL DEFAULT ''",
    },
}

MIGRATIONS: list[Callable[[Connection], None]] = [
    _m001_the_road,
    _m002_names_of_uploads,
    _m003_promises,
    _m004_orders,
    _m005_tariffs,
    _m006_monitor,
    _m007_own_limits,
    _m008_subtitles,
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
