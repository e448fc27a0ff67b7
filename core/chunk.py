"""Transcript → passages: stretches of about 45 seconds that are searched as one."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Utterance:
    """One transcribed segment with its place in the recording."""

    start_s: float
    end_s: float
    text: str
    speaker: str = ""


@dataclass(frozen=True)
class Passage:
    """A stretch of transcript that is searched as one."""

    start_s: float
    end_s: float
    text: str
    speaker: str = ""
