"""Question → moments.

By meaning (vectors) and by words at once; the two lists are fused by rank. Words must all be there:
fused with passages that have only some of them, a paraphrase loses its place (R@1 0.78 → 0.31 on our
English set). Only when nothing is found is the question read more and more loosely.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from core.embedding.embedder import Embedder, understands
from core.errors import BadRequest, Code, Unavailable
from core.search import stems
from core.search.index import EVERYWHERE, Index, Row, Scope
from core.search.lance import How
from core.speech.engine import Word
from core.transcripts.chunking import language

MODES = ("hybrid", "meaning", "words")
DEPTH = 50
"""How far down each list is read before fusing; fixed, so that a longer page begins like a shorter one."""
RRF_K = 60
"""Reciprocal rank fusion, Cormack, Clarke & Büttcher, SIGIR 2009."""
LOOSER: tuple[How, ...] = ("any", "fuzzy", "substring")
SIMILAR = 0.75
"""How alike two stems must be to pass for a misspelling when nothing else can be marked."""

TOGETHER = 12
"""Words that are heard as one place."""
LEAD_IN_S = 0.5

Hits = list[tuple[Row, float]]

NO_MEANING = "Search by meaning is not available right now; these were found by words."
NOT_ITS_LANGUAGE = "The model does not understand this language by meaning; these were found by words."


@dataclass(frozen=True)
class Match:
    """A moment where it was said."""

    row: Row
    score: float
    """Orders one answer; means nothing beside another answer's."""
    why: str
    """meaning, words or both."""
    how: str
    """How its words were found: all, any, fuzzy or substring; empty if it was by meaning only."""
    play_s: float
    """Where to start playing, in seconds."""


@dataclass(frozen=True)
class Found:
    """Moments, best first, and what a person should know about how they were found."""

    matches: tuple[Match, ...] = ()
    notice: str | None = None


def search(
    index: Index,
    embedder: Embedder | None,
    question: str,
    *,
    scope: Scope = EVERYWHERE,
    mode: str = "hybrid",
    limit: int = 20,
    moment: Callable[[Row], float] | None = None,
) -> Found:
    """Moments that answer the question; what stands in quotation marks must be said just so.

    Where meaning cannot be searched, words are, with a notice. `moment` finds the second to play from
    inside a passage; without it that is the passage's start.
    """
    if mode not in MODES:
        raise BadRequest(Code.SEARCH_MODE_UNKNOWN, mode=mode)
    asked = stems.read(question)
    if not asked.text:
        return Found()
    look = _Look(index, question, scope, max(limit, DEPTH))
    near, notice = look.near(embedder) if mode != "words" else ([], None)
    with_words = mode != "meaning" or notice is not None or bool(asked.phrases)
    said, how = look.said(loosely=not near or bool(asked.phrases)) if with_words else ([], "")
    if asked.phrases:
        spoken = {row.id for row, _ in said}
        near = [(row, score) for row, score in near if row.id in spoken]
    matches = [_match(*hit, how, moment) for hit in _fused(near, said)[:limit]]
    return Found(tuple(matches), notice)


