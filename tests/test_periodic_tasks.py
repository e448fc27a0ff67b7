"""Chores: one worker at each, and none is lost with the worker that was at it."""

from __future__ import annotations

import json
import threading

import pytest

from core.database.tables import Worker
from core.queue.idle import IDLE_S, NEEDED
from core.queue.periodic import EVERY_S, PeriodicTasks
from core.queue.workers import ALIVE_S

CHORE = "callbacks"
PATIENCE_S = 60


@pytest.fixture
def periodic_tasks(database, clock):
    return PeriodicTasks(database, clock)


@pytest.fixture
def note_worker(database, clock):
    """A runner sees a worker that was born so many seconds ago."""

    def look(name: str, age_s: float) -> None:
        host, pid = name.split("/")
        born_at = clock.now - age_s
        row = Worker(name=name, queue="io", host=host, pid=int(pid), started_at=born_at, seen_at=clock.now)
        with database.write() as session:
            session.merge(row)

    return look


def may_begin(periodic_tasks: PeriodicTasks, worker: str) -> bool:
    begun = []
    periodic_tasks.do(CHORE, worker, lambda: begun.append(worker))
    return bool(begun)


def in_the_middle(periodic_tasks: PeriodicTasks, worker: str, ask) -> object:
    """What `ask` says while this worker is at the chore."""
    answers: list[object] = []
    periodic_tasks.do(CHORE, worker, lambda: answers.append(ask()))
    (answer,) = answers
    return answer


def test_a_chore_is_done_by_one_worker_at_a_time_and_then_by_anybody(periodic_tasks, clock, note_worker):
    note_worker("here/1", age_s=50)

    def later() -> bool:
        clock.now += 3600
        note_worker("here/1", age_s=3650)
        return may_begin(periodic_tasks, "here/2")

    assert in_the_middle(periodic_tasks, "here/1", later) is False
    assert may_begin(periodic_tasks, "here/2")


def test_a_worker_that_nobody_has_seen_yet_keeps_its_chore_for_a_while(periodic_tasks, clock):
    def soon() -> bool:
        clock.now += ALIVE_S / 2
        return may_begin(periodic_tasks, "here/2")

    assert in_the_middle(periodic_tasks, "here/1", soon) is False


def test_the_chore_of_a_machine_that_vanished_is_done_by_another(periodic_tasks, clock, note_worker):
    note_worker("gone/1", age_s=50)

    def later() -> bool:
        clock.now += ALIVE_S + 1
        return may_begin(periodic_tasks, "here/2")

    assert in_the_middle(periodic_tasks, "gone/1", later) is True


def test_a_new_worker_of_the_same_name_does_not_keep_the_chore_of_the_one_before(
    periodic_tasks, clock, note_worker
):
    """A container that starts anew gives the same numbers to its processes."""
    note_worker("here/1", age_s=50)

    def reborn() -> bool:
        clock.now += ALIVE_S + 1
        note_worker("here/1", age_s=5)
        return may_begin(periodic_tasks, "here/1")

    assert in_the_middle(periodic_tasks, "here/1", reborn) is True


def test_who_was_only_asleep_does_not_end_the_chore_of_whoever_took_it_over(periodic_tasks, clock):
    taken_over, awake = threading.Event(), threading.Event()

    def step() -> None:
        taken_over.set()
        awake.wait(PATIENCE_S)

    other = threading.Thread(target=periodic_tasks.do, args=(CHORE, "here/1", step))

    def asleep() -> bool:
        clock.now += ALIVE_S + 1
        other.start()
        return taken_over.wait(PATIENCE_S)

    assert in_the_middle(periodic_tasks, "here/1", asleep) is True
    assert periodic_tasks.holders() == {"here/1"}
    awake.set()
    other.join(PATIENCE_S)
    assert periodic_tasks.holders() == set()


def test_what_has_nothing_to_do_is_not_woken_until_it_has_or_somebody_hastens_it(
    periodic_tasks, database, clock
):
    assert set(NEEDED) < set(EVERY_S)
    assert set(periodic_tasks.due()) == set(EVERY_S), "all of them once"
    clock.now += 100
    assert set(periodic_tasks.due()) == {name for name in EVERY_S if EVERY_S[name] <= 100} - set(NEEDED)

    database.set_value("download v3_ctc", json.dumps({"asked": True}))
    assert periodic_tasks.due() == ["models"]
    periodic_tasks.expedite("covers")
    assert periodic_tasks.due() == ["covers"]
    clock.now += 2 * IDLE_S
    assert set(NEEDED) <= set(periodic_tasks.due()), "for what nobody thought of"
