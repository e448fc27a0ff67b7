"""Records: durable, safe for several writers, and migrated once."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, inspect, select, text, update
from sqlalchemy.exc import OperationalError

from core.database import database as module
from core.database.database import Database
from core.database.failures import unavailable
from core.database.tables import KeyValue
from core.errors import Code
from core.settings import ROOT


def address(folder: Path) -> str:
    return f"sqlite:///{folder / 'records.sqlite'}"


def test_sqlite_keeps_what_it_says_it_kept(tmp_path):
    """WAL so that readers never wait, FULL so that a power cut loses no accepted file."""
    with Database(address(tmp_path)).read() as session:
        pragmas = {name: session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")}
        assert pragmas == {"journal_mode": "wal", "synchronous": 2}
        assert session.scalar(text("PRAGMA foreign_keys")) == 1


def test_a_bare_process_makes_every_table(tmp_path):
    """Not only those of the modules that happen to be imported already."""
    declared = {
        name
        for path in (ROOT / "core").rglob("*.py")
        for name in re.findall(r'__tablename__ = "(\w+)"', path.read_text())
    }
    make = "import sys; from core.database.database import Database; Database(sys.argv[1]).close()"
    subprocess.run([sys.executable, "-c", make, address(tmp_path)], cwd=ROOT, check=True)

    engine = create_engine(address(tmp_path))
    assert set(inspect(engine).get_table_names()) == declared | {"alembic_version"}
    engine.dispose()


def add_facts(url: str, worker: int) -> None:
    database = Database(url)
    for n in range(25):
        with database.write() as session:
            counter = session.get(KeyValue, "counter") or KeyValue(name="counter", value="0")
            session.add(counter)
            counter.value = str(int(counter.value) + 1)
            session.add(KeyValue(name=f"{worker}-{n}", value=""))


def test_writers_in_several_processes_lose_nothing(tmp_path):
    """SQLite: reading and then writing in one transaction: the case that fails with a deferred BEGIN."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=add_facts, args=(address(tmp_path), n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)

    assert Database(address(tmp_path)).get_value("counter") == "100"


def die_in_a_write(url: str) -> None:
    with Database(url).write() as session:
        session.add(KeyValue(name="half", value="written"))
        session.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_write_leaves_nothing(tmp_path):
    writer = multiprocessing.get_context("spawn").Process(target=die_in_a_write, args=(address(tmp_path),))
    writer.start()
    writer.join(60)

    assert writer.exitcode == -signal.SIGKILL
    assert Database(address(tmp_path)).get_value("half") is None


def test_the_first_value_of_a_fact_holds(database_url):
    database = Database(database_url)

    assert database.set_if_absent("embedder", "local") == "local"
    assert database.set_if_absent("embedder", "gemini") == "local"
    database.close()


def test_all_that_is_read_in_a_snapshot_is_one_view(tmp_path):
    database, other = (Database(f"sqlite:///{tmp_path / name}") for name in ("records", "others"))
    database.set_value("fact", "before")
    with database.snapshot():
        assert database.get_value("fact") == "before"
        database.set_value("fact", "after")
        other.set_value("fact", "elsewhere")
        with database.read() as session:
            assert session.scalar(select(KeyValue.value).where(KeyValue.name == "fact")) == "before"
        assert other.get_value("fact") == "elsewhere", "another database has a view of its own"
    assert database.get_value("fact") == "after"


def test_a_text_with_nul_is_looked_for_and_found_nowhere(database):
    assert database.get_value("a\0b") is None
    database.set_value("a\0b", "c\0d")
    assert database.get_value("a\0b") in {"c\0d", "c\ufffdd"}


def test_a_server_that_never_answers_is_given_up_in_time(monkeypatch):
    """A connection is taken and nothing comes: without a bound a program waits for two minutes and more."""
    monkeypatch.setitem(module.POSTGRESQL, "connect_timeout", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+psycopg://me:hidden@127.0.0.1:{silent.getsockname()[1]}/name"
        with pytest.raises(OperationalError) as caught:
            Database(url)

    assert unavailable(caught.value).code == Code.DATABASE_SILENT


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_write_waits_for_another_one_so_long_and_no_longer(database_url, monkeypatch):
    monkeypatch.setattr(module, "BUSY_MS", 200)
    database = Database(database_url)
    database.set_value("a", "first")
    with database.write() as session:
        session.execute(update(KeyValue).values(value="held"))
        session.flush()
        with pytest.raises(OperationalError) as caught, database.write() as other:
            other.execute(update(KeyValue).values(value="second"))
    database.close()

    assert unavailable(caught.value).code == Code.DATABASE_BUSY


def test_what_the_address_says_of_bounds_holds():
    engine = module._engine("postgresql+psycopg://host/name?connect_timeout=60")
    bounds = {}

    @event.listens_for(engine, "do_connect")
    def connect(_dialect, _record, _args, parameters):
        bounds.update(parameters)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        engine.connect()

    assert int(bounds["connect_timeout"]) == 60
    assert bounds["tcp_user_timeout"] == module.POSTGRESQL["tcp_user_timeout"]
