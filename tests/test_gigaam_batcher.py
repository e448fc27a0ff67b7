"""Several jobs, one model: their segments share batches, and nothing else."""

import ctypes
import subprocess
import threading
import weakref

import numpy as np
import pytest
import torch

from core.media.waveform import SAMPLE_RATE
from core.speech.gigaam.batcher import Batcher
from core.speech.gigaam.checkpoint import load
from core.speech.gigaam.recogniser import DeviceLost, NotFinite, Recogniser
from tests.installation import TOY
from tests.test_engines import cut, decoded

PATIENCE_S = 60


@pytest.fixture(scope="module")
def segments():
    return cut(decoded("ru_meeting.opus")[0], "subtitles")[:6]


@pytest.fixture(scope="module")
def single_results(segments):
    """What each segment says by itself."""
    recogniser = Recogniser(load(TOY))
    return [recogniser.transcribe([segment])[0] for segment in segments]


class Watched(torch.nn.Module):
    """An encoder that notes its batches, waits at a gate, and fails as it is told."""

    def __init__(self, encoder):
        super().__init__()
        self.encoder, self.pre_encode = encoder, encoder.pre_encode
        self.rows, self.frames = [], []
        self.entered, self.gate = threading.Event(), threading.Event()
        self.fault = None

    def forward(self, features, lengths):
        self.rows.append(len(features))
        self.frames.append(features.size(2))
        self.entered.set()
        assert self.gate.wait(PATIENCE_S)
        encoded = self.encoder(features, lengths)
        return self.fault(features, encoded) if self.fault else encoded


@pytest.fixture
def watched():
    recogniser = Recogniser(load(TOY), together=True)
    recogniser.encoder = recogniser.model.encoder = Watched(recogniser.encoder)
    return recogniser


@pytest.fixture
def batcher(watched, segments):
    """Busy with a first segment, until the gate opens; so what is asked now waits together."""
    batcher = Batcher(watched)
    batcher.ask(segments[:1])
    assert watched.encoder.entered.wait(PATIENCE_S)
    return batcher


def test_a_device_that_is_given_work_ahead_answers_the_same_and_everything(watched, segments, single_results):
    watched.ahead, watched.budget_s = 1, 1.0  # every segment is a batch of its own
    watched.encoder.gate.set()
    batcher = Batcher(watched)

    jobs = [batcher.ask(segments[start:end]) for start, end in ((0, 3), (3, 4), (1, 6))]

    assert [job.wait() for job in jobs] == [single_results[0:3], single_results[3:4], single_results[1:6]]


def test_the_next_batch_is_begun_before_the_last_one_is_finished(watched, segments):
    watched.ahead, watched.budget_s = 1, 1.0
    finish, begun = watched.finish, []

    def noting(encoded):
        begun.append(len(watched.encoder.rows))
        return finish(encoded)

    watched.finish = noting
    watched.encoder.gate.set()

    Batcher(watched).transcribe(segments[:4])

    assert begun == [2, 3, 4, 4]


def test_two_jobs_share_one_batch_and_hear_what_they_would_have_heard_alone(
    batcher, watched, segments, single_results
):
    one, two = batcher.ask(segments[1:3]), batcher.ask(segments[3:6])

    watched.encoder.gate.set()

    assert one.wait() == single_results[1:3]
    assert two.wait() == single_results[3:6]
    assert watched.encoder.rows == [1, 5]


def test_whoever_waits_longest_is_heard_first_however_short(batcher, watched, segments, single_results):
    watched.budget_s = 1.0  # every segment is a batch of its own
    first, later = batcher.ask([segments[1][:SAMPLE_RATE]]), batcher.ask(segments[2:])

    watched.encoder.gate.set()

    assert later.wait() == single_results[2:]
    assert len(first.wait()) == 1
    assert watched.encoder.frames[1] == min(watched.encoder.frames)


def test_a_job_that_left_is_not_worked_for_and_hurts_nobody(batcher, watched, segments, single_results):
    cancelled, other = batcher.ask(segments[1:4]), batcher.ask(segments[4:6])
    cancelled.gone = True

    watched.encoder.gate.set()

    assert other.wait() == single_results[4:6]
    assert watched.encoder.rows == [1, 2]


class Interrupted(Exception):
    """As dramatiq raises it in a job's thread."""


def test_a_job_that_is_interrupted_leaves_at_once_and_the_others_are_heard(
    batcher, watched, segments, single_results
):
    left = []

    def job():
        with pytest.raises(Interrupted):
            batcher.transcribe(segments[1:4])
        left.append(True)

    thread = threading.Thread(target=job)
    thread.start()
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(Interrupted))
    thread.join(PATIENCE_S)  # the model is still busy: nobody has opened the gate
    other = batcher.ask(segments[4:6])
    watched.encoder.gate.set()

    assert left
    assert other.wait() == single_results[4:6]


def shapeless(features, encoded):
    """No numbers wherever a sample begins with loud noise."""
    loud = features[:, :, :5].mean((1, 2)) > 0
    return encoded.masked_fill(loud[:, None, None], float("nan"))


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(-30000, 30000, 2 * SAMPLE_RATE).astype(np.int16)


def test_a_segment_that_cannot_be_heard_fails_its_own_job_only(
    batcher, watched, segments, single_results, noise
):
    watched.encoder.fault = shapeless
    good, bad = batcher.ask(segments[1:4]), batcher.ask([noise, segments[4]])

    watched.encoder.gate.set()

    assert good.wait() == single_results[1:4]
    with pytest.raises(NotFinite):
        bad.wait()


def test_a_mistake_of_ours_is_raised_where_it_was_asked_for_and_the_thread_lives_on(
    batcher, watched, segments, single_results
):
    good, bad = batcher.ask(segments[1:4]), batcher.ask([segments[4].reshape(-1, 1)])

    watched.encoder.gate.set()

    assert good.wait() == single_results[1:4]
    with pytest.raises((RuntimeError, ValueError)):
        bad.wait()
    assert batcher.transcribe(segments[4:5]) == single_results[4:5]


@pytest.mark.parametrize(
    "error",
    [OSError(28, "No space left on device"), subprocess.CalledProcessError(1, "g++")],
    ids=["full disk", "compiler"],
)
def test_what_compiling_raises_is_told_and_the_thread_lives_on(
    batcher, watched, segments, single_results, error
):
    """A compiler is run, and writes files, when the first batch comes."""

    def fail(_features, _encoded):
        raise error

    watched.encoder.fault = fail
    asker = batcher.ask(segments[1:2])
    watched.encoder.gate.set()
    with pytest.raises(type(error)):
        asker.wait()

    watched.encoder.fault = None
    assert batcher.transcribe(segments[4:5]) == single_results[4:5]


def test_an_idle_model_holds_no_sound(watched, segments):
    sound, released = segments[0].copy(), threading.Event()
    weakref.finalize(sound, released.set)
    watched.encoder.gate.set()

    batcher = Batcher(watched)
    batcher.transcribe([sound])
    del sound

    assert released.wait(10)


def test_a_lost_device_is_told_to_all_and_not_tried_segment_by_segment(batcher, watched, segments):
    def lost(_features, _encoded):
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nmore")

    watched.encoder.fault = lost
    one, two = batcher.ask(segments[1:3]), batcher.ask(segments[3:5])

    watched.encoder.gate.set()

    for asker in (one, two):
        with pytest.raises(DeviceLost, match="illegal memory access"):
            asker.wait()
    assert watched.encoder.rows == [1, 1, 4, 4]  # each batch once more with care
