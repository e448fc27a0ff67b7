"""Several jobs of one worker process at the same time, each in a thread as dramatiq has them."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from core.application import Application
from core.database.tables import Task
from core.errors import Code, Unavailable
from core.principal import EVERYONE, Principal
from core.queue import history, workers
from core.queue.jobs import MAX_CRASHES
from core.settings import Settings
from core.speech.gigaam.batcher import Batcher
from core.speech.gigaam.checkpoint import load
from core.speech.gigaam.recogniser import DeviceLost, Recogniser
from jobs import actors
from tests.around import Around
from tests.drive import perform_all, ready
from tests.installation import TOY
from tests.test_pipeline import accept, done, transcript_text

PATIENCE_S = 60
SAMPLES = ("ru_meeting.opus", "call_stereo.opus")


class Patient(Around):
    """The toy, beginning when so many jobs have handed something over; `meanwhile` is done then."""

    def __init__(self, engine, jobs, meanwhile):
        super().__init__(engine)
        self._batcher = Batcher(Recogniser(load(TOY)))
        self._together = threading.Barrier(jobs, meanwhile)
        self.hand_overs = 0

    def ask(self, segments, _language):
        self.hand_overs += 1
        self._together.wait(PATIENCE_S)
        return self._batcher.ask(segments)


def at_once(app: Application, jobs: int, meanwhile: Callable[[], object] | None = None) -> Patient:
    """Prepare what was accepted, then hear all of it at once; so many jobs have something to hand over."""
    for job in ready(app):
        actors.perform(app, job.id)
    engine = app.engines["gigaam-v3_ctc"] = Patient(app.engines["gigaam-v3_ctc"], jobs, meanwhile)
    threads = [threading.Thread(target=actors.perform, args=(app, job.id), daemon=True) for job in ready(app)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    return engine


def status(app: Application, task: Task) -> str:
    return app.recordings.task(EVERYONE, task.id).status


@pytest.fixture
def single_texts(tmp_path):
    """What the two Russian samples say when each has the tool for itself."""
    other_app = Application(Settings(stenogram_home=tmp_path / "alone"))
    return [transcript_text(other_app, done(other_app, accept(other_app, name))) for name in SAMPLES]


def test_two_recordings_at_once_say_what_each_says_alone(app, single_texts):
    tasks = [accept(app, name) for name in SAMPLES]

    at_once(app, 2)
    perform_all(app)

    assert [transcript_text(app, task) for task in tasks] == single_texts
    assert [status(app, task) for task in tasks] == ["completed"] * 2
    (device,) = workers.devices(app.database).values()
    assert device.startswith("computes on the ")


def test_cancelling_one_of_two_leaves_the_other_alone(app, single_texts):
    cancelled, other = [accept(app, name) for name in SAMPLES]

    at_once(app, 2, lambda: app.tasks.cancel(EVERYONE, cancelled.id))
    perform_all(app)

    assert status(app, cancelled) == "cancelled"
    assert not transcript_text(app, cancelled)
    assert (transcript_text(app, other), status(app, other)) == (single_texts[1], "completed")


def test_the_same_recording_of_two_owners_at_once_is_heard_once(app):
    tasks = [accept(app, SAMPLES[0], principal=Principal(name)) for name in ("anna", "boris")]

    engine = at_once(app, 1)
    perform_all(app)
    waiting = [status(app, task) for task in tasks]
    app.clock.ahead_s = 60
    perform_all(app)

    assert sorted(waiting) == ["completed", "processing"]
    assert [status(app, task) for task in tasks] == ["completed"] * 2
    assert engine.hand_overs == 1


class Lost(Around):
    """An engine whose device is gone."""

    def ask(self, _segments, _language):
        raise DeviceLost(detail="an illegal memory access was encountered")


def test_a_lost_device_ends_the_process_and_the_job_runs_again_elsewhere(app):
    task = accept(app, SAMPLES[0])
    engine = app.engines["gigaam-v3_ctc"]
    app.engines["gigaam-v3_ctc"] = Lost(engine)
    assert not actors.process_is_broken.is_set()

    perform_all(app)
    ended = actors.process_is_broken.is_set()
    actors.process_is_broken.clear()
    app.engines["gigaam-v3_ctc"] = engine
    app.clock.ahead_s = 60
    perform_all(app)

    assert ended
    assert status(app, task) == "completed"


def test_a_job_that_goes_on_after_every_death_of_its_worker_is_never_set_aside(app):
    """Jobs die with whatever else runs in their process; only one that gets nowhere is to blame."""
    task = accept(app, SAMPLES[0])
    for job in ready(app):
        actors.perform(app, job.id)
    (job,) = ready(app)
    for _ in range(2 * MAX_CRASHES):
        claim = app.job_queue.claim(job.id, "doomed")
        with app.database.write() as session:
            app.job_queue.advance(session, claim)
        app.job_queue.release("doomed")

    perform_all(app)

    assert status(app, task) == "completed"


def test_jobs_side_by_side_count_their_share_of_the_workers_time(app):
    """Or four jobs at once would look like a worker a quarter as fast, and all estimates with it."""
    for name in SAMPLES:
        accept(app, name)
    for job in ready(app):
        actors.perform(app, job.id)
    claims = [app.job_queue.claim(job.id, "worker") for job in ready(app)]
    app.clock.stopped_at = app.clock() + 100
    with app.database.write() as session:
        for claim in claims:
            app.job_queue.finish(session, claim)

    with app.database.read() as session:
        (speed,) = history.speeds(session, 0).values()
    sound_s = sum(row.duration_s for row in app.recordings.find(EVERYONE)[1])
    assert speed == pytest.approx(sound_s / 150, rel=0.02)


class Noting(Around):
    """The toy, one segment at a time, that notes what it was asked and how much was written down by then."""

    batch_segments = 1

    def __init__(self, engine, written):
        super().__init__(engine)
        self._written = written
        self.written_when_asked, self.left = [], 0
        self.fault = None

    def ask(self, segments, language):
        self.written_when_asked.append(self._written())
        asker = self._engine.ask(segments, language)
        return Leaving(self, asker) if self.fault else asker


class Leaving:
    """Fails when it is waited for, and tells whether somebody left."""

    def __init__(self, engine, asker):
        self._engine, self._asker = engine, asker

    def wait(self):
        raise self._engine.fault

    def leave(self):
        self._engine.left += 1
        self._asker.leave()


def noting(app: Application) -> tuple[Noting, Task]:
    """An engine that notes, and a recording that is cut and waits for it."""
    task = accept(app, SAMPLES[0])
    for job in ready(app):
        actors.perform(app, job.id)
    total = app.transcripts.count(task.transcript_id)
    engine = Noting(
        app.engines["gigaam-v3_ctc"], lambda: total - len(app.transcripts.pending(task.transcript_id))
    )
    app.engines["gigaam-v3_ctc"] = engine
    return engine, task


def test_the_next_segments_are_being_heard_while_the_last_are_written_down(app, single_texts):
    engine, task = noting(app)

    perform_all(app)

    assert transcript_text(app, task) == single_texts[0]
    assert engine.written_when_asked == [0, *range(len(engine.written_when_asked) - 1)]
    assert len(engine.written_when_asked) > 2


def test_when_a_segment_fails_nobody_waits_for_the_next_ones(app):
    engine, task = noting(app)
    engine.fault = Unavailable(Code.DEVICE_LOST, detail="away")

    perform_all(app)

    assert status(app, task) == "processing"
    assert (len(engine.written_when_asked), engine.left) == (2, 1)
