"""Whatever needs a person is named on top, the worst first: on pages, in the API, in metrics."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import update

from core.database.tables import Batch, Job, Worker
from core.errors import GEMINI, BadRequest, Code, ProviderBusy
from core.library.recordings import TranscriptionOptions
from core.monitor import alarms, health, live, metrics, monitor
from core.monitor.alarms import AlarmKind
from core.principal import EVERYONE, Principal
from core.queue import workers
from core.queue.queues import QUEUES
from tests import drive
from tests.conftest import DATA

HOUR_S = 3600.0


@pytest.fixture
def staffed(app):
    """An installation whose workers all live."""
    for queue in QUEUES:
        worker(app, queue)
    return app


def worker(app, queue, name="", seen_at=None):
    now = time.time()
    fields = {"host": "host", "pid": 7, "started_at": 0.0}
    one = Worker(name=name or f"host/{queue}", queue=queue, seen_at=seen_at or now, **fields)
    workers.note(app.database, [one])


def bring(app):
    with (DATA / "en_meeting.opus").open("rb") as file:
        app.intake.accept(EVERYONE, file, "en_meeting.opus", TranscriptionOptions(language="en"))


def a_batch(app, age_s, state="submitted", display_name="one"):
    now = time.time()
    row = {"model": "m", "texts": 3, "tokens": 9, "usd": "0.1", "created_at": now - age_s}
    with app.database.write() as session:
        session.add(
            Batch(display_name=display_name, state=state, submitted_at=now - age_s, next_at=now, **row)
        )


def kinds(app, principal=EVERYONE):
    return [alarm.kind for alarm in alarms.look(app, principal)]


def test_where_all_is_well_nothing_is_said(staffed):
    bring(staffed)
    a_batch(staffed, HOUR_S)

    assert kinds(staffed) == []


def no_worker(app):
    worker(app, "gpu", seen_at=time.time() - 60)


def no_worker_but_work(app):
    workers.forget(app.database, ["host/cpu"])
    bring(app)
    with app.database.write() as session:
        session.execute(update(Job).values(run_at=Job.run_at - workers.ALIVE_S - 1))


def silent_worker(app):
    worker(app, "gpu", "host/8", time.time() - 60)


def stalled(app):
    bring(app)
    with app.database.write() as session:
        session.execute(update(Job).values(run_at=Job.run_at - alarms.STALLED_S - 1))


def silent_job(app):
    bring(app)
    app.job_queue.claim(drive.ready(app)[0].id, "host/cpu")
    with app.database.write() as session:
        session.execute(update(Job).values(progressed_at=Job.progressed_at - alarms.SILENT_S - 1))


def late_batch(app):
    a_batch(app, 25 * HOUR_S)


def failed(app):
    bring(app)
    app.job_queue.fail(app.job_queue.claim(drive.ready(app)[0].id, "w"), BadRequest(Code.LIMIT_UNKNOWN))


def paused(app):
    app.job_queue.pause("cpu")


FAULTS = [
    (no_worker, AlarmKind.NO_WORKER),
    (no_worker_but_work, AlarmKind.NO_WORKER),
    (silent_worker, AlarmKind.WORKER_SILENT),
    (stalled, AlarmKind.QUEUE_STALLED),
    (silent_job, AlarmKind.JOB_SILENT),
    (late_batch, AlarmKind.BATCH_LATE),
    (failed, AlarmKind.FAILED),
    (paused, AlarmKind.PAUSED),
]


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize(("fault", "kind"), FAULTS)
def test_each_fault_is_told_with_what_to_do(staffed, fault, kind, language):
    fault(staffed)

    assert kinds(staffed) == [kind]
    (alarm,) = live.draw(staffed, EVERYONE, language)["alarms"]
    assert alarm["says"]
    assert "{" not in alarm["says"] + alarm["tried"] + alarm["fix"] + alarm["since"]
    assert alarm["fix"]
    if fault not in {no_worker_but_work, paused}:
        assert alarm["since"], "since when"


@pytest.mark.parametrize(
    ("fault", "part"),
    [
        (no_worker, "workers"),
        (stalled, "work"),
        (silent_job, "work"),
        (late_batch, "batches"),
    ],
)
def test_health_is_degraded_by_what_stands_still(staffed, fault, part):
    fault(staffed)

    health_now = health.check(staffed, lambda: None)

    assert [each.name for each in health_now.parts if not each.ok] == [part]
    assert health_now.status == "degraded"


@pytest.mark.parametrize(
    ("fault", "sample"),
    [
        (silent_worker, 'stenogram_workers_silent{queue="gpu"} 1.0'),
        (silent_job, "stenogram_jobs_silent 1.0"),
        (late_batch, "stenogram_batches_late 1.0"),
        (failed, "stenogram_recordings_failed 1.0"),
    ],
)
def test_metrics_have_a_number_for_each(staffed, fault, sample):
    assert sample not in metrics.text(staffed).decode()

    fault(staffed)

    assert sample in metrics.text(staffed).decode()


def test_the_worst_comes_first(staffed):
    for fault in (failed, paused, late_batch, silent_worker):
        fault(staffed)

    assert kinds(staffed) == [
        AlarmKind.WORKER_SILENT,
        AlarmKind.BATCH_LATE,
        AlarmKind.FAILED,
        AlarmKind.PAUSED,
    ]


def test_a_worker_that_ended_as_it_should_is_no_silent_one(staffed):
    silent_worker(staffed)

    workers.forget(staffed.database, ["host/8"])

    assert kinds(staffed) == []


def test_others_hear_nothing_of_what_is_not_theirs(staffed):
    failed(staffed)

    assert kinds(staffed, Principal("somebody else")) == []


def test_a_tool_that_has_just_started_has_lost_no_worker(app):
    assert kinds(app) == []
    bring(app)
    assert kinds(app) == []


def test_a_batch_that_ended_late_is_not_late_any_more(staffed):
    a_batch(staffed, 30 * HOUR_S, "complete")

    assert kinds(staffed) == []


def test_the_stamp_changes_when_a_batch_was_asked_about(staffed):
    a_batch(staffed, HOUR_S)
    before = monitor.stamp(staffed.database)

    with staffed.database.write() as session:
        session.execute(update(Batch).values(poll_count=Batch.poll_count + 1))

    assert monitor.stamp(staffed.database) != before


def test_the_board_says_when_a_queue_will_be_empty(staffed):
    bring(staffed)
    drive.perform_all(staffed)
    bring(staffed)
    with (DATA / "call_stereo.opus").open("rb") as file:
        staffed.intake.accept(EVERYONE, file, "call.opus", TranscriptionOptions(language="en"))

    worker(staffed, "cpu")  # transcribing took longer than a worker may be silent

    (waiting,) = [one for one in monitor.now(staffed.database, EVERYONE).waiting if one.queue == "cpu"]

    assert waiting.empty_s
    assert "empty in" in live.draw(staffed, EVERYONE, "en")["waiting"][0]["facts"]
    assert sum(live.draw(staffed, EVERYONE, "en")["pace"]) > 0


def test_what_is_only_put_off_is_not_the_reason_of_a_failure(staffed):
    refused = BadRequest(Code.PROVIDER_REFUSED, provider="Groq", setting="GROQ_API_KEY")
    for n, fail in enumerate((staffed.job_queue.try_later, staffed.job_queue.fail)):
        with (DATA / ("en_meeting.opus", "ru_meeting.opus")[n]).open("rb") as file:
            staffed.intake.accept(EVERYONE, file, f"{n}.opus", TranscriptionOptions(language="en"))
        job = drive.ready(staffed)[0]
        error = refused if n else ProviderBusy(GEMINI, "no answer in 30 s")
        fail(staffed.job_queue.claim(job.id, "w"), error)
        with staffed.database.write() as session:
            if not n:
                session.get_one(Job, job.id).run_at = time.time() + HOUR_S

    (alarm,) = alarms.look(staffed, EVERYONE)

    assert (alarm.kind, alarm.n) == (AlarmKind.FAILED, 1)
    assert alarm.error
    assert alarm.error["code"] == Code.PROVIDER_REFUSED
