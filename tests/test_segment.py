"""Segment: speech is found where it is, and cut where nobody speaks."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from core.speech.vad import Span, cut, speech

ROOT = Path(__file__).parent.parent
RATE = 16_000

VOWELS = {  # formants in Hz: where it rings, how broadly, how loud
    "a": ((700, 90, 1.0), (1200, 110, 0.6), (2600, 170, 0.3)),
    "i": ((300, 70, 1.0), (2200, 120, 0.5), (3000, 170, 0.3)),
    "u": ((400, 80, 1.0), (800, 90, 0.7), (2500, 170, 0.2)),
    "e": ((500, 80, 1.0), (1800, 110, 0.6), (2500, 170, 0.3)),
}


def vowel(letter: str, pitch_hz: float, seconds: float) -> np.ndarray:
    """A voice in the throat, rung by the mouth."""
    moments = np.arange(round(RATE * seconds)) / RATE
    phase = 2 * np.pi * np.cumsum(pitch_hz * (1 + 0.03 * np.sin(2 * np.pi * 5 * moments))) / RATE
    harmonics = range(1, int(5000 / pitch_hz))
    rings = VOWELS[letter]
    loudness = [
        sum(gain / (1 + ((n * pitch_hz - at) / width) ** 2) for at, width, gain in rings) for n in harmonics
    ]
    voice = sum(loud / np.sqrt(n) * np.sin(n * phase) for n, loud in zip(harmonics, loudness, strict=True))
    edge = np.minimum(moments, moments[::-1]) / 0.02
    return voice * np.minimum(1, edge)


def babble(seconds: float, dice: np.random.Generator) -> np.ndarray:
    """Syllables of noise and vowel, as much like speech as a detector needs."""
    said: list[np.ndarray] = []
    while sum(map(len, said)) < seconds * RATE:
        said.append(0.15 * dice.standard_normal(round(RATE * dice.uniform(0.04, 0.09))))
        said.append(vowel(dice.choice(list(VOWELS)), dice.uniform(95, 140), dice.uniform(0.1, 0.22)))
    return np.concatenate(said)[: round(seconds * RATE)]


def recording(turns: list[Span], end_s: float, seed: int = 0) -> np.ndarray:
    """Faint hiss with babble at the given places."""
    dice = np.random.default_rng(seed)
    sound = 15 * dice.standard_normal(round(end_s * RATE))
    for turn in turns:
        start = round(turn.start_s * RATE)
        said = babble(turn.duration_s, dice)
        sound[start : start + len(said)] += 6000 * said / np.abs(said).max()
    return sound.astype(np.int16)


TURNS = [Span(1.0, 3.0), Span(5.0, 6.5), Span(8.0, 12.0), Span(13.0, 16.5), Span(22.0, 24.0)]


def test_speech_is_found_where_it_is():
    found = speech(recording(TURNS, 26.0))

    assert len(found) == len(TURNS)
    for span, turn in zip(found, TURNS, strict=True):
        assert span.start_s == pytest.approx(turn.start_s, abs=0.15)
        assert span.end_s == pytest.approx(turn.end_s, abs=0.3)


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(0, np.int16),
        np.zeros(100, np.int16),
        np.zeros(20 * RATE, np.int16),
        (300 * np.random.default_rng(0).standard_normal(20 * RATE)).astype(np.int16),
        (8000 * np.sin(np.arange(20 * RATE) * 2 * np.pi * 440 / RATE)).astype(np.int16),
    ],
    ids=["nothing", "six milliseconds", "silence", "white noise", "a tone"],
)
def test_where_nobody_speaks_nothing_is_found(sound):
    assert speech(sound) == []


def test_listening_in_windows_hears_what_listening_at_once_hears():
    from silero_vad import load_silero_vad
    from silero_vad.sequence_vad import get_speech_timestamps_sequence

    turns = [Span(at, at + 2.5) for at in np.arange(0.5, 95, 4.1)]
    sound = recording(turns, 100.3)
    whole = get_speech_timestamps_sequence(
        sound.astype(np.float32) / 32768, load_silero_vad(sequence=True, max_frames=10_000), threshold=0.25
    )

    assert speech(sound) == [Span(each["start"] / RATE, each["end"] / RATE) for each in whole]
    assert len(whole) >= len(turns)


def test_a_mapped_file_is_heard_like_an_array_and_keeps_its_content(tmp_path):
    sound = recording(TURNS, 26.0)
    sound.tofile(tmp_path / "mono.pcm")
    mapped = np.memmap(tmp_path / "mono.pcm", dtype=np.int16, mode="r")

    assert speech(mapped) == speech(sound)
    assert np.array_equal(mapped, sound)


def test_listening_tells_how_far_it_is():
    heard: list[float] = []

    speech(np.zeros(25 * 60 * RATE, np.int16), heard.append)

    assert heard[0] == 0
    assert heard == sorted(heard)
    assert len(heard) == 4
    assert heard[-1] == 25 * 60


def test_listening_leaves_torch_its_threads():
    """Importing the detector sets one thread for the whole process; the engine beside it would crawl."""
    program = (
        "import numpy, torch\ntorch.set_num_threads(3)\nfrom core.speech.vad import speech\n"
        "speech(numpy.zeros(16000, numpy.int16))\nprint(torch.get_num_threads())\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ran.stdout.strip() == "3"


def test_pages_that_import_this_do_not_wait_for_torch():
    program = "import sys, core.speech.vad; print('torch' in sys.modules, 'silero_vad' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ran.stdout.split() == ["False", "False"]


def rounded(segments: list[Span]) -> list[tuple[float, float]]:
    return [(round(segment.start_s, 3), round(segment.end_s, 3)) for segment in segments]


def test_spans_are_joined_while_they_fit():
    spans = [Span(1, 5), Span(6, 12), Span(13, 19), Span(20, 25)]

    assert rounded(cut(spans, 20, pad_s=0)) == [(1, 19), (20, 25)]


def test_a_long_pause_closes_a_segment():
    spans = [Span(1, 3), Span(4.9, 6), Span(8.1, 9)]

    assert rounded(cut(spans, 20, pad_s=0)) == [(1, 6), (8.1, 9)]


def test_subtitles_are_phrases():
    spans = [Span(0, 2), Span(2.3, 4), Span(4.5, 6), Span(6.2, 12)]

    assert rounded(cut(spans, 20, policy="subtitles", pad_s=0)) == [(0, 4), (4.5, 6), (6.2, 12)]


def test_padding_takes_half_of_a_narrow_gap_and_stays_inside_the_sound():
    spans = [Span(0.05, 10), Span(10.1, 19.98)]

    assert rounded(cut(spans, 12, sound=np.zeros(20 * RATE, np.int16))) == [(0, 10.05), (10.05, 20)]


def test_a_noise_that_stands_alone_is_left_out_and_one_beside_speech_stays():
    spans = [Span(1, 1.15), Span(10, 12), Span(12.5, 12.6)]

    assert rounded(cut(spans, 20, pad_s=0)) == [(10, 12.6)]


def test_what_is_too_long_is_cut_at_its_quietest_place():
    sound = recording([Span(0.0, 14.2), Span(14.6, 30.0)], 30.0)

    first, second = cut([Span(0, 30)], 20, sound=sound)

    assert 14.2 < first.end_s < 14.6
    assert second.start_s == first.end_s
    assert (first.start_s, second.end_s) == (0, 30)


def test_without_the_sound_what_is_too_long_is_cut_anyway():
    segments = cut([Span(3, 103)], 20)

    assert max(segment.duration_s for segment in segments) <= 20
    assert min(segment.duration_s for segment in segments) > 4


@pytest.mark.parametrize("policy", ["reading", "subtitles"])
@pytest.mark.parametrize("seed", range(20))
def test_whatever_is_said_segments_fit_in_order_and_lose_nothing(seed, policy):
    dice = np.random.default_rng(seed)
    max_s = float(dice.uniform(2, 30))
    lengths = dice.exponential(4, 60) + 0.2
    pauses = dice.exponential(0.7, 60) + 0.01
    starts = np.cumsum(pauses) + np.cumsum(lengths) - lengths
    spans = [Span(float(start), float(start + length)) for start, length in zip(starts, lengths, strict=True)]
    sound = dice.integers(-1000, 1000, round((spans[-1].end_s + 0.05) * RATE)).astype(np.int16)

    segments = cut(spans, max_s, sound=sound, policy=policy)

    assert all(0 < segment.duration_s <= max_s + 1e-6 for segment in segments)
    assert all(one.end_s <= other.start_s + 1e-9 for one, other in pairwise(segments))
    assert segments[0].start_s >= 0
    assert segments[-1].end_s <= len(sound) / RATE
    for span in spans:
        heard_s = sum(max(0.0, min(span.end_s, s.end_s) - max(span.start_s, s.start_s)) for s in segments)
        assert heard_s == pytest.approx(span.duration_s)


def test_nothing_said_gives_nothing():
    assert cut([], 20) == []
