"""How much speech reaches an engine: people near and far, quiet between loud, and what is none.

    python -m benchmarks.bench_segments

Needs the real recordings beside the project. "Outside" are seconds of what counts as speech outside all
segments: of a recording as it is, frames of 20 ms that are loud for their surroundings; of a quieter copy,
and of a quiet person between two loud ones, what is found in the recording at its own level.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from core.media.waveform import SAMPLE_RATE, Waveform
from core.speech import vad
from core.speech.vad import Policy, Span
from tests import voices
from tests.test_whisper import noises

LONGEST_S = 28.0
STEP = SAMPLE_RATE // 50
NEAR_STEPS = 200
"""Surroundings are 4 s before and after."""
PEAK = 157
"""Of the quiet person, who was found in a real recording: 46 dB below the loudest number."""


def loud(sound: Waveform) -> np.ndarray:
    """Which steps of 20 ms are 10 dB over the calmest around them, and nearer to the loudest."""
    whole = sound[: len(sound) // STEP * STEP].astype(np.float64).reshape(-1, STEP)
    levels = 10 * np.log10(np.square(whole).mean(axis=1) + 1e-3)
    found = np.zeros(len(levels), bool)
    for n, level in enumerate(levels):
        low, high = np.percentile(levels[max(0, n - NEAR_STEPS) : n + NEAR_STEPS], [10, 95])
        found[n] = level > max(low + 10, (low + high) / 2)
    return found


def inside(spans: list[Span], steps: int) -> np.ndarray:
    """Which steps the spans cover."""
    middles = (np.arange(steps) + 0.5) * STEP / SAMPLE_RATE
    covered = np.zeros(steps, bool)
    for span in spans:
        covered |= (middles >= span.start_s) & (middles < span.end_s)
    return covered


def segments(sound: Waveform, policy: Policy) -> np.ndarray:
    """Which steps reach an engine."""
    spans = vad.cut(vad.speech(sound), LONGEST_S, policy=policy, sound=sound)
    return inside(spans, len(sound) // STEP)


def quieter(sound: Waveform, times: float) -> Waveform:
    """The same, so many times quieter."""
    return np.round(sound / times).astype(np.int16)


def missed(sound: Waveform, spoken: np.ndarray, policy: Policy, first: int = 0) -> float:
    """Seconds of speech, whose steps begin with the `first`, outside the segments of a sound."""
    detected = segments(sound, policy)[first : first + len(spoken)]
    return float((spoken[: len(detected)] & ~detected).sum()) * STEP / SAMPLE_RATE


def row(name: str, of_s: float, outside: list[float]) -> None:
    """One line of the table."""
    print(f"| {name} | {of_s:.1f} | {outside[0]:.1f} | {outside[1]:.1f} |")


POLICIES: tuple[Policy, ...] = ("reading", "subtitles")


def _between(people: dict[str, Waveform], spoken: dict[str, np.ndarray]) -> None:
    """Each short command as quiet as `PEAK` between two loud people."""
    far = [name for name in people if name.startswith("golos")]
    before = people["jfk.flac"][: 5 * SAMPLE_RATE]
    after = people["ami_tst00.flac"][8 * SAMPLE_RATE : 14 * SAMPLE_RATE]
    outside = [0.0, 0.0]
    for name in far:
        quiet = quieter(people[name], float(np.abs(people[name]).max()) / PEAK)
        mixed = np.concatenate([before, quiet, after])
        for n, policy in enumerate(POLICIES):
            outside[n] += missed(mixed, spoken[name], policy, len(before) // STEP)
    total_s = sum(int(spoken[name].sum()) for name in far) * STEP / SAMPLE_RATE
    row("a quiet person between loud ones", total_s, outside)


def table(people: dict[str, Waveform], spoken: dict[str, np.ndarray]) -> None:
    """How much of it is missed."""
    print("| sound | of, s | outside, s | as subtitles |\n|---|---|---|---|")
    steps = {name: loud(sound) for name, sound in people.items()}
    total_s = sum(int(each.sum()) for each in steps.values()) * STEP / SAMPLE_RATE
    outside = [sum(missed(people[name], steps[name], policy) for name in people) for policy in POLICIES]
    row("people, loud frames", total_s, outside)
    total_s = sum(int(each.sum()) for each in spoken.values()) * STEP / SAMPLE_RATE
    for decibels in (20, 30, 40):
        copies = {name: quieter(sound, 10 ** (decibels / 20)) for name, sound in people.items()}
        outside = [sum(missed(copies[name], spoken[name], policy) for name in people) for policy in POLICIES]
        row(f"the same, {decibels} dB quieter", total_s, outside)
    _between(people, spoken)
    for name, shape in noises(25).items():
        sounds = [(shape * gain * 32767).astype(np.int16) for gain in (0.001, 0.01, 0.1, 0.3)]
        kept = sum(float(segments(sound, "reading").sum()) * STEP / SAMPLE_RATE for sound in sounds)
        print(f"| {name}, at four levels | 0 | {kept:.1f} passed on | |")


def main() -> None:
    """The table with every sound at its own level, as it was, and with quiet ones raised."""
    with tempfile.TemporaryDirectory() as folder:
        people = {
            path.name: np.array(voices.sound(path, Path(folder) / path.stem)) for path in voices.files()
        }
    raised, vad._MOST_GAIN = vad._MOST_GAIN, 1.0
    spoken = {name: inside(vad.speech(sound), len(sound) // STEP) for name, sound in people.items()}
    print("At its own level:\n")
    table(people, spoken)
    vad._MOST_GAIN = raised
    print("\nRaised:\n")
    table(people, spoken)


if __name__ == "__main__":
    main()
