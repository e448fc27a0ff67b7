"""A recording may be deleted at any moment: whoever works on it stops, and nothing breaks."""

from __future__ import annotations

import pytest

from core.database.tables import Job
from core.errors import GROQ, Code, NotFound, ProviderBusy, ProviderRefused, Rejected
from core.orders.pictures import PictureOptions
from core.principal import EVERYONE
from tests import drive, remotely
from tests.remotely import CANARY
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
    monkeypatch.setattr(app.sound, "of", delete_in_the_middle(app, task, error=None))
    monkeypatch.setattr("core.speech.channels.duration_s", lambda _: 12.0)

    drive.perform_all(app)

    assert jobs(app) == 0


def test_deleted_while_its_picture_is_about_to_be_ordered(tmp_path, monkeypatch):
    with RunPodEmulator(worker="sdxl", run_s=1, key=CANARY) as runpod:
        settings = {"runpod_api_key": CANARY, "runpod_image_url": runpod.endpoint}
        app = remotely.journey(tmp_path, **settings, runpod_image_worker=runpod.worker)
        task = remotely.accept_short(app, "gigaam-v3_ctc")
        app.covers.ask(task.recording_id, ["a lake"], PictureOptions(""))
        (cover,) = app.covers.of(task.recording_id)
        step = app.covers._lifecycle.step

        def deleted(*about):
            app.deletion.delete_recording(EVERYONE, task.recording_id)
            step(*about)

        monkeypatch.setattr(app.covers._lifecycle, "step", deleted)

        app.covers.step(cover.id)

        assert len(runpod.jobs) == 0
        assert app.ledger.payments() == []
