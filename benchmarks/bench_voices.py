"""Real voices: words and characters wrong, languages found, and speed, by engine and set.

    python -m benchmarks.bench_voices [engine ...]

Listens to the recordings beside the project (`../shared/audio`); says so where they are not there.
Meetings have no reference: their text is shown. Times are of this process on all its cores.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from core.media.waveform import SAMPLE_RATE, Waveform
from core.settings import Settings
from core.speech import engines, language
from core.speech.engine import Engine
from core.speech.engines import whisper
from tests import voices


def cut(folder: Path, longest_s: float) -> dict[str, list[Waveform]]:
    """All recordings as the pipeline cuts them, by name."""
    sounds = {path.name: voices.sound(path, folder / path.stem) for path in voices.files()}
    return {name: voices.segments(sound, longest_s) for name, sound in sounds.items()}


def show_languages(pieces: dict[str, list[Waveform]], settings: Settings) -> None:
    """Which language each recording is in, and how sure the model is."""
    model = whisper.engine(settings)
    model.language_probabilities([pieces["jfk.flac"][0]])  # loaded before the clock runs
    print("\n| recording | speech, s | language | probability | right | seconds of a core |")
    print("|---|---|---|---|---|---|")
    for name, segments in pieces.items():
        began = time.process_time()
        found = language.identify(model, segments)
        took_s = time.process_time() - began
        if found is not None:
            code, sure = found.main.code, found.main.probability
            right = "yes" if code == voices.language(name) else "no"
            print(f"| {name} | {_seconds(segments):.1f} | {code} | {sure:.2f} | {right} | {took_s:.1f} |")


def show_words(engine: Engine, folder: Path) -> None:
    """What an engine hears in the recordings whose language it knows."""
    said, speeds = {}, {}
    for name, segments in cut(folder, engine.max_segment_s).items():
        spoken = voices.language(name)
        if spoken in engine.languages:
            engine.transcribe(segments[:1], spoken)  # loaded and warm
            began = time.process_time()
            said[name] = " ".join(speech.text for speech in engine.transcribe(segments, spoken))
            speeds[name] = _seconds(segments) / (time.process_time() - began)
    known = voices.references()
    for name, text in said.items():
        wrong = f"{100 * voices.word_errors(known[name], text):.0f} %" if name in known else "no reference"
        print(f"| {engine.name} | {name} | {wrong} | {speeds[name]:.1f} | {text} |")
    golos = [name for name in said if name.startswith("golos")]
    if golos:
        share = voices.letter_errors([known[name] for name in golos], [said[name] for name in golos])
        print(f"| {engine.name} | all of Golos | {100 * share:.1f} % of characters | | |")


def _seconds(segments: Sequence[Waveform]) -> float:
    return sum(len(segment) for segment in segments) / SAMPLE_RATE


def main() -> None:
    """The table of languages, and that of words for every engine here that is ready."""
    if not voices.FOLDER.is_dir():
        print("The real recordings are not in ../shared/audio.")
        return
    settings = Settings()
    known = engines.all(settings)
    names = sys.argv[1:] or [n for n, each in known.items() if each.queue != "io" and each.readiness().ready]
    with tempfile.TemporaryDirectory() as folder:
        show_languages(cut(Path(folder), 28.0), settings)
        print("\n| engine | recording | words wrong | × real time a core | text |\n|---|---|---|---|---|")
        for name in names:
            show_words(known[name], Path(folder))


if __name__ == "__main__":
    main()
