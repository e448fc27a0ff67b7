"""Text → vector, as a bag of words: texts that share words, in any inflection, lie close."""

from __future__ import annotations

import math
import re
import zlib
from functools import lru_cache

import snowballstemmer

_FORM = re.compile(r"^(?:title: .*? \| text: |task: [\w ]+ \| query: )", re.DOTALL)
"""The wrapping that gemini-embedding-2 expects around texts; it must not make all texts alike."""


def count_tokens(text: str) -> int:
    """About as many as Gemini counts: three Cyrillic letters to a token, four of plain ASCII."""
    beyond_ascii = len(text.encode()) - len(text)  # UTF-8 spends one more byte on each Cyrillic letter
    return math.ceil(beyond_ascii / 3 + max(0, len(text) - beyond_ascii) / 4)


def embed(text: str, dim: int) -> list[float]:
    """The unit vector of a text: each stem adds to four of `dim` places, short words a little."""
    values = [0.0] * dim
    words = re.findall(r"[^\W_]+", _FORM.sub("", text).lower()) or [text]
    for word in words:
        weight = 1.0 if len(word) > 3 else 0.2
        for digest in _digests(word):
            values[(digest >> 1) % dim] += weight if digest & 1 else -weight
    norm = math.hypot(*values)
    return [value / norm for value in values] if norm else embed(f"{text} nothing", dim)


@lru_cache(maxsize=100_000)
def _digests(word: str) -> tuple[int, ...]:
    language = "russian" if re.search(r"[а-яё]", word) else "english"
    stem = snowballstemmer.stemmer(language).stemWord(word)  # a stemmer has state: one for each call
    return tuple(zlib.crc32(f"{place}{stem}".encode()) for place in range(4))
