"""Two who write the same row for the first time at the same moment, on PostgreSQL; and clocks that differ."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, text

from core.billing.ledger import Call, Ledger
from core.billing.tariffs import Tariffs
from core.database.database import Database
from core.database.tables import (
    Breaker,
    Budget,
    Cap,
    Job,
    KeyValue,
    OwnFigure,
    OwnLimit,
    OwnPrice,
    PeriodicTask,
    Recording,
    Row,
    Task,
    Worker,
)
from core.errors import GROQ, ProviderBusy
from core.orders.breakers import Breakers
from core.principal import EVERYONE
from core.queue import queues, workers
from core.queue.jobs import LEASE_S, MAX_CRASHES, JobQueue
from core.queue.periodic import PeriodicTasks

BOTH = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
CALL = Call("groq", "whisper-large-v3", "sync", {("recording", "anna"): 3600})
LIMIT = ("gemini", "", "batch")
LATE_S = 30.0


def reserve(database: Database) -> None:
    ledger = Ledger(database, clock=lambda: 0.0)
    with database.write() as session:
        ledger.reserve(session, CALL)


def pause(database: Database) -> None:
    with database.write() as session:
        queues.pause(session, "gpu")


def worker() -> Worker:
    return Worker(name="here/1", queue="io", host="here", pid=1, started_at=1.0, seen_at=time.time())


FIRST: dict[str, tuple[Callable[[], Row], Callable[[Database], object]]] = {
    "payment of a month": (lambda: Budget(month="1970-01"), reserve),
    "payment of an owner": (lambda: Budget(month="1970-01 anna"), reserve),
    "failed call": (
        lambda: Breaker(provider="groq", failures=1),
        lambda database: Breakers(database).failed_test("groq", ProviderBusy(GROQ, "HTTP 503"), "f"),
    ),
    "successful call": (
        lambda: Breaker(provider="groq", failures=1),
        lambda database: Breakers(database).record_success("groq", 0.5, "f"),
    ),
    "named value": (
        lambda: KeyValue(name="a", value="theirs"),
        lambda database: database.set_if_absent("a", "ours"),
    ),
    "changed value": (
        lambda: KeyValue(name="a", value="theirs"),
        lambda database: database.set_value("a", "ours"),
    ),
    "pause": (lambda: KeyValue(name="paused gpu", value="paused"), pause),
    "worker": (worker, lambda database: workers.note(database, [worker()])),
    "start": (lambda: PeriodicTask(name="batches"), PeriodicTasks),
    "figure": (
        lambda: OwnFigure(name="rub_per_usd", value="1"),
        lambda database: Tariffs(database).set_figure(EVERYONE, "rub_per_usd", 2),
    ),
    "cap": (lambda: Cap(scope="", usd="1"), lambda database: Tariffs(database).set_cap(EVERYONE, "", 2)),
    "price": (
        lambda: OwnPrice(
            provider="groq", model="mine", mode="sync", unit="audio hour", price="1", currency="USD"
        ),
        lambda database: Tariffs(database).set_price(EVERYONE, "groq", "mine", "sync", "2"),
    ),
    "limit": (
        lambda: OwnLimit(provider=LIMIT[0], model=LIMIT[1], mode=LIMIT[2], rpm=1),
        lambda database: Tariffs(database).set_limit(EVERYONE, *LIMIT, enqueued_tokens=2),
    ),
}
"""The row that somebody else is inserting, and what writes the same row meanwhile."""


def waits(database: Database) -> bool:
    """Whether a transaction waits for another one."""
    with database.read() as session:
        return bool(session.scalar(text("SELECT count(*) FROM pg_locks WHERE NOT granted")))


@BOTH
@pytest.mark.parametrize("what", FIRST)
def test_the_second_of_two_first_writers_waits_and_succeeds(database, what):
    row, write = FIRST[what]
    with ThreadPoolExecutor(1) as pool:
        with database.write() as session:
            session.add(row())
            session.flush()
            second = pool.submit(write, database)
            while not (second.done() or waits(database)):
                continue
        second.result()

    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(type(row())).where(same(row()))) == 1


def same(row: Row):
    key = [column.name for column in type(row).__table__.primary_key]
    return text(" AND ".join(f"{name} = '{getattr(row, name)}'" for name in key))


@BOTH
def test_of_two_first_payments_none_is_lost(database):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(reserve, [database] * 2))

    with database.read() as session:
        booked = {row.month: row.reserved for row in session.scalars(select(Budget))}
    assert booked["1970-01"] == booked["1970-01 anna"] > 0
    assert booked["1970-01"] % 2 == 0


def test_a_value_that_is_there_wins(database):
    assert database.set_if_absent("a", "first") == "first"
    assert database.set_if_absent("a", "second") == "first"

    database.set_value("a", "third")

    assert database.get_value("a") == "third"


# Clocks


def add_job(database: Database) -> str:
    with database.write() as session:
        recording = Recording(owner="anna", sha256="0", filename="a", title="a", language="ru", size_bytes=1)
        session.add(recording)
        session.flush()
        task = Task(recording_id=recording.id, transcript_id="t", owner="anna", engine="e", language="ru")
        session.add(task)
        session.flush()
        job = Job(task_id=task.id, kind="prepare", queue="cpu")
        session.add(job)
        session.flush()
        return job.id


@BOTH
@pytest.mark.parametrize("off_s", [-LATE_S, LATE_S])
def test_a_machine_with_a_wrong_clock_keeps_its_live_jobs(database, database_url, off_s):
    """Its leases are renewed, so they hold: whatever its own clock says, and however often others look."""
    assert LATE_S > LEASE_S
    wrong = Database(database_url, local_clock=lambda: time.time() + off_s)
    other_queue, own_queue = JobQueue(wrong), JobQueue(database)
    claim = other_queue.claim(add_job(wrong), "wrong/1")
    assert claim is not None, "what is made there is due at once"

    for _ in range(MAX_CRASHES + 1):
        other_queue.renew(["wrong/1"])
        own_queue.reconcile()

    with database.write() as session:
        own_queue.keep(session, claim)
        job = session.get_one(Job, claim.job_id)
        assert (job.state, job.crash_count, job.worker) == ("running", 1, "wrong/1")
        assert 0 < job.lease_until - own_queue.now() <= LEASE_S
    wrong.close()


@BOTH
def test_workers_of_a_machine_with_a_wrong_clock_are_alive(database, database_url):
    wrong = Database(database_url, local_clock=lambda: time.time() - LATE_S)
    worker = Worker(
        name="wrong/1", queue="io", host="wrong", pid=1, started_at=wrong.now(), seen_at=wrong.now()
    )

    workers.note(wrong, [worker])

    assert [each.name for each in workers.alive(database)] == ["wrong/1"]
    wrong.close()
