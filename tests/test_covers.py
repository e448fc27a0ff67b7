"""Pictures for recordings: several at once, from either worker, kept, shown, forgotten with the recording."""

from __future__ import annotations

import base64

import pytest

from core.errors import BadRequest, Rejected
from core.orders.covers import AGAIN_S, BREAKS
from core.orders.pictures import PictureOptions, comfyui_workflow, sdxl
from core.principal import EVERYONE
from core.settings import Settings
from tests import remotely
from tests.remotely import CANARY
from tools.runpod_emulator import PIXEL, RunPodEmulator

PICTURE = base64.b64decode(PIXEL)


@pytest.fixture(params=["sdxl", "comfyui"])
def runpod(request):
    with RunPodEmulator(worker=request.param, run_s=30, key=CANARY) as emulator:
        yield emulator


@pytest.fixture
def app(tmp_path, runpod):
    return remotely.journey(
        tmp_path / "home",
        runpod_api_key=CANARY,
        runpod_image_url=runpod.endpoint,
        runpod_image_worker=runpod.worker,
    )


@pytest.fixture
def recording_id(app):
    return remotely.accept_short(app, "gigaam-v3_ctc").recording_id


def run_covers(app, runpod, seconds=0.0):
    app.clock.ahead_s += seconds
    runpod.advance(seconds)
    app.periodic_runner.run("covers", "w")


def finish(app, runpod, series, most=20):
    run_covers(app, runpod)
    for _ in range(most):
        if app.covers.series(series).ended:
            break
        run_covers(app, runpod, 31)
    return app.covers.series(series)


def test_a_prompt_becomes_the_recordings_picture(app, runpod, recording_id):
    series = app.covers.ask(EVERYONE, recording_id, ["a quiet lake"], PictureOptions(""))
    assert app.covers.picture(recording_id) is None

    finish(app, runpod, series)
    assert app.covers.picture(recording_id) == PICTURE
    assert app.ledger.month().reserved == 0


def test_of_three_prompts_one_fails_and_two_succeed(app, runpod, recording_id):
    runpod.doomed = {"red hair"}
    prompts = ["a girl with blue hair", "a girl with red hair", "a girl with green hair"]
    done = finish(app, runpod, app.covers.ask(EVERYONE, recording_id, prompts, PictureOptions("")))

    assert (done.successful, done.failed, done.total) == (2, 1, 3)


def test_successful_of_total_counts_what_failed(app, runpod, recording_id):
    runpod.fault("fail", None)
    done = finish(app, runpod, app.covers.ask(EVERYONE, recording_id, ["one"], PictureOptions("")))
    runpod.clear_faults()
    good = finish(app, runpod, app.covers.ask(EVERYONE, recording_id, ["two", "three"], PictureOptions("")))

    assert (done.successful, done.failed, done.total) == (0, 1, 1)
    assert (good.successful, good.failed, good.total) == (2, 0, 2)
    assert "CUDA" in str([cover.error for cover in app.covers.of(recording_id)])


def test_a_failure_is_tried_three_times_a_minute_apart(app, runpod, recording_id):
    runpod.fault("fail", None)
    runpod.run_s = 0
    app.covers.ask(EVERYONE, recording_id, ["one"], PictureOptions(""))
    tries = []
    for _ in range(10):
        run_covers(app, runpod, AGAIN_S / 2 + 1)
        tries.append(len(runpod.jobs))

    assert tries[-1] == BREAKS
    assert tries[1] == 1


def test_a_picture_that_is_late_is_stopped_there(app, runpod, recording_id):
    runpod.fault("stuck", None)
    app.covers.ask(EVERYONE, recording_id, ["one"], PictureOptions(""))
    run_covers(app, runpod)
    run_covers(app, runpod, 150)
    assert [job.status for job in runpod.jobs.values()] == [""]
    run_covers(app, runpod, 151)

    (first, *_) = runpod.jobs.values()
    assert first.policy["executionTimeout"] == 300_000
    assert first.status in ("CANCELLED", "TIMED_OUT")


