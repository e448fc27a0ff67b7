"""Several jobs of one worker process at the same time, each in a thread as dramatiq has them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from core.application import Journey
from core.database.tables import Task
from core.errors import Unavailable
from core.principal import EVERYONE, Principal
from core.queue import history, workers
from core.queue.jobs import MAX_STARTS
from core.settings import Settings
from core.speech.engines.gigaam import TOY
from core.speech.gigaam.batcher import Batcher
from core.speech.gigaam.checkpoint import load
from core.speech.gigaam.recogniser import DeviceLost, Recogniser
from jobs import actors
from tests.around import Around
from tests.drive import perform_all, ready
from tests.test_journey import accept, done, heard

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


def at_once(here: Journey, jobs: int, meanwhile: Callable[[], object] | None = None) -> Patient:
    """Prepare what was accepted, then hear all of it at once; so many jobs have something to hand over."""
    for job in ready(here):
        actors.perform(here, job.id)
    engine = here.engines["gigaam-toy"] = Patient(here.engines["gigaam-toy"], jobs, meanwhile)
    threads = [
        threading.Thread(target=actors.perform, args=(here, job.id), daemon=True) for job in ready(here)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    return engine


def status(here: Journey, task: Task) -> str:
    return here.recordings.task(EVERYONE, task.id).status


@pytest.fixture
def alone(tmp_path):
    """What the two Russian samples say when each has the tool for itself."""
    there = Journey(Settings(stenogram_home=tmp_path / "alone"))
    return [heard(there, done(there, accept(there, name))) for name in SAMPLES]


def test_two_recordings_at_once_say_what_each_says_alone(here, alone):
    tasks = [accept(here, name) for name in SAMPLES]

    at_once(here, 2)
    perform_all(here)

    assert [heard(here, task) for task in tasks] == alone
    assert [status(here, task) for task in tasks] == ["completed"] * 2
    (device,) = workers.devices(here.records).values()
    assert "float32" in device


def test_cancelling_one_of_two_leaves_the_other_alone(here, alone):
    cancelled, other = [accept(here, name) for name in SAMPLES]

    at_once(here, 2, lambda: here.cancel(EVERYONE, cancelled.id))
    perform_all(here)

    assert status(here, cancelled) == "cancelled"
    assert not heard(here, cancelled)
    assert (heard(here, other), status(here, other)) == (alone[1], "completed")


def test_the_same_recording_of_two_owners_at_once_is_heard_once(here):
    tasks = [accept(here, SAMPLES[0], who=Principal(name)) for name in ("anna", "boris")]

    engine = at_once(here, 1)
    perform_all(here)
    waiting = [status(here, task) for task in tasks]
    here.work.now = lambda: time.time() + 60
    perform_all(here)

    assert sorted(waiting) == ["completed", "processing"]
    assert [status(here, task) for task in tasks] == ["completed"] * 2
    assert engine.hand_overs == 1


class Lost(Around):
    """An engine whose device is gone."""

    def ask(self, _segments, _language):
        raise DeviceLost(detail="an illegal memory access was encountered")


def test_a_lost_device_ends_the_process_and_the_job_runs_again_elsewhere(here):
    task = accept(here, SAMPLES[0])
    engine = here.engines["gigaam-toy"]
    here.engines["gigaam-toy"] = Lost(engine)
    assert not actors.over.is_set()

    perform_all(here)
    ended = actors.over.is_set()
    actors.over.clear()
    here.engines["gigaam-toy"] = engine
    here.work.now = lambda: time.time() + 60
    perform_all(here)

    assert ended
    assert status(here, task) == "completed"


def test_a_job_that_goes_on_after_every_death_of_its_worker_is_never_set_aside(here):
    """Jobs die with whatever else runs in their process; only one that gets nowhere is to blame."""
    task = accept(here, SAMPLES[0])
    for job in ready(here):
        actors.perform(here, job.id)
    (job,) = ready(here)
    for _ in range(2 * MAX_STARTS):
        claim = here.work.claim(job.id, "doomed")
        with here.records.write() as session:
            here.work.advance(session, claim)
        here.work.release("doomed")

    perform_all(here)

    assert status(here, task) == "completed"


def test_jobs_side_by_side_count_their_share_of_the_workers_time(here):
    """Or four jobs at once would look like a worker a quarter as fast, and all estimates with it."""
    for name in SAMPLES:
        accept(here, name)
    for job in ready(here):
        actors.perform(here, job.id)
    claims = [here.work.claim(job.id, "worker") for job in ready(here)]
    began = here.work.now()
    here.work.now = lambda: began + 100
    with here.records.write() as session:
        for claim in claims:
            here.work.finish(session, claim)

    with here.records.read() as session:
        (speed,) = history.speeds(session, 0).values()
    sound_s = sum(row.duration_s for row in here.recordings.find(EVERYONE)[1])
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


def noting(here: Journey) -> tuple[Noting, Task]:
    """An engine that notes, and a recording that is cut and waits for it."""
    task = accept(here, SAMPLES[0])
    for job in ready(here):
        actors.perform(here, job.id)
    total = here.transcripts.count(task.transcript_id)
    engine = Noting(
        here.engines["gigaam-toy"], lambda: total - len(here.transcripts.pending(task.transcript_id))
    )
    here.engines["gigaam-toy"] = engine
    return engine, task


def test_the_next_segments_are_being_heard_while_the_last_are_written_down(here, alone):
    engine, task = noting(here)

    perform_all(here)

    assert heard(here, task) == alone[0]
    assert engine.written_when_asked == [0, *range(len(engine.written_when_asked) - 1)]
    assert len(engine.written_when_asked) > 2


def test_when_a_segment_fails_nobody_waits_for_the_next_ones(here):
    engine, task = noting(here)
    engine.fault = Unavailable("The device is away.")

    perform_all(here)

    assert status(here, task) == "processing"
    assert (len(engine.written_when_asked), engine.left) == (2, 1)
