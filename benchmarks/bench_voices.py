"""Real voices: words and characters wrong, languages found, and speed, by engine and set.

    python -m benchmarks.bench_voices [engine ...]

Listens to the samples of `make sample` and to the recordings beside the project (`../shared/audio`); says so
where these are not there. Numbers count alike, spelled or in digits. Where people of a meeting talk at once,
the order of words is a matter of taste. Times are of this process on all its cores.
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


def recordings(folder: Path) -> dict[str, Waveform]:
    """Samples and recordings by name."""
    paths = [*voices.SAMPLES, *voices.files()]
    return {path.name: voices.sound(path, folder / path.stem) for path in paths}


def show_languages(sounds: dict[str, Waveform], settings: Settings) -> None:
    """Which language each recording is in, and how sure the model is."""
    model = whisper.engine(settings)
    model.language_probabilities(voices.pieces(sounds["en_meeting.opus"])[:1])  # loaded before the clock runs
    print("\n| recording | speech, s | language | probability | right | seconds of a core |")
    print("|---|---|---|---|---|---|")
    for name, sound in sounds.items():
        segments = voices.pieces(sound)
        began = time.process_time()
        identified = language.identify(model, segments)
        took_s = time.process_time() - began
        if identified is not None:
            code, sure = identified.main.code, identified.main.probability
            right = "yes" if code == voices.language(name) else "no"
            print(f"| {name} | {_seconds(segments):.1f} | {code} | {sure:.2f} | {right} | {took_s:.1f} |")


def show_words(engine: Engine, folder: Path) -> None:
    """What an engine hears in the recordings whose language it knows."""
    word_errors, speeds = {}, {}
    for name, sound in recordings(folder).items():
        segments = voices.segments(sound, engine.max_segment_s)
        spoken = voices.language(name)
        if spoken in engine.languages:
            engine.transcribe(segments[:1], spoken)  # loaded and warm
            began = time.process_time()
            word_errors[name] = " ".join(speech.text for speech in engine.transcribe(segments, spoken))
            speeds[name] = _seconds(segments) / (time.process_time() - began)
    references = voices.sample_references() | (voices.references() if voices.files() else {})
    for name, text in word_errors.items():
        wrong = (
            f"{100 * voices.word_errors(references[name], text):.0f} %"
            if name in references
            else "no reference"
        )
        print(f"| {engine.name} | {name} | {wrong} | {speeds[name]:.1f} | {text} |")
    golos = [name for name in word_errors if name.startswith("golos")]
    if golos:
        share = voices.letter_errors(
            [references[name] for name in golos], [word_errors[name] for name in golos]
        )
        print(f"| {engine.name} | all of Golos | {100 * share:.1f} % of characters | | |")


def _seconds(segments: Sequence[Waveform]) -> float:
    return sum(len(segment) for segment in segments) / SAMPLE_RATE


def main() -> None:
    """The table of languages, and that of words for every engine here that is ready."""
    if not voices.FOLDER.is_dir():
        print("The real recordings are not in ../shared/audio: only the samples are heard.")
    settings = Settings()
    all_engines = engines.all(settings)
    names = sys.argv[1:] or [
        n for n, each in all_engines.items() if each.queue != "io" and each.readiness().ready
    ]
    with tempfile.TemporaryDirectory() as folder:
        show_languages(recordings(Path(folder)), settings)
        print("\n| engine | recording | words wrong | × real time a core | text |\n|---|---|---|---|---|")
        for name in names:
            show_words(all_engines[name], Path(folder))


if __name__ == "__main__":
    main()
