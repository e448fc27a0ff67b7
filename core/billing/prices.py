"""The price book: what things cost, how fast they may be asked, what is assumed; each with its source.

Money is `Decimal` from the file to the answer. What nobody knows is `None`, never 0.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import date
from decimal import ROUND_CEILING, Decimal
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.billing.money import amount, whole_number
from core.errors import BadRequest, Code
from core.i18n.messages import N_

Table = dict[str, Any]
"""One table of the file, as tomllib gives it."""

FILE = Path(__file__).with_name("prices.toml")

UNITS: Mapping[str, Decimal] = MappingProxyType(
    {
        "1M tokens": Decimal(1_000_000),
        "audio hour": Decimal(3600),
        "audio minute": Decimal(60),
        "15 audio seconds": Decimal(15),
        "GPU second": Decimal(1),
    }
)
"""How many tokens or seconds one price buys."""

MEASURED = "measured on this machine"
CURRENCIES = ("USD", "RUB")
MAX_NAME = 60
MAX_PRICE = Decimal(100_000)
MAX_ASSUMED = Decimal(1_000_000_000)
MAX_LIMIT = 1_000_000_000_000
LIMITS = MappingProxyType(
    {
        "rpm": N_("Requests a minute"),
        "tpm": N_("Tokens a minute"),
        "enqueued_tokens": N_("Tokens under way"),
        "at_once": N_("Calls at once"),
    }
)
"""What of a rate limit people may say themselves, and how it is called."""
MAY_BE_ZERO = ("_purchase_usd", "_w", "_per_hour")
"""What an assumption's name may end in for 0 to make sense; by the others we divide."""
TENTH_LESS, TENTH_MORE = Decimal("0.9"), Decimal("1.1")


@dataclass(frozen=True)
class Price:
    """What one unit costs, where that was read and when."""

    provider: str
    model: str
    mode: str
    unit: str
    price: Decimal | None
    currency: str
    source: str
    read_on: date
    stale_after_days: int
    status: str = "current"
    ends_on: date | None = None
    minimum_s: Decimal = Decimal(0)
    increment_s: Decimal = Decimal(0)
    note: str = ""
    yours: bool = False
    second_source: str = ""
    """Who else says so, or what else they say."""

    @property
    def key(self) -> tuple[str, str, str]:
        """What an override replaces."""
        return (self.provider, self.model, self.mode)

    @property
    def kind(self) -> str:
        """embedding, transcription or gpu; told by the unit."""
        kinds = {"1M tokens": "embedding", "GPU second": "gpu"}
        return kinds.get(self.unit, "transcription")

    def stale(self, on: date) -> bool:
        """Whether the figure is older than it may be."""
        return (on - self.read_on).days > self.stale_after_days

    def ended(self, on: date) -> bool:
        """Whether nothing can be bought at this price any more."""
        return self.status == "withdrawn" or (self.ends_on is not None and on >= self.ends_on)

    def cost(self, quantity: Decimal) -> Decimal | None:
        """Cost in `currency` of so many tokens or seconds; unknown stays unknown."""
        return None if self.price is None else self.price * quantity / UNITS[self.unit]

    def billed_s(self, length_s: Decimal) -> Decimal:
        """Seconds on the bill for one recording: the minimum, then whole increments."""
        billed = max(length_s, self.minimum_s)
        if not self.increment_s:
            return billed
        return (billed / self.increment_s).to_integral_value(ROUND_CEILING) * self.increment_s

    def overridden(self, price: object, on: date) -> Price:
        """The same price with your figure. Raise BadRequest if it is no sensible number."""
        value = amount(price, "A price", most=MAX_PRICE, zero=True)
        return replace(
            self, price=value, source="yours", read_on=on, status="current", ends_on=None, yours=True
        )


@dataclass(frozen=True)
class Limit:
    """How fast a provider may be asked; None means no such limit is known."""

    provider: str
    mode: str
    source: str
    read_on: date
    model: str = ""
    tier: str = ""
    rpm: int | None = None
    tpm: int | None = None
    rpd: int | None = None
    audio_s_per_hour: int | None = None
    audio_s_per_day: int | None = None
    texts_per_call: int = 1
    enqueued_tokens: int | None = None
    requests_per_job: int | None = None
    at_once: int | None = None
    """Calls at the same time; of batches, jobs."""
    note: str = ""
    yours: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """What another tier's limit replaces; an empty model means all of the provider's."""
        return (self.provider, self.model, self.mode)

    def overridden(self, on: date, tier: str = "", **figures: object) -> Limit:
        """The same limit with your tier's figures. Raise BadRequest for what is no sensible number."""
        overrides: Table = {
            name: whole_number(value, LIMITS[name], MAX_LIMIT) for name, value in figures.items()
        }
        named = tier.strip()[:MAX_NAME] or self.tier
        return replace(self, tier=named, source="yours", read_on=on, yours=True, **overrides)


