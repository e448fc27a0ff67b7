"""What people read: sentences in their language, numbers, sizes and times in units of people.

The English template is the key of its translation; facts fill it afterwards. Catalogues lie in
`core/i18n/locale/*.po` and are read as they are, there is nothing to compile. An entry with the context
`fact` translates a fact that is itself an English phrase, such as the reason within an error.
"""

from __future__ import annotations

import functools
import io
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, tzinfo
from gettext import GNUTranslations, NullTranslations
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.core import Locale, parse_locale
from babel.dates import format_date, format_skeleton, format_time
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.numbers import format_decimal, format_percent

from core.errors import StenogramError, code_of

LANGUAGES = {"en": "English", "ru": "Русский"}
LOCALES = Path(__file__).parent / "locale"
NOTHING = "–"
LANGUAGES_NAMED = 3
"""Of a long list of languages; the rest is counted."""
SIZES = ("{n} bytes", "{n} kB", "{n} MB", "{n} GB", "{n} TB")


def gettext(template: str, language: str, /, **facts: object) -> str:
    """The sentence in this language, filled with its facts. Unknown sentences stay English."""
    translated = _catalogue(language).gettext(template) if template else ""
    return translated.format_map(_facts(facts, language))


def ngettext(one: str, many: str, n: int, language: str, /, **facts: object) -> str:
    """A sentence that depends on a number, `{n}` in both templates."""
    translated = _catalogue(language).ngettext(one, many, n)
    return translated.format_map(_facts({"n": number(n, language), **facts}, language))


def translate_error(error: StenogramError | Mapping[str, Any], language: str) -> str:
    """An error, raised or as it was stored, for a person."""
    if isinstance(error, StenogramError):
        return gettext(error.message, language, **error.facts)
    code = code_of(error)
    template = code.message if code else str(error.get("message", ""))
    return gettext(template, language, **error.get("facts", {}))


def translate_fact(fact: object, language: str) -> object:
    """A fact; where it is an English phrase of ours, in this language."""
    if isinstance(fact, str):
        for pattern, translation in _phrases(language):
            if match := pattern.fullmatch(fact):
                facts = match.groupdict()
                if re.fullmatch(r"\d+\.\d+", facts.get("n") or ""):
                    facts["n"] = number(float(facts["n"]), language, 3)
                return translation.format_map(_facts(facts, language))
    return fact


def language(accept_language: str | None, default: str = "en") -> str:
    """The language of ours that fits an Accept-Language header or a locale best."""
    preferences = [_parse_tag(part) for part in (accept_language or "").split(",") if part.strip()]
    for _, code in sorted(preferences, key=lambda options: -options[0]):
        if code in LANGUAGES:
            return code
    return default


def number(value: float, language: str, digits: int = 0) -> str:
    """A number with the separators of the language and at most so many digits after the point."""
    return str(format_decimal(round(value, digits), locale=language, decimal_quantization=False))


def whole_percents(shares: Sequence[float]) -> list[int]:
    """Shares as whole percents that add up as the shares do: the largest remainders are rounded up."""
    percents = [100 * share for share in shares]
    whole = [math.floor(each) for each in percents]
    largest = sorted(range(len(whole)), key=lambda n: whole[n] - percents[n])
    for n in largest[: max(0, round(sum(percents)) - sum(whole))]:
        whole[n] += 1
    return whole


def percent(share: float, language: str, digits: int = 0) -> str:
    """A share of 1 as percents, with at most so many digits after the point."""
    pattern = Locale(language).percent_formats[None].pattern
    return str(format_percent(share, pattern.replace("0", "0." + "#" * digits if digits else "0"), language))


def money(usd: float, language: str = "en", sign: str = "$", digits: int | None = None) -> str:
    """An amount, with as many digits as it needs if it is small: "$1,234.50", "1 234,50 $"."""
    finest = 0 if abs(usd) >= 1 else cents(usd) - 1  # three digits that count
    pattern = "#,##0.00" + "#" * finest if digits is None else "#,##0." + "0" * digits
    amount = str(format_decimal(usd, format=pattern.rstrip("."), locale=language))
    before = language == "en" and sign == "$"
    return f"{sign}{amount}" if before else f"{amount}\u00a0{sign}"


def cents(amount: float) -> int:
    """Digits after the point that an amount of money needs: two, more if it is small."""
    return 2 if abs(amount) >= 1 or amount == 0 else min(6, 1 - math.floor(math.log10(abs(amount))))


def language_name(code: str, language: str) -> str:
    """A language as people call it: "de" is "German"; a code nobody knows stays as it is."""
    return _capital(_language_name(code, language))


def language_names(codes: Sequence[str], language: str) -> str:
    """A list of them; of a long one the beginning: "Russian, English, Ukrainian and 13 more"."""
    names = [_language_name(code, language) for code in codes]
    if len(names) <= LANGUAGES_NAMED + 1:
        return _capital(", ".join(names))
    first, more = _capital(", ".join(names[:LANGUAGES_NAMED])), len(names) - LANGUAGES_NAMED
    return gettext("{names} and {n} more", language, names=first, n=more)


