"""Orders elsewhere: each bought once, whatever dies, gets lost or fails on the way."""

from __future__ import annotations

import io
from decimal import Decimal

import pytest
from sqlalchemy import func, select

from core.database.tables import Order, Payment
from core.library.recordings import TranscriptionOptions
from core.orders import transcript_orders
from core.orders import transcript_purchases as remote
from core.principal import EVERYONE, Principal
from tests import remotely
from tests.drive import perform_all, ready
from tests.remotely import CANARY, KILLED
from tools.groq_emulator import GroqEmulator
from tools.runpod_emulator import RunPodEmulator

HEARD = [
    {"start": 0.1, "end": 0.9, "text": "раз два", "words": []},
    {"start": 1.1, "end": 1.9, "text": "три", "words": []},
]


def quick(_file, _language):
    return HEARD


@pytest.fixture(scope="module")
def bucket():
    with remotely.bucket() as settings:
        yield settings


@pytest.fixture
def runpod():
    with RunPodEmulator(recognise=quick, key=CANARY, run_s=30) as emulator:
        yield emulator


def keys(runpod):
    return {"runpod_api_key": CANARY, "runpod_url": runpod.endpoint}


@pytest.fixture
def home(tmp_path):
    return tmp_path / "home"


@pytest.fixture
def app(home, runpod):
    """Without a store, nothing that got lost can be found."""
    return remotely.journey(home, **keys(runpod))


@pytest.fixture
def stored(home, runpod, bucket):
    """With a store, our worker's results can be found."""
    return remotely.journey(home, **keys(runpod), **bucket)


def prepared(app, engine="runpod", longest_s=None):
    """A task whose segments are planned and whose next job is to transcribe."""
    if longest_s:
        app.engines[engine].max_segment_s = longest_s
    task = remotely.accept_short(app, engine)
    (job,) = ready(app)
    app.pipeline.run(app.job_queue.claim(job.id, "w"))
    return task


def under_way(app, runpod):
    """A task whose order is in work at the provider for a while."""
    runpod.run_s = 3000
    task = prepared(app)
    perform_all(app)
    return task


def minutes(app, number, *emulators):
    for _ in range(number):
        remotely.later(app, 61, *emulators)


def orders(app, task):
    return app.remote_transcription.orders.of(task.transcript_id)


def finished(app, task, runpod, **how):
    task = remotely.done(app, task, runpod, **how)
    assert task.status == "completed", (task.error, [(o.state, o.error) for o in orders(app, task)])
    return task


def assert_taken_once(app, task, runpod):
    """The answer of the only order comes, and is what was paid for."""
    finished(app, task, runpod)

    assert len(runpod.jobs) == 1
    assert (payments(app, "settled"), payments(app, "disputed")) == (1, 0)


def payments(app, state):
    with app.database.read() as session:
        return session.scalar(select(func.count()).select_from(Payment).where(Payment.state == state))


def test_a_recording_becomes_its_words_by_orders(home, tmp_path):
    with RunPodEmulator(key=CANARY, run_s=30) as runpod:
        app = remotely.journey(home, **keys(runpod))
        task = finished(app, remotely.accept(app, "runpod"), runpod)

        assert remotely.errors(app, task) <= 0.15, "the toy hears a little less in compressed sound"
        assert len(runpod.ran) == len(orders(app, task))


def test_pieces_are_ordered_at_once_and_joined_by_time(app, runpod):
    task = prepared(app, longest_s=6)
    perform_all(app)

    assert len(runpod.jobs) == len(orders(app, task)) > 1
    finished(app, task, runpod)
    parts = app.transcripts.segments(task.transcript_id)
    assert len(parts) == 2 * len(runpod.jobs)
    assert [part.start_s for part in parts] == sorted(part.start_s for part in parts)
    assert parts[-1].start_s > 6


def test_no_more_orders_are_out_than_may_be(app, runpod):
    app.engines["runpod"].at_once = 1
    task = prepared(app, longest_s=6)
    perform_all(app)

    assert len(runpod.jobs) == 1
    finished(app, task, runpod)


