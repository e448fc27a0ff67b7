"""The whole way with engines elsewhere: asked for through the API, heard at a provider, found by search."""

from __future__ import annotations

import pytest

from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.speech.engine import Readiness
from jobs import installation
from tests import remotely
from tests.conftest import DATA
from tests.remotely import CANARY
from tests.serve import serve
from tests.test_pages import texts, visit
from tools.fireworks_emulator import FireworksEmulator
from tools.groq_emulator import GroqEmulator
from tools.runpod_emulator import RunPodEmulator

ENGINES = ("groq", "groq-batch", "runpod", "fireworks", "fireworks-batch")


@pytest.fixture(scope="module")
def bucket():
    with remotely.bucket() as settings:
        yield settings


@pytest.fixture
def providers():
    with (
        GroqEmulator(key=CANARY, processing_s=30) as groq,
        RunPodEmulator(key=CANARY, run_s=30) as runpod,
        FireworksEmulator(key=CANARY, processing_s=30) as fireworks,
    ):
        yield groq, runpod, fireworks


@pytest.fixture
def app(tmp_path, providers, bucket):
    groq, runpod, fireworks = providers
    return remotely.journey(
        tmp_path / "home",
        engine_auto_remote=True,
        groq_api_key=CANARY,
        groq_base_url=f"{groq.url}/openai/v1",
        runpod_api_key=CANARY,
        runpod_url=runpod.endpoint,
        fireworks_enabled=True,
        fireworks_api_key=CANARY,
        fireworks_account_id="acc",
        fireworks_base_url=f"{fireworks.url}/sync/v1",
        fireworks_batch_url=f"{fireworks.url}/batch",
        **bucket,
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_a_program_names_an_engine_and_gets_its_words(app, providers, engine, tmp_path):
    with serve(app) as served, served.client() as client:
        with (DATA / "ru_meeting.opus").open("rb") as file:
            options = {"language": "ru", "engine": engine}
            response = client.post("/api/v1/transcribe", files={"file": ("a.opus", file)}, data=options)
        assert response.status_code == 202, response.text
        task = app.recordings.task(remotely.EVERYONE, response.json()["task_id"])
        task = remotely.done(app, task, *providers)
        task_text = client.get(f"/api/v1/tasks/{task.id}").text
        results = client.get("/api/v1/search", params={"q": "бухгалтерией"}).json()

    assert task.status == "completed", task.error
    assert (task.engine, task.progress) == (engine, 100)
    assert remotely.errors(app, task) <= 0.1
    assert "бухгалтерия" in str(results)
    assert app.ledger.of_recording(task.recording_id) > 0
    assert CANARY not in task_text
    assert remotely.traces(tmp_path) == []


@pytest.mark.parametrize(
    ("requested", "taken"),
    [("groq", "groq-batch"), ("groq-batch", "groq-batch"), ("fireworks", "fireworks-batch")],
)
def test_asked_for_a_batch_an_engine_takes_its_batch_mode(app, requested, taken):
    first = remotely.accept_short(app, "gigaam-v3_ctc")
    with serve(app) as served, served.client(app.keys.make(EVERYONE, "admin", admin=True)) as client:
        address = f"/api/v1/recordings/{first.recording_id}/transcribe"
        response = client.post(address, params={"use_batch_api": True, "engine": requested})

    assert response.status_code == 202, response.text
    assert (response.json()["engine"], response.json()["mode"]) == (taken, "batch_api")
    assert app.recordings.task(EVERYONE, response.json()["task_id"]).embedding_mode == "sync", (
        "vectors are made here"
    )


@pytest.mark.parametrize("requested", ["runpod", "gigaam-v3_ctc", ""])
def test_by_an_engine_without_a_batch_mode_vectors_go_by_batch(app, requested):
    assert app.intake.by_batch(TranscriptionOptions(engine=requested)) == TranscriptionOptions(
        engine=requested, embedding_mode="batch"
    )


def test_a_batch_mode_that_was_asked_for_and_cannot_work_says_what_it_lacks(tmp_path):
    app = remotely.journey(tmp_path / "home", groq_api_key=CANARY)
    first = remotely.accept_short(app, "gigaam-v3_ctc")
    with serve(app) as served, served.client(app.keys.make(EVERYONE, "admin", admin=True)) as client:
        address = f"/api/v1/recordings/{first.recording_id}/transcribe"
        response = client.post(address, params={"use_batch_api": True, "engine": "groq"})

    assert response.status_code in (400, 409, 422), response.text
    assert "STORAGE_URL" in response.json()["detail"]
    assert app.intake.by_batch(TranscriptionOptions()) == TranscriptionOptions(embedding_mode="batch"), (
        "what nobody named is not insisted on"
    )


SENT = "The recording is sent there."


@pytest.mark.parametrize(("language", "engine"), [("ru", "runpod"), ("en", "groq")])
def test_a_program_is_told_where_a_recording_would_go_before_it_is_sent(app, language, engine):
    app.engines["gigaam-v3_ctc"].readiness = lambda: Readiness(False, "v3_e2e_rnnt.ckpt is missing")
    with serve(app) as served, served.client() as client:
        auto = client.get("/api/v1/estimate", params={"hours": 1, "language": language}).json()["auto"]
        body = {"file": ("a.wav", remotely.spoken(6))}
        accepted = client.post("/api/v1/transcribe", files=body, data={"language": language}).json()

    assert auto["engine"] == accepted["engine"] == engine
    assert auto["reason"] == accepted["engine_reason"]
    assert SENT in auto["reason"]
    assert "v3_e2e_rnnt.ckpt" in auto["reason"] or language == "en"


def test_an_engine_that_was_named_is_answered_as_asked(app):
    with serve(app) as served, served.client() as client:
        body = {"file": ("a.wav", remotely.spoken(6))}
        answer = client.post(
            "/api/v1/transcribe", files=body, data={"language": "ru", "engine": "groq"}
        ).json()

    assert answer["engine"] == "groq"
    assert answer["engine_reason"] == "127.0.0.1 (whisper-large-v3-turbo), as you asked."


def test_the_upload_page_says_that_a_recording_would_leave_before_it_does(tmp_path, monkeypatch):
    monkeypatch.setenv("STENOGRAM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SPOKEN_LANGUAGE", "en")
    installation.serve(None)
    assert SENT not in texts(visit("upload"))

    monkeypatch.setenv("GROQ_API_KEY", CANARY)
    monkeypatch.setenv("ENGINE_AUTO_REMOTE", "true")
    installation.serve(None)
    at = visit("upload")

    assert "Groq" in texts(at)
    assert SENT in texts(at)
    installation.serve(None)
