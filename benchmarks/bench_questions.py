"""A new user and thirteen Russian questions in other words than were said: found, opened, played there.

    python -m benchmarks.bench_questions [--audio FOLDER] [--alone] [--home FOLDER]

Real voices: seven Russian commands (Golos) in one recording, as each alone would begin at its sentence
anyway, and in English a speech, two meetings and a telephone call. They are uploaded through the page, with
157 passages of other talk that come as subtitles (`--alone`: without these). Each question was written
before it was searched for. The rank is that of the first hit that plays from the sentence, within
OFF_S; where none does, of the first hit in the right recording. `--home` keeps the installation, and
goes on with one that is filled.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import tempfile
import time
import wave
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import numpy as np
from playwright.sync_api import Locator, Page, expect, sync_playwright

from benchmarks.bench_meeting import as_installed
from core.application import Application
from core.media.waveform import SAMPLE_RATE
from core.principal import EVERYONE
from core.search import stems
from core.settings import Settings
from core.speech import vad
from tests import voices
from tests.test_browser import ARGUMENTS, settle, visit
from tests.tool import Tool, until

PATIENCE_S = 600.0
OFF_S = 1.0
"""The player begins half a second before a sentence; what is further away is beside it."""
PAUSE_S = 1.2
"""Between two commands: somebody else speaks."""
COMMANDS, CALL = "commands.wav", "pyannote_sample.flac"
SPEECH, MEETING, ROUND = "jfk.flac", "ami_dev00.flac", "ami_tst00.flac"
JUDGED = Path(__file__).resolve().parent.parent / "tests" / "data" / "judged" / "passages.json"
PASSAGE_S = 45
BEGINS = """
const play = HTMLMediaElement.prototype.play;
HTMLMediaElement.prototype.play = function () {
  this.addEventListener("playing", () => (window.began ??= this.currentTime), { once: true });
  return play.call(this);
};
"""
"""Keeps the second at which sound begins."""


@dataclass(frozen=True)
class Question:
    """What is asked, and the sentence that answers: a command, or where in the call, in seconds."""

    text: str
    recording: str
    command: str = ""
    starts_s: tuple[float, ...] = ()


QUESTIONS = (
    Question("Каков курс казахской валюты?", COMMANDS, "golos_00.wav"),
    Question("Кто хотел купить фрукты?", COMMANDS, "golos_02.wav"),
    Question("Где просили включить передачу о предпринимательстве?", COMMANDS, "golos_04.wav"),
    Question("Какой сериал об изменах женатых мужчин?", COMMANDS, "golos_06.wav"),
    Question("Кто собирался увидеть кино про город на Дону?", COMMANDS, "golos_09.wav"),
    Question("Какие деньги ходят в Пекине?", COMMANDS, "golos_11.wav"),
    Question("Можно ли вернуть долг банку раньше срока?", COMMANDS, "golos_12.wav"),
    Question("Что каждый гражданин должен сделать для своей родины?", SPEECH, starts_s=(0.0,)),
    Question("Кто здесь отвечает за продвижение товара?", MEETING, starts_s=(26.2,)),
    Question("Пусть по очереди расскажут, над чем работали", ROUND, starts_s=(15.1,)),
    Question("Какой звук раздался в трубке?", CALL, starts_s=(10.6,)),
    Question("Где родилась собеседница?", CALL, starts_s=(14.5, 18.1)),
    Question("Почему её дразнят северянкой?", CALL, starts_s=(21.8, 24.2)),
)
"""Places in English recordings are those at which a speaker begins, by the reference and by ear."""


@dataclass(frozen=True)
class Answer:
    """How a question was answered."""

    rank: int | None
    sure: bool
    began_s: float
    off_s: float
    """From the nearest sentence that answers."""

    @property
    def right(self) -> bool:
        """Whether the first hit plays it."""
        return self.rank == 1 and abs(self.off_s) <= OFF_S


def commands(audio: Path, path: Path) -> dict[str, float]:
    """All commands in one file; the second at which somebody begins to speak, by command."""
    starts_s, sound = {}, np.zeros(0, np.int16)
    for command in sorted(audio.glob("golos_*.wav")):
        spoken = voices.sound(command, path.parent / command.stem)
        starts_s[command.name] = len(sound) / SAMPLE_RATE + vad.speech(spoken)[0].start_s
        sound = np.concatenate([sound, spoken, np.zeros(int(PAUSE_S * SAMPLE_RATE), np.int16)])
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", "NONE"))
        file.writeframes(sound.tobytes())
    return starts_s


def spoken_words(question: Question) -> set[str]:
    """Words that a question shares with the sentence that answers it, in any form: there must be none."""
    said = voices.references().get(question.command or question.recording, "")  # meetings have none
    asked, spoken = ({stems.stem(word) for word in stems.words(text)} for text in (question.text, said))
    return (asked & spoken) - {stems.stem(word) for word in stems.STOP_WORDS}


def other_talk(folder: Path) -> list[Path]:
    """The judged passages as subtitles, a file a recording."""
    texts = defaultdict(list)
    for passage in json.loads(JUDGED.read_text()):
        texts[passage["recording"]].append(passage["text"])
    for recording, passages in texts.items():
        cues = (
            f"{_clock(n * PASSAGE_S)} --> {_clock((n + 1) * PASSAGE_S - 1)}\n{text}\n"
            for n, text in enumerate(passages)
        )
        (folder / f"{recording}.vtt").write_text("WEBVTT\n\n" + "\n".join(cues))
    return [folder / f"{recording}.vtt" for recording in texts]


def _clock(second: int) -> str:
    return f"{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.000"


def upload(page: Page, tool: Tool, paths: list[Path]) -> dict[str, str]:
    """Send files with no choice made; the recordings' ids by file, once all are found by meaning."""
    names = {path.name for path in paths}

    def ready() -> dict[str, str]:
        with tool.api() as client:
            rows = client.get("/api/v1/recordings", params={"limit": 200}).json().get("recordings", ())
        time.sleep(1)
        done = {row["filename"]: row["recording_id"] for row in rows if row["meaning"] == "done"}
        return done if names <= done.keys() else {}

    if done := ready():
        return done
    visit(page, "upload")
    page.locator("[data-drawn] .sender .pick").set_input_files(paths)
    button = page.get_by_role("button", name=re.compile(r"^Расшифровать \d+ файл"))
    expect(button).to_be_enabled()
    button.click()
    return until(ready, PATIENCE_S, "all recordings to be found by meaning")


