"""Question → moments.

By words and by meaning at once. What says all that is asked for, numbers and codes too, comes first; then
what is nearest by meaning, lifted by how much of the question it says. Words that the index does not have are
read more and more loosely (`spelling.py`). What is neither said nor near enough is shown, but as no answer.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import operator
import re
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from core.embedding.embedder import Embedder, understands
from core.errors import BadRequest, Code, Unavailable
from core.search import numbers, spelling, stems, terms
from core.search.index import EVERYWHERE, Index, Row, Scope
from core.search.lance import How
from core.search.question import Question, read
from core.search.spelling import Reading
from core.speech.engine import Word
from core.transcripts.chunking import language

MODES = ("hybrid", "meaning", "words")
DEPTH = 50
"""How far down each list is read before fusing; fixed, so that a longer page begins like a shorter one."""
RRF_K = 60
"""Reciprocal rank fusion, Cormack, Clarke & Büttcher, SIGIR 2009."""
COVERED = 0.1
"""What saying all words of a question adds to a cosine; some of them add their share, squared."""
ENOUGH = 0.5
"""Share of the words that makes an answer where nobody can say what is meant."""
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
    """How its words were found, a `How`; empty if it was by meaning only."""
    play_s: float
    """Where to start playing, in seconds."""
    sure: bool = True
    """Whether it is an answer; else only the nearest there is."""
    also: tuple[Row, ...] = ()
    """Other passages that say the very same."""
    sentence: str = ""
    """The sentence of it that answers, where it was looked for by meaning."""


@dataclass(frozen=True)
class Found:
    """Moments, best first, and what a person should know about how they were found."""

    matches: tuple[Match, ...] = ()
    notice: str | None = None
    how: str = ""
    """How loosely the words had to be read for the first match; empty without words."""
    instead: tuple[tuple[str, str], ...] = ()
    """Words as they were asked, and as they were read."""
    missing: tuple[str, ...] = ()
    """Words of the question that nobody says."""
    other_words: tuple[str, ...] = ()
    """The question as the glossary puts it otherwise, where somebody says that."""


def search(
    index: Index,
    embedder: Embedder | None,
    question: str,
    *,
    scope: Scope = EVERYWHERE,
    mode: str = "hybrid",
    limit: int = 20,
    rows: Callable[[Iterable[str]], dict[str, Row]] | None = None,
) -> Found:
    """Moments that answer the question; what stands in quotation marks must be said just so.

    Where meaning cannot be searched, words are, with a notice. `rows` gives passages by their ids, where
    something is faster at that than the index. Each is played from its start.
    """
    if mode not in MODES:
        raise BadRequest(Code.SEARCH_MODE_UNKNOWN, mode=mode)
    parsed = read(question)
    if not parsed.words and not parsed.phrases:
        return Found()
    lookup = _Lookup(index, parsed, question, scope, max(limit, DEPTH), rows or index.rows)
    word_matches = lookup.word_matches()
    near, notice = lookup.near(embedder, word_matches) if mode != "words" else ([], None)
    if mode == "meaning" and notice is None and not parsed.phrases:
        word_matches = _WordMatches(word_matches.reading, [], [])
    ranked = _once(_ranked(near, word_matches, embedder))[:limit]
    matches = tuple(_match(hit, word_matches.how) for hit in ranked)
    missing = word_matches.reading.missing if word_matches.how not in ("all", "") else ()
    return Found(matches, notice, word_matches.how, word_matches.reading.instead, missing)


@dataclass(frozen=True)
class _WordMatches:
    """What the words found: passages with all of them, and passages with some."""

    reading: Reading
    whole: Hits
    partly: Hits

    @property
    def how(self) -> str:
        if self.whole:
            return self.reading.how
        return "any" if self.partly else ""


@dataclass(frozen=True)
class _Hit:
    """A passage on its way into the answer."""

    row: Row
    score: float
    why: str
    sure: bool
    also: tuple[Row, ...] = ()


@dataclass(frozen=True)
class _Lookup:
    """One question to one index."""

    index: Index
    question: Question
    original: str
    scope: Scope
    depth: int
    rows: Callable[[Iterable[str]], dict[str, Row]]

    def word_matches(self) -> _WordMatches:
        """Passages that say it: as it was asked, else as it may have been meant."""
        whole = self._words(self.question, "all")
        if whole or self.question.phrases:
            return _WordMatches(Reading(self.question, "all", self.original), whole, [])
        partly = self._words(self.question, "any")
        found_terms = {term for row, _ in partly for term in _terms(row, self.question)}
        all_of_them = len(partly) < self.depth

        def absent(word: str) -> bool | None:
            return False if _is_in(found_terms, word) else True if all_of_them else None

        reading = spelling.read(self.index, self.question, self.original, self.scope, absent)
        if reading.instead:
            whole = self._words(reading.question, "all")
            partly = [] if whole else self._words(reading.question, "any")
        if not whole and not partly:
            parts = self._words(self.question, "substring")
            return _WordMatches(replace(reading, how="substring") if parts else reading, parts, [])
        return _WordMatches(reading, whole, partly)

    def near(self, embedder: Embedder | None, word_matches: _WordMatches) -> tuple[Hits, str | None]:
        """Passages that mean it, or why nobody can say."""
        if embedder is None or embedder.languages == ():
            return [], NO_MEANING
        text = word_matches.reading.text
        if not understands(embedder, language(text)):
            return [], NOT_ITS_LANGUAGE
        try:
            vector = embedder.embed_query(text)
        except Unavailable:
            return [], NO_MEANING
        scores = self.index.nearest(embedder, vector, self.scope, self.depth)
        rows = {row.id: row for row, _ in (*word_matches.whole, *word_matches.partly)}
        rows |= self.rows([key for key, _ in scores if key not in rows])
        return [(rows[key], score) for key, score in scores if key in rows], None

    def _words(self, question: Question, how: How) -> Hits:
        return self.index.words(question, self.scope, self.depth, how)


def _ranked(near: Hits, word_matches: _WordMatches, embedder: Embedder | None) -> list[_Hit]:
    """One list of both, best first: what says everything, then what means it or says some of it."""
    question = word_matches.reading.question
    cosines = {row.id: score for row, score in near}
    whole = _whole(near, word_matches.whole)
    first = {hit.row.id for hit in whole}
    if question.phrases:
        return whole
    covered = {row.id: _coverage(row, question) for row, _ in word_matches.partly}
    rows = {row.id: row for row, _ in [*near, *word_matches.partly] if row.id not in first}
    floor = embedder.answer_cosine if embedder and embedder.answer_cosine else 0.0
    least = min(cosines.values(), default=0.0)
    exact_missing = bool(question.exact) and not word_matches.whole
    rest = []
    for key, row in rows.items():
        share = covered.get(key, 0.0)
        score = cosines.get(key, least) + COVERED * share**2
        why = "both" if key in cosines and share else "meaning" if key in cosines else "words"
        sure = score >= floor if near else share >= ENOUGH
        rest.append(_Hit(row, score, why, sure and not exact_missing))
    return [*whole, *sorted(rest, key=lambda hit: -hit.score)]


def _once(hits: Sequence[_Hit]) -> list[_Hit]:
    """Each text once, where it ranks best."""
    texts: dict[str, list[_Hit]] = {}
    for hit in hits:
        texts.setdefault(stems.fold(hit.row.text), []).append(hit)
    return [
        replace(best, also=tuple(hit.row for hit in others)) if others else best
        for best, *others in texts.values()
    ]


def _whole(near: Hits, word_hits: Hits) -> list[_Hit]:
    """Passages with all the words, those first that also mean it: fused by rank."""
    places = {row.id: rank for rank, (row, _) in enumerate(near, start=1)}
    hits = []
    for rank, (row, _) in enumerate(word_hits, start=1):
        place = places.get(row.id)
        score = 1 / (RRF_K + rank) + (1 / (RRF_K + place) if place else 0)
        hits.append(_Hit(row, 1 + score, "both" if place else "words", sure=True))
    return sorted(hits, key=lambda hit: -hit.score)


def _coverage(row: Row, question: Question) -> float:
    """The share of the question's words that a passage says."""
    row_terms = _terms(row, question)
    matched = [word for word in question.words if _is_in(row_terms, word)]
    return len(matched) / len(question.words)


