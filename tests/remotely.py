"""An installation whose engines are elsewhere: emulated providers, a clock that tests move."""

from __future__ import annotations

import re
import time
from pathlib import Path

import jiwer

from core.journey import Journey
from core.keys import EVERYONE
from core.recordings import Wish
from core.records import Job, Task
from core.settings import Settings
from tests.conftest import DATA
from tests.drive import perform_all

CANARY = "canary0f9c3b71d5"


class Clock:
    """Time that tests move; it never stands still."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead_s


def journey(home: Path, **settings: object) -> Journey:
    """An installation with these settings, and a clock of its own at `work.now`."""
    here = Journey(Settings(stenogram_home=home, **settings))
    here.work.now = Clock()
    return here


def accept(here: Journey, engine: str, name: str = "ru_meeting.opus", language: str = "ru") -> Task:
    with (DATA / name).open("rb") as file:
        return here.accept(EVERYONE, file, name, Wish(language=language, engine=engine))


def later(here: Journey, seconds: float, *emulators: object) -> None:
    """Let time pass, for us and for those we ask."""
    here.work.now.ahead_s += seconds
    for emulator in emulators:
        emulator.advance(seconds)
    perform_all(here)


def done(here: Journey, task: Task, *emulators: object, most_s: float = 7200, step_s: float = 61) -> Task:
    """Let time pass until the task has ended."""
    perform_all(here)
    passed = 0.0
    while (task := now(here, task)).status in ("queued", "processing") and passed < most_s:
        later(here, step_s, *emulators)
        passed += step_s
    return task


def now(here: Journey, task: Task) -> Task:
    return here.recordings.task(EVERYONE, task.id)


def job(here: Journey, task: Task) -> Job:
    """The task's newest job."""
    from sqlalchemy import select

    with here.records.read() as session:
        mine = select(Job).where(Job.task_id == task.id).order_by(Job.created_at.desc())
        return session.scalars(mine).first()


def heard(here: Journey, task: Task) -> str:
    return " ".join(part.text for part in here.transcripts.heard(task.transcript_id))


def plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower().replace("ё", "е")).split())


def errors(here: Journey, task: Task, name: str = "ru_meeting") -> float:
    """The share of wrong words."""
    return jiwer.wer(plain((DATA / f"{name}.txt").read_text()), plain(heard(here, task)))


def traces(home: Path) -> list[str]:
    """Files of an installation in which the canary stands."""
    files = (path for path in home.rglob("*") if path.is_file())
    return [str(path) for path in files if CANARY.encode() in path.read_bytes()]
