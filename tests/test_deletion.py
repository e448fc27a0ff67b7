"""A recording may be deleted at any moment: whoever works on it stops, and nothing breaks."""

from __future__ import annotations

import pytest

from core.database.states import PaymentState
from core.database.tables import Job
from core.errors import GROQ, Code, NotFound, ProviderBusy, ProviderRefused, Rejected
from core.orders.pictures import PictureOptions
from core.principal import EVERYONE
from tests import batching, drive, remotely
from tests.remotely import CANARY
from tools.gemini_emulator import GeminiEmulator
from tools.groq_emulator import GroqEmulator
from tools.runpod_emulator import RunPodEmulator

ERRORS = [
    ProviderBusy(GROQ, "HTTP 503"),
    ProviderRefused(GROQ, "GROQ_API_KEY"),
    Rejected(Code.PART_TOO_LARGE),
    ZeroDivisionError(),
]


@pytest.fixture
def app(tmp_path):
    with GroqEmulator(key=CANARY) as groq:
        yield remotely.journey(tmp_path / "home", groq_api_key=CANARY, groq_base_url=groq.url)


def delete_in_the_middle(app, task, error=None):
    """A stage in which the recording is deleted, and which then fails with the error."""

    def call(*_args, **_kwargs):
        app.deletion.delete_recording(EVERYONE, task.recording_id)
        if error is not None:
            raise error
        return {}

    return call


def jobs(app):
    with app.database.read() as session:
        return session.query(Job).count()


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_deleted_while_its_provider_fails(app, monkeypatch, error):
    task = remotely.accept_short(app, "groq")
    (job,) = drive.ready(app)
    drive.actors.perform(app, job.id)
    monkeypatch.setattr(app.engines["groq"], "transcribe", delete_in_the_middle(app, task, error))

    drive.perform_all(app)

    assert jobs(app) == 0
    with pytest.raises(NotFound):
        remotely.now(app, task)


def test_deleted_while_it_is_decoded(app, monkeypatch):
    task = remotely.accept_short(app, "groq")
    monkeypatch.setattr(app.sound, "decoded", delete_in_the_middle(app, task, error=None))
    monkeypatch.setattr("core.speech.channels.waveforms", lambda decoded: decoded)
    monkeypatch.setattr("core.speech.channels.duration_s", lambda _: 12.0)

    drive.perform_all(app)

    assert jobs(app) == 0


def test_deleted_while_its_picture_is_about_to_be_ordered(tmp_path, monkeypatch):
    with RunPodEmulator(worker="sdxl", run_s=1, key=CANARY) as runpod:
        settings = {"runpod_api_key": CANARY, "runpod_image_url": runpod.endpoint}
        app = remotely.journey(tmp_path, **settings, runpod_image_worker=runpod.worker)
        task = remotely.accept_short(app, "gigaam-v3_ctc")
        app.covers.ask(EVERYONE, task.recording_id, ["a lake"], PictureOptions(""))
        (cover,) = app.covers.of(task.recording_id)
        step = app.covers._lifecycle.step

        def deleted(*args):
            app.deletion.delete_recording(EVERYONE, task.recording_id)
            step(*args)

        monkeypatch.setattr(app.covers._lifecycle, "step", deleted)

        app.covers.step(cover.id)

        assert len(runpod.jobs) == 0
        assert app.ledger.payments() == []


def reach(app, gemini, state):
    """Let the batch come so far."""
    if state != "waiting":
        app.batches.tick()
    if state == "running":
        gemini.advance(30)
        app.batches.tick()
    if state == "ended":
        gemini.advance(3600)


STATES = ["waiting", "submitted", "running", "ended"]


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("which", [("mine",), ("other",), ("mine", "other")], ids="+".join)
def test_deleted_while_its_batch_is_under_way(tmp_path, state, which):
    """Nothing of it comes back with the results, nothing is paid twice, and others get their vectors."""
    with GeminiEmulator(processing_s=60) as gemini:
        app = batching.installation(tmp_path / "home", gemini.url)
        recordings = {
            "mine": batching.recording(app, batching.sentences(4), title="mine"),
            "other": batching.recording(app, batching.sentences(4, start=2), title="other"),
        }
        reach(app, gemini, state)

        for name in which:
            app.deletion.delete_recording(EVERYONE, recordings.pop(name))
        batching.run(app, gemini)

        assert {passage.recording_id for passage in batching.passages(app)} == set(recordings.values())
        assert set(batching.meanings(app)) <= {"done"}
        assert app.index.recordings() == set(recordings.values())
        assert not app.batches.store.in_flight()[0]
        assert not [each for each in app.ledger.payments() if each.state == PaymentState.RESERVED]
        again = batching.recording(app, batching.sentences(6), title="again")
        batching.run(app, gemini, ahead_s=7200)
        assert app.recordings.get(EVERYONE, again).embedding_status == "done"
        assert gemini.ledger().paid_twice == {}


@pytest.mark.parametrize("state", STATES)
def test_deleted_with_everything_while_a_batch_is_cancelled_or_hurried(tmp_path, state):
    for act in ("cancel", "finish_now"):
        with GeminiEmulator(processing_s=60) as gemini:
            app = batching.installation(tmp_path / act, gemini.url)
            recording_id = batching.recording(app, batching.sentences(4), title="mine")
            reach(app, gemini, state)
            for batch in batching.batches(app):
                getattr(app.batches, act)(batch.id)
            app.deletion.delete_recording(EVERYONE, recording_id)

            batching.run(app, gemini)

            assert batching.passages(app) == []
            assert app.index.recordings() == set()
            assert gemini.ledger().paid_twice == {}