def asked(page: Page, question: Question, recording_id: str, starts_s: tuple[float, ...]) -> Answer:
    """Type a question, open the first hit (of the right recording where that is not the first), listen."""
    visit(page, "search")
    box = page.get_by_role("textbox", name="Поиск")
    box.fill(question.text)
    box.press("Enter")
    hits = page.locator("[class*=st-key-hit-]")
    expect(hits.or_(page.get_by_role("alert")).first).to_be_visible()
    settle(page)
    if not hits.count():  # stopped after 20 s: a machine full of other work, where the model is still loaded
        page.reload()
        expect(hits.first).to_be_visible()
        settle(page)
    links = [hit.get_by_role("link").first for hit in hits.all()]
    places = [_place(link) for link in links]
    offs_s = [_off_s(second, starts_s) if id_ == recording_id else None for id_, second in places]
    at_sentence = [n for n, off_s in enumerate(offs_s) if off_s is not None and abs(off_s) <= OFF_S]
    of_recording = [n for n, off_s in enumerate(offs_s) if off_s is not None]
    found = next(iter(at_sentence or of_recording), None)
    if found is None:
        return Answer(None, sure=False, began_s=float("nan"), off_s=float("nan"))
    sure = "st-key-hit-group-" in (hits.nth(found).get_attribute("class") or "")
    page.evaluate("window.began = undefined")
    links[found].click()
    page.wait_for_url("**/recording?**")
    page.wait_for_function("window.began !== undefined")
    began_s = float(page.evaluate("window.began"))
    return Answer(found + 1, sure, began_s, _off_s(began_s, starts_s))


def _place(link: Locator) -> tuple[str, float]:
    """The recording that a link opens, and the second."""
    query = parse_qs(urlsplit(link.get_attribute("href") or "").query)
    return query["id"][0], float(query["t"][0])


def _off_s(second: float, starts_s: tuple[float, ...]) -> float:
    return min((second - start_s for start_s in starts_s), key=abs)


def tried(page: Page, tool: Tool, audio: Path, folder: Path, *, alone: bool) -> list[Answer]:
    """Upload all, ask all."""
    begins = commands(audio, folder / COMMANDS)
    paths = [folder / COMMANDS, *sorted(audio.glob("*.flac"))]
    ids = upload(page, tool, paths if alone else [*paths, *other_talk(folder)])
    return [
        asked(
            page,
            question,
            ids[question.recording],
            (begins[question.command],) if question.command else question.starts_s,
        )
        for question in QUESTIONS
    ]


def show(answers: list[Answer]) -> None:
    """The table, and how many questions play their sentence by the first hit."""
    print("| question | rank | given as an answer | player began at, s | from the sentence, s |")
    print("|---|---|---|---|---|")
    for question, answer in zip(QUESTIONS, answers, strict=True):
        sure = "yes" if answer.sure else "no"
        rank = answer.rank or "–"
        print(f"| {question.text} | {rank} | {sure} | {answer.began_s:.1f} | {answer.off_s:+.1f} |")
    ranks = statistics.mean(1 / answer.rank if answer.rank else 0.0 for answer in answers)
    right = sum(answer.right for answer in answers)
    print(
        f"\nplayed at the sentence by the first hit: {right} of {len(answers)}; mean of 1 / rank {ranks:.2f}"
    )


def _key(home: Path) -> str:
    """A key of an installation that was started before, and has told its own."""
    return Application(Settings(stenogram_home=home)).keys.make(EVERYONE, "bench", admin=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--audio", type=Path, default=voices.FOLDER)
    parser.add_argument("--home", type=Path)
    parser.add_argument("--alone", action="store_true", help="without passages of other talk")
    chosen = parser.parse_args()
    for question in QUESTIONS:
        assert not spoken_words(question), (question.text, spoken_words(question))
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        expect.set_options(timeout=90_000)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        with (
            Tool(chosen.home or Path(folder) / "home", **as_installed(Path(folder))) as tool,
            browser.new_context(base_url=tool.url, locale="ru-RU") as context,
        ):
            context.add_init_script(BEGINS)
            tool.key = tool.key or _key(tool.home)
            show(tried(context.new_page(), tool, chosen.audio, Path(folder), alone=chosen.alone))
        browser.close()


if __name__ == "__main__":
    main()
