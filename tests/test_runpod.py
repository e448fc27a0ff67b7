"""RunPod: orders with their own time limit, each way of ending told apart, and our worker's contract."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest

from core.errors import OutcomeUnknown, ProviderBusy, ProviderRefused, ProviderResting, Rejected
from core.media.waveform import SAMPLE_RATE
from core.settings import ROOT, Settings
from core.speech.engines.runpod import RunPodEngine
from core.storage.object_store import ObjectStore
from deploy.runpod.handler import handle, listen
from tests import installation, remotely
from tests.remotely import CANARY
from tools.runpod_emulator import RunPodEmulator

NOISE = np.random.default_rng(0).integers(-3000, 3000, SAMPLE_RATE, dtype=np.int16)
HEARD = [
    {"start": 0.1, "end": 0.9, "text": "раз два", "words": [{"word": "раз", "start": 0.1, "end": 0.4}]},
    {"start": 1.1, "end": 1.9, "text": "три", "words": [{"word": "три", "start": 1.2, "end": 1.5}]},
]


def quick(_file, _language):
    return HEARD


@pytest.fixture(scope="module")
def bucket():
    with remotely.bucket() as settings:
        yield settings


def make_engine(emulator, **others):
    settings = Settings(
        **{
            "runpod_api_key": CANARY,
            "runpod_url": emulator.endpoint,
            "runpod_worker": emulator.worker,
            **others,
        }
    )
    return RunPodEngine(settings, ObjectStore(settings))


@pytest.fixture(params=["gigaam", "faster-whisper"])
def runpod(request):
    with RunPodEmulator(worker=request.param, recognise=quick, key=CANARY) as emulator:
        yield emulator


@pytest.fixture
def emulated():
    with RunPodEmulator(recognise=quick, key=CANARY) as emulator:
        yield emulator


@pytest.mark.parametrize("stored", [False, True])
def test_an_order_becomes_phrases_by_both_workers_with_and_without_a_store(runpod, bucket, stored):
    engine = make_engine(runpod, **(bucket if stored else {}))
    report = engine.poll(engine.submit(NOISE, "ru", "ours", 0), "ours")

    assert report.fate == "done", report
    assert [phrase.text for phrase in report.speech.phrases] == ["раз два", "три"]
    assert report.speech.words[-1].text == "три"
    (job,) = runpod.jobs.values()
    assert ("audio_base64" in job.order) != stored


def test_a_temperature_reaches_faster_whisper_alone(runpod):
    engine = make_engine(runpod)
    engine.with_options(translate=False, temperature=0.3).submit(NOISE, "ru", "ours", 0)

    (job,) = runpod.jobs.values()
    assert job.order.get("temperature") == (0.3 if engine.varies else None)
    assert engine.varies != engine.ours


def test_an_order_brings_its_own_limits(emulated):
    engine = make_engine(emulated, runpod_low_priority=True)
    engine.submit(np.tile(NOISE, 1200), "ru", "ours", 0)
    engine.submit(np.tile(NOISE, 1200), "ru", "again", 1)

    first, second = (job.policy for job in emulated.jobs.values())
    assert first["executionTimeout"] > 1200 * 1000
    assert second["executionTimeout"] == 2 * first["executionTimeout"]
    assert first["ttl"] >= 2 * first["executionTimeout"]
    assert first["lowPriority"] is True


def test_our_id_travels_in_the_input_and_another_answer_is_refused(emulated):
    engine = make_engine(emulated)
    emulated.fault("wrong_echo")
    report = engine.poll(engine.submit(NOISE, "ru", "ours", 0), "ours")

    assert [job.order["job_id"] for job in emulated.jobs.values()] == ["ours"]
    assert report.fate == "broken"
    assert "another order" in report.reason


@pytest.mark.parametrize(
    ("quirk", "reason", "too_slow"),
    [
        ("fail", "CUDA out of memory", False),
        ("no_output", "without a result", False),
        ("time_out", "time", True),
        ("cancelled", "cancelled", False),
    ],
)
def test_each_way_to_fail_is_told_apart(runpod, quirk, reason, too_slow):
    engine = make_engine(runpod)
    runpod.fault(quirk)
    report = engine.poll(engine.submit(NOISE, "ru", "ours", 0), "ours")

    assert (report.fate, report.too_slow) == ("broken", too_slow)
    assert reason in report.reason
    assert "Traceback" not in report.reason


def test_waiting_and_working_are_told_apart(emulated):
    emulated.queue_s, emulated.run_s = 60.0, 60.0
    engine = make_engine(emulated)
    order = engine.submit(NOISE, "ru", "ours", 0)

    fates = []
    for _ in range(3):
        fates.append(engine.poll(order, "ours").fate)
        emulated.advance(61)
    assert fates == ["waiting", "working", "done"]


def test_a_result_that_was_not_fetched_in_half_an_hour_is_lost(emulated):
    engine = make_engine(emulated)
    order = engine.submit(NOISE, "ru", "ours", 0)
    emulated.advance(1801)

    assert engine.poll(order, "ours").fate == "lost"
    assert engine.find("ours") is None


def test_with_a_store_even_a_lost_result_is_found(emulated, bucket):
    engine = make_engine(emulated, **bucket)
    order = engine.submit(NOISE, "ru", "kept", 0)
    emulated.advance(1801)

    assert engine.poll(order, "kept").fate == "lost"
    assert engine.find("kept").text == "раз два три"


def test_the_same_order_twice_is_carried_out_once(emulated, bucket):
    """The worker finds its own answer in the store and hears nothing again."""
    calls = []
    emulated.recognise = lambda *_: calls.append(1) or HEARD
    engine = make_engine(emulated, **bucket)
    for _ in range(2):
        order = engine.submit(NOISE, "ru", "twice", 0)
        assert engine.poll(order, "twice").speech.text == "раз два три"

    assert calls == [1]


@pytest.mark.parametrize(
    ("fault", "options", "error"),
    [
        ("error", {"code": 400}, Rejected),
        ("error", {"code": 404}, Rejected),
        ("error", {"code": 500}, OutcomeUnknown),
        ("busy", {"retry_after": 7}, ProviderResting),
        ("revoked", {"code": 401}, ProviderRefused),
        ("html", {}, OutcomeUnknown),
        ("drop", {}, OutcomeUnknown),
        ("truncate", {}, OutcomeUnknown),
    ],
)
def test_every_refusal_becomes_one_of_ours_and_is_not_repeated(emulated, fault, options, error):
    emulated.fault(fault, None, call="run", **options)

    with pytest.raises(error) as caught:
        make_engine(emulated).submit(NOISE, "ru", "ours", 0)
    assert type(caught.value) is error
    assert emulated.count("run") == 1
    assert CANARY not in repr(caught.value)


def test_nobody_there_is_known_to_have_done_nothing(emulated):
    engine = make_engine(emulated)
    emulated.stop()

    with pytest.raises(ProviderBusy) as caught:
        engine.submit(NOISE, "ru", "ours", 0)
    assert not isinstance(caught.value, OutcomeUnknown)


def test_half_an_hour_of_noise_fits_into_a_request(emulated):
    engine = make_engine(emulated)
    loud = np.random.default_rng(1).integers(-32768, 32767, 60 * SAMPLE_RATE, dtype=np.int16)
    sound = np.tile(loud, int(engine.max_segment_s // 60))

    assert engine.poll(engine.submit(sound, "ru", "ours", 0), "ours").fate == "done"


def test_cancelling_is_quiet_whenever_it_comes(emulated):
    engine = make_engine(emulated)
    order = engine.submit(NOISE, "ru", "ours", 0)
    for _ in range(2):
        engine.cancel(order)
    engine.cancel("unknown")


@pytest.mark.parametrize(
    ("missing", "reason"), [("runpod_api_key", "RUNPOD_API_KEY"), ("runpod_url", "RUNPOD_URL")]
)
def test_what_is_missing_is_said(emulated, missing, reason):
    assert reason in make_engine(emulated, **{missing: ""}).readiness().reason


# The worker


def test_the_worker_hears_with_the_tools_own_engine():
    sound = base64.b64encode(remotely.spoken(12)).decode()
    engine = installation.toy()
    answer = handle(
        {"input": {"job_id": "ours", "audio_base64": sound, "language": "ru"}},
        lambda file, language: listen(engine, file, language),
    )

    assert answer["job_id"] == "ours"
    assert answer["duration_s"] == pytest.approx(12, abs=0.1)
    assert answer["text"] == " ".join(part["text"] for part in answer["segments"]) != ""
    words = [word for part in answer["segments"] for word in part["words"]]
    assert " ".join(word["word"] for word in words) == answer["text"]
    assert all(0 <= word["start"] < word["end"] <= 12 for word in words)


@pytest.mark.parametrize(
    ("order", "reason"),
    [
        ({}, "audio_url"),
        ({"audio_base64": "not base64!"}, "audio_url"),
        ({"audio_base64": base64.b64encode(b"no media").decode()}, "not a recording"),
        ({"audio_base64": "AAAA", "language": "fr"}, "fr"),
    ],
)
def test_the_worker_says_what_it_cannot_do(order, reason):
    engine = installation.toy()
    answer = handle({"input": order}, lambda file, language: listen(engine, file, language))

    assert reason in answer["error"]


def test_an_answer_too_large_for_a_reply_lies_in_the_store(emulated, bucket):
    long = [{**HEARD[0], "text": "слово " * 200_000}]
    emulated.recognise = lambda *_: long
    engine = make_engine(emulated, **bucket)
    order = engine.submit(NOISE, "ru", "large", 0)

    report = engine.poll(order, "large")
    (job,) = emulated.jobs.values()
    assert job.output == {"job_id": "large", "stored": True}
    assert report.speech.text.startswith("слово слово")


@pytest.fixture
def local_worker(tmp_path):
    """RunPod's own package serving our worker over HTTP, as for development."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "deploy.runpod.handler", "--rp_serve_api", "--rp_api_port", str(port)]
    environment = {
        **os.environ,
        "ENGINE": "gigaam-v3_ctc",
        "STENOGRAM_HOME": str(tmp_path),
        "OMP_NUM_THREADS": "1",
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        until = time.monotonic() + 90
        while time.monotonic() < until and process.poll() is None:
            try:
                httpx.get(f"http://127.0.0.1:{port}/openapi.json", timeout=5).raise_for_status()
                break
            except httpx.HTTPError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
        process.terminate()
        process.wait(30)


def test_the_worker_answers_through_runpods_own_server(local_worker):
    sound = base64.b64encode(remotely.spoken(12)).decode()
    order = {"input": {"job_id": "ours", "audio_base64": sound, "language": "ru"}}
    response = httpx.post(f"{local_worker}/runsync", json=order, timeout=120).json()

    assert response["status"] == "COMPLETED", json.dumps(response)[:500]
    assert response["output"]["job_id"] == "ours"
    assert response["output"]["segments"]
