"""Every action of the monitor through real worker processes: one running tool goes through all of them."""

from __future__ import annotations

import json
import time
import wave
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import psutil
import pytest

from core.application import Application
from core.database.tables import Job, Recording, Segment, Task, Worker
from core.errors import Code, NotFound
from core.library.recordings import TranscriptionOptions
from core.media import decode
from core.monitor import failures, job_list
from core.monitor.actions import Actions
from core.principal import EVERYONE, PAGES, Principal
from core.queue import history, workers
from core.settings import Settings
from jobs.broker import BrokerNotifier, make_broker
from tests.conftest import DATA
from tests.tool import Tool, until

pytestmark = pytest.mark.road
MEETING = DATA / "en_meeting.opus"
RATE = 16_000
PATIENCE_S = 120
NOTICED_S = 60
"""Within 10 s or the next segment, the contract says; a busy machine needs long for a segment."""


@pytest.fixture(scope="module")
def running_app(tmp_path_factory) -> Iterator[Application]:
    """A running tool's installation, from outside its processes; its workers are woken by its broker."""
    with Tool(tmp_path_factory.mktemp("tool") / "home", BATCH_POLL_S="3600") as tool:
        app = Application(Settings(stenogram_home=tool.home))
        broker = make_broker(app.settings, patient=False)
        app.job_queue.notifier = BrokerNotifier(lambda: broker).job
        yield app


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    """Short words with long pauses: many small segments, so that there is time in the middle."""
    folder = tmp_path_factory.mktemp("speech")
    sound = np.asarray(decode.waveform(decode.decode(MEETING, folder)[0]))[: 3 * RATE]
    path = folder / "long.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", "NONE"))
        for _ in range(60):
            out.writeframes(sound.tobytes() + bytes(2 * 3 * RATE))
    return path


@pytest.fixture(scope="module")
def recognising(running_app, speech) -> str:
    """A task in the middle of its transcription, something of it finished."""
    task = bring(running_app, speech)
    until(lambda: texts_by_segment(running_app, task), PATIENCE_S, "a first segment")
    return task


@pytest.fixture
def do(running_app):
    return Actions(running_app, EVERYONE)


def bring(app: Application, path: Path = MEETING, principal: Principal = EVERYONE) -> str:
    """The task of a recording that is transcribed whether or not it was before."""
    with path.open("rb") as file:
        task = app.intake.accept(principal, file, path.name, TranscriptionOptions(language="en", force=True))
    with app.database.read() as session:
        for job in session.query(Job).filter_by(task_id=task.id, state="ready"):
            app.job_queue.notify(job)
    return task.id


def status(app: Application, task: str) -> str:
    return app.recordings.task(EVERYONE, task).status


def jobs(app: Application, task: str, **columns: str) -> list[Job]:
    with app.database.read() as session:
        return session.query(Job).filter_by(task_id=task, **columns).all()


def began(app: Application, task: str) -> Job:
    """Its first job, once a worker has had it in hand."""
    return until(
        lambda: next((job for job in jobs(app, task, kind="prepare") if job.started_at), None),
        PATIENCE_S,
        "the work to begin",
    )


def texts_by_segment(app: Application, task: str) -> dict[int, str]:
    """What was heard so far, by segment."""
    transcript = app.recordings.task(EVERYONE, task).transcript_id
    with app.database.read() as session:
        rows = session.query(Segment).filter(Segment.transcript_id == transcript, Segment.text.is_not(None))
        return {row.n: str(row.text) for row in rows}


def message_at(app: Application, job: Job, what: str) -> float | None:
    """When a worker's log said this about a job."""
    for path in (app.settings.home / "run").glob("*.log"):
        for line in path.read_text().splitlines():
            if job.id in line and what in line:
                return datetime.fromisoformat(json.loads(line)["time"]).timestamp()
    return None


def serves(worker: Worker, queue: str) -> bool:
    return worker.queue == queue and psutil.pid_exists(worker.pid)


def alive(app: Application, queue: str) -> str:
    serving = until(
        lambda: [one for one in workers.alive(app.database) if serves(one, queue)], 30, "a worker"
    )
    return max(serving, key=lambda worker: worker.started_at).name