def _terms(row: Row, question: Question) -> frozenset[str]:
    """What a passage says, as far as this question may ask for it."""
    if row.stems:
        return frozenset(row.stems.split())
    return terms.distinct(row.text, with_numbers=bool(question.exact))


def _is_in(row_terms: Container[str], word: str) -> bool:
    return any(term in row_terms for term in terms.of_word(word))


def _match(hit: _Hit, how: str) -> Match:
    how = "" if hit.why == "meaning" else how
    return Match(hit.row, hit.score, hit.why, how, hit.row.start_s, hit.sure, hit.also)


def marks(text: str, question: str) -> list[tuple[str, bool]]:
    """The text in pieces, each with whether it is what was asked for; joined, they are the text again.

    By stem, and a quoted phrase only where it stands whole; where there is none of it, letter by letter,
    and else what is nearly it.
    """
    pieces = stems.pieces(text)
    places = [n for n, piece in enumerate(pieces) if stems.words(piece)]
    words = [pieces[n] for n in places]
    matches = _matching_words(words, question)
    if not matches and (literal := _literal(text, read(question).text)):
        return literal
    marked = {places[n] for n in matches or _nearly(words, question)}
    return _merged([(piece, n in marked) for n, piece in enumerate(pieces)])


def play_s(question: str, row: Row, words: Iterable[Word]) -> float:
    """Where to start playing a passage: just before the place with the most of what was asked for."""
    parts = [(word, part) for word in words for part in stems.words(word.text)]
    texts = [part for _, part in parts]
    matches = _matching_words(texts, question) or _nearly(texts, question)
    if not matches:
        return row.start_s
    best = max(matches, key=lambda n: len({stems.stem(texts[m]) for m in matches if n <= m < n + TOGETHER}))
    return parts[best][0].start_s - LEAD_IN_S


