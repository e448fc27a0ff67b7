"""What warns of a transcript that nobody said, on people's voices: what is warned of, and how wrong that is.

    python -m benchmarks.bench_doubts [real] [cuts] [readers] [noise] [spoken] [--readers FOLDER] [--most 80]

In the language that is spoken: `real`, every recording beside the project (`../shared/audio`), as it is,
20 dB quieter, and in noise 20 dB below it; `cuts`, every stretch of at most 8 s of them as a recording of its
own; `readers`, people reading aloud (LibriSpeech's folders, with `.trans.txt` somewhere in them, or any);
`noise`, those of them whose text is known, in white noise 5 dB below the voice, as loud, or 3 dB above;
`spoken`, passages of `tests/data/judged` by festival (Russian, at three pitches) and flite (English, three
voices), where these and sox are installed. Where it is known what is said, the words wrong are counted: of
what is right (at most 30 % of them) a warning is false, of what is wrong (at least half) it is due. In
another language, and by the toy of the tests, which understands no person, `real` is wrong without counting.
Prints the evidence of each, whether the whole or parts of it are warned of, and how many of a kind. `--half`
takes every other reader, for a rule that is chosen on one half and proved on the other.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np

from core.database.tables import Segment
from core.media.waveform import SAMPLE_RATE, Waveform
from core.settings import Settings
from core.speech import language, vad
from core.speech.engine import Engine
from core.speech.engines import whisper
from core.speech.engines.whisper import WhisperEngine
from core.transcripts.doubts import DOUBTFUL, HEARD, MOSTLY, Evidence, evidence
from tests import voices
from tests.conftest import DATA
from tests.installation import toy
from tools.make_samples import RUSSIAN, say

Item = TypeVar("Item")

WRONG = {"ru": ("en", "de"), "en": ("ru", "de")}
PITCHES = ("-200", "0", "200")
"""Cents."""
OTHER = re.compile(r"[A-Za-z\d]")
"""What festival's Russian cannot say."""
FLITE = ("slt", "rms", "awb")
WHOLE, PARTS, NO = "the whole", "parts", "no"
MOST_RIGHT, LEAST_WRONG = 0.3, 0.5
"""Shares of words wrong up to which a text can be read, and from which nobody can rely on it."""
SNR_DB = (5, 0, -3)
Counts = Counter[tuple[str, str]]


def variants(sound: Waveform) -> Iterator[tuple[str, Waveform]]:
    """A recording as it is, from afar, and in a noisy room."""
    loud = sound.astype(np.float32)
    noise = np.random.default_rng(1).normal(size=len(loud)) * loud.std() / 10
    yield "as it is", sound
    yield "20 dB quieter", (loud / 10).astype(np.int16)
    yield "in noise", np.clip(loud + noise, -32768, 32767).astype(np.int16)


def rows(engine: Engine, sounds: Sequence[Waveform], code: str) -> list[Segment]:
    """What an engine says of segments, as transcripts keep it; one behind another."""
    segments: list[Segment] = []
    at_s = 0.0
    for sound, speech in zip(sounds, engine.transcribe(sounds, code), strict=True):
        for part in speech.phrases or (speech,):
            words = [[word.text, word.start_s, word.end_s, word.confidence] for word in part.words]
            start_s, end_s = (getattr(part, name, at) for name, at in (("start_s", 0.0), ("end_s", 1.0)))
            row = Segment(text=part.text, words=words, start_s=at_s + start_s, end_s=at_s + end_s)
            row.log_probability = getattr(part, "log_probability", None)
            segments.append(row)
        at_s += len(sound) / SAMPLE_RATE
    return [row for row in segments if row.text]