def ended_at(app: Application, routine: str) -> float:
    return next(
        periodic_task.ended_at or 0.0
        for periodic_task in app.periodic_tasks.all()
        if periodic_task.name == routine
    )


def for_a_while(app: Application) -> None:
    """What must not happen needs time in which it could: until another worker did two things it was told."""
    for _ in range(2):
        before = ended_at(app, "history")
        app.periodic_tasks.expedite("history")
        until(lambda before=before: ended_at(app, "history") > before, PATIENCE_S, "a routine to come round")


def test_a_paused_queue_begins_nothing_and_when_it_goes_on_the_urgent_one_is_first(running_app, do):
    do.pause("cpu")
    ordinary, urgent = bring(running_app), bring(running_app, DATA / "call_stereo.opus")
    for_a_while(running_app)
    assert {status(running_app, ordinary), status(running_app, urgent)} == {"queued"}

    assert do.prioritise([urgent], 1) == 1
    do.resume("cpu")

    assert began(running_app, urgent).started_at < began(running_app, ordinary).started_at
    assert {job.priority for job in jobs(running_app, urgent)} == {1}
    do.cancel([ordinary, urgent])


def test_what_waits_is_cancelled_at_once_and_never_begun(running_app, do):
    do.pause("cpu")
    task = bring(running_app)
    requested_at = time.time()

    assert do.cancel([task]) == 1

    (job,) = jobs(running_app, task)
    assert (status(running_app, task), job.state) == ("cancelled", "cancelled")
    assert 0 <= job.finished_at - requested_at < 5  # a second is promised; this machine may be busy
    do.resume("cpu")
    for_a_while(running_app)
    assert history.attempts(running_app.database, task) == []
    assert status(running_app, task) == "cancelled"


def test_a_queue_is_emptied_before_a_worker_sees_what_was_in_it(running_app, do):
    do.pause("cpu")
    tasks = [bring(running_app), bring(running_app, DATA / "call_stereo.opus")]

    assert sorted(do.purge("cpu")) == ["call_stereo.opus", "en_meeting.opus"]

    do.resume("cpu")
    began(running_app, next_one := bring(running_app))
    assert [history.attempts(running_app.database, task) for task in tasks] == [[], []]
    assert {status(running_app, task) for task in tasks} == {"cancelled"}
    do.cancel([next_one])


def test_a_restarted_worker_is_a_new_process_and_loses_no_work(running_app, do, recognising):
    (job,) = jobs(running_app, recognising, state="running")
    before = texts_by_segment(running_app, recognising)

    do.request_action(job.worker, "restart")

    claimed_job = until(
        lambda: next(
            (j for j in jobs(running_app, recognising, state="running") if j.worker != job.worker), None
        ),
        PATIENCE_S,
        "work to go on in a fresh worker",
    )
    assert (claimed_job.id, claimed_job.crash_count) == (job.id, 1)
    until(
        lambda: len(texts_by_segment(running_app, recognising)) > len(before), PATIENCE_S, "the next segment"
    )
    assert texts_by_segment(running_app, recognising).items() >= before.items()


def test_what_runs_is_cancelled_within_a_segment_and_keeps_what_is_finished(running_app, do, recognising):
    (job,) = jobs(running_app, recognising, state="running")
    requested_at = time.time()

    assert do.cancel([recognising]) == 1

    texts_before = texts_by_segment(running_app, recognising)
    cancelled_at = running_app.recordings.task(EVERYONE, recognising).completed_at
    assert 0 <= cancelled_at - requested_at < 5
    noticed_at = until(lambda: message_at(running_app, job, "withdrawn"), PATIENCE_S, "the worker to notice")
    assert noticed_at - requested_at < NOTICED_S
    assert [job.state for job in jobs(running_app, recognising, kind="transcribe")] == ["cancelled"]
    assert status(running_app, recognising) == "cancelled"
    assert texts_before
    assert texts_by_segment(running_app, recognising) == texts_before


