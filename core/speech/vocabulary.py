"""Whether a word is one of Russian or English: dictionaries that come with packages."""

from __future__ import annotations

import re
from collections.abc import Container
from functools import cache
from typing import Any, cast


@cache
def morphology() -> Any:
    """OpenCorpora's dictionary: some 0.1 s and 30 MB, when the first Russian word comes."""
    from pymorphy3 import MorphAnalyzer  # noqa: PLC0415

    return MorphAnalyzer(lang="ru")


def is_russian(word: str) -> bool:
    """Whether any letter of it is Cyrillic."""
    return bool(re.search("[а-яёА-ЯЁ]", word))


def is_word(word: str) -> bool:
    """Whether it is a word of Russian or English, by its letters; `word` is in lower case."""
    if is_russian(word):
        return bool(morphology().word_is_known(word))
    return word in _english()


@cache
def _english() -> Container[str]:
    """A dictionary of English with frequencies, some 0.1 s when the first English word comes."""
    from spellchecker import SpellChecker  # noqa: PLC0415

    return cast("Container[str]", SpellChecker("en"))