def warned(segments: Sequence[Segment], whole: Evidence, code: str, detected: language.Language) -> str:
    """What the pipeline would warn of."""
    if not segments:
        return NO
    doubtful = [row for row in segments if evidence([row], code).doubtful]
    share = _seconds(doubtful) / (_seconds(segments) or 1.0)
    other = not whole.is_conclusive and detected.code != code and detected.probability >= HEARD
    if other or not whole.understood or share >= MOSTLY:
        return WHOLE
    return PARTS if share >= DOUBTFUL else NO


def _seconds(segments: Sequence[Segment]) -> float:
    return sum(row.end_s - row.start_s for row in segments)


def judged(reference: str, text: str) -> tuple[float | None, str]:
    """Share of words wrong, and what that makes of a text."""
    if not reference:
        return None, "not measured"
    wrong = voices.word_errors(reference, text)
    return wrong, "right" if wrong <= MOST_RIGHT else "wrong" if wrong >= LEAST_WRONG else "between"


def show(
    name: str,
    engine: Engine,
    code: str,
    sounds: Sequence[Waveform],
    detected: language.Language,
    reference: str = "",
) -> tuple[str, str]:
    """One line of the table; what the text is and what is warned of."""
    segments = rows(engine, sounds, code)
    whole = evidence(segments, code)
    alarm = warned(segments, whole, code, detected)
    text = " ".join(row.text or "" for row in segments)
    wrong, verdict = judged(reference, text)
    numbers = (whole.known, whole.in_language, whole.confidence, whole.log_probability, wrong)
    shown = " | ".join("–" if number is None else f"{number:.2f}" for number in numbers)
    print(f"| {name} | {engine.name} | {code} | {shown} | {alarm} | {text[:60]} |", flush=True)
    return verdict, alarm


def load(path: Path) -> Waveform:
    """A file's sound."""
    with tempfile.TemporaryDirectory() as folder:
        return voices.sound(path, Path(folder)).copy()


def spoken_in(
    kind: str, name: str, sound: Waveform, code: str, reference: str, model: WhisperEngine, counts: Counts
) -> tuple[list[Waveform], language.Language] | None:
    """One recording in its own language; its pieces and the language that is heard, if anybody speaks."""
    pieces = [language.cut(sound, span) for span in vad.cut(vad.speech(sound), 28.0, sound=sound)]
    identified = language.identify(model, pieces)
    if identified is None:
        print(f"| {name} | no speech was found |")
        return None
    verdict, alarm = show(name, model, code, pieces, identified.main, reference)
    counts[f"{kind}, {verdict}", alarm] += 1
    return pieces, identified.main


def real(model: WhisperEngine, counts: Counts, _chosen: argparse.Namespace) -> None:
    """The recordings beside the project, well and badly understood."""
    for path in voices.files():
        spoken = voices.language(path.name)
        for variant, sound in variants(load(path)):
            name, reference = f"{path.name}, {variant}", voices.reference(path.name)
            identified = spoken_in(f"real, {variant}", name, sound, spoken, reference, model, counts)
            if identified and variant == "as it is":
                for code in WRONG[spoken]:
                    counts["wrong language", show(name, model, code, *identified)[1]] += 1
                counts["wrong engine", show(name, toy(), "ru", *identified)[1]] += 1


def cuts(model: WhisperEngine, counts: Counts, _chosen: argparse.Namespace) -> None:
    """Their stretches."""
    for path in voices.files():
        whole, code = load(path), voices.language(path.name)
        for span in vad.cut(vad.speech(whole), 8.0, sound=whole):
            name = f"{path.name}, {span.start_s:.1f} s"
            reference = voices.reference(path.name, span.start_s, span.end_s)
            spoken_in("cuts", name, language.cut(whole, span), code, reference, model, counts)


def reading(chosen: argparse.Namespace) -> list[tuple[Path, str]]:
    """Recordings of people who read aloud, and what each reads, where that is known."""
    texts = dict(
        line.split(" ", 1)
        for file in chosen.readers.rglob("*.trans.txt")
        for line in file.read_text().lower().splitlines()
    )
    files = sorted(chosen.readers.rglob("*.flac"))
    names = sorted({path.name.split("-")[0] for path in files})
    if chosen.half is not None:
        files = [path for path in files if names.index(path.name.split("-")[0]) % 2 == chosen.half]
    return [(path, texts.get(path.stem, "")) for path in files]


