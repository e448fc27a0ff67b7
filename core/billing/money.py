"""Money and other numbers from outside: checked on the way in, plain decimal strings on the way out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any

from core.errors import BadRequest, Code

GRAIN = Decimal("0.000000001")
"""Parts are rounded to a billionth of a dollar, so that totals equal the sum of what is shown."""

CENT = Decimal("0.01")


FINEST = Decimal("0.000000000001")
"""Numbers from outside are taken to a trillionth: finer ones would only fill the answer with zeros."""


@dataclass(frozen=True)
class Note:
    """A sentence for a person: an English template, also the key of its translation, and its facts."""

    message: str
    facts: Mapping[str, object] = field(default_factory=dict)
    code: str = ""
    """Its name, where programs must tell it from others."""

    def __str__(self) -> str:
        return self.message.format(**self.facts)


@dataclass(frozen=True)
class Usd:
    """An amount within a sentence: dollars to programs, on pages in the currency that was chosen."""

    amount: Decimal

    def __str__(self) -> str:
        return f"${shown(self.amount)}"


def is_under_a_cent(amount: Decimal | float) -> bool:
    """Whether it is something, but less than the smallest coin: a cent, or a kopeck if it is in roubles."""
    return 0 < amount < CENT


def amount(value: object, name: str, most: Decimal, *, zero: bool = False) -> Decimal:
    """A number from outside as Decimal, above zero (or at least zero) and at most `most`, else BadRequest."""
    number = _decimal(value, name)
    if number > most:
        raise BadRequest(Code.NUMBER_TOO_LARGE, name=name, most=f"{most:,f}")
    if number < 0 and zero:
        raise BadRequest(Code.NUMBER_NEGATIVE, name=name)
    number = number.quantize(FINEST) if number > 0 else number
    if number <= 0 and not zero:
        raise BadRequest(Code.NUMBER_NOT_POSITIVE, name=name)
    return abs(number)


def whole_number(value: object, name: str, most: int) -> int:
    """A whole number from outside, 1 to `most`, else BadRequest."""
    number = amount(value, name, Decimal(most))
    if number != number.to_integral_value():
        raise BadRequest(Code.WHOLE_NUMBER_EXPECTED, name=name)
    return int(number)


def money(exact: Decimal | None) -> Decimal | None:
    """Rounded to a billionth, half up; unknown stays unknown."""
    return None if exact is None else exact.quantize(GRAIN, ROUND_HALF_UP)


def plain(number: Decimal) -> str:
    """A decimal string without exponent or useless zeros."""
    return format(number.normalize() + 0, "f")


def shown(usd: Decimal) -> str:
    """Dollars for people: cents, and three significant digits of what is less than a dollar."""
    digits = 2 if usd >= 1 or usd == 0 else max(2, 2 - usd.adjusted())
    whole_part, _, fraction = f"{usd:,.{digits}f}".partition(".")
    return f"{whole_part}.{fraction.rstrip('0').ljust(2, '0')}"


def as_json(value: object) -> Any:
    """Frozen things as JSON: money as plain decimal strings, notes as sentences, days as ISO dates."""
    if isinstance(value, Note):
        return str(value)
    if is_dataclass(value):
        return {part.name: as_json(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_json(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(inner) for inner in value]
    return _scalar(value)


def _scalar(value: object) -> object:
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, float):
        return round(value, 3)
    return value.isoformat() if isinstance(value, date) else value


def _decimal(value: object, name: str) -> Decimal:
    """A finite Decimal; floats go through their shortest spelling, so that 0.1 stays 0.1."""
    try:
        number = Decimal(str(value)) if not isinstance(value, bool) else Decimal("NaN")
    except InvalidOperation as error:
        raise BadRequest(Code.NUMBER_EXPECTED, name=name) from error
    if not number.is_finite():
        raise BadRequest(Code.NUMBER_EXPECTED, name=name)
    return number
