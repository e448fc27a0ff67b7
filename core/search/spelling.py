"""Words that the index does not have, read as words that it has.

In this order: typed in the other keyboard layout; the same in the other script, or as it sounds; misspelt.
Only a word that no passage in the scope has is read otherwise, so that a right word is never corrected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import cast

from rapidfuzz.distance import OSA

from core.search import layout, question, stems
from core.search.index import Index, Scope
from core.search.lance import How
from core.search.question import Question

SHORTEST = 3
"""Letters of a word that is read otherwise."""
LONG = 6
"""Letters of a name in which one may be written otherwise: kubernetes, «кубернетис»."""
MOST_WORDS = 12
"""Words of a question that are looked at; one that has more is no matter of spelling."""
SIMILAR_ROWS = 50


@dataclass(frozen=True)
class Reading:
    """A question as it can be answered."""

    question: Question
    how: How
    """The loosest step that was needed: all (none was), layout, sound or fuzzy."""
    text: str
    """What is meant, for search by meaning: as it was typed, but for what is no word of any language."""
    instead: tuple[tuple[str, str], ...] = ()
    """Words as they were asked, and as they were read."""
    missing: tuple[str, ...] = ()
    """Words that no passage has in any spelling."""


def read(
    index: Index, asked: Question, original: str, scope: Scope, absent: Callable[[str], bool | None]
) -> Reading:
    """The question with words that the index has, where it has any for them.

    `original` is the question as it was typed; `absent` says of a word whether no passage has it, None where
    nobody knows yet.
    """
    look = _Look(index, scope)
    gone = [word for word in asked.words[:MOST_WORDS] if look.lacks(word, absent(word))]
    if not gone:
        return Reading(asked, "all", original)
    if len(gone) == len(asked.words) and (other := look.in_other_layout(original)):
        return Reading(other, "layout", other.text, ((asked.text, other.text),))
    how: How = "all"
    text = original
    read_as: dict[str, str] = {}
    for word, (step, spelling) in look.spellings(gone).items():
        read_as[word] = spelling
        how = max(how, step, key=STEPS.index)
        if not is_known(word):
            text = re.sub(rf"\b{re.escape(word)}\b", spelling, stems.fold(text))
    words = tuple(dict.fromkeys(read_as.get(word, word) for word in asked.words))
    missing = tuple(word for word in gone if word not in read_as)
    return Reading(replace(asked, words=words), how, text, tuple(read_as.items()), missing)


def is_known(word: str) -> bool:
    """Whether it is a word of Russian or English; such a word is not misspelt, only absent."""
    if stems.is_russian(word):
        return bool(stems.morphology().word_is_known(word))
    return word in _english()


@cache
def _english() -> Container[str]:
    """A dictionary of English with frequencies, some 0.1 s when the first unknown word comes."""
    from spellchecker import SpellChecker  # noqa: PLC0415

    return cast("Container[str]", SpellChecker("en"))


STEPS: tuple[How, ...] = ("all", "layout", "sound", "fuzzy", "any", "substring")
"""From exact to loose."""


@dataclass(frozen=True)
class _Look:
    """One index in one scope."""

    index: Index
    scope: Scope

    def lacks(self, word: str, known: bool | None = None) -> bool:
        """Whether no passage has this word in any form; `known` spares the question."""
        if known is not None:
            return known
        return not self.index.words(Question(word, (word,)), self.scope, 1, "any")

    def in_other_layout(self, text: str) -> Question | None:
        """The whole question as the other layout writes it, if most of its words are there then."""
        other = question.read(layout.switched(text))
        there = [not self.lacks(word) for word in other.words[:MOST_WORDS]]
        return other if there and sum(there) * 2 > len(there) else None

    def spellings(self, words: Sequence[str]) -> dict[str, tuple[How, str]]:
        """What each word stands for among the words that are there, where it stands for any."""
        loose = [word for word in words if len(word) >= SHORTEST and not question.is_exact(word)]
        others = {word: _others(word) for word in loose}
        wanted = tuple(dict.fromkeys(other for each in others.values() for other, _ in each))
        said: dict[str, str] = {}
        for one in self._words_like(Question("", wanted), "any") if wanted else ():
            said.setdefault(stems.stem(one), one)
        found: dict[str, tuple[How, str]] = {}
        for word in loose:
            exact = (
                (step, said[stems.stem(other)]) for other, step in others[word] if stems.stem(other) in said
            )
            spelled = next(exact, None) or self._sounding(word) or self._similar(word)
            if spelled:
                found[word] = spelled
        return found

    def _sounding(self, word: str) -> tuple[How, str] | None:
        """A word of the other script that sounds like this one."""
        key = layout.sound(word)
        if len(key) < SHORTEST:
            return None
        near = (layout.latin(word) if stems.is_russian(word) else layout.cyrillic(word))[:1]
        for one in self._words_like(Question("", near), "fuzzy"):
            alike = layout.sound(one) == key or (len(one) >= LONG and OSA.distance(one, near[0]) == 1)
            if alike and stems.is_russian(one) != stems.is_russian(word):
                return "sound", one
        return None

    def _similar(self, word: str) -> tuple[How, str] | None:
        """The word that is this one but for a letter or two; a word that exists is not misspelt."""
        if is_known(word):
            return None
        most = 1 if len(word) <= 5 else 2
        wanted = stems.stem(word)
        near: dict[str, tuple[int, int]] = {}
        for one in self._words_like(Question("", (word,)), "fuzzy"):
            whole = OSA.distance(word, one)
            distance = min(whole, OSA.distance(wanted, stems.stem(one)))
            if distance <= most and not question.is_exact(one):
                near[one] = (distance, whole)
        return ("fuzzy", min(near, key=lambda one: near[one])) if near else None

    def _words_like(self, wanted: Question, how: How) -> Iterable[str]:
        """The different words of the passages that a query finds."""
        rows = self.index.words(wanted, self.scope, SIMILAR_ROWS, how)
        return dict.fromkeys(word for row, _ in rows for word in stems.words(stems.fold(row.text)))


def _others(word: str) -> list[tuple[str, How]]:
    """The same keys in the other layout, and the same letters in the other script."""
    switched = layout.switched(word)
    others: list[tuple[str, How]] = [(switched, "layout")] if stems.words(switched) == [switched] else []
    spelled = layout.latin(word) if stems.is_russian(word) else layout.cyrillic(word)
    return [*others, *((other, "sound") for other in spelled)]
