"""Databases come along: fresh ones, those of 3c9dc76 with every row, older ones; never newer ones."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, MetaData, create_engine, inspect, select, text

from core.database import migrations
from core.database.database import Database
from core.database.error_codes import KEPT, with_code
from core.database.tables import Diarization, Recording, Row, indexed
from core.errors import Conflict
from core.transcripts.speakers import speaking_of
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
    ("batches", "epoch"): "attempt_count",
    ("batches", "submit_at"): "intended_at",
    ("batches", "polls"): "poll_count",
    ("orders", "submissions"): "attempt_count",
    ("orders", "doubts"): "unknown_outcome_count",
    ("orders", "breaks"): "failure_count",
    ("orders", "patience"): "timeout_count",
    ("orders", "submit_at"): "intended_at",
    ("covers", "breaks"): "failure_count",
}
SYNC = {("passages", "lane"), ("tasks", "lane"), ("payments", "lane"), ("batches", "wish")}
"""Columns that said "now" and say "sync"."""
NEW_TABLES = {
    "audit_events",
    "bought_vectors",
    "collection_moments",
    "collections",
    "kept_moments",
    "saved_searches",
    "search_hits",
    "destinations",
    "diarizations",
    "edits",
    "glossary",
    "leases",
    "notifications",
    "opened_hits",
    "peaks",
    "people",
    "searched",
    "sign_ins",
    "sentence_vectors",
    "share_links",
    "shares",
    "source_items",
    "sources",
    "task_groups",
    "voices",
    "written_results",
    "voice_samples",
    "voice_rejections",
    "turns",
}
NEW_COLUMNS: dict[str, dict[str, Any]] = {
    "transcripts": {
        "tracks": "",
        "warnings": [],
        "identified": None,
        "translate": False,
        "temperature": 0.0,
        "hints": "",
    },
    "recordings": {
        "tracks": [],
        "language_probability": None,
        "deleted_at": None,
        "source_url": "",
        "published_at": None,
        "chapters": [],
        "recorded_at": None,
        "recorded_kind": None,
    },
    "jobs": {"owner": "", "audio_s": 0.0},
    "resumables": {"visitor": ""},
    "keys": {"read_only": False, "expires_at": None},
    "tasks": {"group_id": None, "speakers": "off", "keep_corrections": False, "excerpt": None},
    "segments": {
        "language": None,
        "engine": None,
        "log_probability": None,
        "no_speech": None,
        "doubtful": False,
    },
}
"""With what rows of 3c9dc76 have in them."""


@pytest.fixture(autouse=True)
def _true_migrations(monkeypatch):
    monkeypatch.setattr(migrations, "_upgrade", migrations._upgrade.upgrade)


@pytest.fixture(scope="module")
def template():
    """Databases begin without tables here."""
    return "template0"


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
        metadata = MetaData()
        metadata.reflect(connection)
        rows_by_table = {
            name: [dict(row) for row in connection.execute(select(table)).mappings()]
            for name, table in metadata.tables.items()
        }
        return {name: sorted(kept, key=repr) for name, kept in rows_by_table.items()}


def today(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row of 3c9dc76 in the words of now."""
    values = {
        COLUMNS.get((table, name), name): "sync" if (table, name) in SYNC and value == "now" else value
        for name, value in row.items()
    }
    if table == "replays":
        values["body"] = ""
    if table == "tasks":
        values["embedding_mode"] = values["embedding_mode"] or "sync"
    if table == "recordings":
        values["everybody"] = "write" if row["owner"] == "pages" else "none"
        values |= indexed(row["title"], row["filename"], row["tags"])
    if table == "keys":
        values["owner"] = row["id"]
    for name in KEPT.get(table, ("", ()))[1]:
        values[name] = with_code(values[name]) or values[name]
    return values | NEW_COLUMNS.get(table, {})


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
    order = sorted(before["tasks"], key=lambda row: (-row["created_at"], row["id"]), reverse=True)
    newest = {row["recording_id"]: row["id"] for row in order}
    assert len(newest) < len(order), "some recording has two"
    for row in before["tasks"]:
        row["is_newest"] = row["id"] == newest[row["recording_id"]]
    made_by = {row["id"]: row["engine"] for row in before["transcripts"]}
    counts = Counter(row["recording_id"] for row in before["tasks"])
    for row in before["recordings"]:
        row["task_count"] = counts[row["id"]]
        row["engine"] = made_by.get(row["transcript_id"], row["transcript_id"] and "")
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


def test_speakers_that_were_found_and_named_come_along(database_url):
    make_old(database_url)
    with engine_of(database_url) as engine:
        config = Config(attributes={"connection": None})
        config.set_main_option("script_location", str(migrations.HERE))
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "0009")
        with engine.begin() as connection:
            ids = connection.execute(
                text("SELECT id, transcript_id FROM recordings WHERE transcript_id IS NOT NULL")
            ).first()
            assert ids is not None, "the fixture has a recording with a transcript"
            recording_id, transcript_id = ids
            connection.execute(
                text("UPDATE transcripts SET speakers = '2-4' WHERE id = :id"), {"id": transcript_id}
            )
            connection.execute(
                text(
                    "INSERT INTO diarizations (transcript_id, turns, created_at)"
                    " VALUES (:id, '[[0.0, 1.5, 0]]', 1)"
                ),
                {"id": transcript_id},
            )
            connection.execute(
                text("INSERT INTO speaker_names VALUES (:id, 'speaker_1', 'Анна')"), {"id": recording_id}
            )

    database = Database(database_url)

    with database.read() as session:
        diarization = session.get_one(Diarization, recording_id)
        assert (diarization.speakers, diarization.turns) == ("2-4", [[0.0, 1.5, 0, "mono"]])
        assert speaking_of(session, recording_id).names == {"speaker_1": "Анна"}
    database.close()


def test_names_and_tags_come_along_whatever_their_length(database_url):
    make_old(database_url)
    title, tags = "Ж" * 3000, [f"метка {n}" for n in range(300)]
    with engine_of(database_url) as engine, engine.begin() as connection:
        values = {"title": title, "tags": json.dumps(tags)}
        connection.execute(text("UPDATE recordings SET title = :title, tags = :tags WHERE id = 'r1'"), values)

    database = Database(database_url)

    with database.read() as session:
        row = session.get_one(Recording, "r1")
        assert {name: getattr(row, name) for name in indexed("", "", ())} == indexed(
            title, row.filename, tags
        )
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
