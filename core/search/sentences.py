"""Which sentence of a passage answers: where to start playing what was found by meaning.

A passage has some 45 seconds, and its vector says nothing about where in it the answer is; each sentence has
a vector of its own. They are made when they are asked for: 6 ms each, so only for the first hits.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from core.embedding.embedder import Embedder
from core.speech.engine import Word

ENDS = (".", "!", "?", "…")
SHORTEST_WORDS = 3
"""A shorter sentence belongs to the next one: “Yes. It was the pump.”"""
LONGEST_WORDS = 25
"""Speech without full stops is cut after as many."""
PAUSE_S = 0.8
"""Silence that ends a sentence without a full stop."""
KEPT = 5_000
"""Vectors of sentences kept in memory, 1.5 kB each."""


@dataclass(frozen=True)
class Sentence:
    """A sentence and the second it starts at."""

    start_s: float
    text: str


def sentences(words: Sequence[Word]) -> list[Sentence]:
    """Words in time order → sentences in time order."""
    found: list[Sentence] = []
    begun: list[Word] = []
    for n, word in enumerate(words):
        begun.append(word)
        last = n + 1 == len(words)
        if last or _ends(begun, words[n + 1]):
            found.append(Sentence(begun[0].start_s, " ".join(each.text.strip() for each in begun)))
            begun = []
    return found


def _ends(begun: Sequence[Word], following: Word) -> bool:
    word = begun[-1]
    pause = following.start_s - word.end_s >= PAUSE_S
    stop = word.text.rstrip('"»”) ').endswith(ENDS)
    return len(begun) >= LONGEST_WORDS or (len(begun) >= SHORTEST_WORDS and (stop or pause))


class Finder:
    """Finds the sentence nearest to a question; keeps vectors of sentences that it has seen."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: OrderedDict[tuple[str, str], NDArray[np.float32]] = OrderedDict()

    def nearest(
        self, embedder: Embedder, question: NDArray[np.float32], candidates: Sequence[Sentence]
    ) -> Sentence | None:
        """The sentence nearest to a question's unit vector, shape [dim]; None of none.

        Raises Unavailable where the embedder cannot work.
        """
        if not candidates:
            return None
        vectors = self._vectors(embedder, [each.text for each in candidates])
        return candidates[int(np.argmax(vectors @ question))]

    def _vectors(self, embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
        with self._lock:
            known = {
                text: self._kept[embedder.name, text] for text in texts if (embedder.name, text) in self._kept
            }
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known |= dict(zip(new, embedder.embed(new), strict=True))
            self._keep(embedder.name, new, known)
        return np.stack([known[text] for text in texts])

    def _keep(self, name: str, texts: Iterable[str], vectors: dict[str, NDArray[np.float32]]) -> None:
        with self._lock:
            self._kept.update({(name, text): vectors[text] for text in texts})
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
