"""Segment: speech is found where it is, and cut where nobody speaks."""

import os
import subprocess
import sys
import wave
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from core.database.tables import Recording, Transcript
from core.speech import vad
from core.speech.channels import Channels, waveforms
from core.speech.vad import Span, cut, speech
from tests.test_whisper import noises

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
    voices: list[np.ndarray] = []
    while sum(map(len, voices)) < seconds * RATE:
        voices.append(0.15 * dice.standard_normal(round(RATE * dice.uniform(0.04, 0.09))))
        voices.append(vowel(dice.choice(list(VOWELS)), dice.uniform(95, 140), dice.uniform(0.1, 0.22)))
    return np.concatenate(voices)[: round(seconds * RATE)]


def recording(turns: list[Span], end_s: float, seed: int = 0) -> np.ndarray:
    """Faint hiss with babble at the given places."""
    dice = np.random.default_rng(seed)
    sound = 15 * dice.standard_normal(round(end_s * RATE))
    for turn in turns:
        start = round(turn.start_s * RATE)
        speech = babble(turn.duration_s, dice)
        sound[start : start + len(speech)] += 6000 * speech / np.abs(speech).max()
    return sound.astype(np.int16)


TURNS = [Span(1.0, 3.0), Span(5.0, 6.5), Span(8.0, 12.0), Span(13.0, 16.5), Span(22.0, 24.0)]


def test_speech_is_found_where_it_is():
    spans = speech(recording(TURNS, 26.0))

    assert len(spans) == len(TURNS)
    for span, turn in zip(spans, TURNS, strict=True):
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


@pytest.mark.parametrize("quieter", [1, 30, 100])
def test_a_quiet_person_between_loud_ones_is_heard(quieter):
    turns = [Span(1.0, 4.0), Span(4.8, 8.0), Span(8.8, 12.0)]
    sound = recording(turns, 13.0)
    quiet = slice(round(4.5 * RATE), round(8.4 * RATE))
    sound[quiet] = sound[quiet] // quieter

    spans = speech(sound)

    outside = np.ones(320, bool)
    for span in spans:
        outside[max(0, round((span.start_s - 4.8) * 100)) : max(0, round((span.end_s - 4.8) * 100))] = False
    assert outside.sum() / 100 <= 0.5


@pytest.mark.parametrize("gain", [0.0005, 0.01, 0.3])
@pytest.mark.parametrize("name", list(noises(1)))
def test_raising_quiet_sound_makes_no_speech_of_it(name, gain):
    assert speech((noises(20)[name] * gain * 32767).astype(np.int16)) == []


