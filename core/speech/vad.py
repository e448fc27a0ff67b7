"""Sound → stretches of speech that an engine can take. The only home of silero_vad."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from core.media.waveform import SAMPLE_RATE, Waveform

Policy = Literal["reading", "subtitles", "orders"]
"""Long segments, which engines hear best and people like to read; phrases, fit for a screen; or pieces
as long as a provider takes, as calls are counted there and it says its phrases itself."""

_THRESHOLD = 0.25
"""Lower than the detector's own 0.5: more context around speech gave 10–23 % fewer wrong words."""

_FRAME = 512
_CONTEXT = 64
_WINDOW = 512 * _FRAME
"""The detector hears frames of 32 ms, each with 4 ms of the one before; 16 s are handed over at once."""

_RELEASE_EVERY_S = 600

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
}


def speech(sound: Waveform, on_progress: Callable[[float], None] | None = None) -> list[Span]:
    """Where somebody speaks, in order. Memory stays flat however long the sound is.

    `on_progress` hears the seconds listened to, every ten minutes of sound and at the end.
    """
    model = _detector()
    probabilities: list[float] = []
    for window in _probabilities(model, sound, on_progress or _ignore):
        probabilities += window.tolist()
    return _spans(probabilities, len(sound))


def _ignore(_seconds: float) -> None:
    """Progress that nobody asked for."""


def _detector() -> Any:
    """The voice detector's fast form: whole windows through ONNX."""
    import torch  # noqa: PLC0415 - pages import this module and need no torch

    threads = torch.get_num_threads()
    from silero_vad import load_silero_vad  # noqa: PLC0415

    torch.set_num_threads(threads)  # importing silero_vad sets one thread for the whole process
    return load_silero_vad(sequence=True)


def _probabilities(
    model: Any, sound: Waveform, on_progress: Callable[[float], None]
) -> Iterator[NDArray[np.float32]]:
    """How likely each frame is speech, a window at a time; each begins with what the last one remembered."""
    hidden = cell = np.zeros((1, 1, 128), dtype=np.float32)
    context = np.zeros(_CONTEXT, dtype=np.float32)
    for start in range(0, len(sound), _WINDOW):
        frames = _frames(sound[start : start + _WINDOW])
        contexts = np.vstack([context, frames[:-1, -_CONTEXT:]])
        context = frames[-1, -_CONTEXT:]
        inputs = {"input": np.hstack([contexts, frames]), "h": hidden, "c": cell}
        found, hidden, cell = model.session.run(["speech_probs", "hn", "cn"], inputs)
        yield found.reshape(-1)
        if start // _WINDOW % (_RELEASE_EVERY_S * SAMPLE_RATE // _WINDOW) == 0:
            release(sound)
            on_progress(start / SAMPLE_RATE)
    on_progress(len(sound) / SAMPLE_RATE)


def _frames(samples: Waveform) -> NDArray[np.float32]:
    """Samples as frames [n, 512] between -1 and 1, the last one filled up with silence."""
    frames = np.zeros((-(-len(samples) // _FRAME), _FRAME), dtype=np.float32)
    frames.reshape(-1)[: len(samples)] = samples
    return frames / np.float32(32768)


def release(sound: NDArray[Any]) -> None:
    """Give pages of a mapped file back, or hours of sound would count as our memory."""
    if isinstance(sound.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        sound.base.madvise(mmap.MADV_DONTNEED)


def _spans(probabilities: list[float], samples: int) -> list[Span]:
    """The detector's own rule from frames to stretches: hysteresis, short noises out, 30 ms around."""
    from silero_vad import get_speech_timestamps_from_probs  # noqa: PLC0415

    found = get_speech_timestamps_from_probs(
        probabilities, SAMPLE_RATE, threshold=_THRESHOLD, audio_length_samples=samples
    )
    return [Span(each["start"] / SAMPLE_RATE, each["end"] / SAMPLE_RATE) for each in found]


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
