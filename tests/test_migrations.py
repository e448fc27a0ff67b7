"""Databases come along: fresh ones, those of 3c9dc76 with every row, older ones; never newer ones."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, create_engine, inspect, select, text

from core.database import migrations
from core.database.database import Database
from core.database.error_codes import KEPT, with_code
from core.database.tables import Row
from core.errors import Conflict
from tests.conftest import DATA

TABLES = {
    "facts": "key_values",
    "chores": "periodic_tasks",
    "batch_texts": "embedding_requests",
    "replays": "idempotency_keys",
}
COLUMNS = {
    ("recordings", "meaning"): "embedding_status",
    ("passages", "meaning"): "embedding_status",
    ("passages", "lane"): "embedding_mode",
    ("tasks", "lane"): "embedding_mode",
    ("payments", "lane"): "mode",
    ("jobs", "rung_at"): "notified_at",
    ("jobs", "starts"): "crash_count",
    ("jobs", "tries"): "attempts",
    ("workers", "wish"): "requested_action",
    ("batches", "wish"): "requested_action",
    ("covers", "wish"): "options",
    ("batch_texts", "tries"): "attempts",
    ("callbacks", "tries"): "attempts",
}
SYNC = {("passages", "lane"), ("tasks", "lane"), ("payments", "lane"), ("batches", "wish")}
"""Columns that said "now" and say "sync"."""
NEW_TABLES = {"diarizations", "speaker_names"}
NEW_COLUMNS = {"transcripts": {"speakers": ""}}
"""With what rows of 3c9dc76 have in them."""


@contextmanager
def engine_of(url: str) -> Iterator[Engine]:
    engine = create_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def make_old(url: str) -> None:
    """A database as 3c9dc76 left it."""
    script = (DATA / "database_3c9dc76.sql").read_text()
    with engine_of(url) as engine, engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.connection.driver_connection.executescript(script.replace("FLOAT(53)", "FLOAT"))
        else:
            connection.connection.driver_connection.execute(script.encode())
            connection.connection.driver_connection.commit()


def rows(url: str) -> dict[str, list[dict[str, Any]]]:
    """Everything in a database, by table; rows in the order of their keys."""
    with engine_of(url) as engine, engine.connect() as connection:
        known = MetaData()
        known.reflect(connection)
        found = {
            name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for name, table in known.tables.items()
        }
        return {name: sorted(kept, key=repr) for name, kept in found.items()}


def today(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of 3c9dc76 in the words of now."""
    kept = {
        COLUMNS.get((table, name), name): "sync" if (table, name) in SYNC and value == "now" else value
        for name, value in row.items()
    }
    if table == "tasks":
        kept["embedding_mode"] = kept["embedding_mode"] or "sync"
    for name in KEPT.get(table, ("", ()))[1]:
        kept[name] = with_code(kept[name]) or kept[name]
    return kept | NEW_COLUMNS.get(table, {})


def differences(url: str) -> list[object]:
    """Where the tables are not as the code declares them."""
    with engine_of(url) as engine, engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection), Row.metadata)


def test_a_fresh_database_is_what_the_code_declares(database_url):
    Database(database_url).close()
    Database(database_url).close()

    assert differences(database_url) == []


def test_every_row_of_an_old_database_keeps_its_meaning(database_url):
    make_old(database_url)
    before = rows(database_url)
    assert all(before.values()), "the fixture has rows in every table"

    Database(database_url).close()

    assert differences(database_url) == []
    after = rows(database_url)
    assert after.pop("alembic_version") == [{"version_num": migrations.HEAD}]
    del before["migrations"]
    assert set(after) == {TABLES.get(name, name) for name in before} | NEW_TABLES
    for name, old in before.items():
        expected = sorted((today(name, row) for row in old), key=repr)
        assert sorted(after[TABLES.get(name, name)], key=repr) == expected, name


def test_old_rows_are_read_by_the_code_of_today(database_url):
    """Every state, kind and outcome that 3c9dc76 wrote has a member."""
    make_old(database_url)
    database = Database(database_url)

    with database.read() as session:
        for mapper in Row.registry.mappers:
            rows = list(session.scalars(select(mapper.class_)))
            assert rows or mapper.local_table.name in NEW_TABLES, mapper.class_
    database.close()


def test_processes_that_start_together_upgrade_once(database_url):
    make_old(database_url)

    with ThreadPoolExecutor(4) as pool:
        for database in pool.map(Database, [database_url] * 4):
            database.close()

    assert differences(database_url) == []


def test_a_database_older_than_3c9dc76_comes_along_too(database_url):
    make_old(database_url)
    with engine_of(database_url) as engine, engine.begin() as connection:
        connection.execute(text("ALTER TABLE tasks DROP COLUMN filename"))
        connection.execute(text("ALTER TABLE recordings DROP COLUMN vectors_by"))
        connection.execute(text("DROP TABLE replays"))
        connection.execute(text("DELETE FROM migrations WHERE name <> '_m001_the_road'"))

    Database(database_url).close()

    assert {name for name in inspect_names(database_url) if "idempotency" in name} == {"idempotency_keys"}
    assert {row["filename"] for row in rows(database_url)["tasks"]} == {""}


def inspect_names(url: str) -> list[str]:
    with engine_of(url) as engine:
        return inspect(engine).get_table_names()


def test_a_newer_database_is_refused_and_left_alone(database_url):
    Database(database_url).close()
    with engine_of(database_url) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    before = rows(database_url)

    with pytest.raises(Conflict, match="newer version"):
        Database(database_url)

    assert rows(database_url) == before


def test_revisions_are_one_line_that_ends_at_the_newest():
    config = Config()
    config.set_main_option("script_location", str(migrations.HERE))
    script = ScriptDirectory.from_config(config)

    assert script.get_heads() == [migrations.HEAD]
    assert all(f"/r{each.revision}_" in each.path for each in script.walk_revisions())
