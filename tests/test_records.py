"""Records: durable, safe for several writers, and migrated once."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from sqlalchemy import create_engine, inspect, text

from core.database.database import Database
from core.database.tables import KeyValue
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