def _language_name(code: str, language: str) -> str:
    return str(Locale(language).languages.get(code, code))


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def duration(seconds: float | None, language: str) -> str:
    """How long something lasts: "45 s", "12 min", "1 h 5 min"."""
    if seconds is None:
        return NOTHING
    whole = round(seconds)
    if whole < 60:
        return gettext("{s} s", language, s=whole)
    if whole < 600 and whole % 60:
        return gettext("{min} min {s} s", language, min=whole // 60, s=whole % 60)
    minutes = round(whole / 60)
    if minutes < 60:
        return gettext("{min} min", language, min=minutes)
    if minutes % 60 == 0:
        return gettext("{h} h", language, h=number(minutes // 60, language))
    return gettext("{h} h {min} min", language, h=number(minutes // 60, language), min=minutes % 60)


def wait(seconds: float | None, language: str) -> str:
    """How long until something is ready: as `duration`, but from a day on in days: "1 d 7 h"."""
    hours = 0 if seconds is None else round(seconds / 3600)
    if seconds is None or hours < 24:
        return duration(seconds, language)
    if hours % 24 == 0 or hours >= 240:
        return gettext("{d} d", language, d=number(round(hours / 24), language))
    return gettext("{n} d {h} h", language, n=hours // 24, h=hours % 24)


def size(size_bytes: float, language: str) -> str:
    """A size in decimal units: "812 kB", "1.4 GB"."""
    power = min(len(SIZES) - 1, int(math.log10(size_bytes) / 3)) if size_bytes >= 1 else 0
    value = size_bytes / 1000**power
    return gettext(SIZES[power], language, n=number(value, language, 1 if power and value < 100 else 0))


def clock(seconds: float) -> str:
    """A place in a recording: "2:03", "1:02:03"."""
    minutes, s = divmod(int(seconds), 60)
    hours, m = divmod(minutes, 60)
    return f"{hours}:{m:02}:{s:02}" if hours else f"{m}:{s:02}"


def moment(unix: float | None, language: str, timezone: str | None, *, now: float | None = None) -> str:
    """A time of day where the reader is: "today 14:05", "3 Nov, 9:30", "3 Nov 2025, 9:30"."""
    if unix is None:
        return NOTHING
    zone = zone_of(timezone)
    then = datetime.fromtimestamp(unix, zone)
    today = datetime.now(zone) if now is None else datetime.fromtimestamp(now, zone)
    time = format_time(then, format="short", tzinfo=zone, locale=_babel_locale(language))
    if then.date() == today.date():
        return gettext("today {time}", language, time=time)
    if then.date() == today.date() - timedelta(days=1):
        return gettext("yesterday {time}", language, time=time)
    skeleton = "dMMM" if then.year == today.year else "yMMMd"
    return f"{format_skeleton(skeleton, then, tzinfo=zone, locale=_babel_locale(language))}, {time}"


def day(date: date, language: str) -> str:
    """A date: "3 Nov 2025"; without the full stop of «г.», that would stand before another's."""
    return str(format_skeleton("yMMMd", date, locale=_babel_locale(language))).removesuffix("\u202fг.")


def month(name: str, language: str) -> str:
    """A month by its number, as `2026-11`: "Nov 2026"."""
    return str(format_date(date.fromisoformat(f"{name}-01"), "LLL yyyy", locale=_babel_locale(language)))


def _babel_locale(language: str) -> str:
    """Days before months and hours to 24, in English too."""
    return "en_GB" if language == "en" else language


def zone_of(name: str | None) -> tzinfo:
    """A time zone by its name; UTC for none, or one that nobody knows."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ZoneInfoNotFoundError, ValueError):
        return UTC


def _parse_tag(part: str) -> tuple[float, str]:
    tag, _, quality = part.strip().partition(";q=")
    try:
        return float(quality or 1), parse_locale(tag.strip(), sep="-" if "-" in tag else "_")[0]
    except ValueError:
        return 0.0, ""


class _Facts(dict[str, object]):
    """A fact that an old stored error lacks is no reason for a page to break."""

    def __missing__(self, name: str) -> str:
        return "…"


def _facts(facts: Mapping[str, object], language: str) -> _Facts:
    return _Facts(
        {
            name: _day(value, language) if name == "day" else translate_fact(value, language)
            for name, value in facts.items()
        }
    )


def _day(value: object, language: str) -> object:
    """A date, or one in ISO 8601 as facts of errors are kept; anything else is left as it is."""
    try:
        return day(value if isinstance(value, date) else date.fromisoformat(str(value)), language)
    except ValueError:
        return value


@functools.cache
def _catalogue(language: str) -> NullTranslations:
    path = LOCALES / f"{language}.po"
    if not path.exists():
        return NullTranslations()
    compiled = io.BytesIO()
    with path.open("rb") as file:
        write_mo(compiled, read_po(file, locale=language))
    compiled.seek(0)
    return GNUTranslations(compiled)


@functools.cache
def _phrases(language: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Entries with the context `fact`, their placeholders as groups."""
    path = LOCALES / f"{language}.po"
    if not path.exists():
        return ()
    with path.open("rb") as file:
        entries = [entry for entry in read_po(file, locale=language) if entry.context == "fact"]
    return tuple((_pattern(str(entry.id)), str(entry.string)) for entry in entries)


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    pieces = [re.escape(part) if n % 2 == 0 else _group(part) for n, part in enumerate(parts)]
    return re.compile("".join(pieces))


def _group(name: str) -> str:
    return rf"(?P<{name}>[\d.,]+)" if name == "n" else f"(?P<{name}>.+)"
