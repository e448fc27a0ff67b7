"""The whole tool, with its processes killed in the middle of the work."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import wave
from pathlib import Path

import httpx
import numpy as np
import pytest
from sqlalchemy import select

from core.database.database import Database
from core.database.tables import Job, Segment, Task
from core.transcripts.transcripts import ROOM
from jobs.runner import LOG_BYTES, Child
from jobs.supervisor import RECONCILE_S
from tests.conftest import DATA
from tests.tool import ROOT, Tool, until

pytestmark = pytest.mark.road

MINUTES = float(os.environ.get("KILL_MINUTES", "2"))
"""Length of the recording that is killed into; `make chaos` uses ten."""


@pytest.fixture(scope="module")
def tool(tmp_path_factory):
    with Tool(tmp_path_factory.mktemp("road") / "home", API_REQUESTS_PER_MIN="100000") as tool:
        yield tool


@pytest.fixture(scope="module")
def long_recording(tmp_path_factory) -> Path:
    """English speech of the length asked for: slow enough an engine to be caught in the middle."""
    from core.media import decode

    folder = tmp_path_factory.mktemp("long")
    (pcm,) = decode.decode(DATA / "en_meeting.opus", folder)
    sound = np.fromfile(pcm, dtype=np.int16)
    pieces = int(MINUTES * 60 * 16_000 / len(sound)) + 1
    path = folder / "long.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.tile(sound, pieces)[: int(MINUTES * 60 * 16_000)].tobytes())
    return path


def database(tool: Tool) -> Database:
    return Database(f"sqlite:///{tool.home / 'records.sqlite'}")


def segments(tool: Tool, task_id: str) -> list[Segment]:
    with database(tool).read() as session:
        transcript_id = session.get_one(Task, task_id).transcript_id
        return list(session.scalars(select(Segment).where(Segment.transcript_id == transcript_id)))


def in_the_middle(tool: Tool, task_id: str) -> bool:
    """Some segments are heard, some are not."""
    transcribed = [segment.text is not None for segment in segments(tool, task_id)]
    return any(transcribed) and not all(transcribed)


def job_starts(tool: Tool, task_id: str) -> float:
    with database(tool).read() as session:
        newest = select(Job.started_at).where(Job.task_id == task_id, Job.state == "running")
        return session.scalar(newest) or 0.0


def assert_whole(tool: Tool, task_id: str) -> None:
    """Every segment was transcribed, and everything planned is there once."""
    rows = segments(tool, task_id)
    assert rows
    assert all(segment.text is not None for segment in rows)
    numbers = [segment.n for segment in rows]  # phrases of one segment follow it
    places = sorted({number // ROOM for number in numbers})
    assert len(set(numbers)) == len(numbers)
    assert places == list(range(len(places)))


@pytest.mark.timeout(300 * MINUTES)
def test_killed_worker_broker_and_app_in_the_middle(tool, long_recording):
    """One long recording survives the death of its worker, the broker, the web server and the runner."""
    task_id = tool.upload(long_recording, language="en", title="long")["task_id"]
    until(lambda: in_the_middle(tool, task_id), 120, "the first segments")

    died_at = time.time()
    tool.kill("jobs.worker gpu")
    until(lambda: job_starts(tool, task_id) > died_at, 120, "the job to run again")

    tool.kill("unixsocket:")
    tool.kill("app.py")
    until(lambda: tool.task(task_id), 60, "the web server to be back")
    texts_before = {
        segment.n: segment.text for segment in segments(tool, task_id) if segment.text is not None
    }

    tool.process.kill()
    tool.process.wait()
    tool.start()

    assert tool.ended(task_id, 200 * MINUTES)["status"] == "completed"
    assert_whole(tool, task_id)
    final = {segment.n: segment.text for segment in segments(tool, task_id)}
    assert texts_before.items() <= final.items(), "a finished segment was transcribed again"


def test_a_second_start_on_the_same_data_explains_itself(tool):
    second = subprocess.run(
        [sys.executable, "-m", "jobs.runner"],
        cwd=ROOT,
        env={**os.environ, "STENOGRAM_HOME": str(tool.home), "PORT": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert second.returncode != 0
    assert tool.url in second.stderr
    assert "make run DATA=" in second.stderr


def test_work_starts_when_it_is_asked_for(tool):
    """At once, not when the reconciler comes by; `python -m benchmarks.bench_road` tells how quick."""
    task_id = tool.upload(DATA / "ru_meeting.opus", language="ru")["task_id"]
    ended = tool.ended(task_id, 60)

    assert ended["status"] == "completed"
    with database(tool).read() as session:
        first = session.scalars(select(Job).where(Job.task_id == task_id).order_by(Job.created_at)).first()
        assert first.started_at - first.created_at < RECONCILE_S


def test_pages_answer(tool):
    assert httpx.get(tool.url).status_code == 200


def test_ctrl_c_stops_everything_and_it_starts_again(tool):
    """Last, because it stops the tool the others use. `python -m benchmarks.bench_road` tells how quick."""
    tool.stop()
    tool.start()

    task_id = tool.upload(DATA / "call_stereo.opus", language="ru")["task_id"]
    assert tool.ended(task_id, 60)["status"] == "completed"


def test_a_long_log_is_set_aside_when_its_process_starts_anew(tmp_path):
    long = tmp_path / "echo.log"
    with long.open("wb") as file:
        file.truncate(LOG_BYTES + 1)
    child = Child("echo", [sys.executable, "-c", "print('fresh')"], long)

    child.start()

    assert child.process.wait(30) == 0
    assert long.read_text() == "fresh\n"
    assert (tmp_path / "echo.log.1").stat().st_size == LOG_BYTES + 1
