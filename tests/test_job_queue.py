"""Jobs: claimed once, finished once, whatever dies meanwhile."""

from __future__ import annotations

import contextlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.database.database import Database
from core.database.tables import Job, Recording, Run, Task
from core.errors import GEMINI, BadRequest, Code, ProviderBusy, ProviderRefused, Withdrawn, code_of
from core.queue import jobs as works
from core.queue.jobs import Claim, JobQueue
from tests.clock import StoppedClock


@pytest.fixture
def rung():
    return []


@pytest.fixture
def work(database, clock, rung):
    work = JobQueue(database, clock)
    work.notifier = lambda _queue, _kind, job_id: rung.append(job_id)
    return work


@pytest.fixture
def job(database, clock):
    """A queued task with its first job."""
    return queue_job(database, clock)


def queue_job(database: Database, clock: StoppedClock) -> str:
    with database.write() as session:
        recording = Recording(
            owner="pages", sha256=f"{random.random()}", filename="a", title="a", language="ru", size_bytes=1
        )
        session.add(recording)
        session.flush()
        task = Task(recording_id=recording.id, transcript_id="t", owner="pages", engine="toy", language="ru")
        session.add(task)
        session.flush()
        job = Job(task_id=task.id, kind="prepare", queue="cpu", run_at=clock(), notified_at=clock())
        session.add(job)
        session.flush()
        return job.id


def state(database: Database, job_id: str) -> tuple[str, str]:
    with database.read() as session:
        job = session.get_one(Job, job_id)
        return job.state, session.get_one(Task, job.task_id).status


def claimed(work: JobQueue, job_id: str, worker: str = "w1") -> Claim:
    claim = work.claim(job_id, worker)
    assert claim is not None
    return claim


def finish(work: JobQueue, database: Database, claim: Claim) -> None:
    with database.write() as session:
        work.finish(session, claim)


def test_a_job_is_claimed_by_one_worker_however_often_it_is_delivered(work, job):
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda n: work.claim(job, f"w{n}"), range(8)))

    assert sum(claim is not None for claim in claims) == 1


def test_claiming_starts_the_task(work, database, job):
    claimed(work, job)

    assert state(database, job) == ("running", "processing")


def test_a_finished_job_cannot_be_claimed_or_written_again(work, database, job):
    claim = claimed(work, job)
    finish(work, database, claim)

    assert work.claim(job, "w2") is None
    with pytest.raises(Withdrawn):
        work.report(claim, 50)


def test_finishing_queues_the_next_job_in_the_same_write(work, database, job):
    claim = claimed(work, job)
    with database.write() as session:
        (then,) = work.finish(session, claim, ("transcribe", "gpu"))

    assert state(database, then.id)[0] == "ready"


def test_a_worker_that_lost_its_lease_can_write_nothing(work, database, clock, job):
    """A paused worker wakes up after another one has taken its job over."""
    stale = claimed(work, job, "paused")
    clock.now += works.LEASE_S + 1
    work.reconcile()
    fresh = claimed(work, job, "second")

    with pytest.raises(Withdrawn):
        work.report(stale, 10)
    work.report(fresh, 20)


def test_a_renewed_lease_is_not_taken_back(work, database, clock, job):
    claimed(work, job, "busy")
    for _ in range(5):
        clock.now += works.LEASE_S - 1
        work.renew(["busy"])
        work.reconcile()

    assert state(database, job)[0] == "running"


def test_a_dead_workers_job_is_woken_at_once(work, database, rung, job):
    claimed(work, job, "dead")
    work.release("dead")

    assert rung == [job]
    assert state(database, job) == ("ready", "processing")


def test_a_job_that_keeps_killing_its_worker_is_set_aside(work, database, job):
    for _ in range(works.MAX_CRASHES):
        claimed(work, job, "dead")
        work.release("dead")

    assert state(database, job) == ("quarantined", "failed")
    assert work.claim(job, "w") is None


