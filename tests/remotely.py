"""An installation whose engines are elsewhere: emulated providers, a clock that tests move, real deaths."""

from __future__ import annotations

import functools
import io
import os
import re
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import jiwer
from moto.server import ThreadedMotoServer
from sqlalchemy import select

from core.application import Application
from core.database.tables import Job, Task
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.settings import Settings
from tests.clock import Clock
from tests.conftest import DATA
from tests.drive import perform_all
from tests.processes import PROCESSES
from tools.recognition import decode

CANARY = "canary0f9c3b71d5"
KILLED = -9


def journey(home: Path, **settings: object) -> Application:
    """An installation with these settings, and a clock that tests move."""
    return Application(Settings(stenogram_home=home, **settings), clock=Clock())


def accept(app: Application, engine: str, name: str = "ru_meeting.opus", language: str = "ru") -> Task:
    with (DATA / name).open("rb") as file:
        return app.intake.accept(EVERYONE, file, name, TranscriptionOptions(language=language, engine=engine))


def later(app: Application, seconds: float, *emulators: object) -> None:
    """Let time pass, for us and for those we ask."""
    app.clock.ahead_s += seconds
    for emulator in emulators:
        emulator.advance(seconds)
    perform_all(app)


def done(app: Application, task: Task, *emulators: object, most_s: float = 7200, step_s: float = 61) -> Task:
    """Let time pass until the task has ended."""
    perform_all(app)
    passed = 0.0
    while (task := now(app, task)).status in ("queued", "processing") and passed < most_s:
        later(app, step_s, *emulators)
        passed += step_s
    return task


def now(app: Application, task: Task) -> Task:
    return app.recordings.task(EVERYONE, task.id)


def job(app: Application, task: Task) -> Job:
    """The task's newest job."""
    with app.database.read() as session:
        statement = select(Job).where(Job.task_id == task.id).order_by(Job.created_at.desc())
        return session.scalars(statement).first()


def transcript_text(app: Application, task: Task) -> str:
    return " ".join(part.text for part in app.transcripts.segments(task.transcript_id))


def plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower().replace("ё", "е")).split())


def errors(app: Application, task: Task, name: str = "ru_meeting") -> float:
    """The share of wrong words."""
    return jiwer.wer(plain((DATA / f"{name}.txt").read_text()), plain(transcript_text(app, task)))


def traces(home: Path) -> list[str]:
    """Files of an installation in which the canary stands."""
    files = (path for path in home.rglob("*") if path.is_file())
    return [str(path) for path in files if CANARY.encode() in path.read_bytes()]


@functools.cache
def spoken(seconds: int) -> bytes:
    """The beginning of a sample, as a WAV file."""
    samples = decode((DATA / "ru_meeting.opus").read_bytes())[: seconds * 16_000]
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(samples.tobytes())
    return file.getvalue()


def accept_short(app: Application, engine: str, seconds: int = 12) -> Task:
    return app.intake.accept(
        EVERYONE, io.BytesIO(spoken(seconds)), "a.wav", TranscriptionOptions(language="ru", engine=engine)
    )


def live(home: Path, failpoint: str, ahead_s: float, settings: dict) -> None:
    """Do what is ready, in a process of its own that may die."""
    os.environ |= {"STENOGRAM_TEST": "1", "STENOGRAM_FAILPOINT": failpoint, "OMP_NUM_THREADS": "1"}
    app = journey(home, **settings)
    app.clock.ahead_s = ahead_s
    perform_all(app)
    os._exit(0)


def spend(home: Path, failpoint: str = "", ahead_s: float = 0.0, **settings: object) -> int:
    """Live once, dying at the failpoint if it is reached; the exit code."""
    process = PROCESSES.Process(target=live, args=(home, failpoint, ahead_s, settings))
    process.start()
    process.join(90)
    assert not process.is_alive()
    return process.exitcode or 0


@contextmanager
def bucket() -> Iterator[dict[str, str]]:
    """An object store, and the settings with which it is used."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    httpx.put(f"http://{host}:{port}/sounds").raise_for_status()
    yield {
        "storage_url": "s3://sounds",
        "s3_endpoint_url": f"http://{host}:{port}",
        "s3_access_key": "me",
        "s3_secret_key": CANARY,
    }
    server.stop()