def marks(text: str, question: str) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it is what was asked for; joined, they are the text again.

    By stem, and a quoted phrase only where it stands whole; where there is none of it, letter by letter,
    and else what is nearly it.
    """
    pieces = stems.pieces(text)
    places = [n for n, piece in enumerate(pieces) if stems.words(piece)]
    told = [pieces[n] for n in places]
    found = _asked_for(told, question)
    if not found and (literal := _literal(text, stems.read(question).text)):
        return literal
    marked = {places[n] for n in found or _nearly(told, question)}
    return _merged([(piece, n in marked) for n, piece in enumerate(pieces)])


def play_s(question: str, row: Row, said: Iterable[Word]) -> float:
    """Where to start playing a passage: just before the place with the most of what was asked for."""
    heard = [(word, part) for word in said for part in stems.words(word.text)]
    told = [part for _, part in heard]
    found = _asked_for(told, question) or _nearly(told, question)
    if not found:
        return row.start_s
    best = max(found, key=lambda n: len({stems.stem(told[m]) for m in found if n <= m < n + TOGETHER}))
    return heard[best][0].start_s - LEAD_IN_S


def _asked_for(told: Sequence[str], question: str) -> list[int]:
    """Which of these words are asked for: phrases where they stand whole, single words wherever they are."""
    free, phrases = _wanted(question)
    stemmed = [stems.stem(word) for word in told]
    found = {n for n, stem in enumerate(stemmed) if stem in free}
    for phrase in phrases:
        size = len(phrase)
        for n in range(len(stemmed) - size + 1):
            if tuple(stemmed[n : n + size]) == phrase:
                found.update(range(n, n + size))
    return sorted(found)


def _nearly(told: Sequence[str], question: str) -> list[int]:
    """Which of these words are one that is asked for, but for a letter or two."""
    free, phrases = _wanted(question)
    wanted = free.union(*phrases)

    def near(word: str) -> bool:
        return len(word) > 2 and bool(difflib.get_close_matches(stems.stem(word), wanted, 1, SIMILAR))

    return [n for n, word in enumerate(told) if near(word)]


@functools.lru_cache(maxsize=256)
def _wanted(question: str) -> tuple[frozenset[str], tuple[tuple[str, ...], ...]]:
    """The stems a question asks for: of single words in all their forms, and of each quoted phrase."""
    asked = stems.read(question)
    free = frozenset(stems.stem(form) for word in asked.words for form in stems.forms(word))
    phrases = (tuple(stems.stem(word) for word in stems.words(phrase)) for phrase in asked.phrases)
    return free, tuple(phrases)


@dataclass(frozen=True)
class _Look:
    """One question to one index."""

    index: Index
    question: str
    scope: Scope
    depth: int

    def near(self, embedder: Embedder | None) -> tuple[Hits, str | None]:
        """Passages that mean it, or why nobody can say."""
        if embedder is None or embedder.languages == ():
            return [], NO_MEANING
        if not understands(embedder, language(self.question)):
            return [], NOT_ITS_LANGUAGE
        try:
            vector = embedder.embed_query(self.question)
        except Unavailable:
            return [], NO_MEANING
        scores = self.index.nearest(embedder, vector, self.scope, self.depth)
        rows = self.index.rows([key for key, _ in scores])
        return [(rows[key], score) for key, score in scores if key in rows], None

    def said(self, *, loosely: bool) -> tuple[Hits, str]:
        """Passages that say it, and how loosely it had to be read."""
        for how in ("all", *LOOSER) if loosely else ("all",):
            found = self.index.words(self.question, self.scope, self.depth, how)
            if found:
                return found, how
        return [], "all"


def _fused(near: Hits, said: Hits) -> list[tuple[Row, float, str]]:
    """One list of two, best first, with why each is in it; a list alone keeps its scores."""
    if not near or not said:
        return [(row, score, "meaning" if near else "words") for row, score in near or said]
    fused: dict[str, tuple[Row, float, str]] = {}
    for why, hits in (("meaning", near), ("words", said)):
        for rank, (row, _) in enumerate(hits, start=1):
            before = fused.get(row.id)
            score = 1 / (RRF_K + rank) + (before[1] if before else 0)
            fused[row.id] = (row, score, "both" if before else why)
    return sorted(fused.values(), key=lambda hit: -hit[1])


def _match(row: Row, score: float, why: str, how: str, moment: Callable[[Row], float] | None) -> Match:
    play_s = moment(row) if moment else row.start_s
    return Match(row, score, why, "" if why == "meaning" else how, max(0.0, play_s))


def _literal(text: str, asked: str) -> list[tuple[str, bool]]:
    """The text cut where the question stands in it letter by letter; nothing if it does not."""
    found = re.split(f"({re.escape(asked)})", stems.fold(text))
    if len(found) == 1 or sum(map(len, found)) != len(text):
        return []
    ends = list(itertools.accumulate(map(len, found)))
    cuts = [(text[start:end], number % 2 == 1) for number, (start, end) in enumerate(pairwise([0, *ends]))]
    return _merged(cuts)


def _merged(pieces: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Neighbours that are marked alike become one piece."""
    runs = itertools.groupby(pieces, key=operator.itemgetter(1))
    merged = [("".join(piece for piece, _ in run), marked) for marked, run in runs]
    return [(piece, marked) for piece, marked in merged if piece]