def test_a_waiting_job_holds_no_worker_and_burns_nothing(app, runpod):
    runpod.run_s = 3000
    task = prepared(app)
    minutes(app, 20, runpod)

    job = remotely.job(app, task)
    assert (job.state, job.crash_count, job.attempts) == ("ready", 0, 0)
    assert job.run_at > app.job_queue.now()


def test_progress_follows_what_the_provider_says(app, runpod):
    runpod.queue_s, runpod.run_s = 100.0, 100.0
    task, percents = prepared(app), []
    for _ in range(8):
        perform_all(app)
        percents.append(remotely.now(app, task).progress)
        remotely.later(app, 31, runpod)

    assert percents == sorted(percents)
    assert percents[1] <= 20 < percents[5] < 95


def test_one_transcript_of_two_owners_is_bought_once(app, runpod):
    my_task = prepared(app)
    their_task = app.intake.accept(
        Principal("key1"),
        io.BytesIO(remotely.spoken(12)),
        "b.wav",
        TranscriptionOptions(language="ru", engine="runpod"),
    )
    finished(app, my_task, runpod)
    finished(app, their_task, runpod)

    assert len(runpod.jobs) == 1


# Deaths


def die(app, runpod, point, **bucket):
    """A worker process that goes on with the task is killed at this point; the rest finds out."""
    for _ in range(3):
        code = remotely.spend(app.settings.home, point, app.clock.ahead_s, **keys(runpod), **bucket)
        if code == KILLED:
            break
        app.clock.ahead_s += 61
        runpod.advance(61)
    assert code == KILLED, f"nothing died at {point}"
    app.clock.ahead_s += 30
    app.job_queue.reconcile()


@pytest.mark.parametrize("point", remote.POINTS)
def test_killed_anywhere_an_order_that_can_be_found_is_carried_out_once(stored, runpod, bucket, point):
    """Our worker answers one order once, however often it is sent."""
    calls = []
    runpod.recognise = lambda *_: calls.append(1) or HEARD
    task = prepared(stored)
    die(stored, runpod, point, **bucket)

    task = finished(stored, task, runpod)
    assert calls == [1]
    assert remotely.transcript_text(stored, task) == "раз два три"
    assert stored.ledger.month().reserved == 0


@pytest.mark.parametrize("point", remote.POINTS)
def test_killed_anywhere_nothing_is_bought_twice_in_silence(app, runpod, point):
    """Where an order cannot be found again, a second one is said and booked."""
    task = prepared(app)
    die(app, runpod, point)

    finished(app, task, runpod)
    (order,) = orders(app, task)
    assert len(runpod.jobs) <= order.attempt_count
    assert len(runpod.jobs) == 1 or (order.unknown_outcome_count == 1 and payments(app, "disputed") == 1)
    assert app.ledger.month().reserved == 0


# Lost replies


def test_a_lost_reply_is_looked_for_and_found(stored, runpod):
    runpod.run_s = 30
    runpod.fault("drop", call="run")
    task = finished(stored, prepared(stored), runpod)

    assert len(runpod.jobs) == 1
    assert orders(stored, task)[0].attempt_count == 1


def test_a_lost_reply_is_not_answered_by_a_second_order_before_the_quiet_time(stored, runpod):
    runpod.run_s = 10_000
    runpod.fault("drop", call="run")
    prepared(stored)
    perform_all(stored)
    for _ in range(10):
        remotely.later(stored, 61, runpod)

    assert len(runpod.jobs) == 1


def test_a_lost_cheap_order_is_bought_again_once_and_said(app, runpod):
    runpod.fault("drop", call="run")
    task = prepared(app)
    perform_all(app)

    assert "paid twice" in str(remotely.job(app, task).error)
    finished(app, task, runpod)
    assert len(runpod.jobs) == 2
    assert payments(app, "disputed") == 1


def test_a_second_lost_reply_is_held_for_a_person(app, runpod):
    runpod.fault("drop", 2, call="run")
    task = prepared(app)
    minutes(app, 10, runpod)

    (order,) = app.remote_transcription.orders.held()
    assert len(runpod.jobs) == 2
    assert "ordered again?" in str(remotely.job(app, task).error)
    assert order.transcript_id == task.transcript_id


def make_expensive(app):
    """Make every order cost more than a dollar."""
    app.engines["runpod"].price = lambda _duration_s: ("24 GB L4", "sync", 10_000)