@dataclass(frozen=True)
class Wait:
    """How long a batch waits, in seconds, as documented; None where nothing typical is known."""

    provider: str
    mode: str
    promised_s: float
    source: str
    read_on: date
    typical_low_s: float | None = None
    typical_high_s: float | None = None


@dataclass(frozen=True)
class Assumption:
    """A figure that estimates stand on, with the range it may lie in."""

    name: str
    value: Decimal
    low: Decimal
    high: Decimal
    unit: str
    about: str
    source: str

    @property
    def spread(self) -> Decimal:
        """Half the range as a share of the value."""
        return (self.high - self.low) / 2 / self.value


@dataclass(frozen=True)
class Quality:
    """How well a model recognises a language: in words, and words wrong in a hundred if they were counted."""

    model: str
    language: str
    about: str
    source: str
    wrong_percent: Decimal | None = None


@dataclass(frozen=True)
class Provider:
    """A provider's name, whether this tool can use it, and what may go wrong there, by mode."""

    name: str
    title: str
    connected: bool
    risks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Book:
    """Prices, limits, waits and assumptions; frozen, and changed only into a new book."""

    prices: tuple[Price, ...]
    limits: tuple[Limit, ...]
    waits: tuple[Wait, ...]
    assumptions: Mapping[str, Assumption]
    providers: Mapping[str, Provider]
    qualities: Mapping[str, Quality] = field(default_factory=dict)
    """By `model:language`."""

    def quality(self, model: str, language: str) -> Quality | None:
        """How well a model recognises a language; None where nobody has said."""
        return self.qualities.get(f"{model}:{language}")

    def price(self, provider: str, model: str, mode: str) -> Price | None:
        """The price of that, or None."""
        return next((price for price in self.prices if price.key == (provider, model, mode)), None)

    def limit(self, provider: str, model: str, mode: str) -> Limit | None:
        """The limit for this model, else the one for all models of the provider."""
        limits = {limit.key: limit for limit in self.limits}
        return limits.get((provider, model, mode)) or limits.get((provider, "", mode))

    def wait(self, provider: str, mode: str) -> Wait | None:
        """How long batches there wait, as documented."""
        return next((wait for wait in self.waits if (wait.provider, wait.mode) == (provider, mode)), None)

    def provider(self, name: str) -> Provider:
        """A provider; one that you added yourself counts as not connected."""
        return self.providers.get(name) or Provider(name, name, connected=False)

    def assume(self, name: str, variant: str = "") -> Assumption:
        """An assumption, e.g. `words_per_minute` for `en`; languages we know nothing of count as Russian."""
        for key in (f"{name}:{variant}", name):
            if key in self.assumptions:
                return self.assumptions[key]
        return self.assumptions[f"{name}:ru"]

    def speed(self, engine: str, model: str) -> Assumption | None:
        """Seconds of sound a second of work, for an engine and its model or device."""
        return self.assumptions.get(f"times_real_time:{engine}/{model}")

    def usd(self, money: Decimal | None, currency: str) -> Decimal | None:
        """The same money in dollars, at the book's rate."""
        if money is None:
            return None
        return money if currency == "USD" else money / self.assume(f"{currency.lower()}_per_usd").value

    def stale(self, on: date) -> tuple[Price, ...]:
        """Prices that were read too long ago to be trusted on that day."""
        return tuple(price for price in self.prices if price.stale(on))

    def with_overrides(self, prices: Iterable[Price]) -> Book:
        """Your prices in place of those with the same provider, model and mode; new ones are added."""
        own_prices = {price.key: price for price in prices}
        merged_prices = [own_prices.pop(price.key, price) for price in self.prices]
        return replace(self, prices=(*merged_prices, *own_prices.values()))

    def with_limits(self, limits: Iterable[Limit]) -> Book:
        """Your tier's limits in place of the book's."""
        own_limits = {limit.key: limit for limit in limits}
        merged_limits = [own_limits.pop(limit.key, limit) for limit in self.limits]
        return replace(self, limits=(*merged_limits, *own_limits.values()))

    def with_assumptions(self, values: Mapping[str, object], source: str = "yours") -> Book:
        """Your figures, give or take a tenth, in place of assumptions. Raise BadRequest if senseless."""
        changed = {name: self._assumed(name, value, source) for name, value in values.items()}
        return replace(self, assumptions=MappingProxyType({**self.assumptions, **changed}))

    def _assumed(self, name: str, value: object, source: str) -> Assumption:
        old = self.assumptions.get(name)
        if old is None and not name.startswith("times_real_time:"):
            raise BadRequest(Code.ASSUMPTION_UNKNOWN, name=name[:60])
        unit, about = (old.unit, old.about) if old else ("times", name)
        most = Decimal(1) if unit == "share" else MAX_ASSUMED
        number = amount(value, about, most, zero=name.endswith(MAY_BE_ZERO))
        return Assumption(name, number, number * TENTH_LESS, number * TENTH_MORE, unit, about, source)


