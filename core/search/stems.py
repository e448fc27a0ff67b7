"""Words as the index sees them: lower case, ё as е, without endings.

Snowball stems a word by its script: Cyrillic as Russian, anything else as English. It takes «день»
and «дня» for two words, and «кредит» for a verb; so a question asks for a Russian noun by each stem
that its forms have. The index and the marks in results agree because both read this file.
"""

from __future__ import annotations

import re
from functools import lru_cache

import snowballstemmer

from core.speech.vocabulary import is_russian, morphology

_WORD = re.compile(r"[^\W_]+")

STOP_WORDS = frozenset(
    word
    for line in (
        "а без бы был была были было быть в вам вас во вот вы где да для до его ее если есть еще же за и из",
        "или им их к как ко когда кто ли либо мне мы на над не него нее нет ни них но ну о об он она они оно",
        "от по под при с со так там то тоже только ты у уже чем что чтобы эта эти это этот я",
        "a about an and are as at be been but by can could did do does for from had has have he her his how",
        "i if in into is it its me my no not of on or our she should so than that the their them then there",
        "these they this to was we were what when where which who why will with would you your",
    )
    for word in line.split()
)
"""Words that are everywhere and distinguish nothing; neither asked for nor marked."""


def words(text: str) -> list[str]:
    """Words as the index cuts them."""
    return _WORD.findall(text)


def has_words(text: str) -> bool:
    """Whether there is a word in it."""
    return bool(_WORD.search(text))


def pieces(text: str) -> list[str]:
    """Words and what stands between them; joined, they are the text again."""
    return [piece for piece in re.split(f"({_WORD.pattern})", text) if piece]


def fold(text: str) -> str:
    """Lower case, with е for ё: people write either."""
    return text.lower().replace("ё", "е")


@lru_cache(maxsize=50_000)
def stem(word: str) -> str:
    """The word without its ending."""
    folded = fold(word)
    stemmer = snowballstemmer.stemmer("russian" if is_russian(folded) else "english")
    return str(stemmer.stemWord(folded))


@lru_cache(maxsize=10_000)
def forms(word: str) -> tuple[str, ...]:
    """The word itself, and a form of it for every further stem; only Russian nouns have such."""
    word_of_stem = {stem(word): word}
    if is_russian(word):
        for form in _declined(word):
            word_of_stem.setdefault(stem(form), fold(form))
    return tuple(word_of_stem.values())


def _declined(word: str) -> list[str]:
    """All cases and numbers of a word that is most probably a noun."""
    reading = morphology().parse(word)[0]
    return [form.word for form in reading.lexeme] if reading.tag.POS == "NOUN" else []
