"""A new user and a meeting of three, by keyboard: uploaded, named, known in the next one, found, exported.

    python -m benchmarks.bench_meeting [--audio FOLDER] [--shots FOLDER] [--looks 1440-ru 390-en]

Real people who take turns, as `tests/voices.py` finds them; nothing is chosen at upload.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import shutil
import tempfile
import time
import wave
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote
from zipfile import ZipFile

import numpy as np
from playwright.sync_api import Page, expect, sync_playwright

from tests.test_browser import ARGUMENTS, LOCALES, visit
from tests.tool import Tool
from tests.voices import FOLDER
from tools.dialogues import LOUDNESS, RATE, Sound, load

PATIENCE_MS = 300_000
Stretch = tuple[str, float, float]
"""A file, and from which second to which one person alone speaks in it."""
PEOPLE: Mapping[str, tuple[tuple[Stretch, ...], tuple[Stretch, ...]]] = {
    "president": ((("jfk.flac", 0.3, 5.4),), (("jfk.flac", 5.4, 10.6),)),
    "designer": (
        (("ami_dev00.flac", 1.4, 7.0),),
        (("ami_dev00.flac", 7.0, 13.0), ("ami_dev00.flac", 21.9, 23.0)),
    ),
    "caller": (
        (("pyannote_sample.flac", 21.8, 27.8),),
        (("pyannote_sample.flac", 14.7, 17.9), ("pyannote_sample.flac", 21.8, 23.5)),
    ),
}
"""What each says in the first meeting, and in the second."""
ROUNDS = 4
NAMES = {"ru": ("Анна", "Борис", "Вера"), "en": ("Anna", "Boris", "Vera")}
WORDS = {
    "ru": {
        "upload": "Расшифровать 1 файл",
        "done": "ищется по словам",
        "yes": "Да",
        "remember": "Запоминать голоса",
    },
    "en": {
        "upload": "Transcribe 1 file",
        "done": "found by words",
        "yes": "Yes",
        "remember": "Remember voices",
    },
}
FORMATS = ("txt", "timecodes", "srt", "vtt", "json", "csv", "rttm", "docx")


@dataclass
class Watch:
    """Seconds of each step, and a picture after it."""

    page: Page
    shots: Path | None
    look: str
    took: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure what is done within."""
        began = time.monotonic()
        yield
        self.took[name] = time.monotonic() - began
        if self.shots:
            self.page.screenshot(path=self.shots / f"{self.look}-{len(self.took)}-{name}.png", full_page=True)


def meeting(folder: Path, which: int, path: Path) -> float:
    """Turns of three people, one after the other, in a file; its length in seconds."""
    turns = {who: _turns(folder, both[which]) for who, both in PEOPLE.items()}
    order = list(turns) if which == 0 else list(turns)[::-1]
    pause = np.zeros(int(0.5 * RATE), np.float32)
    parts = [part for _ in range(ROUNDS) for who in order for part in (turns[who], pause)]
    sound = np.concatenate([pause, *parts])
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", "NONE"))
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype(np.int16).tobytes())
    return len(sound) / RATE


def _turns(folder: Path, stretches: tuple[Stretch, ...]) -> Sound:
    sounds = [load(folder / name)[int(first * RATE) : int(last * RATE)] for name, first, last in stretches]
    whole = np.concatenate(sounds)
    return (whole * (LOUDNESS / (np.sqrt((whole**2).mean()) + 1e-6))).astype(np.float32)


def upload(page: Page, path: Path, language: str) -> str:
    """Send a file with no choice made; the id of the recording, once it is ready."""
    visit(page, "upload")
    page.locator("[data-drawn] .sender .pick").set_input_files(path)
    button = page.get_by_role("button", name=WORDS[language]["upload"])
    expect(button).to_be_enabled()
    button.focus()
    page.keyboard.press("Enter")
    row = page.locator("[class*=st-key-row-]", has_text=path.name)
    expect(row).to_contain_text(WORDS[language]["done"], timeout=PATIENCE_MS)
    match = re.search(r"st-key-row-(\w+)", row.get_attribute("class") or "")
    assert match
    return match[1]


def open_recording(page: Page, id_: str, people: int) -> None:
    """The page of a recording, with so many speakers."""
    visit(page, f"recording?id={id_}")
    expect(page.locator(".person")).to_have_count(people)


