"""Sound → stretches of speech that an engine can take."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.media.waveform import SAMPLE_RATE, Waveform
from core.speech.detector import CONTEXT, FRAME, Memory, detector

Policy = Literal["reading", "subtitles", "orders", "languages"]
"""Long segments, which engines hear best and people like to read; phrases, fit for a screen; pieces as
long as a provider takes, as calls are counted there and it says its phrases itself; or what one person
says, in one language."""

_THRESHOLD = 0.25
"""Lower than the detector's own 0.5: more context around speech gave 10–23 % fewer wrong words."""

_QUIET = 0.1
"""Speech goes on while frames are between the two: so the detector's own rule has it."""
_LEAST_SPEECH, _LEAST_SILENCE, _AROUND = SAMPLE_RATE // 4, SAMPLE_RATE // 10, SAMPLE_RATE * 3 // 100
"""Also of that rule, in samples: shorter stretches are noises, shorter silences are none, and so much of
what is around stays with a stretch."""

_WINDOW = 512 * FRAME
"""16 s are listened to at once."""

_RELEASE_EVERY_S = 600

_LOUD = 2000.0
"""Root mean square that quiet sound is raised to before it is listened to: the detector was made for people
near a microphone, and between louder ones misses who peaks at 157 of 32,767. Only it gets this sound."""
_MOST_GAIN = 300.0
"""Enough for a peak of 20: below that is the noise of the numbers themselves."""
_AHEAD = 80
"""Frames before and after a moment that have a say in how much it is raised: 2.5 s."""
_NEAR_FRAMES = 8
"""The loudest frame of so many before and after, 0.25 s, says how loud a moment is; the gain is as smooth."""

_HOP = SAMPLE_RATE // 100
_CALM_HOPS = 15
"""A quiet place is looked for in steps of 10 ms, over 150 ms: about the pause between two words."""


@dataclass(frozen=True)
class Span:
    """A stretch of sound, in seconds from its start."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """How long it is."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class _Manner:
    """How a policy joins spans: over pauses up to `pause_s`, up to `longest_s`."""

    pause_s: float
    longest_s: float


_MANNERS: dict[Policy, _Manner] = {
    "reading": _Manner(pause_s=2.0, longest_s=float("inf")),
    "subtitles": _Manner(pause_s=0.35, longest_s=7.0),
    "orders": _Manner(pause_s=15.0, longest_s=float("inf")),
    "languages": _Manner(pause_s=0.5, longest_s=12.0),
}


def speech(sound: Waveform, on_progress: Callable[[float], None] | None = None) -> list[Span]:
    """Where somebody speaks, in order. Memory stays flat however long the sound is.

    `on_progress` hears the seconds listened to, every ten minutes of sound and at the end.
    """
    return Listener().finish(sound, on_progress)


