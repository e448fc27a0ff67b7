"""The same word by another hand: the other keyboard layout, other letters, as it sounds.

Each function gives spellings that a word may stand for; whether a spelling means anything, the index knows.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from functools import lru_cache

_RUSSIAN_KEYS = "йцукенгшщзхъфывапролджэячсмитьбюё"
_ENGLISH_KEYS = "qwertyuiop[]asdfghjkl;'zxcvbnm,.`"
_TO_ENGLISH = str.maketrans(_RUSSIAN_KEYS, _ENGLISH_KEYS)
_TO_RUSSIAN = str.maketrans(_ENGLISH_KEYS, _RUSSIAN_KEYS)

MOST = 24
"""Spellings of one word that are tried at most."""

_LATIN_LETTERS = """
shch щ, sch щ сх ш, sh ш сх, ch ч х к, zh ж, kh х, ts ц тс, tz ц, yu ю, ju ю, ya я, ja я, yo е, jo е
ye е, je е, ph ф, th т, ck к, qu кв, oo у, ee и, ea и, ie ие и, iy ий, yy ый, ij ий, yj ый, ay ей ай
ey ей, ow оу, ou у ау, ai ай ей, a а, b б, c к ц с, d д, e е э, f ф, g г дж, h х г, i и ай, j й дж ж
k к, l л ль, m м, n н, o о, p п, q к, r р, s с з, t т, u у а, v в, w в, x кс х, y и ы й ь, z з, ' ь
"""
_CYRILLIC_LETTERS = """
дж j, кс x, а a, б b, в v, г g, д d, е e, ж zh, з z, и i, й y, к k, л l, м m, н n, о o, п p, р r
с s, т t, у u, ф f, х h, ц c, ч ch, ш sh, щ sch, ы y, э e, ю u, я ya
"""


def _table(text: str) -> dict[str, tuple[str, ...]]:
    rows = (row.split() for line in text.strip().splitlines() for row in line.split(","))
    return {letters: tuple(others) for letters, *others in rows}


_LATIN = _table(_LATIN_LETTERS)
"""Russian spellings of Latin letters, the most usual first."""
_CYRILLIC = {letters: other for letters, (other,) in _table(_CYRILLIC_LETTERS).items()} | {"ъ": "", "ь": ""}


def switched(text: str) -> str:
    """What these keys write in the other layout; letters of neither stay."""
    folded = text.lower()
    russian = sum(letter in _RUSSIAN_KEYS for letter in folded)
    english = sum("a" <= letter <= "z" for letter in folded)
    return folded.translate(_TO_ENGLISH if russian > english else _TO_RUSSIAN)


@lru_cache(maxsize=5000)
def cyrillic(word: str) -> tuple[str, ...]:
    """Russian spellings of a word in Latin letters, the most usual first: `shlagbaum`, `redis`."""
    word = re.sub(r"([b-df-hj-np-tv-xz])\1", r"\1", word.lower())
    choices = [_LATIN.get(part, (part,)) for part in _parts(word)]
    ranked = sorted(_products(choices), key=sum)
    return tuple(
        "".join(choice[n] for choice, n in zip(choices, pick, strict=True)) for pick in ranked[:MOST]
    )


def _parts(word: str) -> Iterator[str]:
    at = 0
    while at < len(word):
        size = next(size for size in (4, 3, 2, 1) if size == 1 or word[at : at + size] in _LATIN)
        yield word[at : at + size]
        at += size


def _products(choices: list[tuple[str, ...]]) -> list[tuple[int, ...]]:
    """Which choice at each place: all the first, then those with one or two others."""
    first = [0] * len(choices)
    others = [(place, n) for place, choice in enumerate(choices) for n in range(1, len(choice))]
    products = [tuple(first)]
    for count in (1, 2):
        for changes in itertools.combinations(others, count):
            pick = first.copy()
            for place, n in changes:
                pick[place] = n
            products.append(tuple(pick))
    return products


@lru_cache(maxsize=50_000)
def sound(word: str) -> str:
    """A key that a word shares with its spellings in either script: `редис`, `redis` → `rdis`.

    Vowels after the first letter fall together, so do letters that are written for each other.
    """
    latin = word.lower().replace("ё", "е")
    for letters, instead in _CYRILLIC.items():
        latin = latin.replace(letters, instead)
    for pattern, instead in _ALIKE:
        latin = pattern.sub(instead, latin)
    return latin


_ALIKE = tuple(
    (re.compile(pattern), instead)
    for pattern, instead in (
        ("ph", "f"),
        ("th", "t"),
        ("sch|shch|sh", "s"),
        ("ch|ck|q|kh", "k"),
        ("zh|j|dg|dj", "g"),
        ("x", "ks"),
        ("c(?=[eiy])", "s"),
        ("c", "k"),
        ("w", "v"),
        ("z", "s"),
        ("ts", "s"),
        ("y|ee|ea|ie", "i"),
        ("oo|ou|yu", "u"),
        ("kh|h", "h"),
        (r"([a-z])\1+", r"\1"),
        ("(?<=.)[aeo]+(?=.)", "a"),
        ("e$", ""),
        ("(?<=.)[iu]+", "i"),
    )
)


@lru_cache(maxsize=5000)
def latin(word: str) -> tuple[str, ...]:
    """Latin spellings of a Russian word, the most usual first."""
    spelled = word.lower().replace("ё", "е")
    for letters, instead in _CYRILLIC.items():
        spelled = spelled.replace(letters, instead)
    others = [spelled.replace(letter, instead) for letter, instead in _OTHERWISE if letter in spelled]
    return tuple(dict.fromkeys([spelled, *others]))


_OTHERWISE = (
    ("k", "c"),
    ("i", "y"),
    ("f", "ph"),
    ("v", "w"),
    ("u", "oo"),
    ("i", "ee"),
    ("c", "z"),
    ("c", "ts"),
)