def some(all_: Sequence[Item], most: int) -> Sequence[Item]:
    """So many of them, evenly."""
    return all_[:: max(1, len(all_) // most)][:most]


def readers(model: WhisperEngine, counts: Counts, chosen: argparse.Namespace) -> None:
    """People who read aloud, each in English."""
    for path, text in some(reading(chosen), chosen.most):
        spoken_in("readers", path.name, load(path), "en", text, model, counts)


def noise(model: WhisperEngine, counts: Counts, chosen: argparse.Namespace) -> None:
    """They in noise, until nobody understands them."""
    with_text = [each for each in reading(chosen) if each[1]]
    for n, (path, text) in enumerate(some(with_text, chosen.most)):
        loud = load(path).astype(np.float32)
        snr_db = SNR_DB[n % len(SNR_DB)]
        white = np.random.default_rng(n).normal(size=len(loud)) * loud.std() / 10 ** (snr_db / 20)
        sound = np.clip(loud + white, -32768, 32767).astype(np.int16)
        spoken_in("readers in noise", f"{path.name}, {snr_db} dB", sound, "en", text, model, counts)


def spoken(model: WhisperEngine, counts: Counts, chosen: argparse.Namespace) -> None:
    """Passages by voices that were cut from people's recordings."""
    if not all(map(shutil.which, ("text2wave", "flite", "sox"))):
        print("festival, flite or sox is not installed.")
        return
    passages = json.loads((DATA / "judged" / "passages.json").read_text())
    passages = [each for each in passages if each["language"] == "en" or not OTHER.search(each["text"])]
    for n, each in enumerate(some(passages, chosen.most)):
        code, text = each["language"], each["text"]
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "a.wav"
            speak(text, code, n, path)
            name = f"{each['id']}, {(PITCHES if code == 'ru' else FLITE)[n % 3]}"
            spoken_in(f"spoken, {code}", name, load(path), code, text, model, counts)


def speak(text: str, code: str, n: int, path: Path) -> None:
    """A passage by the n-th voice."""
    plain = path.with_suffix(".plain.wav")
    text = re.sub(r" —|[«»]", "", text)
    say((RUSSIAN if code == "ru" else FLITE[n % 3], text), plain)
    subprocess.run(["sox", plain, path, "pitch", PITCHES[n % 3] if code == "ru" else "0"], check=True)


SETS: dict[str, Callable[[WhisperEngine, Counts, argparse.Namespace], None]] = {
    "real": real,
    "cuts": cuts,
    "readers": readers,
    "noise": noise,
    "spoken": spoken,
}


def main() -> None:
    """The table, and how many are warned of."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("sets", nargs="*", help=f"of {', '.join(SETS)}; `real` and `cuts` if none is named")
    parser.add_argument("--readers", type=Path)
    parser.add_argument("--half", type=int, choices=(0, 1), help="of the readers")
    parser.add_argument("--most", type=int, default=80, help="recordings of `readers`, `noise` and `spoken`")
    chosen = parser.parse_args()
    if not voices.FOLDER.is_dir():
        print("The real recordings are not in ../shared/audio.")
        return
    model, counts = whisper.language_model(Settings()), Counts()
    print("| recording | engine | language | known | of it | confidence | log p | wrong | warned | text |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in chosen.sets or ("real", "cuts"):
        SETS[name](model, counts, chosen)
    for kind in sorted({kind for kind, _ in counts}):
        all_ = sum(counts[kind, alarm] for alarm in (WHOLE, PARTS, NO))
        print(f"{kind}: of {all_} warned of the whole {counts[kind, WHOLE]}, of parts {counts[kind, PARTS]}")


if __name__ == "__main__":
    main()