def test_what_was_cancelled_goes_on_where_it_stopped(running_app, do, recognising):
    do.cancel([recognising])
    texts_before = texts_by_segment(running_app, recognising)

    assert do.retry([recognising]) == 1

    until(
        lambda: len(texts_by_segment(running_app, recognising)) > len(texts_before),
        PATIENCE_S,
        "work to go on",
    )
    assert texts_by_segment(running_app, recognising).items() >= texts_before.items()
    assert len(jobs(running_app, recognising, kind="prepare")) == 1  # the file was not read again
    do.cancel([recognising])


def test_a_drained_worker_takes_nothing_until_it_may_go_on(running_app, do):
    worker = alive(running_app, "cpu")
    do.request_action(worker, "drain")
    task = bring(running_app)
    for_a_while(running_app)
    assert status(running_app, task) == "queued"

    do.request_action(worker, "undrain")

    began(running_app, task)
    do.cancel([task])


def test_a_whole_group_of_failures_is_tried_again_once_the_reason_is_gone(running_app, do):
    do.pause("cpu")
    tasks = [bring(running_app), bring(running_app, DATA / "call_stereo.opus")]
    blobs = {running_app.blobs.path(_recording(running_app, task).sha256) for task in tasks}
    good = {path: path.read_bytes() for path in blobs}
    for path in blobs:
        path.write_bytes(b"no sound at all")
    do.resume("cpu")
    until(lambda: {status(running_app, task) for task in tasks} == {"failed"}, PATIENCE_S, "both to fail")
    (group,) = failures.groups(running_app.database, EVERYONE)
    assert (group.code, group.kind, group.jobs) == (Code.UNREADABLE_MEDIA, "prepare", 2)

    for path, content in good.items():
        path.write_bytes(content)
    assert do.retry_group(group.code, group.kind) == 2

    until(
        lambda: all(jobs(running_app, task, kind="transcribe") for task in tasks), PATIENCE_S, "both to go on"
    )
    assert failures.groups(running_app.database, EVERYONE) == []
    do.cancel(tasks)


def _recording(app: Application, task: str) -> Recording:
    with app.database.read() as session:
        return session.get_one(Recording, session.get_one(Task, task).recording_id)


def test_what_is_deleted_while_a_worker_has_it_is_gone_and_the_worker_goes_on(running_app, do):
    program = Principal("program")
    task = bring(running_app, principal=program)
    recording, job = _recording(running_app, task), began(running_app, task)

    assert do.delete([task]) == 1

    with pytest.raises(NotFound):
        running_app.recordings.task(EVERYONE, task)
    with pytest.raises(NotFound):
        running_app.recordings.get(EVERYONE, recording.id)  # it came from a program, with this task alone
    worker, then = job.worker, bring(running_app)
    assert began(running_app, then).worker == worker
    do.cancel([then])


def test_the_log_of_a_job_is_found_by_its_id(running_app, do):
    job = began(running_app, task := bring(running_app))
    do.cancel([task])

    detail = job_list.detail(running_app, EVERYONE, job.id)

    assert any("prepare begins" in line for line in detail.log)
    assert job_list.detail(running_app, Principal(PAGES), job.id).log == []


def test_a_routine_is_done_at_once_when_asked(running_app, do):
    before = until(lambda: ended_at(running_app, "store"), PATIENCE_S, "the first round")

    do.run_now("store")

    until(lambda: ended_at(running_app, "store") > before, PATIENCE_S, "the next round")


def test_logs_are_json_in_their_files_and_sentences_on_the_terminal(running_app, do):
    folder = running_app.settings.home / "run"
    do.request_action(alive(running_app, "io"), "restart")
    until(lambda: "io-0 ended with" in (folder / "runner.log").read_text(), PATIENCE_S, "the worker to end")
    records = {
        path.stem: path.read_text().splitlines() for path in folder.glob("*.log") if path.stem != "broker"
    }

    assert records.keys() == {"runner", "web", "cpu-0", "gpu-0", "io-0"}
    for lines in records.values():
        assert all(json.loads(line)["message"] for line in lines if line)
    assert any("startup complete" in line for line in records["web"])
    assert not any("GET /" in line for line in records["web"])  # addresses may hold tickets
    terminal = (running_app.settings.home.parent / "home.log").read_text()
    assert "is ready" in terminal
    assert '"message"' not in terminal
