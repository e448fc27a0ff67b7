"""When a sound was recorded, as its file's name and tags say it.

A time without a zone stays one: nobody knows which instant it is, so it is shown as it was written. What
could be read in two ways (`05-11-2026`, a number that may be a telephone's) is not read at all.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from core.database.states import DateKind

DAY_S = 86_400.0
FIRST = datetime(1990, 1, 1, tzinfo=UTC).timestamp()
"""Earlier ones are zeros of clocks: MP4 counts from 1904, Unix from 1970."""
FIRST_COUNTED = datetime(2010, 1, 1, tzinfo=UTC).timestamp()
"""Unix times in names: earlier ones look like numbers that somebody typed (1234567890 is of 2009)."""
MOST_LETTERS = 300

_MONTHS = (
    *("янв|jan", "фев|feb", "мар|mar", "апр|apr", "ма[йя]|may", "июн|jun"),
    *("июл|jul", "авг|aug", "сен|sep", "окт|oct", "ноя|nov", "дек|dec"),
)
_MONTH = "|".join(_MONTHS)
_YEAR = r"(?P<year>(?:19|20)\d\d)"
_HOUR, _MINUTE, _SECOND = r"(?P<hour>[01]?\d|2[0-3])", r"(?P<minute>[0-5]\d)", r"(?P<second>[0-5]\d)"
_ZONE = (
    r"(?:\s?(?:(?P<utc>Z|UTC|GMT)(?![+\-]?\d)(?![a-z])"
    r"|(?:UTC|GMT)(?P<sign>[+\-])(?P<hours>0?\d|1[0-4])(?::?(?P<minutes>[034][05]))?(?!\d)))?"
)
_TIME = (
    rf"(?:(?:г\.?|at|в|um|[T,\s_\-@(])+{_HOUR}[.:_\-]{_MINUTE}(?:[.:_\-]{_SECOND})?(?!\d)"
    rf"(?:\s?(?P<half>[ap])\.?m\b)?{_ZONE})?"
)
_RUN = rf"(?:[T_\-\s]?(?P<hour>[01]\d|2[0-3])[.:_\-]?{_MINUTE}(?:[.:_\-]?{_SECOND})?(?!\d){_ZONE})?(?!\d)"
_FORMS = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?<!\d){_YEAR}(?P<mark>[.\-_])(?P<month>\d\d?)(?P=mark)(?P<day>\d\d?)(?!\d){_TIME}",
        rf"(?<!\d)(?P<day>\d\d?)(?P<mark>[.\-_])(?P<month>\d\d?)(?P=mark){_YEAR}(?!\d){_TIME}",
        rf"(?<!\d)(?P<day>\d\d?)[\s._-]+(?P<name>{_MONTH})[а-яa-z]*\.?[\s._-]+{_YEAR}(?!\d){_TIME}",
        rf"(?<![а-яa-z])(?P<name>{_MONTH})[а-яa-z]*\.?\s+(?P<day>\d\d?),?\s+{_YEAR}(?!\d){_TIME}",
        rf"(?<!\d){_YEAR}(?P<month>\d\d)(?P<day>\d\d){_RUN}",
    )
)
_SHORT = re.compile(
    rf"(?<!\d)(?P<a>\d\d)(?P<month>\d\d)(?P<b>\d\d)[_\-](?P<hour>[01]\d|2[0-3]){_MINUTE}{_SECOND}?(?!\d)"
)
_COUNTED = re.compile(r"(?<![\w+.])(1\d{9})(\d{3})?(?:\.\d+)?(?!\w)")
_GMT = re.compile(r"(?:^|[^a-z])(?:GMT|UTC)$", re.IGNORECASE)
"""Before a date, as Zoom's cloud writes it."""


@dataclass(frozen=True)
class Recorded:
    """When something was recorded.

    `at` is in Unix seconds; of a local time as if it were one of UTC, of a day its midnight in UTC.
    """

    at: float
    kind: DateKind

    def iso(self) -> str:
        """As ISO 8601, with what is known and nothing else: `2026-11-28`, `…T14:05:12`, `…T11:05:12Z`."""
        then = datetime.fromtimestamp(self.at, UTC).replace(tzinfo=None)
        if self.kind == DateKind.DAY:
            return then.date().isoformat()
        return then.isoformat(timespec="seconds") + ("Z" if self.kind == DateKind.INSTANT else "")


