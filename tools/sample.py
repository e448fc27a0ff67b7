"""`make sample`: the sample recordings through the whole road, without a browser.

Works in this process, by the same steps that workers take; what it makes is in the library afterwards.
"""

from __future__ import annotations

import logging
import sys
import threading
from pathlib import Path

from sqlalchemy import select
from tqdm import tqdm

from core.application import Application
from core.database.tables import Job, Task
from core.errors import StenogramError
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.settings import ROOT, load
from core.speech.language import AUTO
from jobs import actors
from jobs.entry import explained

SAMPLES = ROOT / "tests" / "data"
RECORDINGS = [
    (SAMPLES / "ru_planning.opus", TranscriptionOptions(title="Совещание", language=AUTO, tags=("sample",))),
    (
        SAMPLES / "en_meeting.opus",
        TranscriptionOptions(title="Monday meeting", language=AUTO, tags=("sample",)),
    ),
]
QUESTIONS = [
    ("бюджеты", "a Russian word in another form"),
    ("an unhappy client with a faulty device", "by meaning, in other words"),
    ("contract", "an English word"),
]
BAR = "  {desc:<12}{bar:30}{percentage:4.0f} %  {elapsed}"
STAGES = {"prepare": "listening", "transcribe": "transcribing", "index": "indexing", "completed": "embedding"}


def show(app: Application, task: Task, done: threading.Event) -> None:
    """A progress bar a stage, following the task's record until it ends."""
    with tqdm(total=100, bar_format=BAR, file=sys.stdout, mininterval=0) as bar:
        while not done.wait(0.2):
            now = app.recordings.task(EVERYONE, task.id)
            stage, progress = STAGES.get(now.stage, now.stage), now.progress
            if (stage, progress) != (bar.desc, bar.n):
                bar.desc = stage
                bar.update(progress - bar.n)
        bar.desc = "done"
        bar.update(100 - bar.n)


def run_jobs_of(app: Application, task: Task) -> None:
    """Do the jobs of this task one after another."""
    statement = select(Job).where(Job.task_id == task.id, Job.state == "ready")
    while True:
        with app.database.read() as session:
            job = session.scalars(statement).first()
        if job is None:
            return
        actors.perform(app, job.id)


def transcribe(app: Application, path: Path, options: TranscriptionOptions) -> None:
    """One recording, with its progress and its text."""
    print(f"\n{options.title} ({path.name})")
    print(f"  engine: {app.intake.choose_engine(options).reason}")
    with path.open("rb") as file:
        task = app.intake.accept(EVERYONE, file, path.name, options)
    done = threading.Event()
    watcher = threading.Thread(target=show, args=(app, task, done))
    watcher.start()
    run_jobs_of(app, task)
    done.set()
    watcher.join()
    text = " ".join(segment.text for segment in app.transcripts.segments(task.transcript_id))
    print(f"  “{text[:150]}…”")


def main() -> None:
    """Two recordings, three questions."""
    logging.getLogger().setLevel(logging.ERROR)
    with explained():
        app = Application(load())
    for path, options in RECORDINGS:
        try:
            transcribe(app, path, options)
        except StenogramError as error:  # an ENGINE that knows one language only, say
            print(f"  left out: {error}")
    for question, kind in QUESTIONS:
        print(f"\n? {question}   ({kind})")
        for match in app.searcher.search(EVERYONE, question, limit=1).matches:
            title = app.recordings.get(EVERYONE, match.row.recording_id).title
            print(f"  {title} at {match.play_s:.0f} s, found by {match.why}: “{match.row.text[:110]}…”")
    print("\nNow: make run, and open the library.")


if __name__ == "__main__":
    main()
