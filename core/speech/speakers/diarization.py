"""Who speaks when in a recording: sound in, turns of numbered speakers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.media.waveform import Waveform
from core.speech.speakers import clustering, timeline
from core.speech.speakers.analysis import Analysis, Floats, Integers, Progress, analyse
from core.speech.speakers.condition import without_condition
from core.speech.speakers.models import SpeakerModels
from core.speech.speakers.turns import Overlap, Turn, overlaps
from core.speech.speakers.voices import MIN_ALONE_S, Voice, merged
from core.speech.vad import Span


@dataclass(frozen=True)
class SpeakerOptions:
    """How many speakers to look for; nothing given means: find out."""

    at_least: int | None = None
    at_most: int | None = None

    def __post_init__(self) -> None:
        least, most = self.at_least, self.at_most
        if (least is not None and least < 1) or (most is not None and most < (least or 1)):
            raise ValueError(f"at least {least} and at most {most} speakers cannot be")

    @classmethod
    def exactly(cls, speakers: int) -> SpeakerOptions:
        """So many, neither more nor fewer."""
        return cls(speakers, speakers)


@dataclass(frozen=True)
class Speaker:
    """One of a recording's speakers."""

    index: int
    """From 0, in order of who speaks first."""
    alone_s: float
    """How long the speaker speaks while nobody else does."""
    voice: Voice
    """Good enough to be kept where `storable`."""

    @property
    def storable(self) -> bool:
        """Whether there is enough speech to know this voice again."""
        return self.alone_s >= MIN_ALONE_S


@dataclass(frozen=True)
class Diarization:
    """Who speaks when."""

    duration_s: float
    turns: tuple[Turn, ...]
    """In order of time."""
    speakers: tuple[Speaker, ...]

    @property
    def overlaps(self) -> list[Overlap]:
        """Where two or more speak at once."""
        return overlaps(self.turns)


def diarize(
    sound: Waveform | Floats,
    models: SpeakerModels,
    options: SpeakerOptions = SpeakerOptions(),
    progress: Progress | None = None,
    speech: Sequence[Span] | None = None,
    folder: Path | None = None,
) -> Diarization:
    """Find the speakers of a recording.

    `sound` is mono at 16 kHz, float32 within ±1 or int16, and may be a memory map. `progress` is called with
    the seconds done; what it raises ends the work. `speech` is what `vad.speech` found, where somebody asked
    it already; `folder` a folder for what may be gone on with. Silence, music and noise have no speakers.
    """
    return resolve(analyse(sound, models, progress, speech, folder), options)


def resolve(analysis: Analysis, options: SpeakerOptions = SpeakerOptions()) -> Diarization:
    """Turns from what the networks said, in seconds; may be repeated with other options."""
    count = clustering.Count(options.at_least or 1, options.at_most)
    voices = without_condition(analysis.pieces.voices)
    labels, means = clustering.cluster(analysis.pieces, voices, count, analysis.window_overlap)
    found_turns = timeline.turns(analysis, labels, len(means))
    order = list(dict.fromkeys(turn.speaker for turn in found_turns))
    number = {old: new for new, old in enumerate(order)}
    turns = tuple(sorted(Turn(turn.start_s, turn.end_s, number[turn.speaker]) for turn in found_turns))
    speakers = tuple(_speaker(analysis, voices, labels, turns, old, number[old]) for old in order)
    return Diarization(analysis.duration_s, turns, speakers)


def _speaker(
    analysis: Analysis, voices: Floats, labels: Integers, turns: tuple[Turn, ...], old: int, new: int
) -> Speaker:
    """A speaker with the mean voice of the pieces that were given to it."""
    pieces = analysis.pieces
    rows = np.flatnonzero((labels == old) & ~np.isnan(voices[:, 0]))
    together = sum(one.end_s - one.start_s for one in overlaps(turns) if new in one.speakers)
    spoken = sum(turn.duration_s for turn in turns if turn.speaker == new)
    voice = merged(list(voices[rows]), list(np.maximum(pieces.alone_s[rows], 0.1)))
    return Speaker(new, spoken - together, voice)
