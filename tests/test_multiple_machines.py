"""Any queue on any machine: leases that fence, uploads that others reach, a database that is away."""

from __future__ import annotations

import sqlite3
import threading

import pytest
from sqlalchemy.exc import OperationalError

from core.application import Application
from core.database import failures
from core.database.tables import Lease
from core.errors import Busy, Code, NotFound, code_of
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.queue import leases, queues
from core.queue.leases import ExclusiveLease
from core.settings import Settings
from core.speech import engines
from jobs import actors, places
from jobs.broker import QUEUES
from jobs.runner import SLOTS
from jobs.worker import threads_for
from tests import drive, remotely
from tests.clock import Clock
from tests.tool import until

# Who serves what


def test_no_queue_of_engines_is_one_in_which_recordings_are_prepared_or_indexed(tmp_path):
    """A long job of a slow engine must not hold what just came in, nor what was just heard."""
    all_engines = engines.all(Settings(stenogram_home=tmp_path))

    assert {engine.queue for engine in all_engines.values()} == {"gpu", "io"}
    assert not {"cpu", "index"} & {engine.queue for engine in all_engines.values()}


def test_every_queue_has_threads_of_its_own_in_a_process_that_serves_several():
    groups = threads_for(["gpu", "io"])

    assert groups == {frozenset({"gpu"}): 4, frozenset({"io", "quick"}): 1, frozenset({"index"}): 1}
    assert {queue for group in threads_for(list(SLOTS)) for queue in group} == set(QUEUES)
    assert set(queues.QUEUES) == set(SLOTS)


def test_workers_that_would_keep_their_work_elsewhere_are_refused(database, tmp_path):
    def at(**settings):
        return Settings(
            stenogram_home=tmp_path, redis_url="redis://r", database_url="sqlite:///x", **settings
        )

    shared = {"storage_url": "s3://sounds", "lancedb_uri": "s3://sounds/index"}
    places.agree(database, at(**shared), [], has_pages=True)
    places.agree(database, at(**shared), ["io", "gpu"], has_pages=False)
    places.agree(database, at(storage_url="s3://sounds"), ["gpu"], has_pages=False)
    with pytest.raises(SystemExit, match="LANCEDB_URI is s3://sounds/index where the pages are"):
        places.agree(database, at(**shared | {"lancedb_uri": "s3://mine/index"}), ["index"], has_pages=False)
    with pytest.raises(SystemExit, match="STORAGE_URL"):
        places.agree(database, at(storage_url="s3://mine"), ["cpu"], has_pages=False)


# One writer of all machines


def test_only_one_holds_a_lease_and_the_next_waits_for_it(database):
    first, second = (ExclusiveLease(database, "index", Code.INDEX_BUSY, wait_s=30) for _ in range(2))
    order = []

    def take(lease, name):
        with lease.held():
            order.append(name)

    with first.held():
        waiting = threading.Thread(target=take, args=(second, "second"))
        waiting.start()
        with pytest.raises(Busy), ExclusiveLease(database, "index", Code.INDEX_BUSY, wait_s=0).held():
            order.append("third")
        order.append("first")
    waiting.join(30)

    assert order == ["first", "second"]


def test_a_holder_that_stood_still_is_fenced_off_at_its_end(database, monkeypatch):
    """What it did meanwhile counts as not done; what failed in it keeps its own error."""
    monkeypatch.setattr(leases, "LEASE_S", -1.0)
    lost, successor = (ExclusiveLease(database, "index", Code.INDEX_BUSY, wait_s=0) for _ in range(2))

    with pytest.raises(Busy) as error, lost.held():  # noqa: PT012 - the end is what raises
        monkeypatch.undo()
        with successor.held():
            pass

    assert error.value.code == Code.INDEX_BUSY
    with pytest.raises(ZeroDivisionError), successor.held():
        raise ZeroDivisionError
    with database.read() as session:
        assert session.get_one(Lease, "index").holder == ""


def test_a_long_write_keeps_its_lease(database, monkeypatch):
    monkeypatch.setattr(leases, "RENEW_S", 0.01)
    lease = ExclusiveLease(database, "index", Code.INDEX_BUSY)

    def renewed(since: float) -> bool:
        with database.read() as session:
            return session.get_one(Lease, "index").until > since

    with lease.held():
        with database.read() as session:
            since = session.get_one(Lease, "index").until
        assert until(lambda: renewed(since), 30, "the lease to be renewed")


