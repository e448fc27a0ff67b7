"""A stretch of speech with its words, as readers, exports and corrections take it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Final

from core.speech.engine import Word

_OWN: Final = ("segment_id", "first_word", "begins")
"""Fields that are of no use outside."""


@dataclass(frozen=True)
class TranscribedSegment:
    """One transcribed segment, with times from the start of the recording."""

    n: int
    channel: str
    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...]
    label: str = ""
    """Who speaks, as programs call them; `channel` has the name that people gave."""
    overlapped: bool = False
    """Somebody else spoke during most of it, so its text may be wrong, too."""
    language: str = ""
    engine: str = ""
    log_probability: float | None = None
    no_speech: float | None = None
    doubtful: bool = False
    """Whether it reads as if the engine had not understood."""
    edited: bool = False
    """Whether a person corrected it."""
    segment_id: str = ""
    """What it is a part of, for corrections: these words from number `first_word` on."""
    first_word: int = 0
    begins: bool | None = None
    """Whether a person began a paragraph with it, or joined it to the one before; None: nobody said."""

    @property
    def version(self) -> str:
        """Another one whenever it reads otherwise, is cut otherwise, or somebody else says it."""
        parts = (self.segment_id, str(self.first_word), self.label, str(self.begins), self.text)
        return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def as_json(segment: TranscribedSegment) -> dict[str, object]:
    """One segment for programs: seconds from the start of the recording."""
    return {name: value for name, value in asdict(segment).items() if name not in _OWN}
