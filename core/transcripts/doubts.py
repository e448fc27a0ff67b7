"""What makes a transcript doubtful: words that no language has, an engine that guesses, another language.

Confidence alone does not tell: GigaAM is 0.74 to 0.94 sure of noise. So words are looked up in dictionaries
as well, and the language that was used is held against the one that is heard. The thresholds stand between
what Whisper base says of people whose words it got right, and what it says of those it got wrong, and of what
is spoken in another language, or to the toy of the tests; `benchmarks/bench_doubts.py` counts and prints it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from core.database.tables import Segment
from core.speech import vocabulary
from core.speech.language import HOUSE

SURE = 0.66
"""Mean confidence of words. Texts that are right: 0.68 and more, but for one in a hundred. Of those with half
of their words wrong, four in ten are below, in noise nearly all. Nothing that was tried beside it tells them
better apart: neither the probability of Whisper's tokens or of the language, nor the number of words
(benchmarks/README.md)."""
SEGMENT_SURE = 0.5
WORD_SURE = 0.5
"""Confidence below which a word is worth listening to."""
LOG_PROBABILITY = -1.0
"""Whisper's own limit: below it the model guesses."""
WORDS = 0.5
"""Share of words that a dictionary has. People: 0.67 and more; what the toy makes of people: 0.33 and less.
What Whisper translates instead passes; there it is unsure, or another language is heard."""
IN_LANGUAGE = 0.6
"""Share of words of the language that was used, from which it is believed without listening again."""
FEW = 3
"""Of fewer words nothing is said."""
DOUBTFUL = 0.1
MOSTLY = 0.5
"""Shares of the speaking time that is doubtful: worth a word, or as good as everything."""
HEARD = 0.6
"""Probability from which another language is believed to be spoken."""

_WORD = re.compile(r"[^\W\d_]{3,}(?:['’][^\W\d_]+)?")


@dataclass(frozen=True)
class Evidence:
    """How words look: how many, which share dictionaries have, how sure the engine is of them."""

    words: int
    """Of three letters and more, which are looked up."""
    known: float | None
    """Share that is a word of Russian or English; None in other languages, which have no dictionary here."""
    in_language: float | None
    """Share that is written as the language is, and known."""
    rated: int
    """Words of whatever length whose confidence is known."""
    confidence: float | None
    log_probability: float | None

    @property
    def plausible(self) -> bool:
        """Whether these may be words at all."""
        return self.known is None or self.words < FEW or self.known >= WORDS

    @property
    def doubtful(self) -> bool:
        """Whether a segment reads as if the engine had not understood it."""
        unsure = self.confidence is not None and self.rated >= FEW and self.confidence < SEGMENT_SURE
        guessed = self.log_probability is not None and self.log_probability < LOG_PROBABILITY
        return unsure or guessed or not self.plausible

    @property
    def understood(self) -> bool:
        """Whether a recording reads as if the engine had understood it."""
        unsure = self.confidence is not None and self.rated >= FEW and self.confidence < SURE
        return self.plausible and not unsure

    @property
    def is_conclusive(self) -> bool:
        """Whether nobody has to listen for another language."""
        return self.understood and self.in_language is not None and self.in_language >= IN_LANGUAGE


def evidence(segments: Sequence[Segment], language: str) -> Evidence:
    """How the words of segments look, where `language` is used for those that name none."""
    words = [
        (word, segment.language or language)
        for segment in segments
        for word in _WORD.findall((segment.text or "").lower())
    ]
    judged = [(word, code) for word, code in words if code in HOUSE]
    recognised = [(word, code) for word, code in judged if vocabulary.is_word(word)]
    own = [word for word, code in recognised if vocabulary.is_russian(word) == (code == "ru")]
    confidences = [word[3] for segment in segments for word in segment.words or () if word[3] is not None]
    logs = [each.log_probability for each in segments if each.log_probability is not None]
    return Evidence(
        len(words),
        len(recognised) / len(judged) if judged else None,
        len(own) / len(judged) if judged else None,
        len(confidences),
        sum(confidences) / len(confidences) if confidences else None,
        sum(logs) / len(logs) if logs else None,
    )
