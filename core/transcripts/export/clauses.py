"""How well a text may be broken behind a word."""

from __future__ import annotations

import re

PAUSE_S = 0.8
"""A longer pause ends what was being said."""
SENTENCE, CLAUSE, BEFORE_CONJUNCTION, WORD, SHORT_WORD = 0.0, 2.0, 5.0, 12.0, 16.0
"""Penalties of a break: behind a sentence, behind a clause, before a conjunction, between two words, and
behind a word that leads to the next (a preposition, an article)."""
SHORT_CHARS = 3

_SENTENCE = re.compile(r"[.!?…。！？]+[\"'»”’)\]]*$")
_CLAUSE = re.compile(r"[,;:—–、，；：][\"'»”’)\]]*$")
_CONJUNCTION = re.compile(
    r"and|but|or|nor|so|yet|because|that|which|who|when|where|while|if|although|though|unless|until|than|"
    r"и|а|но|или|либо|что|чтобы|котор(?:ый|ая|ое|ые)|когда|где|куда|пока|если|хотя|потому|поэтому|"
    r"так|как|зато|однако|причём|также",
    re.IGNORECASE,
)
"""Words that begin a clause in English and Russian."""


def ends_sentence(word: str) -> bool:
    """Whether a sentence ends with this word."""
    return _SENTENCE.search(word) is not None


def break_penalty(word: str, following: str) -> float:
    """How much a break between two words of one utterance disturbs, from 0 (not) to 16."""
    if ends_sentence(word):
        return SENTENCE
    if _CLAUSE.search(word):
        return CLAUSE
    if len(word) <= SHORT_CHARS:
        return SHORT_WORD
    return BEFORE_CONJUNCTION if _CONJUNCTION.fullmatch(following.strip("«\"'(,")) else WORD
