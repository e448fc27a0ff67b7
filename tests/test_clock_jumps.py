"""A clock that jumps, forward or back, neither stops work nor hurries it, and deletes nothing."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import select, update

from core.database import clock_jumps
from core.database.clock_jumps import SETTLE_S, ClockWatch
from core.database.tables import Batch, Job, PeriodicTask, Task
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE, Principal
from core.queue.periodic import EVERY_S
from jobs.supervisor import SILENT_S
from tests import batching, drive
from tools.gemini_emulator import GeminiEmulator

HOUR_S = 3600.0
JUMPS = [-10 * 365 * 24 * HOUR_S, -24 * HOUR_S, -HOUR_S, 2 * HOUR_S, 24 * HOUR_S, 10 * 365 * 24 * HOUR_S]
API = Principal("a1b2c3d4")


def accept(app, clip, principal=EVERYONE):
    with clip.open("rb") as file:
        return app.intake.accept(principal, file, clip.name, TranscriptionOptions(language="en"))


def jump(app, by_s):
    app.clock.ahead_s += by_s
    return app.clock_watch.look()


@pytest.mark.parametrize("by_s", JUMPS)
def test_what_waits_is_done_though_the_clock_was_set(app, clip, by_s):
    task = accept(app, clip)

    assert jump(app, by_s) == pytest.approx(by_s, abs=1)
    drive.perform_all(app)

    assert app.recordings.task(EVERYONE, task.id).status == "completed"


def test_unseen_a_clock_set_back_would_stop_all_that_waits(app, clip):
    accept(app, clip)
    app.clock.ahead_s -= HOUR_S
    assert drive.ready(app) == []

    app.clock_watch.look()

    assert len(drive.ready(app)) == 1


@pytest.mark.parametrize("by_s", JUMPS)
def test_a_worker_that_lives_keeps_its_job(app, clip, by_s):
    accept(app, clip)
    (job,) = drive.ready(app)
    app.job_queue.claim(job.id, "here/1")

    jump(app, by_s)
    app.job_queue.reconcile()

    with app.database.read() as session:
        stored_job = session.get_one(Job, job.id)
    assert (stored_job.state, stored_job.crash_count, stored_job.worker) == ("running", 1, "here/1")
    assert not app.job_queue.stuck(["here/1"], SILENT_S)
    assert 0 < stored_job.lease_until - app.clock() < 60, "and once it dies its job is free as soon as ever"


@pytest.mark.parametrize("by_s", JUMPS)
def test_a_job_that_was_put_off_waits_as_long_as_before(app, clip, by_s):
    accept(app, clip)
    with app.database.write() as session:
        session.execute(update(Job).values(run_at=app.clock() + 600))

    jump(app, by_s)

    with app.database.read() as session:
        assert session.scalar(select(Job.run_at)) - app.clock() == pytest.approx(600, abs=2)


@pytest.mark.parametrize("by_s", JUMPS)
def test_periodic_tasks_come_when_they_would_have_come(app, by_s):
    app.periodic_tasks.due()
    before = due_in_s(app)

    jump(app, by_s)

    assert due_in_s(app) == pytest.approx(before, abs=20)  # the test itself takes its time


def due_in_s(app):
    with app.database.read() as session:
        rows = session.scalars(select(PeriodicTask).where(PeriodicTask.name.in_(EVERY_S)))
        return {row.name: row.next_at - app.clock() for row in rows}


@pytest.mark.parametrize("by_s", [HOUR_S, 24 * HOUR_S])
def test_an_order_that_may_have_been_made_is_not_made_again_sooner(tmp_path, by_s):
    """BATCH_QUIET_S is the guard against double orders; a clock must not cut it short."""
    with GeminiEmulator(processing_s=60) as emulator:
        app = batching.installation(tmp_path / "home", emulator.url)
        batching.recording(app, batching.sentences(3))
        app.batches.tick()
        (batch,) = batching.batches(app)
        waited_s = app.clock() - batch.intended_at

        jump(app, by_s)

        with app.database.read() as session:
            batch = session.scalars(select(Batch)).one()
        assert app.clock() - batch.intended_at == pytest.approx(waited_s, abs=2)


@pytest.mark.parametrize("by_s", [25 * HOUR_S, 10 * 365 * 24 * HOUR_S])
def test_a_clock_set_forward_deletes_nothing_until_it_has_kept_for_an_hour(app, clip, by_s):
    task = accept(app, clip, API)
    drive.perform_all(app)

    jump(app, by_s)
    assert app.retention.sweep() == 0
    assert app.retention.sweep_store() == 0
    assert app.recordings.task(EVERYONE, task.id)

    jump(app, -by_s)
    app.clock_watch = ClockWatch(app.database, app.clock)
    app.clock.ahead_s += SETTLE_S + 60
    assert app.retention.sweep() == 0, "it was right again, and the task is young"

    with app.database.write() as session:
        session.execute(update(Task).values(completed_at=app.clock() - 25 * HOUR_S))
    assert app.retention.sweep() == 1, "what is old by a clock that kept is deleted as ever"


def test_small_corrections_and_a_machine_that_slept_move_nothing(app):
    watch, counted = app.clock_watch, [0.0]
    for _ in range(10):
        app.clock.ahead_s += clock_jumps.JUMP_S / 2
        assert watch.look() == 0.0

    asleep = ClockWatch(app.database, lambda: 1_000.0 + counted[0], lambda: counted[0])
    counted[0] += 8 * HOUR_S  # the counter goes on while the machine sleeps
    assert asleep.look() == 0.0


def test_other_machines_rows_are_left_alone(database):
    """On PostgreSQL the time is the server's, and several would move the same rows."""
    if database.has_local_clock:
        pytest.skip("SQLite has one machine")
    ahead = [0.0]
    watch = ClockWatch(database, lambda: time.time() + ahead[0])
    with database.write() as session:
        session.add(PeriodicTask(name="batches", next_at=1_000.0))
    ahead[0] = HOUR_S

    assert watch.look() == pytest.approx(HOUR_S, abs=1)

    with database.read() as session:
        assert session.get_one(PeriodicTask, "batches").next_at == 1_000.0