def test_only_quiet_sound_is_raised():
    loud = recording([Span(0.5, 9.5)], 10.0)
    loud[:] = np.clip(loud * 8.0, -32000, 32000)
    assert vad._gains(vad._levels(loud))[40:270].max() < 2
    assert vad._gains(vad._levels(loud // 300))[40:270].max() > 20


def test_a_pause_is_not_raised():
    """Its hiss would else be heard as the end of a sentence, a second long."""
    hiss = recording([Span(1.0, 3.0)], 10.0)
    assert vad._gains(vad._levels(hiss))[round(4 * RATE / 512) :].max() == pytest.approx(1)


def test_it_hears_what_the_package_hears():
    """Its own model at once over all of the sound, through ONNX Runtime, and its own rule."""
    from silero_vad import load_silero_vad
    from silero_vad.sequence_vad import get_speech_timestamps_sequence

    turns = [Span(at, at + 2.5) for at in np.arange(0.5, 95, 4.1)]
    sound = recording(turns, 100.3)
    raised = vad._raised(sound, vad._gains(vad._levels(sound)), 0).reshape(-1)[: len(sound)]
    model = load_silero_vad(sequence=True, max_frames=10_000)
    whole = get_speech_timestamps_sequence(raised, model, threshold=0.25)
    listener = vad.Listener()
    listener.finish(sound)

    assert np.abs(listener._probabilities - model.audio_forward(raised)).max() < 1e-4
    assert speech(sound) == [Span(each["start"] / RATE, each["end"] / RATE) for each in whole]
    assert len(whole) >= len(turns)


def test_sound_that_grows_is_heard_like_sound_that_is_there():
    sound = recording([Span(at, at + 2.5) for at in np.arange(0.5, 95, 4.1)], 100.3)
    sound[40 * RATE : 60 * RATE] //= 200
    whole, listener = vad.Listener(), vad.Listener()

    for end in (0, 1000, 18 * RATE, 19 * RATE, 47 * RATE + 3, 47 * RATE + 4, 90 * RATE):
        listener.listen(sound[:end])

    assert len(listener._probabilities) * 512 > 80 * RATE
    assert listener.finish(sound) == whole.finish(sound)
    assert np.abs(np.subtract(listener._probabilities, whole._probabilities)).max() < 1e-6


def test_what_is_being_decoded_is_listened_to_meanwhile(tmp_path):
    sound = recording([Span(at, at + 2.5) for at in np.arange(0.5, 115, 4.1)], 120.0)
    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
        file.writeframes(sound.tobytes())
    listener, reported_s = vad.Listener(), []
    channels = Channels(tmp_path / "work", lambda _: tmp_path / "sound.wav")

    decoded = channels.decoded(
        Recording(sha256="", format="wav"),
        Transcript(id="1", split_channels=False, tracks="", language="ru"),
        reported_s.append,
        listener,
    )

    assert len(listener._probabilities) * 512 > 60 * RATE
    assert listener.finish(waveforms(decoded)["mono"]) == speech(sound)
    assert reported_s[-1] == pytest.approx(120)


def test_gains_change_evenly_from_the_middle_of_a_frame_to_the_next():
    sound = np.full(40 * 512 - 100, 1000, np.int16)
    gains = np.random.default_rng(0).uniform(1, 30, 40).astype(np.float32)

    raised = vad._raised(sound, gains, 0).reshape(-1)[: len(sound)]

    middles = (np.arange(-1, 41) + 0.5) * 512
    curve = np.interp(np.arange(len(sound)), middles, np.pad(gains, 1, mode="edge"))
    assert np.abs(raised - 1000 / 32768 * curve).max() < 1e-5


@pytest.mark.parametrize("seed", range(20))
def test_stretches_follow_the_rule_of_the_package(seed):
    from silero_vad import get_speech_timestamps_from_probs

    dice = np.random.default_rng(seed)
    probabilities = np.clip(np.cumsum(dice.normal(0, 0.2, 400)) % 1.2 - 0.1, 0, 1).tolist()
    samples = 400 * 512 - int(dice.integers(512))
    theirs = get_speech_timestamps_from_probs(
        probabilities, RATE, threshold=0.25, audio_length_samples=samples
    )

    assert vad._spans(probabilities, samples) == [
        Span(each["start"] / RATE, each["end"] / RATE) for each in theirs
    ]
    assert theirs


def test_a_mapped_file_is_heard_like_an_array_and_keeps_its_content(tmp_path):
    sound = recording(TURNS, 26.0)
    sound.tofile(tmp_path / "mono.pcm")
    mapped = np.memmap(tmp_path / "mono.pcm", dtype=np.int16, mode="r")

    assert speech(mapped) == speech(sound)
    assert np.array_equal(mapped, sound)


def test_listening_tells_how_far_it_is():
    reported_s: list[float] = []

    speech(np.zeros(25 * 60 * RATE, np.int16), reported_s.append)

    assert reported_s[0] == 0
    assert reported_s == sorted(reported_s)
    assert len(reported_s) == 4
    assert reported_s[-1] == 25 * 60


def test_listening_needs_no_torch_and_one_thread():
    """A second and 200 MB less; threads that wait by turning round took ten times as much of a processor."""
    program = (
        "import sys, numpy, threadpoolctl\nfrom core.speech.vad import speech\n"
        "speech(numpy.zeros(16000, numpy.int16))\n"
        "print('torch' in sys.modules, 'onnxruntime' in sys.modules)\n"
        "print({pool['num_threads'] for pool in threadpoolctl.threadpool_info()})"
    )
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    environment.pop("OMP_NUM_THREADS", None)
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert ran.stdout.split() == ["False", "False", "{1}"]


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
