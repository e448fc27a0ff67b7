"""Health is measured at the work itself: what is damaged, locked, hung or silent is not "ok"."""

from __future__ import annotations

import os
import sqlite3
import threading
import time

import httpx
import pytest
from sqlalchemy import update
from sqlalchemy.exc import DatabaseError

from api import state
from core.database.failures import unavailable
from core.database.tables import Job
from core.errors import Code, NoSpace, Unavailable
from core.library.recordings import TranscriptionOptions
from core.monitor import health
from core.principal import EVERYONE
from core.search.index import Index
from tests.installation import generous, problem, upload
from tests.serve import serve


@pytest.fixture(autouse=True)
def _always_fresh(monkeypatch):
    monkeypatch.setattr(state, "FRESH_S", 0.0)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(generous(tmp_path_factory.mktemp("health"))) as served:
        yield served


def parts(app) -> dict[str, health.Part]:
    return {part.name: part for part in health.check(app, lambda: None).parts}


def test_live_ready_and_health_are_three_addresses(served):
    live, ready, whole = (
        httpx.get(f"{served.url}/health{path}", timeout=30) for path in ("/live", "/ready", "")
    )

    assert (live.status_code, live.json()) == (200, {"status": "alive"})
    assert (ready.status_code, ready.json()) == (200, {"status": "degraded"})
    assert whole.status_code == 200
    assert all(
        part["ok"] for name, part in whole.json()["parts"].items() if name not in {"workers", "broker"}
    )