def yours(
    provider: str,
    model: str,
    mode: str,
    price: object,
    on: date,
    unit: str = "audio hour",
    currency: str = "USD",
    minimum_s: object = 0,
) -> Price:
    """A price that a person typed in. Raise BadRequest where it makes no sense."""
    if unit not in UNITS:
        raise BadRequest(Code.UNIT_UNKNOWN, unit=unit[:40])
    if currency not in CURRENCIES:
        raise BadRequest(Code.CURRENCY_UNKNOWN, currency=currency[:40])
    for name in (provider, model, mode):
        if not name[:1].isalnum() or len(name) > MAX_NAME:
            raise BadRequest(Code.NAME_MALFORMED, most=MAX_NAME)
    value = amount(price, "A price", most=MAX_PRICE, zero=True)
    least_s = amount(minimum_s, "Minimum billing", most=Decimal(86_400), zero=True)
    return Price(provider, model, mode, unit, value, currency, "yours", on, 90, minimum_s=least_s, yours=True)


@cache
def shipped() -> Book:
    """The book that comes with the tool."""
    return load(FILE)


def load(path: Path) -> Book:
    """Read a price book. Raise KeyError, TypeError or ValueError where a row lacks what it must have."""
    document = tomllib.loads(path.read_text(encoding="utf-8"))
    tables: dict[str, Table] = document["provider"]
    assumptions = {name: _assumption(name, row) for name, row in document["assumption"].items()}
    return Book(
        prices=tuple(_price(*place) for place in _rows(tables, "prices")),
        limits=tuple(_limit(*place) for place in _rows(tables, "limits")),
        waits=tuple(_wait(*place) for place in _rows(tables, "waits")),
        assumptions=MappingProxyType(assumptions),
        providers=MappingProxyType({name: _provider(name, table) for name, table in tables.items()}),
        qualities=MappingProxyType(
            {name: _quality(name, row) for name, row in document.get("quality", {}).items()}
        ),
    )


def _rows(tables: dict[str, Table], kind: str) -> Iterator[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Every row of a kind with its provider's name and table."""
    return ((name, table, row) for name, table in tables.items() for row in table.get(kind, ()))


def _assumption(name: str, row: dict[str, str]) -> Assumption:
    low, value, high = (Decimal(row[which]) for which in ("low", "value", "high"))
    if not low <= value <= high:
        raise ValueError(f"{name}: {value} is outside {low} to {high}")
    return Assumption(name, value, low, high, row["unit"], row["about"], row["source"])


def _quality(name: str, row: dict[str, str]) -> Quality:
    model, _, language = name.rpartition(":")
    wrong_percent = row.get("wrong_percent")
    return Quality(
        model,
        language,
        row["about"],
        row["source"],
        None if wrong_percent is None else Decimal(wrong_percent),
    )


def _row(kind: type, name: str, table: Table, row: Table) -> dict[str, Any]:
    """The provider's fields, then the row's own, as far as this kind of row has them."""
    field_names = {part.name for part in fields(kind)}
    unknown = row.keys() - field_names
    if unknown:
        raise ValueError(f"{name}: unknown fields {sorted(unknown)}")
    return {key: value for key, value in {**table, **row, "provider": name}.items() if key in field_names}


def _price(name: str, table: Table, row: Table) -> Price:
    facts = {"price": None, **_row(Price, name, table, row)}
    for number in ("price", "minimum_s", "increment_s"):
        if facts.get(number) is not None:
            facts[number] = Decimal(facts[number])
    if facts["price"] == 0:
        raise ValueError(f"{name}: a price of 0; leave out what is unknown")
    return Price(**facts)


def _limit(name: str, table: Table, row: Table) -> Limit:
    shared = {key: table[key] for key in ("source", "read_on")}
    return Limit(**_row(Limit, name, shared, row))


def _wait(name: str, table: Table, row: Table) -> Wait:
    shared = {key: table[key] for key in ("source", "read_on")}
    return Wait(**_row(Wait, name, shared, row))


def _provider(name: str, table: Table) -> Provider:
    risks = {mode: tuple(sentences) for mode, sentences in table.get("risks", {}).items()}
    return Provider(name, table["title"], table["connected"], MappingProxyType(risks))