def test_a_lost_dear_order_is_held_and_a_person_decides(app, runpod):
    make_expensive(app)
    runpod.fault("drop", call="run")
    task = prepared(app)
    minutes(app, 5, runpod)
    (order,) = app.remote_transcription.orders.held()

    assert Decimal(order.usd) > remote.HOLD_USD
    assert len(runpod.jobs) == 1
    app.remote_transcription.orders.decide(order.id, again=True)
    finished(app, task, runpod)
    assert len(runpod.jobs) == 2


def test_a_person_may_give_a_held_order_up(app, runpod):
    make_expensive(app)
    runpod.fault("drop", call="run")
    task = prepared(app)
    remotely.later(app, 61, runpod)
    app.remote_transcription.orders.decide(app.remote_transcription.orders.held()[0].id, again=False)

    assert remotely.done(app, task, runpod).status == "failed"
    assert len(runpod.jobs) == 1


def test_an_answer_that_turns_up_while_a_person_thinks_is_taken(stored, runpod):
    make_expensive(stored)
    runpod.queue_s, runpod.run_s = 1500.0, 30.0
    runpod.fault("drop", call="run")
    task = prepared(stored)
    minutes(stored, 18, runpod)
    assert len(stored.remote_transcription.orders.held()) == 1

    assert_taken_once(stored, task, runpod)


def test_an_order_that_was_too_late_is_taken_when_it_comes_after_all(app, runpod):
    make_expensive(app)
    app.engines["runpod"].deadline_s = 600.0
    runpod.queue_s, runpod.run_s = 1500.0, 30.0
    task = prepared(app)
    minutes(app, 15, runpod)
    assert len(app.remote_transcription.orders.held()) == 1

    assert_taken_once(app, task, runpod)


def test_whom_nobody_can_ask_has_not_answered(app, runpod):
    """A provider that lists no orders is not well because a lost one was not found there."""
    make_expensive(app)
    runpod.fault("drop", call="run")
    prepared(app)
    minutes(app, 15, runpod)

    assert len(app.remote_transcription.orders.held()) == 1
    assert app.remote_transcription.breakers.state(app.engines["runpod"].provider).failures == 1


def test_an_order_of_hours_is_not_taken_for_a_call_that_died(app, runpod):
    runpod.queue_s, runpod.run_s = 6000.0, 60.0
    task = prepared(app)
    minutes(app, 70, runpod)
    app.ledger.sweep()
    assert payments(app, "reserved") == 1

    finished(app, task, runpod)

    assert (payments(app, "settled"), payments(app, "disputed")) == (1, 0)


def test_a_request_that_never_left_is_no_doubt(app, runpod):
    runpod.stop()
    task = prepared(app)
    perform_all(app)
    runpod.start()

    finished(app, task, runpod)
    assert len(runpod.jobs) == 1
    assert payments(app, "disputed") == 0


def test_groqs_batch_is_found_by_its_list(home, bucket):
    with GroqEmulator(recognise=quick, key=CANARY, processing_s=300) as groq:
        groq_keys = {"groq_api_key": CANARY, "groq_base_url": f"{groq.url}/openai/v1"}
        app = remotely.journey(home, **groq_keys, **bucket)
        groq.fault("drop", call="create")
        task = finished(app, prepared(app, "groq-batch"), groq)

        assert len(groq.made) == 1
        assert len(groq.billed) == len(orders(app, task))
        assert app.ledger.payments()[0].mode == "batch"


# Failures there


@pytest.mark.parametrize("quirk", ["fail", "no_output", "time_out", "cancelled"])
def test_a_run_that_failed_is_ordered_again(app, runpod, quirk):
    runpod.fault(quirk)
    task = finished(app, prepared(app), runpod)

    assert len(runpod.jobs) == 2
    assert remotely.transcript_text(app, task) == "раз два три"


def test_after_a_time_out_the_next_order_gets_more_time(app, runpod):
    runpod.fault("time_out")
    finished(app, prepared(app), runpod)

    first, second = (job.policy["executionTimeout"] for job in runpod.jobs.values())
    assert second == 2 * first


