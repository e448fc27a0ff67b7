"""What `tools.screenshots` shoots: a home that people have worked in, and every page with its main states.

Nobody's keys are known in it: Gemini and RunPod are emulators on this machine, one of them busy for hours,
so that a batch and a recording stay under way.
"""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Page
from sqlalchemy import update

from core.application import Application
from core.billing.ledger import Call, Ledger
from core.database.states import EmbeddingMode, PriceMode
from core.database.tables import Recording
from core.embedding.embedders.gemini import EMULATED
from core.errors import BadRequest, Code
from core.library.kept_moments import Stretch
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.settings import ROOT, Settings, load
from tests.drive import ready
from tests.tool import Tool
from tools.gemini_emulator import GeminiEmulator
from tools.runpod_emulator import RunPodEmulator
from tools.sample import run_jobs_of

SAMPLES = ROOT / "tests" / "data"
VOICES = ROOT.parent / "shared" / "audio"
"""Real voices, where somebody has them; without them the samples stand alone."""
HOURS_S = 6 * 3600.0
DAY_S = 86_400.0
MODEL = "gemini-embedding-2"
HEARD: list[tuple[Path, str, tuple[str, ...]]] = [
    (SAMPLES / "ru_planning.opus", "Планёрка: бюджет на год", ("планёрки",)),
    (SAMPLES / "en_meeting.opus", "Monday meeting", ("meetings",)),
    (SAMPLES / "guest_meeting.opus", "Совещание с гостем из Лондона", ("планёрки", "партнёры")),
    (VOICES / "ami_tst00.flac", "Design review, part 2", ("meetings",)),
    (VOICES / "pyannote_sample.flac", "Telephone call", ("calls",)),
    (VOICES / "jfk.flac", "Inaugural address, 1961", ()),
    (VOICES / "golos_12.wav", "Голосовая команда", ()),
]
BROKEN = SAMPLES / "ru_planning.txt"
SHARED = "Monday meeting"
SPEAKERS = {"Планёрка: бюджет на год": ("Анна Сергеевна",), "Monday meeting": ("Margaret",)}


@contextmanager
def empty() -> Iterator[Tool]:
    """The tool as it is on the first day."""
    with (
        tempfile.TemporaryDirectory(prefix="stenogram-") as folder,
        Tool(Path(folder) / "home", **_dummy_keys()) as tool,
    ):
        yield tool


@contextmanager
def guarded() -> Iterator[Tool]:
    """The tool where people sign in, and nobody has."""
    sign_in = {
        "OIDC_ISSUER": "https://accounts.example.com",
        "OIDC_CLIENT_ID": "stenogram",
        "OIDC_CLIENT_SECRET": "secret of the client",
        "OIDC_MEMBERS": "*",
    }
    with (
        tempfile.TemporaryDirectory(prefix="stenogram-") as folder,
        Tool(Path(folder) / "home", **_dummy_keys() | sign_in) as tool,
    ):
        yield tool


@contextmanager
def populated_tool() -> Iterator[Tool]:
    """The tool after some months."""
    with (
        tempfile.TemporaryDirectory(prefix="stenogram-") as folder,
        GeminiEmulator(Path(folder) / "gemini", processing_s=HOURS_S) as gemini,
        RunPodEmulator(run_s=HOURS_S) as runpod,
    ):
        home = Path(folder) / "home"
        environment = {
            **_dummy_keys(),
            "GEMINI_API_KEY": EMULATED,
            "GEMINI_BASE_URL": gemini.url,
            "RUNPOD_API_KEY": "emulated-" * 3,
            "RUNPOD_URL": runpod.endpoint,
            "BATCH_MIN_SIZE": "1",
            "BATCH_MAX_WAIT_S": "1",
        }
        with Tool(home, **environment):  # the first start makes the tables, and downloads nothing
            pass
        os.environ |= {**environment, "STENOGRAM_HOME": str(home)}
        with ThreadPoolExecutor(1) as thread:  # vectors want an event loop, and here runs Playwright's
            thread.submit(_work, Path(folder)).result()
        with Tool(home, **environment) as tool:
            yield tool


