"""The same voice in several recordings: what is kept of a voice, and how sure a match is."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

DIMENSIONS: Final = 192
Voice = NDArray[np.float32]
"""(192,) of length 1."""

MIN_ALONE_S: Final = 10.0
"""A voice of less speech alone is not remembered."""
PROBABLE: Final = 0.55
POSSIBLE: Final = 0.40


class Certainty(StrEnum):
    """How sure a proposal is; none is ever a fact before somebody confirms it."""

    PROBABLE = "probable"
    POSSIBLE = "possible"


@dataclass(frozen=True)
class VoiceMatch:
    """A known voice that a speaker may be."""

    key: str
    similarity: float
    """Cosine, −1 to 1."""

    @property
    def certainty(self) -> Certainty:
        """By the measured thresholds."""
        return Certainty.PROBABLE if self.similarity >= PROBABLE else Certainty.POSSIBLE


def propose(
    voices: Mapping[int, Voice],
    remembered: Mapping[str, Sequence[Voice]],
    refused: Collection[tuple[int, str]] = (),
) -> dict[int, VoiceMatch]:
    """Who of the known people each speaker of a recording may be; nobody is proposed for two speakers.

    `voices` are one a speaker, `remembered` one or more a person; the nearest of a person's voices counts.
    `refused` are speakers and people who are not the same.
    """
    if not voices or not remembered:
        return {}
    speakers, people = list(voices), list(remembered)
    similarity = np.array(
        [
            [
                -1.0
                if (one, person) in refused
                else max(float(voices[one] @ voice) for voice in remembered[person])
                for person in people
            ]
            for one in speakers
        ]
    )
    usable = np.where(similarity >= POSSIBLE, similarity, 0.0)
    rows, columns = linear_sum_assignment(usable, maximize=True)
    return {
        speakers[row]: VoiceMatch(people[column], float(similarity[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if usable[row, column] > 0
    }


def merged(voices: Sequence[Voice], seconds: Sequence[float]) -> Voice:
    """One voice of several of the same person, weighted by how much speech each comes from."""
    total = np.average(np.stack(voices), axis=0, weights=np.asarray(seconds)).astype(np.float32)
    return normalised(total)


def normalised(voice: Voice) -> Voice:
    """The same direction with length 1."""
    return voice / max(float(np.linalg.norm(voice)), 1e-9)


def to_bytes(voice: Voice) -> bytes:
    """384 bytes to store."""
    return voice.astype("<f2").tobytes()


def from_bytes(stored: bytes) -> Voice:
    """What `to_bytes` stored; raises ValueError if it has another length."""
    voice = np.frombuffer(stored, "<f2").astype(np.float32)
    if voice.shape != (DIMENSIONS,):
        raise ValueError(f"a voice has {DIMENSIONS} numbers, not {voice.size}")
    return normalised(voice)
