"""How words are written: as in the text that they make up."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from core.speech.engine import Word

_WITHOUT_BLANKS: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
)
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese: no blank says where a word ends."""


def as_written(text: str, words: Sequence[Word]) -> tuple[Word, ...]:
    """Words as they stand in their text: with its punctuation, and as one what no blank divides.

    Whisper hears “по” and “-английски”, and “ну” and “...”. Where the words are not those of the text,
    they stay as they are.
    """
    written = text.split()
    if len(written) == len(words):
        return tuple(
            Word(whole, word.start_s, word.end_s, word.confidence, word.mark)
            for whole, word in zip(written, words, strict=True)
        )
    found: list[Word] = []
    rest = list(words)
    for whole in written:
        parts = _parts(whole, rest)
        if not parts or _letters(_text(parts)) != _letters(whole):
            return tuple(words)
        found += parts if _WITHOUT_BLANKS.search(whole) else [_joined(whole, parts)]
        rest = rest[len(parts) :]
    return tuple(words) if rest else tuple(found)


def _parts(whole: str, words: Sequence[Word]) -> Sequence[Word]:
    """The first words, as many as make up a written one with the signs behind it."""
    wanted, n = len(_letters(whole)), 1
    while n < len(words) and (
        len(_letters(_text(words[:n]))) < wanted
        or (not _letters(words[n].text) and whole.startswith(_text(words[: n + 1])))
    ):
        n += 1
    return words[:n]


def _text(words: Sequence[Word]) -> str:
    return "".join(word.text for word in words)


def _letters(text: str) -> str:
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def _joined(whole: str, parts: Sequence[Word]) -> Word:
    """One word, as sure as the least sure of its parts that have letters."""
    sure = [word.confidence for word in parts if word.confidence is not None and _letters(word.text)]
    return Word(whole, parts[0].start_s, parts[-1].end_s, min(sure, default=None), parts[0].mark)
