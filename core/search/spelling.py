"""Words that the index does not have, read as words that it has.

In this order: typed in the other keyboard layout; the same in the other script, or as it sounds; misspelt.
Only a word that no passage in the scope has is read otherwise, so that a right word is never corrected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from rapidfuzz.distance import OSA

from core.search import layout, question, stems
from core.search.index import Index, Scope
from core.search.lance import How
from core.search.question import Question
from core.speech.vocabulary import is_russian, is_word

SHORTEST = 3
"""Letters of a word that is read otherwise."""
LONG = 6
"""Letters of a name in which one may be written otherwise: kubernetes, «кубернетис»."""
MOST_WORDS = 12
"""Words of a question that are looked at; one that has more is no matter of spelling."""
SIMILAR_ROWS = 50
TRIED = 5
"""Spellings of one word that are looked for."""


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
    index: Index, question: Question, original: str, scope: Scope, absent: Callable[[str], bool | None]
) -> Reading:
    """The question with words that the index has, where it has any for them.

    `original` is the question as it was typed; `absent` says of a word whether no passage has it, None where
    nobody knows yet.
    """
    lookup = _Lookup(index, scope)
    absent_words = [word for word in question.words[:MOST_WORDS] if lookup.lacks(word, absent(word))]
    if not absent_words:
        return Reading(question, "all", original)
    if len(absent_words) == len(question.words) and (other := lookup.in_other_layout(original)):
        return Reading(other, "layout", other.text, ((question.text, other.text),))
    how: How = "all"
    text = original
    read_as: dict[str, str] = {}
    for word, (step, spelling) in lookup.spellings(absent_words).items():
        read_as[word] = spelling
        how = max(how, step, key=STEPS.index)
        if not is_word(word):  # a word that exists is not misspelt, only absent
            text = re.sub(rf"\b{re.escape(word)}\b", spelling, stems.fold(text))
    words = tuple(dict.fromkeys(read_as.get(word, word) for word in question.words))
    missing = tuple(word for word in absent_words if word not in read_as)
    return Reading(replace(question, words=words), how, text, tuple(read_as.items()), missing)


STEPS: tuple[How, ...] = ("all", "layout", "sound", "fuzzy", "any", "substring")
"""From exact to loose."""


@dataclass(frozen=True)
class _Lookup:
    """One index in one scope."""

    index: Index
    scope: Scope

    def lacks(self, word: str, is_absent: bool | None = None) -> bool:
        """Whether no passage has this word in any form; `is_absent` spares the question."""
        if is_absent is not None:
            return is_absent
        return not self.index.words(Question(word, (word,)), self.scope, 1, "any")

    def in_other_layout(self, text: str) -> Question | None:
        """The whole question as the other layout writes it, if most of its words are there then."""
        other = question.read(layout.switched(text))
        present = [not self.lacks(word) for word in other.words[:MOST_WORDS]]
        return other if present and sum(present) * 2 > len(present) else None

    def spellings(self, words: Sequence[str]) -> dict[str, tuple[How, str]]:
        """What each word stands for among the words that are there, where it stands for any."""
        loose = [word for word in words if len(word) >= SHORTEST and not question.is_exact(word)]
        others = {word: _others(word) for word in loose}
        spellings = tuple(dict.fromkeys(other for each in others.values() for other, _ in each))
        originals: dict[str, str] = {}
        for one in self._candidates(spellings) if spellings else ():
            originals.setdefault(stems.stem(one), one)
        found: dict[str, tuple[How, str]] = {}
        for word in loose:
            exact = (
                (step, originals[stems.stem(other)])
                for other, step in others[word]
                if stems.stem(other) in originals
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
        near = (layout.latin(word) if is_russian(word) else layout.cyrillic(word))[:1]
        alike = [
            one
            for other in near
            for one in self.index.vocabulary().similar(other, 2)
            if layout.sound(one) == key or (len(one) >= LONG and OSA.distance(one, other) == 1)
            if is_russian(one) != is_russian(word)
        ]
        candidates = self._first_there(alike)
        return ("sound", candidates) if candidates else None

    def _similar(self, word: str) -> tuple[How, str] | None:
        """The word that is this one but for a letter or two; a word that exists is not misspelt."""
        if is_word(word):
            return None
        most = 1 if len(word) <= 5 else 2
        target = stems.stem(word)
        vocabulary = self.index.vocabulary()
        near: dict[str, tuple[int, int]] = {}
        for one in [*vocabulary.similar(word, most), *vocabulary.similar(target, most)]:
            whole = OSA.distance(word, one)
            distance = min(whole, OSA.distance(target, stems.stem(one)))
            if distance <= most and not question.is_exact(one):
                near[one] = (distance, whole)
        candidates = self._first_there(sorted(near, key=lambda one: (near[one], one)))
        return ("fuzzy", candidates) if candidates else None

    def _first_there(self, words: Sequence[str]) -> str | None:
        """The first of these words that a passage in the scope has."""
        return next((word for word in words[:TRIED] if not self.lacks(word)), None)

    def _candidates(self, targets: Sequence[str]) -> Iterable[str]:
        """The different words of the passages that have any of these."""
        rows = self.index.words(Question("", tuple(targets)), self.scope, SIMILAR_ROWS, "any")
        return dict.fromkeys(word for row, _ in rows for word in stems.words(stems.fold(row.text)))


def _others(word: str) -> list[tuple[str, How]]:
    """The same keys in the other layout, and the same letters in the other script."""
    switched = layout.switched(word)
    others: list[tuple[str, How]] = [(switched, "layout")] if stems.words(switched) == [switched] else []
    spelled = layout.latin(word) if is_russian(word) else layout.cyrillic(word)
    return [*others, *((other, "sound") for other in spelled)]