class Listener:
    """Where somebody speaks in a sound that grows, as while it is decoded."""

    def __init__(self) -> None:
        self._memory = Memory()
        self._context = np.zeros(CONTEXT, dtype=np.float32)
        self._levels = np.zeros(0, dtype=np.float32)
        self._probabilities: list[float] = []

    def listen(self, sound: Waveform) -> None:
        """To what there is so far, but for the last seconds: what follows says how much they are raised."""
        frames = len(sound) // FRAME
        while (start := len(self._probabilities) * FRAME) + _WINDOW + _AHEAD * FRAME <= frames * FRAME:
            self._window(sound[: frames * FRAME], start)

    def finish(self, sound: Waveform, on_progress: Callable[[float], None] | None = None) -> list[Span]:
        """Listen to the rest; all of the stretches. `on_progress` as of `speech`."""
        on_progress = on_progress or _ignore
        while (start := len(self._probabilities) * FRAME) < len(sound):
            if self._window(sound, start):
                on_progress(start / SAMPLE_RATE)
        on_progress(len(sound) / SAMPLE_RATE)
        return _spans(self._probabilities, len(sound))

    def _window(self, sound: Waveform, start: int) -> bool:
        """One more; whether mapped sound was given back, as it is every ten minutes."""
        first = start // FRAME
        gains = _gains(self._known(sound, first + _WINDOW // FRAME + _AHEAD)[max(0, first - _AHEAD) :])
        raised = _raised(sound[start : start + _WINDOW], gains, min(first, _AHEAD))
        samples = np.concatenate([self._context, raised.reshape(-1)])
        self._context = samples[-CONTEXT:]
        self._probabilities += detector().listen(samples, self._memory).tolist()
        due = start // _WINDOW % (_RELEASE_EVERY_S * SAMPLE_RATE // _WINDOW) == 0
        if due:
            release(sound)
        return due

    def _known(self, sound: Waveform, frames: int) -> NDArray[np.float32]:
        """The levels of so many frames, or of all there are."""
        if len(self._levels) < frames:
            new = sound[len(self._levels) * FRAME : frames * FRAME]
            self._levels = np.concatenate([self._levels, _levels(new)])
        return self._levels[:frames]


def _ignore(_seconds: float) -> None:
    """Progress that nobody asked for."""


def _gains(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """By how much each frame is raised, at least 1, so that the quiet are as loud as the loud: [frames].

    What is as loud as the calmest 2 s before or behind it is a pause and stays as it is, or its hiss would
    sound like the end of a sentence: from 3 dB above it is raised in part, from 9 dB wholly.
    """
    from scipy import ndimage  # noqa: PLC0415 - pages import this module

    near = 2 * _NEAR_FRAMES + 1
    loudest = np.maximum(ndimage.maximum_filter1d(levels, near, mode="nearest"), 1)
    calmest = ndimage.minimum_filter1d(ndimage.uniform_filter1d(levels, 5), 16 * _NEAR_FRAMES + 1)
    changing = np.clip(np.log2(loudest / np.maximum(calmest, 1)) - 0.5, 0, 1)
    target_gain = np.log(np.clip(_LOUD / loudest, 1, _MOST_GAIN)) * changing
    gains: NDArray[np.float32] = np.exp(ndimage.uniform_filter1d(target_gain, near, mode="nearest"))
    return gains.astype(np.float32)


def _levels(sound: Waveform) -> NDArray[np.float32]:
    """The root mean square of each frame."""
    frames = _frames(sound)
    levels: NDArray[np.float32] = np.sqrt(np.einsum("fs,fs->f", frames, frames) / FRAME)
    return levels


def _raised(sound: Waveform, gains: NDArray[np.float32], first: int) -> NDArray[np.float32]:
    """Sound as frames [n, 512] of ±1, raised by gains from `first` on, which change from middle to middle."""
    frames = _frames(sound)
    near = gains[np.clip(np.arange(first - 1, first + len(frames) + 1), 0, len(gains) - 1)] / 32768
    between = (near[:-1] + near[1:]) / 2
    corners = np.stack([between[:-1], near[1:-1], between[1:]], axis=1)
    steps = np.diff(corners)[..., None] * (np.arange(FRAME // 2, dtype=np.float32) / (FRAME // 2))
    frames *= (steps + corners[:, :2, None]).reshape(frames.shape)
    return np.clip(frames, -1, 1, out=frames)


def _frames(samples: Waveform) -> NDArray[np.float32]:
    """Samples as frames [n, 512], the last one filled up with silence."""
    frames = np.empty((-(-len(samples) // FRAME), FRAME), dtype=np.float32)
    flat = frames.reshape(-1)
    flat[: len(samples)] = samples
    flat[len(samples) :] = 0
    return frames


def release(sound: NDArray[Any]) -> None:
    """Give pages of a mapped file back, or hours of sound would count as our memory."""
    if isinstance(sound.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        sound.base.madvise(mmap.MADV_DONTNEED)


def _spans(probabilities: Sequence[float], samples: int) -> list[Span]:
    """The detector's own rule from frames to stretches: hysteresis, short noises out, 30 ms around."""
    stretches = list(_stretches(probabilities, samples))
    borders = [0, *((one[1] + next_one[0]) // 2 for one, next_one in pairwise(stretches)), samples]
    return [
        Span(max(start - _AROUND, low) / SAMPLE_RATE, min(end + _AROUND, high) / SAMPLE_RATE)
        for (start, end), low, high in zip(stretches, borders, borders[1:], strict=False)
    ]


def _stretches(probabilities: Sequence[float], samples: int) -> Iterator[tuple[int, int]]:
    """First and last sample of each stretch."""
    start = quiet_from = None
    for at, probability in zip(range(0, samples, FRAME), probabilities, strict=True):
        if probability >= _THRESHOLD:
            start, quiet_from = at if start is None else start, None
        elif probability < _QUIET and start is not None:
            quiet_from = at if quiet_from is None else quiet_from
            if at - quiet_from >= _LEAST_SILENCE:
                if quiet_from - start > _LEAST_SPEECH:
                    yield start, quiet_from
                start = quiet_from = None
    if start is not None and samples - start > _LEAST_SPEECH:
        yield start, samples


def cut(
    spans: Sequence[Span],
    max_s: float,
    *,
    policy: Policy = "reading",
    sound: Waveform | None = None,
    min_s: float = 0.2,
    pad_s: float = 0.1,
) -> list[Span]:
    """Segments of at most `max_s`, cut where nobody speaks; in order, without overlap, nothing lost.

    Spans are joined while they fit and their pauses are short; one that is too long is cut at its
    quietest places if `sound` is given, else evenly. Up to `pad_s` of what is around stays with a
    segment. Speech that stands alone for less than `min_s` is a noise and left out.
    """
    manner = _MANNERS[policy]
    fits_s = max_s - 2 * pad_s
    assert fits_s > 0, "padding leaves no room"
    pieces = [piece for span in spans for piece in _shorten(span, fits_s, sound)]
    joined = _join(pieces, min(fits_s, manner.longest_s), manner.pause_s)
    end_s = len(sound) / SAMPLE_RATE if sound is not None else float("inf")
    return _pad([segment for segment in joined if segment.duration_s >= min_s], pad_s, end_s)


def _shorten(span: Span, fits_s: float, sound: Waveform | None) -> Iterator[Span]:
    """The span in pieces that fit, none shorter than a quarter of that."""
    start_s = span.start_s
    while span.end_s - start_s > fits_s:
        latest_s = min(start_s + fits_s, span.end_s - fits_s / 4)
        middle_s = _quietest(sound, start_s + fits_s / 2, latest_s) if sound is not None else latest_s
        yield Span(start_s, middle_s)
        start_s = middle_s
    yield Span(start_s, span.end_s)


def _quietest(sound: Waveform, from_s: float, to_s: float) -> float:
    """The calmest moment between two."""
    first = round(from_s * SAMPLE_RATE)
    part = sound[first : round(to_s * SAMPLE_RATE)].astype(np.float32)
    power = np.square(part[: len(part) // _HOP * _HOP]).reshape(-1, _HOP).mean(axis=1)
    if len(power) < _CALM_HOPS:
        return to_s
    calm = np.convolve(power, np.ones(_CALM_HOPS), mode="valid")
    return (first + (int(calm.argmin()) + _CALM_HOPS / 2) * _HOP) / SAMPLE_RATE


def _join(pieces: Iterable[Span], longest_s: float, pause_s: float) -> list[Span]:
    """Neighbours together while they fit and the pause between them is short."""
    joined: list[Span] = []
    for piece in pieces:
        last = joined[-1] if joined else None
        if last and piece.start_s - last.end_s <= pause_s and piece.end_s - last.start_s <= longest_s:
            joined[-1] = Span(last.start_s, piece.end_s)
        else:
            joined.append(piece)
    return joined


def _pad(segments: Sequence[Span], pad_s: float, end_s: float) -> list[Span]:
    """A little of what is around: at most half of the way to a neighbour, nothing beyond the sound."""
    borders = [0.0, *((one.end_s + next_one.start_s) / 2 for one, next_one in pairwise(segments)), end_s]
    return [
        Span(max(segment.start_s - pad_s, low_s), min(segment.end_s + pad_s, high_s))
        for segment, low_s, high_s in zip(segments, borders, borders[1:], strict=False)
    ]