def test_an_orderly_stop_is_no_death(work, database, job):
    for _ in range(works.MAX_CRASHES + 2):
        work.requeue(claimed(work, job))

    assert state(database, job) == ("ready", "processing")


def test_a_busy_provider_is_asked_later_and_then_given_up(work, database, clock, job):
    busy = ProviderBusy(GEMINI, "HTTP 503")
    answers = []
    for _ in range(works.MAX_ATTEMPTS):
        claim = claimed(work, job)
        answers.append(work.try_later(claim, busy))
        clock.now += max(works.BACKOFF_S) + 1

    assert answers == [True] * (works.MAX_ATTEMPTS - 1) + [False]


def test_a_provider_that_names_a_time_is_not_asked_before(work, clock, job):
    work.try_later(claimed(work, job), ProviderBusy(GEMINI, "HTTP 429", retry_after_s=31))

    clock.now += 30
    assert work.claim(job, "w") is None
    clock.now += 2
    assert work.claim(job, "w") is not None


def test_a_refused_key_burns_no_attempts(work, database, clock, job):
    for _ in range(works.MAX_ATTEMPTS * 2):
        assert work.try_later(claimed(work, job), ProviderRefused(GEMINI, "GEMINI_API_KEY"))
        clock.now += works.REFUSED_PAUSE_S + 1

    assert state(database, job)[0] == "ready"


def test_failing_keeps_the_reason_for_every_language(work, database, job):
    claim = claimed(work, job)
    assert work.fail(claim, BadRequest(Code.ENGINE_UNKNOWN, name="tea", names="coffee"))

    with database.read() as session:
        task = session.get_one(Task, claim.task_id)
        assert (task.status, code_of(task.error)) == ("failed", Code.ENGINE_UNKNOWN)
        assert task.error["facts"] == {"name": "tea", "names": "coffee"}


def test_retry_goes_on_from_the_failed_job(work, database, rung, job):
    claim = claimed(work, job)
    work.fail(claim, BadRequest(Code.LIMIT_UNKNOWN))

    assert work.retry(claim.task_id)
    assert rung == [job]
    assert state(database, job) == ("ready", "queued")


def test_there_is_nothing_to_retry_in_a_running_task(work, job):
    assert not work.retry(claimed(work, job).task_id)


def test_cancelling_a_queued_task_takes_its_job_away(work, database, job):
    with database.read() as session:
        task_id = session.get_one(Job, job).task_id

    assert work.cancel(task_id)
    assert work.claim(job, "w") is None
    assert state(database, job) == ("cancelled", "cancelled")


def test_cancel_and_finish_race_five_hundred_times_to_exactly_one_end(work, database, clock, database_url):
    """A cancelled job never becomes done, a finished one never cancelled, and one record says which."""
    races = 500 if database_url.startswith("sqlite") else 50
    claims = [claimed(work, queue_job(database, clock)) for _ in range(races)]
    line = threading.Barrier(2)

    def cancel() -> None:
        for claim in claims:
            line.wait()
            work.cancel(claim.task_id)

    def finish_unless_withdrawn() -> set[str]:
        done = set()
        for claim in claims:
            line.wait()
            with contextlib.suppress(Withdrawn):
                finish(work, database, claim)
                done.add(claim.job_id)
        return done

    with ThreadPoolExecutor(2) as pool:
        cancelling, finishing = pool.submit(cancel), pool.submit(finish_unless_withdrawn)
        done = finishing.result()
        cancelling.result()

    ends = {claim.job_id: "done" if claim.job_id in done else "cancelled" for claim in claims}
    assert set(ends.values()) == {"done", "cancelled"}, "nobody raced"
    with database.read() as session:
        assert {job.id: job.state for job in session.query(Job)} == ends
        assert {task.status for task in session.query(Task)} == {"cancelled"}
        assert sorted((run.job_id, run.outcome) for run in session.query(Run)) == sorted(ends.items())