def _dummy_keys() -> dict[str, str]:
    return {name.upper(): "" for name in Settings.model_fields if name.endswith(("_key", "_url", "_token"))}


def _work(folder: Path) -> None:
    """What people do in some months."""
    app = Application(load())
    app.voices.turn(EVERYONE, on=True)
    app.saved_searches.save(EVERYONE, "бюджет", "hybrid", standing=True)
    app.saved_searches.save(EVERYONE, "broken machine", "words")
    for path, title, tags in HEARD:
        if path.exists():
            _transcribe(app, path, TranscriptionOptions(title=title, tags=tags))
    call = TranscriptionOptions(title="Звонок: сломанный станок", tags=("звонки",), split_channels=True)
    _transcribe(app, SAMPLES / "two_languages.opus", call)
    _transcribe(app, _film(folder), TranscriptionOptions(title="Запись экрана", tracks="1", speakers="off"))
    rows = {row.title: row for row in app.recordings.find(EVERYONE, limit=50)[1]}
    _correct(app, rows)
    _keep(app, rows)
    _pay(app, list(rows.values()))
    _age(app, rows)
    binned = _transcribe(
        app, VOICES / "golos_02.wav", TranscriptionOptions(title="Пробная запись", speakers="off")
    )
    if binned:
        app.recycle_bin.put_all(EVERYONE, [binned])
    _fail(app, _other(folder, 10))
    late = TranscriptionOptions(title="Совещание отдела", embedding_mode=EmbeddingMode.BATCH)
    _transcribe(app, _other(folder, 20), late)
    _accept(app, _other(folder, 30), TranscriptionOptions(title="Board call", engine="runpod", language="ru"))
    app.database.close()


def _accept(app: Application, path: Path, options: TranscriptionOptions) -> Any:
    with path.open("rb") as file:
        return app.intake.accept(EVERYONE, file, path.name, options)


def _transcribe(app: Application, path: Path, options: TranscriptionOptions) -> str:
    """Its recording; "" where the file is not here."""
    if not path.exists():
        return ""
    task = _accept(app, path, options)
    run_jobs_of(app, task)
    return str(task.recording_id)


def _film(folder: Path) -> Path:
    """A video with two tracks of sound."""
    path = folder / "screen.mkv"
    picture = ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=5:duration=20"]
    sounds = [
        part for name in ("ru_planning", "en_meeting") for part in ("-i", str(SAMPLES / f"{name}.opus"))
    ]
    maps = ["-map", "0:v", "-map", "1:a", "-map", "2:a", "-t", "20"]
    titles = ["-metadata:s:a:0", "title=Микрофон", "-metadata:s:a:1", "title=Система"]
    codecs = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-c:a", "aac"]
    command = ["ffmpeg", "-loglevel", "error", *picture, *sounds, *maps, *titles, *codecs, str(path)]
    subprocess.run(command, check=True)
    return path


def _other(folder: Path, seconds: int) -> Path:
    """So much of a sample, which makes it another recording."""
    path = folder / f"{seconds}.wav"
    cut = ["ffmpeg", "-loglevel", "error", "-i", str(SAMPLES / "ru_planning.opus"), "-t", str(seconds)]
    subprocess.run([*cut, "-ac", "1", str(path)], check=True)
    return path


def _correct(app: Application, rows: dict[str, Recording]) -> None:
    app.glossary.save(EVERYONE, "Стенограм", ["стенограмм", "стена грамм"], ["ru"])
    app.glossary.save(EVERYONE, "Расходы", ["Расхода"], ["ru"])
    app.glossary.save(EVERYONE, "CI/CD", ["си ай си ди"])
    for title, names in SPEAKERS.items():
        row = rows[title]
        labels = [one.label for one in app.recording_speakers.summaries(row)]
        for label, name in zip(labels, names, strict=False):
            app.recording_speakers.rename(EVERYONE, row.id, label, name)
    row = rows["Планёрка: бюджет на год"]
    second = app.recording_text.utterances(EVERYONE, row.id)[1]
    app.recording_text.rewrite(EVERYONE, row.id, 1, [second.version], f"{second.text} Начнём с расходов.")


