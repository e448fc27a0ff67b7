"""Programs that exist already work against this API as they are, only with another address and key.

The scripts in `tests/data/clients` are the published examples; nothing in them is changed but the address,
the key, the path of the file and the task's id. They poll every five seconds, and so do we here.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import openai
import pytest
from sqlalchemy.exc import OperationalError

from core.application import Application
from core.orders import batch_names
from core.principal import EVERYONE
from core.settings import Settings
from tests import batching, drive
from tests.conftest import DATA
from tests.installation import cut, problem, upload
from tests.serve import Served, serve, working
from tools.gemini_emulator import GeminiEmulator

CLIENTS = DATA / "clients"
ADDRESS = "https://gigaam-api.dubr1k.space"


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Russian, as these clients expect when they say nothing about the language."""
    return cut(tmp_path_factory.mktemp("clip"), "ru_meeting.opus")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """With the usual limits, which these clients must not run into."""
    with serve(Application(Settings(stenogram_home=tmp_path_factory.mktemp("clients")))) as served:
        yield served


@pytest.fixture
def workshop(tmp_path, clip):
    """A folder with the file that the scripts speak of."""
    shutil.copy(clip, tmp_path / "audio.mp3")
    return tmp_path


def script(name: str, served: Served, **replaced: str) -> str:
    text = (CLIENTS / name).read_text(encoding="utf-8")
    replacements = {
        ADDRESS: served.url,
        "your_api_key_here": served.app.keys.make(EVERYONE, "client"),
        **replaced,
    }
    for placeholder, value in replacements.items():
        assert placeholder in text or placeholder in replaced
        text = text.replace(placeholder, value)
    return text


