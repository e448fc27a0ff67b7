"""Segment → words: the one promise every engine keeps, and what it gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples a second of every waveform on the road."""

Waveform = NDArray[np.int16]
"""Mono sound, int16, shape [samples], 16 kHz."""


@dataclass(frozen=True)
class Word:
    """One word with its place, in seconds from the start of the segment (later: of the recording)."""

    text: str
    start_s: float
    end_s: float
    confidence: float | None = None


@dataclass(frozen=True)
class Speech:
    """What an engine heard in one segment. No words and an empty text mean: no speech."""

    text: str
    words: tuple[Word, ...] = ()


@dataclass(frozen=True)
class Readiness:
    """Can this engine work now, and if not, what is missing: a sentence for a person."""

    ready: bool
    reason: str = ""


class Engine(Protocol):
    """Anything that turns segments of sound into words."""

    name: str
    """Stable identifier: settings, the API and the reuse of transcripts use it."""
    title: str
    """What a person sees; says plainly when the engine is a toy or a demo."""
    version: str
    """Changes whenever results may change; part of the key under which transcripts are reused."""
    languages: tuple[str, ...]
    """ISO 639-1 codes it understands."""
    queue: str
    """Where its work runs: gpu, cpu, or io for engines elsewhere."""
    max_segment_s: float
    """Longest segment it takes, in seconds."""
    batch_segments: int
    """How many segments to hand over at once."""

    def readiness(self) -> Readiness:
        """Cheap (no model is loaded) and never raises."""

    def transcribe(self, segments: Sequence[Waveform], language: str) -> list[Speech]:
        """One answer a segment, in order. Raise Rejected or Unavailable, never return a failure as text."""
