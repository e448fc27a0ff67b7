"""Real recordings for tests marked `voices`: beside the project, not part of it."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from pathlib import Path

import jiwer
import pytest

from core.media import decode
from core.media.waveform import SAMPLE_RATE, Waveform
from core.search import numbers
from core.settings import ROOT
from core.speech import channels, vad
from core.speech.language import cut

FOLDER = ROOT.parent / "shared" / "audio"
SAMPLES = [ROOT / "tests" / "data" / f"{name}.opus" for name in ("ru_planning", "en_meeting")]
"""Those of `make sample`: natural voices, though not of people."""
REAL = pytest.mark.skipif(not FOLDER.is_dir(), reason="the real recordings are not in ../shared/audio")

TURNS: dict[str, list[tuple[float, str]]] = {
    "jfk.flac": [
        (0.0, "and so my fellow americans ask not what your country can do for you"),
        (8.1, "ask what you can do for your country"),
    ],
    "pyannote_sample.flac": [
        (6.7, "hello hello"),
        (8.3, "oh hello i didn't know you were there"),
        (9.9, "neither did i"),
        (10.5, "okay i thought"),
        (11.7, "you know i heard a beep this is diane in new jersey"),
        (14.5, "and i'm sheila in texas originally from chicago"),
        (18.1, "oh i'm originally from chicago also i'm in new jersey now though"),
        (21.8, "well there isn't that much difference at least you know they all call me a yankee down here"),
        (26.0, "so what can i say"),
        (27.9, "oh i don't hear that in new jersey now"),
    ],
    "ami_dev00.flac": [
        (1.4, "okay well i think we're ready to begin"),
        (6.6, "right my name's adam duguid we're here because of real reaction"),
        (11.5, "um we have in the group"),
        (13.2, "oh ebenezer ademesoye would you like me to spell that"),
        (18.1, "s"),
        (18.2, "um yeah go for it mate"),
        (20.6, "um n e z"),
        (22.0, "n e z"),
        (23.1, "e r"),
        (24.5, "ebenezer and your role is"),
        (26.2, "i'm the marketing expert"),
        (28.2, "you're the marketing expert okay"),
    ],
    "ami_tst00.flac": [
        (0.0, "funky stuff like that"),
        (0.9, "wonder how much of the meetings is talking about the stuff at the meetings"),
        (3.5, "yeah exactly yeah yeah yeah"),
        (3.6, "yeah yeah look at all this stuff man"),
        (7.9, "okay okay right"),
        (12.1, "so what do we need to talk about"),
        (13.1, "should we"),
        (15.1, "well should we just go around and everyone says what they've been doing how far they've got"),
        (19.0, "has anybody has anybody done anything"),
        (20.1, "not a lot"),
        (21.4, "no"),
        (23.5, "yeah well i hope so"),
        (25.3, "okay sounds like you've done some stuff so"),
        (27.8, "you better start"),
    ],
}
"""What is said from which second on, where turns follow each other: in meetings as the AMI corpus has it
(ES2003a and EN2002a, CC BY 4.0), in the others as somebody wrote it down. Where people talk at once, as in
the second meeting, the order of words is a matter of taste, and the share of words wrong is rough."""


EARLY_S = 1.1
"""A stretch may be cut so long behind the beginning of a turn that is heard in it: people talk at once."""


@cache
def references() -> dict[str, str]:
    """What is said, by file."""
    golos = json.loads((FOLDER / "golos.json").read_text())
    return {each["filename"]: each["reference"] for each in golos} | {
        name: " ".join(text for _, text in turns) for name, turns in TURNS.items()
    }


def reference(name: str, start_s: float = 0.0, end_s: float = math.inf) -> str:
    """What is said in a stretch of a file: turns belong to where they begin, or `EARLY_S` later."""
    if name not in TURNS:
        return references()[name]
    return " ".join(text for at_s, text in TURNS[name] if start_s <= at_s + EARLY_S < end_s)


def sample_references() -> dict[str, str]:
    """What is said in the samples, by file."""
    return {path.name: path.with_suffix(".txt").read_text() for path in SAMPLES}


def language(name: str) -> str:
    """The language of a recording here."""
    return "ru" if name.startswith(("golos", "ru_")) else "en"


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


def pieces(sound: Waveform) -> list[Waveform]:
    """As the pipeline cuts them to identify their language."""
    spans = channels.pieces({"": sound}, {"": vad.speech(sound)})[""]
    return [cut(sound, span) for span in spans]


normalise = jiwer.Compose(
    [
        jiwer.ToLowerCase(),
        jiwer.SubstituteRegexes({"ё": "е", r"[-–—\s]": " ", r"[^\w\s']": ""}),
        jiwer.RemoveMultipleSpaces(),
        jiwer.Strip(),
    ]
)


def alike(reference: str, text: str) -> tuple[str, str]:
    """Both as plain words; where either has digits, numbers are digits in both.

    Only there, so that a wrong case of a numeral that both spell out is still an error.
    """
    if re.search(r"\d", reference + text):
        reference, text = numbers.written(reference), numbers.written(text)
    return normalise(reference), normalise(text)


def word_errors(reference: str, text: str) -> float:
    """Share of words wrong, without case, punctuation and the way of writing numbers."""
    return jiwer.wer(*alike(reference, text))


def letter_errors(references: list[str], texts: list[str]) -> float:
    """Share of characters wrong over all of them."""
    pairs = [alike(*pair) for pair in zip(references, texts, strict=True)]
    return jiwer.cer([reference for reference, _ in pairs], [text for _, text in pairs])
