"""What a question asks for besides words: `-word`, `tag:name`, `before:2026-11-01`, `after:2026`.

Also `lang:ru`, `engine:whisper`, `longer:10`, `shorter:60` (minutes), `state:done`, `in:"a collection"`.

`before` and `after` speak of the day something was recorded, or of when it was brought, where nobody knows
that; both days are left out of what they ask for, as `before` means earlier and `after` means later. What is
no day is taken for words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from core.search import stems, terms

_VALUE = r"(?:\"([^\"]*)\"|«([^»]*)»|(\S+))"
_TAG = re.compile(rf"(?<!\S)tag:{_VALUE}", re.IGNORECASE)
_FIELD = re.compile(rf"(?<!\S)(lang|engine|state|in):{_VALUE}", re.IGNORECASE)
_SPEAKER = re.compile(rf"(?<!\S)speaker:{_VALUE}", re.IGNORECASE)
_LENGTH = re.compile(r"(?<!\S)(longer|shorter):(\d{1,6})(?!\S)", re.IGNORECASE)
_DAY = re.compile(r"(?<!\S)(before|after):(\d{4})(?:-(\d{1,2}))?(?:-(\d{1,2}))?(?!\S)", re.IGNORECASE)
_WITHOUT = re.compile(r"(?<!\S)-([^\W\d_]\w*)(?!\S)")
MONTHS = 12


@dataclass(frozen=True)
class SearchQuery:
    """A question without its operators, and what they say."""

    text: str
    without: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    before: float | None = None
    after: float | None = None
    """Unix seconds."""
    fields: tuple[tuple[str, str], ...] = ()
    """`lang`, `engine`, `state` (of meaning), `in` (a collection), each with its value."""
    longer_s: float | None = None
    shorter_s: float | None = None

    def values(self, name: str) -> list[str]:
        """What stands behind a field, in lower case."""
        return [value.casefold() for field, value in self.fields if field == name]

    @property
    def has_filters(self) -> bool:
        """Whether only some recordings are asked about."""
        bounds = (self.before, self.after, self.longer_s, self.shorter_s)
        return bool(self.tags or self.fields) or any(bound is not None for bound in bounds)

    def excludes(self, text: str) -> bool:
        """Whether a passage says what is not wanted, in any form of the word."""
        words = terms.distinct(text, with_numbers=False) if self.without else frozenset()
        return any(term in words for word in self.without for term in terms.of_word(stems.fold(word)))


def parts(question: str) -> list[str]:
    """What narrows a question, each as it stands in it."""
    found = [
        match for pattern in (_TAG, _FIELD, _SPEAKER, _LENGTH, _DAY) for match in pattern.finditer(question)
    ]
    return [match[0] for match in sorted(found, key=re.Match.start)]


def quoted(field: str, value: str) -> str:
    """A field with its value as a question has it: `tag:"new clients"`."""
    return f'{field}:"{" ".join(value.replace(chr(34), " ").split())}"'


def read(question: str) -> SearchQuery:
    """A question taken apart."""
    days: dict[str, float] = {}
    for match in _DAY.finditer(question):
        if (at := _at(*match.groups())) is not None:
            days[match[1].lower()] = at
            question = question.replace(match[0], " ")
    fields = tuple(
        (name.lower(), value)
        for name, *groups in _FIELD.findall(question)
        if (value := "".join(groups).strip())
    )
    lengths = {name.lower(): 60.0 * int(minutes) for name, minutes in _LENGTH.findall(question)}
    question = _LENGTH.sub(" ", _FIELD.sub(" ", question))
    tags = tuple(tag for groups in _TAG.findall(question) if (tag := "".join(groups).strip()))
    without = tuple(_WITHOUT.findall(question))
    text = " ".join(_WITHOUT.sub(" ", _TAG.sub(" ", question)).split())
    bounds = days.get("before"), days.get("after"), fields, lengths.get("longer"), lengths.get("shorter")
    return SearchQuery(text, without, tags, *bounds)


def _at(which: str, year: str, month: str | None, day: str | None) -> float | None:
    """The beginning of a day, month or year, or what follows it for `after`; None for what is none."""
    y, m, d = int(year), int(month or 1), int(day or 1)
    try:
        begin = datetime(y, m, d, tzinfo=UTC)
        if which.lower() == "before":
            return begin.timestamp()
        if day:
            return begin.timestamp() + 86_400
        following = m % MONTHS + 1 if month else 1
        return datetime(y + (following == 1), following, 1, tzinfo=UTC).timestamp()
    except ValueError:
        return None