def test_a_message_that_was_lost_is_sent_again(work, clock, rung, job):
    work.reconcile()
    assert rung == []
    clock.now += works.NOTIFY_AGAIN_S + 1
    work.reconcile()

    assert rung == [job]


def test_progress_that_stops_is_noticed(work, clock, job):
    claim = claimed(work, job, "w")
    clock.now += 100
    work.report(claim, 10)
    clock.now += 100

    assert not work.stuck(["w"], 150)
    assert work.stuck(["w"], 50) == {"w"}


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_job_that_ends_while_it_is_being_taken_back_has_ended(work, database, job, clock):
    """Its lease ran out, and the write that ends it is not through yet when others look for such jobs."""
    claim = claimed(work, job)
    clock.now += works.LEASE_S + 1
    looks = threading.Thread(target=work.reconcile)

    with database.write() as session:
        work.finish(session, claim)
        looks.start()
        looks.join(5)
    looks.join(60)

    assert state(database, job)[0] == "done"


# Whose turn it is


def queued(
    database: Database, clock: StoppedClock, owner: str, *lengths_s: float, priority: int = 0
) -> list[str]:
    """A job for each of somebody's recordings, in this order."""
    jobs = []
    with database.write() as session:
        for length_s in lengths_s:
            recording = Recording(
                owner=owner, sha256=f"{random.random()}", filename="a", title="a", language="ru", size_bytes=1
            )
            recording.duration_s = length_s
            session.add(recording)
            session.flush()
            task = Task(
                recording_id=recording.id, transcript_id="t", owner=owner, engine="toy", language="ru"
            )
            session.add(task)
            session.flush()
            job = Job(task_id=task.id, kind="prepare", queue="cpu", run_at=clock(), created_at=clock())
            job.priority, job.notified_at = priority, clock()
            session.add(job)
            session.flush()
            jobs.append(job.id)
    return jobs


def served(work: JobQueue, clock: StoppedClock, woken: list[str], times: int) -> list[str]:
    """The jobs that are begun while these wake-ups come, one after the other, and what they wake again."""
    begun, waiting = [], list(woken)
    work.notifier = lambda _queue, _kind, job_id: waiting.append(job_id)
    while waiting and len(begun) < times:
        clock.now += 1
        claim = work.claim(waiting.pop(0), "w")
        if claim is not None:
            begun.append(claim.job_id)
    return begun


def test_owners_take_turns_however_much_one_of_them_brought(work, database, clock):
    many = queued(database, clock, "import", *[60.0] * 12)
    few = queued(database, clock, "anna", 60.0, 60.0)
    last = queued(database, clock, "boris", 60.0)

    begun = served(work, clock, many + few + last, 8)

    assert set(begun[:3]) >= {last[0]} | set(begun[:3]) & set(few), "everybody is served within one round"
    assert len(set(begun[:3]) & set(few)) == len(set(begun[:3]) & set(many)) == 1
    assert set(few) < set(begun[:5])
    assert sorted(served(work, clock, [*many, *few, *last], 20) + begun) == sorted(many + few + last)


def test_short_recordings_of_an_owner_go_first_until_a_long_one_has_waited_enough(work, database, clock):
    long, short, shorter = queued(database, clock, "anna", 3600.0, 60.0, 30.0)
    assert served(work, clock, [long], 2) == [shorter, short]

    (late,) = queued(database, clock, "anna", 5.0)
    clock.now += works.OVERTAKEN_S + 1
    assert served(work, clock, [long, late], 2) == [long, late]


def test_a_higher_priority_goes_before_all_turns(work, database, clock):
    mine, hers = queued(database, clock, "anna", 10.0), queued(database, clock, "boris", 3600.0, priority=1)
    assert served(work, clock, [*mine, *hers], 2) == [*hers, *mine]
