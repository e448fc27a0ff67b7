"""Numbers as they are said and as they are written: «двадцать пятого», `25-е`, `twenty-five` → `25`.

Passages and questions are read by the same rules, so that they meet. Russian cases and ordinals come from
pymorphy3; the grammar is ours, because no library of the index reads both languages (text2num 3, the best
kept one, has no Russian).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from core.search import stems
from core.speech.vocabulary import is_russian, morphology

_TOKEN = re.compile(
    r"(?<![^\W_])(?<!\d[ -])\d{1,3}(?:[\u00a0 ]\d{3})+(?![^\W_]|[ -]\d)|(?<![^\W_])\d+(?![^\W_])"
    r"|(?<![^\W_])\d+(?=(?:st|nd|rd|th)\b)|[^\W\d_]+"
)
"""Thousands may be set apart (140 000) where no other digits stand beside; digits in a code are no number."""
_DECIMAL = re.compile(r"(?:\d[.,]|\b(?:point|целых|целая)\s+)$")
_GAP = re.compile(r"[\s()-]{1,3}")
_ORDINAL_END = re.compile(r"-?(?:го|ого|му|ому|й|ый|ой|ая|я|ое|ые|х|ых|м|ом|е|st|nd|rd|th)(?!\w)")
_CODE = re.compile(
    r"\b[A-ZА-ЯЁ]{1,5}[\s-]?\d{2,}(?:[\s-]?\d+)*(?:[\s-]?[A-ZА-ЯЁ]{1,3}\b)?|\b(?=\w*\d)(?=\w*[^\W\d_])\w+\b"
)
_TWINS = str.maketrans("авекмнорстухз", "abekmhopctyx3")
"""Cyrillic letters that look like Latin ones or digits: codes are typed with either."""

_NUMERALS = """
0 ноль нуль zero nought; 1 один первый one first; 2 два второй two second; 3 три третий three third
4 четыре четвёртый four fourth; 5 пять пятый five fifth; 6 шесть шестой six sixth
7 семь седьмой seven seventh; 8 восемь восьмой eight eighth; 9 девять девятый nine ninth
10 десять десятый ten tenth; 11 одиннадцать одиннадцатый eleven eleventh
12 двенадцать двенадцатый twelve twelfth; 13 тринадцать тринадцатый thirteen thirteenth
14 четырнадцать четырнадцатый fourteen fourteenth; 15 пятнадцать пятнадцатый fifteen fifteenth
16 шестнадцать шестнадцатый sixteen sixteenth; 17 семнадцать семнадцатый seventeen seventeenth
18 восемнадцать восемнадцатый eighteen eighteenth; 19 девятнадцать девятнадцатый nineteen nineteenth
20 двадцать двадцатый twenty twentieth; 30 тридцать тридцатый thirty thirtieth
40 сорок сороковой forty fortieth; 50 пятьдесят пятидесятый fifty fiftieth
60 шестьдесят шестидесятый sixty sixtieth; 70 семьдесят семидесятый seventy seventieth
80 восемьдесят восьмидесятый eighty eightieth; 90 девяносто девяностый ninety ninetieth
100 сто сотый; 200 двести двухсотый; 300 триста трёхсотый; 400 четыреста четырёхсотый
500 пятьсот пятисотый; 600 шестьсот шестисотый; 700 семьсот семисотый; 800 восемьсот восьмисотый
900 девятьсот девятисотый
"""
_SCALE_NAMES = """
100 hundred; 1000 тысяча тысячный тыс thousand; 1000000 миллион млн million; 1000000000 миллиард млрд billion
"""


def _table(text: str) -> dict[str, int]:
    rows = (row.split() for line in text.strip().splitlines() for row in line.split(";"))
    return {lemma: int(number) for number, *lemmas in rows for lemma in lemmas}


_LEMMAS = _table(_NUMERALS)
_SCALES = _table(_SCALE_NAMES)
_BEGINNINGS = re.compile(
    "ноль|нул|од[ин]|перв|дв|втор|тр|четы|четв|пят|шест|сем|седьм|вос[еь]|девя|деся|сорок|ст[оа]|сот|тыс|мил|мл"
)
"""What numerals begin with; other words need no dictionary."""


@dataclass(frozen=True)
class Number:
    """A number in a text: where it stands, its digits, how many thousands or millions it is said to be."""

    start: int
    end: int
    digits: str
    scaled: str = ""


@dataclass(frozen=True)
class _Token:
    start: int
    end: int
    value: int
    kind: str
    """digits, small or scale."""


@lru_cache(maxsize=500)
def numbers(text: str) -> tuple[Number, ...]:
    """The numbers of a text in order."""
    return tuple(number for run in _runs(text) for number in _read(run))


def written(text: str) -> str:
    """The text with every number in digits; a telephone number is one word of ten digits."""
    parts, done = [], 0
    for group in _together(text):
        digits = _telephone(group) or " ".join(number.digits for number in group)
        parts += [text[done : group[0].start], digits]
        done = group[-1].end
        if ending := _ORDINAL_END.match(text, done):
            done = ending.end()
    return "".join([*parts, text[done:]])


def spoken(text: str) -> list[str]:
    """What else a passage is found by: numbers in digits, years said in halves, telephones, whole codes."""
    digits: dict[str, None] = {}
    for group in _together(text):
        digits |= dict.fromkeys(number.digits for number in group)
        digits |= dict.fromkeys(number.scaled for number in group if number.scaled)
        digits |= dict.fromkeys(
            a.digits + b.digits
            for a, b in pairwise(group)
            if 10 <= int(a.digits) <= 20 and len(b.digits) == 2
        )
        if telephone := _telephone(group):
            digits[telephone] = None
    return [*digits, *codes(text)]


def codes(text: str) -> list[str]:
    """Codes of letters and digits as one word each, in letters that look alike in both scripts."""
    return list(dict.fromkeys(code(match.group()) for match in _CODE.finditer(text)))


def code(text: str) -> str:
    """A code without spaces and hyphens, lower case, letters that have a Latin twin as that."""
    return re.sub(r"[\W_]+", "", text.lower()).translate(_TWINS)


def _together(text: str) -> list[list[Number]]:
    """Numbers that stand side by side."""
    groups: list[list[Number]] = []
    for number in numbers(text):
        if groups and _GAP.fullmatch(text, groups[-1][-1].end, number.start):
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


def _telephone(group: Sequence[Number]) -> str:
    digits = "".join(number.digits for number in group)
    return digits[-10:] if len(group) > 1 and 10 <= len(digits) <= 11 else ""


def _runs(text: str) -> Iterator[list[_Token]]:
    """Tokens of numbers with nothing but a space, a hyphen or an «and» between them."""
    run: list[_Token] = []
    end = 0
    for match in _TOKEN.finditer(text):
        if run and match.group().lower() == "and":
            continue
        token = _token(match)
        if token is not None and token.kind == "scale" and run and _DECIMAL.search(text, 0, run[0].start):
            token = None  # of «3,4 million» the million stays a word
        between = text[end : match.start()]
        if run and (token is None or not re.fullmatch(r"[\s-]{1,2}|\s+and\s+", between)):
            yield run
            run = []
        if token is not None:
            run.append(token)
            end = token.end
    if run:
        yield run


def _token(match: re.Match[str]) -> _Token | None:
    text = match.group()
    if text[0].isdecimal():
        return _Token(match.start(), match.end(), int(re.sub(r"\D", "", text)), f"digits{text}")
    value = _value(stems.fold(text))
    if value is None:
        return None
    return _Token(match.start(), match.end(), abs(value), "scale" if value < 0 else "small")


@lru_cache(maxsize=20_000)
def _value(word: str) -> int | None:
    """The number a word stands for; a scale (hundred, тысяча) as its negative."""
    lemmas = [word]
    if is_russian(word):
        if not _BEGINNINGS.match(word):
            return None
        lemmas = [parsed.normal_form for parsed in morphology().parse(word)]
    elif word.endswith("s"):
        lemmas = [word[:-1]]
    for lemma in lemmas:
        if lemma in _SCALES:
            return -_SCALES[lemma]
        if lemma in _LEMMAS:
            return _LEMMAS[lemma]
    return None


@dataclass
class _Sum:
    """A number while its tokens are added up."""

    start: int
    end: int = 0
    total: int = 0
    """Whole thousands and millions."""
    group: int = 0
    """What was said since them."""
    floor: int = 10**12
    """What comes next is smaller than this."""
    literal: str = ""
    """Digits as they are written, zeros in front too."""
    scaled: str = ""

    def fits(self, token: _Token) -> bool:
        """Whether a token goes on with this number."""
        if self.literal:
            return token.kind == "scale"
        return _fits(token, self.total, self.group, self.floor)

    def add(self, token: _Token) -> None:
        """Add a token that fits, or the first one."""
        self.end = token.end
        if token.kind == "scale":
            self._scale(token.value)
        elif token.kind == "small":
            self.group += token.value
            self.scaled = ""
        else:
            self.literal = re.sub(r"\D", "", token.kind)

    def _scale(self, value: int) -> None:
        count = int(self.literal or self.group or 1)
        self.literal = ""
        if value == 100:
            self.group = count * 100
            return
        self.scaled = str(count) if not self.total and count > 1 else ""
        self.total, self.group, self.floor = self.total + count * value, 0, value

    def number(self) -> Number:
        return Number(self.start, self.end, self.literal or str(self.total + self.group), self.scaled)


def _read(run: Sequence[_Token]) -> Iterator[Number]:
    """Numbers of one run: words are added up while each is smaller than what stands before it."""
    current: _Sum | None = None
    for token in run:
        if current is None or not current.fits(token):
            if current is not None:
                yield current.number()
            current = _Sum(token.start)
        current.add(token)
    if current is not None:
        yield current.number()


def _fits(token: _Token, total: int, group: int, floor: int) -> bool:
    """Whether a word goes on with the number before it."""
    if token.kind == "scale":
        return token.value < floor and (0 < group < 10 if token.value == 100 else group > 0)
    if token.kind != "small" or token.value == 0:
        return False
    if group == 0:
        return total > 0 and token.value < floor
    last = 100 if group % 100 == 0 else 10 if group % 10 == 0 and group % 100 != 10 else 1
    return token.value < last