def test_three_failures_are_enough_and_the_task_says_why(app, runpod):
    runpod.fault("fail", None)
    task = remotely.done(app, prepared(app), runpod)

    assert task.status == "failed"
    assert "CUDA out of memory" in str(task.error)
    assert len(runpod.jobs) == remote.BREAKS


def test_of_several_pieces_one_fails_and_the_others_are_not_bought_again(app, runpod):
    task = prepared(app, longest_s=5)
    perform_all(app)
    planned = orders(app, task)
    assert len(planned) >= 3
    runpod.doomed = {planned[1].id}
    failed = remotely.done(app, task, runpod)

    assert failed.status == "failed"
    assert len(app.transcripts.pending(task.transcript_id)) == 1, "what came is kept"
    runpod.doomed.clear()
    app.tasks.retry(EVERYONE, task.id)
    finished(app, task, runpod)
    assert len(runpod.jobs) == len(planned) + remote.BREAKS


def test_a_refused_key_holds_everything_until_it_is_good(app, runpod):
    runpod.fault("revoked", None)
    task = prepared(app)
    minutes(app, 40, runpod)

    assert remotely.now(app, task).status == "processing"
    assert len(runpod.calls) < 15
    assert "RUNPOD_API_KEY" in str(remotely.job(app, task).error)
    runpod.clear_faults()
    finished(app, task, runpod)
    assert len(runpod.jobs) == 1


def test_an_outage_while_an_order_is_out_is_waited_out(app, runpod):
    task = prepared(app)
    perform_all(app)
    runpod.stop()
    minutes(app, 20)
    runpod.start()

    finished(app, task, runpod)
    assert len(runpod.jobs) == 1


# What nobody waits for


def test_cancelling_a_task_stops_its_order_there(app, runpod):
    task = under_way(app, runpod)
    app.tasks.cancel(EVERYONE, task.id)
    app.periodic_runner.run("orders", "w")

    assert [job.status for job in runpod.jobs.values()] == ["CANCELLED"]
    assert [order.state for order in orders(app, task)] == ["cancelled"]
    assert app.ledger.month().reserved == 0


def test_deleting_a_recording_stops_its_order_there(app, runpod):
    task = under_way(app, runpod)
    app.deletion.delete_recording(EVERYONE, task.recording_id)
    app.periodic_runner.run("orders", "w")

    assert [job.status for job in runpod.jobs.values()] == ["CANCELLED"]


def test_an_order_that_somebody_waits_for_is_left_alone(app, runpod):
    task = under_way(app, runpod)
    app.periodic_runner.run("orders", "w")

    assert [order.state for order in orders(app, task)] == ["submitted"]


def test_a_cancelled_task_can_go_on(app, runpod):
    task = under_way(app, runpod)
    app.tasks.cancel(EVERYONE, task.id)
    app.periodic_runner.run("orders", "w")
    runpod.run_s = 30

    assert app.tasks.retry(EVERYONE, task.id)
    finished(app, task, runpod)


def test_an_order_that_is_out_again_is_not_forgotten_for_its_former_end(app, runpod):
    task = under_way(app, runpod)
    app.tasks.cancel(EVERYONE, task.id)
    app.periodic_runner.run("orders", "w")
    app.clock.ahead_s += transcript_orders.KEPT_S + 1
    app.tasks.retry(EVERYONE, task.id)
    perform_all(app)

    app.periodic_runner.run("orders", "w")

    assert [order.state for order in orders(app, task)] == ["submitted"]


def test_what_was_given_up_is_forgotten_too(app, runpod):
    make_expensive(app)
    runpod.fault("drop", call="run")
    task = prepared(app)
    remotely.later(app, 61, runpod)
    app.remote_transcription.orders.decide(app.remote_transcription.orders.held()[0].id, again=False)
    perform_all(app)
    remotely.later(app, transcript_orders.KEPT_S + 1)

    app.periodic_runner.run("orders", "w")

    assert orders(app, task) == []


def test_old_orders_are_forgotten(app, runpod):
    finished(app, prepared(app), runpod)
    remotely.later(app, transcript_orders.KEPT_S + 1)
    app.periodic_runner.run("orders", "w")

    with app.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Order)) == 0


def test_no_key_is_in_any_file(app, home, runpod):
    runpod.fault("fail")
    finished(app, prepared(app), runpod)

    assert remotely.traces(home) == []