def _matching_words(words: Sequence[str], question: str) -> list[int]:
    """Which of these words are asked for: phrases where they stand whole, the rest wherever it is."""
    free, phrases = _wanted(question)
    stemmed = [stems.stem(word) for word in words]
    matches = {n for n, stem in enumerate(stemmed) if stem in free}
    for phrase in phrases:
        size = len(phrase)
        for n in range(len(stemmed) - size + 1):
            if tuple(stemmed[n : n + size]) == phrase:
                matches.update(range(n, n + size))
    return sorted(matches | _matching_numbers(words, question))


def _matching_numbers(words: Sequence[str], question: str) -> set[int]:
    """Which of these words are a number that is asked for, however it is said."""
    exact = set(read(question).exact)
    if not exact:
        return set()
    ends = list(itertools.accumulate(len(word) + 1 for word in words))
    spans = [
        (number.start, number.end)
        for number in numbers.numbers(" ".join(words))
        if exact & {number.digits, number.scaled}
    ]
    return {
        n
        for n, end in enumerate(ends)
        for start, stop in spans
        if start < end - 1 and end - 1 - len(words[n]) < stop
    }


def _nearly(words: Sequence[str], question: str) -> list[int]:
    """Which of these words are one that is asked for, but for a letter or two."""
    free, phrases = _wanted(question)
    targets = free.union(*phrases)

    def near(word: str) -> bool:
        return len(word) > 2 and bool(difflib.get_close_matches(stems.stem(word), targets, 1, SIMILAR))

    return [n for n, word in enumerate(words) if near(word)]


@functools.lru_cache(maxsize=256)
def _wanted(question: str) -> tuple[frozenset[str], tuple[tuple[str, ...], ...]]:
    """The stems a question asks for: of single words in all their forms, and of each quoted phrase."""
    parsed = read(question)
    free = frozenset(stems.stem(form) for word in parsed.words for form in stems.forms(word))
    phrases = (tuple(stems.stem(word) for word in stems.words(phrase)) for phrase in parsed.phrases)
    return free, tuple(phrases)


def _literal(text: str, needle: str) -> list[tuple[str, bool]]:
    """The text cut where the question stands in it letter by letter; nothing if it does not."""
    parts = re.split(f"({re.escape(needle)})", stems.fold(text))
    if len(parts) == 1 or sum(map(len, parts)) != len(text):
        return []
    ends = list(itertools.accumulate(map(len, parts)))
    cuts = [(text[start:end], number % 2 == 1) for number, (start, end) in enumerate(pairwise([0, *ends]))]
    return _merged(cuts)


def _merged(pieces: Sequence[tuple[str, bool]]) -> list[tuple[str, bool]]:
    """Neighbours that are marked alike become one piece."""
    runs = itertools.groupby(pieces, key=operator.itemgetter(1))
    merged = [("".join(piece for piece, _ in run), marked) for marked, run in runs]
    return [(piece, marked) for piece, marked in merged if piece]