def test_who_waits_for_the_index_burns_no_try(app):
    task = remotely.accept_short(app, "gigaam-v3_ctc")
    for _ in range(8):
        claim = app.job_queue.claim(remotely.job(app, task).id, "w")
        app.pipeline.try_later(claim, Busy(Code.INDEX_BUSY))
        app.clock.ahead_s += 6

    assert remotely.job(app, task).attempts == 0
    assert remotely.now(app, task).status == "processing"


# Uploads that others wait for


@pytest.fixture(scope="module")
def bucket():
    with remotely.bucket() as settings:
        yield settings


AWAY = {"s3_endpoint_url": "http://127.0.0.1:9"}


def test_an_upload_is_in_the_object_store_when_it_is_accepted(tmp_path, bucket):
    app = remotely.journey(tmp_path / "home", **bucket)
    task = remotely.accept_short(app, "gigaam-v3_ctc")
    sha256 = app.recordings.get(EVERYONE, task.recording_id).sha256

    assert app.object_store.has(f"media/{sha256}")
    app.blobs.remove(sha256)
    again = app.intake.transcribe_again(EVERYONE, task.recording_id, TranscriptionOptions(language="ru"))
    drive.perform_all(app)
    assert remotely.now(app, again).status == "completed", "the copy of this machine was only a cache"


def test_what_was_taken_in_while_the_store_was_away_waits_for_the_machine_that_has_it(tmp_path, bucket):
    url = f"sqlite:///{tmp_path / 'records.sqlite'}"
    cut_off = remotely.journey(tmp_path / "pages", database_url=url, **bucket | AWAY)
    elsewhere = remotely.journey(tmp_path / "worker", database_url=url, **bucket)
    task = remotely.accept_short(cut_off, "gigaam-v3_ctc", 13)

    for _ in range(7):
        remotely.later(elsewhere, 6)
    waiting = remotely.job(elsewhere, task)
    assert (waiting.attempts, code_of(waiting.error)) == (0, Code.UPLOAD_ELSEWHERE)
    assert elsewhere.upload_sharing.run() == 0, "it is not here"

    again = remotely.journey(tmp_path / "pages", database_url=url, **bucket)
    assert again.upload_sharing.run() == 1
    drive.perform_all(elsewhere)
    assert remotely.now(elsewhere, task).status == "completed"


def test_bytes_that_are_nowhere_are_given_up_after_a_day(tmp_path, bucket):
    app = remotely.journey(tmp_path / "home", **bucket | AWAY)
    task = remotely.accept_short(app, "gigaam-v3_ctc", 14)
    app.blobs.remove(app.recordings.get(EVERYONE, task.recording_id).sha256)
    back = Application(Settings(stenogram_home=tmp_path / "home", **bucket), clock=Clock(25 * 3600))

    drive.perform_all(back)

    assert remotely.now(back, task).status == "failed"
    assert code_of(remotely.now(back, task).error) in {Code.STORED_FILE_GONE, NotFound.code}


# A database that is away


def away(*_given, **_named):
    raise OperationalError("SELECT", {}, sqlite3.OperationalError("database is locked"))


def once_away(does):
    """The first call is answered after it was made, or not at all; the others are."""
    calls = iter([True])

    def answer(*given, **named):
        result = does(*given, **named)
        return away() if next(calls, False) else result

    return answer


@pytest.mark.parametrize("lost", ["the claim", "the work", "the report"])
def test_a_worker_that_lives_holds_no_job_that_it_is_not_at(app, monkeypatch, lost):
    """Its parent renews what it is said to hold, so nobody else would take that."""
    monkeypatch.setattr(failures, "PAUSES_S", (0.0,))
    task = remotely.accept_short(app, "gigaam-v3_ctc")
    with monkeypatch.context() as broken:
        if lost == "the claim":
            broken.setattr(app.job_queue, "claim", once_away(app.job_queue.claim))
        else:
            broken.setattr(app.pipeline, "run", away)
        if lost == "the report":
            broken.setattr(app.job_queue, "wait", once_away(app.job_queue.wait))
        actors.perform(app, remotely.job(app, task).id)

    job = remotely.job(app, task)
    assert (job.state, job.attempts, job.kind) == ("ready", 0, "prepare")
    remotely.later(app, 60)
    assert remotely.now(app, task).status == "completed"


def test_a_routine_whose_end_was_not_written_at_once_is_done_again(app, monkeypatch):
    monkeypatch.setattr(failures, "PAUSES_S", (0.0,))
    monkeypatch.setattr(app.periodic_tasks, "_end", once_away(app.periodic_tasks._end))
    app.periodic_tasks.do("covers", "w", lambda: None)

    assert not app.periodic_tasks.holders()