def _keep(app: Application, rows: dict[str, Recording]) -> None:
    collection = app.kept_moments.make_collection(EVERYONE, "К отчёту за квартал")
    app.kept_moments.make_collection(EVERYONE, "For the training")
    for title, start_s, end_s, note in (
        ("Планёрка: бюджет на год", 4.0, 14.0, "Сказать об этом на совете."),
        ("Monday meeting", 3.0, 12.0, ""),
        ("Совещание с гостем из Лондона", 8.0, 20.0, ""),
    ):
        kept = app.kept_moments.keep(
            EVERYONE, Stretch(rows[title].id, start_s, end_s, note=note, tags=("отчёт",))
        )
        app.kept_moments.add(EVERYONE, collection.id, kept.moment.id)


def _pay(app: Application, recordings: list[Recording]) -> None:
    """Months of vectors, promised and billed as months go; nobody is asked and nothing is paid."""
    chance, now = random.Random(7), time.time()
    for month, recording in itertools.product(range(6, -1, -1), [row.id for row in recordings[:3]]):
        then = now - month * 30 * DAY_S
        ledger = Ledger(app.database, None, app.tariffs.book, clock=lambda then=then: then)  # type: ignore[misc]
        mode = PriceMode.BATCH if chance.random() < 0.7 else PriceMode.SYNC
        tokens = chance.randint(2_000_000, 9_000_000) * (8 - month)
        with app.database.write() as session:
            call = ledger.reserve(session, Call("gemini", MODEL, mode, {(recording, "pages"): tokens}))
        with app.database.write() as session:
            ledger.settle(session, call, {recording: int(tokens * chance.uniform(0.86, 1.04))})


def _age(app: Application, rows: dict[str, Recording]) -> None:
    """Recordings came one after the other, not all of them today."""
    with app.database.write() as session:
        for n, row in enumerate(rows.values()):
            at = row.created_at - n * 2.3 * DAY_S
            session.execute(update(Recording).where(Recording.id == row.id).values(created_at=at))


def _fail(app: Application, path: Path) -> None:
    _accept(app, path, TranscriptionOptions(title="Interview with Dr. Novak", language="en"))
    claim = app.job_queue.claim(ready(app)[-1].id, "a worker")
    assert claim
    app.job_queue.fail(claim, BadRequest(Code.PROVIDER_REFUSED, provider="Groq", setting="GROQ_API_KEY"))


# What is shot


@dataclass(frozen=True)
class Scene:
    """An address, and what is done there before it is shot.

    `{title}` in it is the id of that recording or collection, `{a link}` what a link to a recording carries.
    """

    path: str
    act: Callable[[Page], None] | None = None
    whole: bool = True
    """Unrolled to its whole height; not where something lies above the page."""


def _press(name: str) -> Callable[[Page], None]:
    return lambda page: page.locator(name).first.click()


def _open(summary: str) -> Callable[[Page], None]:
    """Unfold every part of this kind."""

    def act(page: Page) -> None:
        for each in page.locator(summary).all():
            each.click()

    return act


def _files(page: Page) -> None:
    names = ("ru_meeting.opus", "call_stereo.opus", "two_languages.opus")
    page.locator("[data-drawn] .sender .pick").set_input_files([*(SAMPLES / name for name in names), BROKEN])
    page.wait_for_timeout(8000)


def _typed(key: str, text: str) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        box = page.locator(f".st-key-{key} input").first
        box.fill(text)
        box.press("Enter")

    return act


def _keys(*keys: str) -> Callable[[Page], None]:
    def act(page: Page) -> None:
        for key in keys:
            page.keyboard.press(key)

    return act


