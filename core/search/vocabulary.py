"""The words that passages have: those with letters inside, those that begin so, those nearly spelled so.

An index of whole words finds none of them, and a scan of all passages takes a second in a large archive.
"""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock

from rapidfuzz import process
from rapidfuzz.distance import OSA

LONGEST = 64
"""Letters; no longer word is one that people look for by a part of it."""
MOST = 50
"""Words that a part of a word stands for at most."""


class Vocabulary:
    """Words in memory, lower case, е for ё; added to while it is asked."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._by_length: dict[int, set[str]] = {}
        self.seen_at = 0.0
        """When the newest of them was first seen, in seconds since 1970."""

    def __len__(self) -> int:
        return sum(map(len, self._by_length.values()))

    def add(self, words: Iterable[str], seen_at: float) -> None:
        """Know these, too."""
        with self._lock:
            for word in words:
                self._by_length.setdefault(len(word), set()).add(word)
            self.seen_at = max(self.seen_at, seen_at)

    def unknown(self, words: Iterable[str]) -> set[str]:
        """Those of these words that are not known, and short enough to be."""
        with self._lock:
            return {
                word
                for word in words
                if len(word) <= LONGEST and word not in self._by_length.get(len(word), ())
            }

    def containing(self, part: str) -> list[str]:
        """Words with these letters inside, the shortest first, those that begin so before others."""
        matches: list[str] = []
        with self._lock:
            for length in sorted(self._by_length):
                if length >= len(part) and len(matches) < MOST:
                    inside = (word for word in self._by_length[length] if part in word)
                    matches += sorted(inside, key=lambda word: (not word.startswith(part), word))
        return sorted(matches, key=lambda word: not word.startswith(part))[:MOST]

    def similar(self, word: str, most: int) -> list[str]:
        """Words in which at most so many letters are others, the nearest first."""
        with self._lock:
            near = [
                each
                for n in range(len(word) - most, len(word) + most + 1)
                for each in self._by_length.get(n, ())
            ]
        matches = process.extract(word, near, scorer=OSA.distance, score_cutoff=most, limit=MOST)
        return [each for each, _distance, _place in sorted(matches, key=lambda one: (one[1], one[0]))]
