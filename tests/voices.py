"""Real recordings for tests marked `voices`: beside the project, not part of it."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import jiwer
import pytest

from core.media import decode
from core.media.waveform import SAMPLE_RATE, Waveform
from core.settings import ROOT
from core.speech import vad

FOLDER = ROOT.parent / "shared" / "audio"
REAL = pytest.mark.skipif(not FOLDER.is_dir(), reason="the real recordings are not in ../shared/audio")

JFK = (
    "and so my fellow americans ask not what your country can do for you ask what you can do for your country"
)
TELEPHONE = (
    "hello hello oh hello i didn't know you were there neither did i okay i thought you know i heard a beep "
    "this is diane in new jersey and i'm sheila in texas originally from chicago oh i'm originally from "
    "chicago also i'm in new jersey now though well there isn't that much difference at least you know they "
    "all call me a yankee down here so what can i say oh i don't hear that in new jersey now"
)
"""Written down for the recording by hand; it has no reference of its own."""


@cache
def references() -> dict[str, str]:
    """What is said, by file; meetings have no text."""
    golos = json.loads((FOLDER / "golos.json").read_text())
    return {each["filename"]: each["reference"] for each in golos} | {
        "jfk.flac": JFK,
        "pyannote_sample.flac": TELEPHONE,
    }


def language(name: str) -> str:
    """The language of a recording here."""
    return "ru" if name.startswith("golos") else "en"


def files() -> list[Path]:
    """All recordings."""
    return sorted([*FOLDER.glob("*.wav"), *FOLDER.glob("*.flac")])


def sound(path: Path, folder: Path) -> Waveform:
    """A recording as one channel, decoded into a folder."""
    return decode.waveform(decode.decode(path, folder)[0])


def segments(sound: Waveform, longest_s: float) -> list[Waveform]:
    """As the pipeline cuts them."""
    spans = vad.cut(vad.speech(sound), longest_s, sound=sound)
    return [sound[int(s.start_s * SAMPLE_RATE) : int(s.end_s * SAMPLE_RATE)] for s in spans]


normalise = jiwer.Compose(
    [
        jiwer.ToLowerCase(),
        jiwer.SubstituteRegexes({"ё": "е", r"[-–—\s]": " ", r"[^\w\s']": ""}),
        jiwer.RemoveMultipleSpaces(),
        jiwer.Strip(),
    ]
)


def word_errors(reference: str, said: str) -> float:
    """Share of words wrong, without case and punctuation."""
    return jiwer.wer(normalise(reference), normalise(said))


def letter_errors(references: list[str], said: list[str]) -> float:
    """Share of characters wrong over all of them."""
    return jiwer.cer([normalise(each) for each in references], [normalise(each) for each in said])