def _editing(page: Page) -> None:
    page.locator(".word").nth(6).focus()
    page.keyboard.press("e")


def _tour(page: Page) -> None:
    page.keyboard.press("?")
    page.locator("dialog .again").click()
    page.wait_for_url("**/upload")


EMPTY = {
    "empty-overview": Scene(""),
    "empty-library": Scene("library"),
    "empty-search": Scene("search"),
    "empty-moments": Scene("moments"),
    "empty-voices": Scene("voices"),
    "empty-words": Scene("words"),
    "empty-monitor": Scene("monitor"),
    "empty-costs": Scene("costs"),
    "empty-proof": Scene("costs?view=proof"),
    "empty-settings": Scene("settings"),
}
FULL = {
    "overview": Scene(""),
    "upload": Scene("upload"),
    "upload-files": Scene("upload", _files),
    "upload-more": Scene("upload", _open("[data-testid=stExpander] summary")),
    "library": Scene("library"),
    "library-nothing": Scene("library?title=zzz"),
    "library-several": Scene("library", _press(".st-key-several button"), whole=False),
    "bin": Scene("library?view=bin"),
    "search": Scene("search"),
    "search-results": Scene("search?q=бюджет"),
    "search-nothing": Scene("search?q=qwzxv&mode=words"),
    "moments": Scene("moments"),
    "moments-collection": Scene("moments?collection={К отчёту за квартал}"),
    "voices": Scene("voices"),
    "words": Scene("words"),
    "words-found": Scene("words", _typed("words-wanted", "бюджет")),
    "words-glossary": Scene("words", _press("[data-testid=stTab] >> nth=1")),
    "monitor": Scene("monitor"),
    "monitor-history": Scene("monitor?view=history"),
    "monitor-jobs": Scene("monitor?view=jobs"),
    "monitor-failures": Scene("monitor?view=failures"),
    "monitor-batches": Scene("monitor?view=batches"),
    "monitor-workers": Scene("monitor?view=workers"),
    "monitor-health": Scene("monitor?view=health"),
    "costs": Scene("costs"),
    "costs-files": Scene("costs?by=files"),
    "costs-documents": Scene("costs?by=documents&documents=10000&currency=RUB"),
    "costs-open": Scene("costs", _open("[data-testid=stExpander] summary")),
    "costs-ground": Scene("costs", _press("[data-testid=stExpander] summary >> nth=-2")),
    "costs-sheet": Scene("costs?view=sheet"),
    "costs-proof": Scene("costs?view=proof"),
    "costs-prices": Scene("costs?view=prices"),
    "settings": Scene("settings"),
    "settings-open": Scene("settings", _open("[data-testid=stExpander] summary")),
    "recording": Scene("recording?id={Планёрка: бюджет на год}"),
    "recording-meeting": Scene("recording?id={Design review, part 2}"),
    "recording-call": Scene("recording?id={Звонок: сломанный станок}"),
    "recording-film": Scene("recording?id={Запись экрана}"),
    "recording-failed": Scene("recording?id={Interview with Dr. Novak}"),
    "recording-underway": Scene("recording?id={Board call}"),
    "recording-editing": Scene("recording?id={Планёрка: бюджет на год}", _editing),
    "recording-doubt": Scene("recording?id={Design review, part 2}", _keys("n", "n"), whole=False),
    "recording-download": Scene(
        "recording?id={Monday meeting}", _press(".st-key-actions button"), whole=False
    ),
    "recording-again": Scene(
        "recording?id={Monday meeting}", _press(".st-key-actions button:has-text('refresh')"), whole=False
    ),
    "recording-missing": Scene("recording?id=nothing"),
    "shared": Scene("shared?link={a link}"),
    "audit": Scene("audit"),
    "keys": Scene("library", _keys("?"), whole=False),
    "tour": Scene("library", _tour, whole=False),
}
GUARDED = {"sign-in": Scene("")}
