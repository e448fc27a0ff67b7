"""What a passage is found by, and what a question asks for: stems, numbers in digits, codes as one word.

The index, the ranking and the marks read this file, so that they agree. LanceDB is given stems and stems
nothing itself; a passage may be in both languages.
"""

from __future__ import annotations

import functools

from core.search import numbers, stems
from core.search.question import Question, is_exact


@functools.lru_cache(maxsize=2000)
def of_text(text: str) -> tuple[str, ...]:
    """Terms of a passage in the order in which they are said; numbers and codes once more behind them."""
    content_words = (word for word in stems.words(stems.fold(text)) if word not in stems.STOP_WORDS)
    return (*map(stems.stem, content_words), *numbers.spoken(text))


@functools.lru_cache(maxsize=2000)
def distinct(text: str, *, with_numbers: bool) -> frozenset[str]:
    """The different terms of a passage; numbers that are said in words take ten times as long to read."""
    if with_numbers:
        return frozenset(of_text(text))
    return frozenset(map(stems.stem, stems.words(stems.fold(text))))


@functools.lru_cache(maxsize=10_000)
def of_word(word: str) -> tuple[str, ...]:
    """Terms of which any one says this word of a question; a code also in letters of one script."""
    forms = (word, numbers.code(word)) if is_exact(word) else stems.forms(word)
    return tuple(dict.fromkeys(stems.stem(form) for form in forms))


def of_question(question: Question) -> list[tuple[str, ...]]:
    """Terms of each of its words."""
    return [of_word(word) for word in question.words]


def of_phrase(phrase: str) -> str:
    """Terms of a phrase in order, split by blanks."""
    return " ".join(stems.stem(word) for word in stems.words(phrase) if word not in stems.STOP_WORDS)


def says(text: str, phrase: str) -> bool:
    """Whether a text says a phrase, in any inflection but with every small word in its place."""
    phrase_stems = [stems.stem(word) for word in stems.words(stems.fold(phrase))]
    text_stems = [stems.stem(word) for word in stems.words(stems.fold(text))]
    return any(
        text_stems[n : n + len(phrase_stems)] == phrase_stems
        for n in range(len(text_stems) - len(phrase_stems) + 1)
    )
