"""The whole way with engines elsewhere: asked for through the API, heard at a provider, found by search."""

from __future__ import annotations

import pytest

from tests import remotely
from tests.conftest import DATA
from tests.remotely import CANARY
from tests.serve import serve
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
def here(tmp_path, providers, bucket):
    groq, runpod, fireworks = providers
    return remotely.journey(
        tmp_path / "home",
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
def test_a_program_names_an_engine_and_gets_its_words(here, providers, engine, tmp_path):
    with serve(here) as served, served.client() as client:
        with (DATA / "ru_meeting.opus").open("rb") as file:
            wanted = {"language": "ru", "engine": engine}
            told = client.post("/api/v1/transcribe", files={"file": ("a.opus", file)}, data=wanted)
        assert told.status_code == 202, told.text
        task = here.recordings.task(remotely.EVERYONE, told.json()["task_id"])
        task = remotely.done(here, task, *providers)
        shown = client.get(f"/api/v1/tasks/{task.id}").text
        found = client.get("/api/v1/search", params={"q": "бухгалтерией"}).json()

    assert task.status == "completed", task.error
    assert (task.engine, task.progress) == (engine, 100)
    assert remotely.errors(here, task) <= 0.1
    assert "бухгалтерия" in str(found)
    assert here.ledger.of_recording(task.recording_id) > 0
    assert CANARY not in shown
    assert remotely.traces(tmp_path) == []