def of_file(name: str, tags: Sequence[str], now: float | None = None) -> Recorded | None:
    """By the file's name, else by its tags; None where neither says it.

    Names are trusted more: a copy or an edited file often gets new tags. Where a name gives the day alone and
    a tag an instant of that day, the tag says more.
    """
    latest = (time.time() if now is None else now) + DAY_S
    named = of_name(name, latest)
    tagged = next((found for tag in tags if (found := of_text(tag, latest))), None)
    if named is None or tagged is None:
        return named or tagged
    same = tagged.kind == DateKind.INSTANT and named.kind == DateKind.DAY
    return tagged if same and abs(tagged.at - named.at - DAY_S / 2) < DAY_S else named


def of_name(name: str, latest: float) -> Recorded | None:
    """What a file's name says; `latest` (Unix seconds): what is later is no time of a recording."""
    stem = name[:MOST_LETTERS].rsplit(".", 1)[0] if re.search(r"\.\w{2,5}$", name) else name[:MOST_LETTERS]
    written = next(_written(stem, latest), None)
    counted = _counted(stem, latest)
    if written and counted and abs(written.at - counted.at) > DAY_S:
        return written  # the number is something else
    return counted or written


def of_text(text: str, latest: float) -> Recorded | None:
    """A tag, in ISO 8601: `2026-11-28T14:05:12+0300`, `2026-11-28 14:05`; a year alone is an album's."""
    try:
        then = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if len(text.strip()) <= len("2026-11-28"):
        kind = DateKind.DAY
    else:
        kind = DateKind.INSTANT if then.tzinfo else DateKind.LOCAL
    at = (then if then.tzinfo else then.replace(tzinfo=UTC)).timestamp()
    return Recorded(float(int(at)), kind) if FIRST <= at <= latest else None


def _written(text: str, latest: float) -> Iterator[Recorded]:
    """Everything in a text that is a date, the most telling forms first."""
    found = [_read(match) for form in _FORMS for match in form.finditer(text)]
    found += [_short(match, latest) for match in _SHORT.finditer(text)]
    fit = [one for one in found if one is not None and FIRST <= one.at <= latest]
    yield from sorted(fit, key=lambda one: one.kind == DateKind.DAY)


def _read(match: re.Match[str]) -> Recorded | None:
    parts = match.groupdict()
    day, month = int(parts["day"]), _month(parts)
    if parts.get("mark") and match.start("day") < match.start("year") and parts["mark"] != ".":
        if day <= 12 and month <= 12 and day != month:
            return None  # of Europe or of America
        day, month = (day, month) if month <= 12 else (month, day)
    gmt = _GMT.search(match.string[: match.start()]) is not None
    return _recorded(int(parts["year"]), month, day, parts, gmt=gmt)


def _month(parts: dict[str, str | None]) -> int:
    if not (name := parts.get("name")):
        return int(parts["month"] or 0)
    return next(n for n, form in enumerate(_MONTHS, 1) if re.match(form, name, re.IGNORECASE))


def _short(match: re.Match[str], latest: float) -> Recorded | None:
    """Six digits and a clock, as dictation machines write it: year first or day first, if only one can be."""
    parts = match.groupdict()
    first, last, month = int(parts["a"]), int(parts["b"]), int(parts["month"])
    both = _recorded(2000 + first, month, last, parts), _recorded(2000 + last, month, first, parts)
    fit = {one for one in both if one is not None and FIRST_COUNTED <= one.at <= latest}
    return fit.pop() if len(fit) == 1 else None


def _recorded(
    year: int, month: int, day: int, parts: dict[str, str | None], *, gmt: bool = False
) -> Recorded | None:
    hour, minute, second = (int(parts[name] or 0) for name in ("hour", "minute", "second"))
    if half := (parts.get("half") or "").lower():
        hour = hour % 12 + 12 * (half == "p")
    try:
        then = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
    if parts["hour"] is None:
        return Recorded(then.timestamp(), DateKind.DAY)
    if sign := parts.get("sign"):
        offset = timedelta(hours=int(parts["hours"] or 0), minutes=int(parts["minutes"] or 0))
        then = then.replace(tzinfo=timezone(offset if sign == "+" else -offset))
    known = sign or parts.get("utc") or gmt
    return Recorded(then.timestamp(), DateKind.INSTANT if known else DateKind.LOCAL)


def _counted(stem: str, latest: float) -> Recorded | None:
    """Seconds or milliseconds since 1970, standing alone as call recorders write them."""
    times = [float(match[1]) + float(match[2] or 0) / 1000 for match in _COUNTED.finditer(stem)]
    fit = [at for at in times if FIRST_COUNTED <= at <= latest]
    return Recorded(float(int(fit[0])), DateKind.INSTANT) if len(fit) == 1 else None
