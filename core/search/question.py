"""What a person asked, taken apart: words, numbers in digits, and phrases that must be said as written."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache

from core.search import numbers, stems

_PHRASE = re.compile(r"\"([^\"]+)\"|«([^»]+)»|“([^”]+)”|„([^“”]+)[“”]")
_LONGEST = 1000
"""Characters; what is longer is not a question."""

ASKING = frozenset(
    word
    for line in (
        "сколько откуда куда почему отчего зачем какой какая какое какие каков какова каковы какого каким",
        "каких каком какую чей чья чье чьи кому кого кем чего чему чем насколько который которая которое",
        "где когда кто что как ли разве неужели расскажи расскажите найди найдите покажи покажите",
        "how what when where which who whom whose why many much long tell show find does did",
    )
    for word in line.split()
)
"""Words that ask and say nothing about what is asked for."""
CURRENCIES = frozenset(
    word
    for line in (
        "рубль рубля рублей рублю рублях руб р доллар доллара долларов евро",
        "dollar dollars usd rub rubles roubles euro euros",
    )
    for word in line.split()
)
"""Beside a number they carry no weight: «790 рублей» may be written 790 ₽."""


@dataclass(frozen=True)
class Question:
    """Words that are asked for in any form, and phrases in quotation marks that must be said as written."""

    text: str
    words: tuple[str, ...]
    phrases: tuple[str, ...] = ()

    @cached_property
    def exact(self) -> tuple[str, ...]:
        """Numbers and codes: words that stand for themselves and are never read loosely."""
        return tuple(word for word in self.words if is_exact(word))


def is_exact(word: str) -> bool:
    """Whether a word is a number or a code."""
    return any(letter.isdecimal() for letter in word)


@lru_cache(maxsize=1000)
def read(question: str) -> Question:
    """A question taken apart. Words that ask or are everywhere are left out, unless there is nothing else."""
    text = " ".join(question[:_LONGEST].split())
    phrases = tuple("".join(groups).strip() for groups in _PHRASE.findall(stems.fold(text)))
    free = stems.words(stems.fold(numbers.written(_PHRASE.sub(" ", text))))
    has_number = any(map(is_exact, free))
    content_words = [word for word in free if word not in stems.STOP_WORDS]
    weighty = [
        word for word in content_words if word not in ASKING and not (has_number and word in CURRENCIES)
    ]
    words = tuple(dict.fromkeys(weighty or content_words or free))
    stripped = stems.fold(text).strip('"«»“”„ ')
    return Question(stripped, words, tuple(filter(stems.has_words, phrases)))