def damage(path):
    """As a bad disk does: pages of the tables are gone, the file's head is as it was."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))


def test_a_damaged_database_is_unwell_and_every_call_a_problem(tmp_path, clip):
    app = generous(tmp_path)
    with serve(app) as served, served.client() as me:
        me.get("/api/v1/tasks")
        with sqlite3.connect(tmp_path / "records.sqlite") as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        app.database.close()
        for file in tmp_path.glob("records.sqlite-*"):
            file.unlink()
        damage(tmp_path / "records.sqlite")

        assert httpx.get(f"{served.url}/health", timeout=30).json()["status"] == "unavailable"
        assert httpx.get(f"{served.url}/health", timeout=30).status_code == 503
        not_ready = problem(httpx.get(f"{served.url}/health/ready", timeout=30), 503)
        assert "database" in str(not_ready["detail"])
        assert httpx.get(f"{served.url}/health/live", timeout=30).status_code == 200
        for answer in (me.get("/api/v1/tasks"), me.get("/api/v1/recordings"), upload(me, clip)):
            body = problem(answer, 503)
            assert body["reason"] == "database_damaged"
            assert "restore the backup" in str(body["detail"])


def test_a_locked_database_is_unwell_and_an_upload_ends_within_its_bound(tmp_path, clip):
    """It took 10.6 s to say that the database does not answer; it is busy, and that is what is said."""
    app = generous(tmp_path)
    with serve(app) as served, served.client() as me:
        me.get("/api/v1/tasks")
        lock = sqlite3.connect(tmp_path / "records.sqlite", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        try:
            began = time.monotonic()
            body = httpx.get(f"{served.url}/health", timeout=30).json()
            assert time.monotonic() - began < health.ANSWER_S + 3
            assert body["status"] == "unavailable"
            assert body["parts"]["database"]["detail"] == Code.DATABASE_BUSY.message

            began = time.monotonic()
            refused = upload(me, clip)
            assert time.monotonic() - began < 15
            assert problem(refused, 503)["reason"] == "database_busy"
            assert refused.headers["retry-after"]
            assert me.get("/api/v1/tasks").status_code == 200, "readers wait for no writer"
        finally:
            lock.close()
        assert httpx.get(f"{served.url}/health", timeout=30).status_code == 200
        assert upload(me, clip).status_code == 202


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (sqlite3.SQLITE_BUSY, Code.DATABASE_BUSY),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Code.DATABASE_BUSY),
        (sqlite3.SQLITE_FULL, Code.DATABASE_FULL),
        (sqlite3.SQLITE_READONLY_DIRECTORY, Code.DATABASE_READ_ONLY),
        (sqlite3.SQLITE_CORRUPT_INDEX, Code.DATABASE_DAMAGED),
        (sqlite3.SQLITE_NOTADB, Code.DATABASE_DAMAGED),
        (sqlite3.SQLITE_IOERR_READ, Code.DATABASE_SILENT),
    ],
)
def test_each_failure_of_sqlite_has_its_sentence(number, code):
    original = sqlite3.DatabaseError("/srv/records.sqlite")
    original.sqlite_errorcode = number

    assert unavailable(DatabaseError("SELECT", {}, original)).code == code
    assert unavailable(original).code == code


@pytest.mark.parametrize(
    ("sqlstate", "code"),
    [("55P03", Code.DATABASE_BUSY), ("53100", Code.DATABASE_FULL), ("XX001", Code.DATABASE_DAMAGED)],
)
def test_each_failure_of_postgresql_has_its_sentence(sqlstate, code):
    original = Exception("somewhere")
    original.sqlstate = sqlstate

    assert unavailable(DatabaseError("SELECT", {}, original)).code == code


def test_a_row_is_written_and_read_back_in_either_database(database):
    database.check(1.0)
    first = [value for value in [database.get_value(f"health of {os.uname().nodename}")] if value]
    database.check(1.0)
    assert first
    assert database.get_value(f"health of {os.uname().nodename}") > first[0]


def test_a_part_that_hangs_is_broken_and_keeps_nobody_waiting(app, monkeypatch):
    released = threading.Event()
    monkeypatch.setattr(health, "ANSWER_S", 0.5)
    monkeypatch.setattr(Index, "check", lambda _: (released.wait(60), {})[1])
    began = time.monotonic()
    try:
        all_parts = parts(app)
    finally:
        released.set()

    assert time.monotonic() - began < 10
    assert not all_parts["index"].ok
    assert all_parts["index"].says["code"] == Code.PART_SILENT
    assert health.check(app, lambda: None).accepts


def test_a_store_that_cannot_be_written_is_unwell(app, monkeypatch):
    def read_only(*_, **__):
        raise OSError(30, "Read-only file system", "/srv/secret")

    monkeypatch.setattr(health.tempfile, "TemporaryFile", read_only)

    assert not parts(app)["storage"].ok
    assert "secret" not in str(parts(app)["storage"].says)
    assert not health.check(app, lambda: None).accepts


def accepted(app, clip):
    with clip.open("rb") as file:
        return app.intake.accept(EVERYONE, file, clip.name, TranscriptionOptions(language="en"))


def test_work_that_stands_still_is_unwell_though_everything_answers(app, clip):
    """Workers that live, a broker that answers, and nothing done: only the age of what waits tells."""
    accepted(app, clip)
    assert parts(app)["work"].ok

    with app.database.write() as session:
        session.execute(update(Job).values(run_at=Job.run_at - health.STALLED_S - 1))

    assert parts(app)["work"].says["code"] == Code.WORK_STALLED
    assert health.check(app, lambda: None).accepts, "it is kept and waits"
    assert health.check(app, lambda: None).status == "degraded"


def test_a_long_queue_that_is_worked_at_is_well(app, clip):
    accepted(app, clip)
    accepted(app, clip)
    with app.database.write() as session:
        session.execute(update(Job).values(run_at=Job.run_at - health.STALLED_S - 1))
        job_id = session.query(Job).first().id
    assert app.job_queue.claim(job_id, "here/1")

    assert parts(app)["work"].ok


def test_a_running_job_without_progress_is_unwell(app, clip):
    accepted(app, clip)
    with app.database.write() as session:
        job_id = session.query(Job).first().id
    app.job_queue.claim(job_id, "here/1")
    assert parts(app)["work"].ok
    with app.database.write() as session:
        session.execute(update(Job).values(progressed_at=Job.progressed_at - health.SILENT_S - 1))

    assert parts(app)["work"].says["code"] == Code.WORK_SILENT


def test_a_paused_queue_is_no_stalled_one(app, clip):
    accepted(app, clip)
    app.job_queue.pause("cpu")
    with app.database.write() as session:
        session.execute(update(Job).values(run_at=Job.run_at - health.STALLED_S - 1))

    assert parts(app)["work"].ok


def test_strangers_do_not_make_the_disk_write_for_each_question(served, monkeypatch):
    monkeypatch.setattr(state, "FRESH_S", 60.0)
    looked = []
    whole = health.check
    monkeypatch.setattr(health, "check", lambda *given: looked.append(1) or whole(*given))

    for path in ("/health", "/health/ready", "/health", "/health"):
        httpx.get(served.url + path, timeout=30)

    assert len(looked) <= 1


def test_no_space_is_still_its_own_sentence(app):
    app.blobs.reserve_bytes = 1 << 60

    assert parts(app)["disk"].says["code"] == NoSpace.code
    assert isinstance(unavailable(sqlite3.OperationalError("locked")), Unavailable)