def test_the_documents_defaults_are_asked_for(app, runpod, recording_id):
    app.covers.ask(EVERYONE, recording_id, ["a lake"], PictureOptions(""))
    run_covers(app, runpod)

    order = str(next(iter(runpod.jobs.values())).order)
    for value in ("832", "1216", "30", "4.0", "a lake"):
        assert value in order


def test_a_seed_is_kept_and_minus_one_is_any():
    assert "seed" not in sdxl(PictureOptions("a"))
    assert sdxl(PictureOptions("a", seed=7))["seed"] == 7
    assert comfyui_workflow(PictureOptions("a", seed=7))["workflow"]["5"]["inputs"]["seed"] == 7
    assert comfyui_workflow(PictureOptions("a"))["workflow"]["5"]["inputs"]["seed"] >= 0


def test_prompts_are_enhanced_only_if_wanted():
    assert sdxl(PictureOptions("a lake"))["prompt"] != "a lake"
    assert sdxl(PictureOptions("a lake", use_enhanced_prompts=False))["prompt"] == "a lake"


@pytest.mark.parametrize(
    "options",
    [
        PictureOptions("", width=0),
        PictureOptions("", height=5000),
        PictureOptions("", steps=0),
        PictureOptions("", seed=-2),
    ],
)
def test_senseless_wishes_are_refused(app, recording_id, options):
    with pytest.raises(BadRequest):
        app.covers.ask(EVERYONE, recording_id, ["a lake"], options)


@pytest.mark.parametrize("prompts", [[], ["  "], ["x" * 2001], ["a"] * 21])
def test_senseless_prompts_are_refused(app, recording_id, prompts):
    with pytest.raises(BadRequest):
        app.covers.ask(EVERYONE, recording_id, prompts, PictureOptions(""))


def test_without_an_endpoint_the_reason_is_said(tmp_path):
    app = remotely.journey(tmp_path, runpod_api_key=CANARY)
    task = remotely.accept_short(app, "gigaam-v3_ctc")

    with pytest.raises(Rejected, match="RUNPOD_IMAGE_URL"):
        app.covers.ask(EVERYONE, task.recording_id, ["a lake"], PictureOptions(""))


def test_pictures_go_with_their_recording(app, runpod, recording_id, tmp_path):
    finish(app, runpod, app.covers.ask(EVERYONE, recording_id, ["a lake"], PictureOptions("")))
    app.deletion.delete_recording(EVERYONE, recording_id)

    assert app.covers.of(recording_id) == []
    assert not [path for path in (tmp_path / "home" / "objects").rglob("*") if path.is_file()]


def test_one_picture_can_be_removed(app, runpod, recording_id):
    finish(app, runpod, app.covers.ask(EVERYONE, recording_id, ["a lake"], PictureOptions("")))
    (cover,) = app.covers.of(recording_id)
    app.covers.remove(EVERYONE, recording_id, cover.id)

    assert app.covers.picture(recording_id) is None


@pytest.mark.parametrize(
    ("output", "good"),
    [
        ({"image_url": f"data:image/png;base64,{PIXEL}", "images": [], "seed": 1}, True),
        ({"images": [f"data:image/png;base64,{PIXEL}"]}, True),
        ({"images": [{"filename": "a.png", "type": "base64", "data": PIXEL}]}, True),
        ({"message": PIXEL, "status": "success"}, True),
        ({"images": [], "errors": ["no node"]}, False),
        ({"images": ["not base64!"]}, False),
        ({"images": [base64.b64encode(b"<svg onload=alert(1)>").decode()]}, False),
        ("text", False),
        (None, False),
    ],
)
def test_answers_of_old_and_new_workers_are_understood_and_others_refused(app, output, good):
    pictures = app.covers.pictures._completed(output, 1)

    assert (pictures.fate == "done") == good
    assert pictures.picture == (PICTURE if good else b"")


def test_the_url_of_the_document_is_understood():
    from core.orders.pictures import Pictures

    assert Pictures(Settings(runpod_image_url="https://api.runpod.ai/v2/abc/run")).address.endswith("/v2/abc")