def run(command: list[str], folder: Path, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed here")


def test_the_python_class_runs_to_the_end(served, workshop):
    (workshop / "client.py").write_text(script("client.py.txt", served), encoding="utf-8")

    with working(served.app):
        output = run([sys.executable, "client.py"], workshop)

    assert "✓ Готово! Время обработки:" in output
    assert (workshop / "transcription.txt").read_text(encoding="utf-8") in output
    assert len((workshop / "transcription.txt").read_text(encoding="utf-8").split()) > 3


def test_the_bash_script_runs_to_the_end(served, workshop):
    needs("bash", "curl", "jq")
    (workshop / "transcribe.sh").write_text(script("transcribe.sh", served), encoding="utf-8")

    with working(served.app):
        output = run(["bash", "transcribe.sh", "audio.mp3"], workshop)

    assert "Статус: completed - 100%" in output
    assert len((workshop / "result.txt").read_text(encoding="utf-8").split()) > 3


def test_every_curl_line_does_what_it_says(served, workshop):
    needs("bash", "curl")
    text = script("curl.sh", served, **{"/path/to/audio.mp3": str(workshop / "audio.mp3")})
    lines = re.findall(r"^curl (?:.*\\\n)*.*$", text, re.MULTILINE)
    assert len(lines) == 11
    answers = []
    task_id = "a1b2c3d4e5f6"

    for line in lines:
        command = line.replace("a1b2c3d4e5f6", task_id).replace("curl ", "curl --silent --fail-with-body ", 1)
        answers.append(run(["bash", "-c", command], workshop))
        if "-F" in line:
            task_id = re.search(r'"task_id":"(\w+)"', answers[-1])[1]
            drive.perform_all(served.app)

    assert '"status":"completed"' in answers[2]
    assert '"transcription_with_timecodes":"[00:00:0' in answers[3]
    text, timecodes = (workshop / name for name in ("result.txt", "result_timecodes.txt"))
    assert len(text.read_text(encoding="utf-8").split()) > 3
    assert timecodes.read_text(encoding="utf-8").startswith("[00:00:0")
    assert [re.search(r'"total":(\d+)', answer)[1] for answer in answers[6:9]] == ["1", "1", "0"]
    assert '"message":' in answers[9]
    assert '"parts":' in answers[0]
    assert '"parts":' in answers[10]


def test_the_javascript_client_uploads(served, workshop):
    needs("node", "npm")
    install = ["npm", "install", "--no-audit", "--no-fund", "--silent", "axios", "form-data"]
    installed = subprocess.run(
        install, cwd=workshop, capture_output=True, text=True, timeout=120, check=False
    )
    if installed.returncode:
        pytest.skip(f"npm cannot install axios and form-data here: {installed.stderr[-200:]}")
    # It awaits outside of a function, which node allows in no file that says `require`.
    inside = f"(async () => {{{script('upload.js', served)}}})()"
    (workshop / "upload.js").write_text(inside, encoding="utf-8")

    output = run(["node", "upload.js"], workshop)

    assert re.fullmatch(r"Task ID: [0-9a-f]{32}\n", output)


# The small form


def test_the_small_form(served, clip):
    with served.client() as me:
        begun = me.post("/transcribe/", files={"file": ("sample.wav", clip.read_bytes())})
        assert begun.status_code == 200
        task_id = begun.json()["task_id"]
        assert begun.json()["message"]
        address = f"/transcribe/{task_id}"
        before = me.get(address).json()
        drive.perform_all(served.app)
        after = me.get(address).json()

        assert before in ({"task_id": task_id, "status": "PENDING"}, after)
        assert set(after) == {"filename", "transcription"}
        assert after["filename"] == "sample.wav"
        problem(me.get("/transcribe/nothing"), 404)


def test_the_small_form_says_what_failed(served, tmp_path):
    with served.client() as me:
        english = cut(tmp_path)
        begun = me.post("/transcribe/?language=en", files={"file": ("a.wav", english.read_bytes())})
        task_id = begun.json()["task_id"]
        me.post(f"/api/v1/tasks/{task_id}/cancel")

        assert me.get(f"/transcribe/{task_id}").json() == {"task_id": task_id, "status": "FAILURE"}


# The form of OpenAI


@pytest.fixture
def official(served):
    with openai.OpenAI(
        base_url=f"{served.url}/v1", api_key=served.app.keys.make(EVERYONE, "openai"), max_retries=0
    ) as client:
        yield client


def test_the_official_client_gets_the_text(served, official, clip):
    with working(served.app):
        plain = official.audio.transcriptions.create(model="whisper-1", file=clip)

    assert len(plain.text.split()) > 3


def test_the_official_client_gets_every_form(served, official, clip):
    with working(served.app):
        verbose = official.audio.transcriptions.create(
            model="gigaam-v3_ctc",
            file=clip,
            language="ru",
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
        )
        text = official.audio.transcriptions.create(model="auto", file=clip, response_format="text")
        srt = official.audio.transcriptions.create(model="auto", file=clip, response_format="srt")
        vtt = official.audio.transcriptions.create(model="auto", file=clip, response_format="vtt")

    assert verbose.duration == pytest.approx(3.0, abs=0.1)
    assert verbose.segments[0].start < verbose.segments[0].end
    assert verbose.words[0].word
    assert " ".join(segment.text for segment in verbose.segments) == verbose.text
    assert text.strip() == verbose.text
    assert " --> " in srt
    assert vtt.startswith("WEBVTT")


def test_the_official_client_understands_refusals(served, official, clip, tmp_path):
    (tmp_path / "text.wav").write_text("only text " * 100)
    stranger = official.with_options(api_key="gam_wrong")

    with pytest.raises(openai.AuthenticationError) as unknown:
        stranger.audio.transcriptions.create(model="auto", file=clip)
    with pytest.raises(openai.APIStatusError) as unreadable:
        official.audio.transcriptions.create(model="auto", file=tmp_path / "text.wav")
    with pytest.raises(openai.BadRequestError) as language:
        official.audio.transcriptions.create(model="auto", file=clip, language="tlh")

    assert "API key" in str(unknown.value)
    assert unreadable.value.status_code == 415
    assert "tlh" in str(language.value)


def test_the_official_client_reads_the_text_while_it_comes(served, official):
    meeting = DATA / "en_meeting.opus"
    with working(served.app):
        stream = official.audio.transcriptions.create(
            model="gigaam-v3_ctc", language="ru", file=meeting, stream=True
        )
        events = list(stream)

    *deltas, done = events
    assert {event.type for event in deltas} == {"transcript.text.delta"}
    assert done.type == "transcript.text.done"
    assert "".join(event.delta for event in deltas) == done.text
    assert len(done.text.split()) > 10


def test_a_stream_that_fails_says_so(served, official, clip):
    stream = official.audio.transcriptions.create(model="auto", file=clip, stream=True, language="ru")
    (task, *_) = served.app.recordings.tasks(EVERYONE)[1]
    served.app.tasks.cancel(EVERYONE, task.id)

    with pytest.raises(openai.APIError, match="cancelled"):
        list(stream)


def test_a_stream_whose_database_goes_away_says_so(served, official, clip, monkeypatch):
    stream = official.audio.transcriptions.create(model="auto", file=clip, stream=True, language="ru")

    def gone(*_: object) -> None:
        raise OperationalError("SELECT", {}, sqlite3.OperationalError("database is locked"))

    monkeypatch.setattr(served.app.recordings, "task", gone)
    with pytest.raises(openai.APIError, match="database"):
        list(stream)


def test_what_cannot_be_streamed_is_refused(official, clip):
    with pytest.raises(openai.BadRequestError, match="json, text, diarized_json"):
        official.audio.transcriptions.create(model="auto", file=clip, stream=True, response_format="srt")


def test_the_official_client_lists_the_engines(official):
    names = [model.id for model in official.models.list()]

    assert {"auto", "whisper-base"} <= set(names)
    assert official.models.retrieve("auto").id == "auto"
    with pytest.raises(openai.NotFoundError):
        official.models.retrieve("gpt-unheard-of")


# Beyond uploads


def test_a_recording_is_transcribed_again(served, clip):
    with served.client() as me:
        recording_id = upload(me, clip, language="ru").json()["recording_id"]

        again = me.post(f"/api/v1/recordings/{recording_id}/transcribe?force=true")

        assert again.status_code == 202
        body = again.json()
        assert (body["mode"], body["batch_id"], body["status"]) == ("sync_api", None, "queued")
        assert me.get(body["check_status_url"]).json()["task_id"] == body["task_id"]
        problem(me.post("/api/v1/recordings/nothing/transcribe"), 404)
        once = {"Idempotency-Key": "once"}
        address = f"/api/v1/recordings/{recording_id}/transcribe"
        assert len({me.post(address, headers=once).json()["task_id"] for _ in range(2)}) == 1
        problem(me.post(f"{address}?force=true", headers=once), 409)


def test_a_batch_is_refused_with_the_reason_where_nothing_is_bought(served, clip):
    with served.client() as me:
        recording_id = upload(me, clip, language="ru").json()["recording_id"]

        refused = me.post(f"/api/v1/recordings/{recording_id}/transcribe?use_batch_api=true")

        assert "batch" in problem(refused, 400)["detail"]


def test_a_batch_has_our_name_until_the_provider_gives_it_one(tmp_path, clip):
    with GeminiEmulator(processing_s=60) as gemini:
        app = batching.installation(tmp_path, gemini.url, api_requests_per_min=1000)
        with serve(app) as served, served.client() as me:
            recording_id = upload(me, clip, language="ru").json()["recording_id"]
            once = {"Idempotency-Key": "once"}
            address = f"/api/v1/recordings/{recording_id}/transcribe?use_batch_api=true"
            answer = me.post(address, headers=once).json()
            task = answer["check_status_url"]

            assert (answer["mode"], answer["batch_id"]) == ("batch_api", f"batch_{answer['task_id']}")
            drive.perform_all(app)
            assert me.get(task).json()["batch_id"] == answer["batch_id"]
            assert (me.get(task).json()["lane"], me.get(task).json()["meaning"]) == ("batch", "waiting")

            app.batches.tick()
            [batch] = batching.batches(app)
            assert batch.name.startswith("batches/")
            assert me.get(task).json()["batch_id"] == batch.name
            assert me.post(address, headers=once).json() == {
                **answer,
                "batch_id": batch.name,
                "status": "completed",
            }

            batching.run(app, gemini)
            assert me.get(task).json()["meaning"] == "done"
            batch_ids = {one["task_id"]: one["batch_id"] for one in me.get("/api/v1/tasks").json()["tasks"]}
            assert batch_ids.pop(answer["task_id"]) == batch.name
            assert set(batch_ids.values()) == {None}


def test_a_batch_that_another_recording_pays_for_is_named_too(tmp_path):
    with GeminiEmulator(processing_s=60) as gemini:
        app = batching.installation(tmp_path, gemini.url)
        for title in ("first", "second"):
            batching.recording(app, batching.sentences(3), title=title)
        app.batches.tick()
        app.batches.tick()
        _, tasks = app.recordings.tasks(EVERYONE)

        names = batch_names.of_tasks(app.database, tasks)

    assert set(names.values()) == {batch.name for batch in batching.batches(app)}
    assert set(names) == {task.id for task in tasks}


def test_an_estimate_is_that_of_the_cost_page(tmp_path):
    """Of a fresh installation: what was recognised in others moves the figures."""
    with serve(Application(Settings(stenogram_home=tmp_path))) as served, served.client() as me:
        estimate = me.get("/api/v1/estimate?documents=1000000&tokens_per_document=500").json()
        own = me.get(
            "/api/v1/estimate?documents=10&tokens_per_document=1000000&sync_price=0.15&batch_price=0.075"
        ).json()
        hours = me.get("/api/v1/estimate?hours=100").json()
        query = "hours=500&by=groq/whisper-large-v3&waiting_usd_per_hour=5&times_per_year=12"
        compared = me.get(f"/api/v1/estimate?{query}").json()["comparison"]

        assert estimate.pop("auto")["engine"]
        assert estimate == served.app.estimates.estimate(documents="1000000", tokens_per_document="500")
        assert own["embedding"]["sync_usd"] == "1.5"
        assert own["embedding"]["batch_usd"] == "0.75"
        assert {"embedding", "transcription", "routes", "comparison", "scenarios", "ways"} <= set(hours)
        assert (compared["sync"]["usd"], compared["batch"]["usd"]) == ("57.228", "28.614")
        assert (compared["take"], compared["worth_until_usd"]) == ("sync", "1.3182")
        for wrong in ("", "?hours=1&documents=2", "?hours=-1", "?hours=many", "?hours=1e9", "?documents=1.5"):
            assert "pattern" not in problem(me.get(f"/api/v1/estimate{wrong}"), 400)["detail"]