def name_all(page: Page, names: tuple[str, ...]) -> None:
    """Listen to each voice and type a name, by keys alone; the text says them all at last."""
    page.keyboard.press("w")
    for name in names:
        page.keyboard.type(name, delay=60)
        page.keyboard.press("Enter")
    for name in names:
        expect(page.locator("button.speaker", has_text=name).first).to_be_visible()


def exports(page: Page, names: tuple[str, ...]) -> dict[str, bool]:
    """Whether each download says every name."""
    said = {}
    page.get_by_test_id("stMain").locator("[class*=st-key-actions] button").first.click()
    for kind in FORMATS:
        with page.expect_download() as download:
            page.locator(f".st-key-{kind} button").click()
        content = Path(download.value.path())
        text = ZipFile(content).read("word/document.xml").decode() if kind == "docx" else content.read_text()
        text = json.dumps(json.loads(text), ensure_ascii=False) if kind == "json" else text
        said[kind] = all(name in text for name in names)
    page.keyboard.press("Escape")
    return said


def tried(page: Page, watch: Watch, audio: Path, folder: Path, language: str) -> list[str]:
    """All steps; what is to be told besides their seconds."""
    names = NAMES[language]
    lengths = [meeting(audio, n, folder / f"meeting {n + 1}.wav") for n in range(2)]
    with watch.step("ready"):
        first = upload(page, folder / "meeting 1.wav", language)
    open_recording(page, first, len(names))
    with watch.step("named"):
        name_all(page, names)
    with watch.step("remembered"):
        page.get_by_role("button", name=WORDS[language]["remember"]).focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name=WORDS[language]["remember"])).to_have_count(0)
    with watch.step("second ready"):
        second = upload(page, folder / "meeting 2.wav", language)
    open_recording(page, second, len(names))
    with watch.step("proposed"):
        proposals = page.locator(".maybe")
        expect(proposals).to_have_count(len(names))
        shown = proposals.all_inner_texts()
    with watch.step("confirmed"):
        for left in itertools.count(len(names) - 1, -1):
            page.locator(".maybe .yes").first.click()
            expect(proposals).to_have_count(left)
            if not left:
                break
    with watch.step("found"):
        visit(page, f"search?q={quote(f'speaker:{names[0]}')}")
        hits = page.locator("[class*=st-key-hit-group-]")
        expect(hits.first).to_contain_text(names[0])
        everywhere = page.locator("[class*=st-key-group-]").count()
    visit(page, f"recording?id={second}")
    with watch.step("exported"):
        said = exports(page, names)
    missing = [kind for kind, whole in said.items() if not whole]
    asked = " · ".join(" ".join(text.split()) for text in shown)
    return [
        f"meetings of {lengths[0]:.0f} and {lengths[1]:.0f} s; proposed: {asked}",
        f"speaker:{names[0]} found in {everywhere} recordings",
        f"names in {len(said) - len(missing)} of {len(said)} exports"
        + (f", not in {missing}" if missing else ""),
    ]


def as_installed(folder: Path) -> dict[str, str]:
    """What the tests of this project set otherwise."""
    return {
        "SPOKEN_LANGUAGE": "auto",
        "SPEAKERS": "auto",
        "GIGAAM_MODEL": "v3_e2e_rnnt",
        "MODELS_DIR": str(folder / "models"),
    }


def main() -> None:
    """Print seconds a step, for each width and language."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--audio", type=Path, default=FOLDER)
    parser.add_argument("--shots", type=Path)
    parser.add_argument("--looks", nargs="+", default=["1440-ru", "390-en"])
    chosen = parser.parse_args()
    with sync_playwright() as playwright:
        expect.set_options(timeout=90_000)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=ARGUMENTS)
        for look in chosen.looks:
            width, _, language = look.partition("-")
            with (
                tempfile.TemporaryDirectory() as folder,
                Tool(Path(folder) / "home", **as_installed(Path(folder))) as tool,
                browser.new_context(
                    base_url=tool.url,
                    locale=LOCALES[language],
                    viewport={"width": int(width), "height": 900},
                    accept_downloads=True,
                ) as context,
            ):
                page = context.new_page()
                watch = Watch(page, chosen.shots, look)
                told = tried(page, watch, chosen.audio, Path(folder), language)
                steps = " · ".join(f"{name} {took_s:.1f} s" for name, took_s in watch.took.items())
                print(f"{look}: {steps}", *told, sep="\n  ", flush=True)
        browser.close()


if __name__ == "__main__":
    main()
