"""One half of a route: every way to transcribe, and every way to make vectors.

A leg knows its parts in dollars, its pace, its risks, and why it cannot be taken, if it cannot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_CEILING, Decimal

from core.billing import pace
from core.billing.money import Note, money, plain
from core.billing.pace import History, Pace
from core.billing.prices import MEASURED, Assumption, Book, Limit, Price
from core.billing.tokens import HOUR_S, Size

HOURS_A_YEAR = Decimal(8766)
WORDS = "words"
"""The way that makes no vectors."""
NOT_READY = "not_ready"
"""The code of a way that only waits to be set up here."""
OUT_OF_REACH = "out_of_reach"
"""The code of a way that no setting would open: another machine or another language is needed."""
SPEED = "times_real_time:"
"""What the names of assumed speeds begin with."""


@dataclass(frozen=True)
class Terms:
    """What a quote depends on besides the work."""

    book: Book
    on: date
    history: History = field(default_factory=History)
    not_ready: Mapping[str, str] = field(default_factory=dict)
    embedding_models: tuple[str, ...] = ("gemini-embedding-2",)
    local_languages: tuple[str, ...] | None = ("en",)
    words_only: bool = False
    """Whether doing without vectors is a way too."""
    out_of_reach: frozenset[str] = frozenset()
    """Names in `not_ready` that no setting would open."""
    transcriber: str = ""
    """Who transcribes where sync and batch are compared and nobody is named: `provider/model`."""


@dataclass(frozen=True)
class Part:
    """One line of a quote and how it came about."""

    name: str
    usd: Decimal | None
    how: Note


@dataclass(frozen=True)
class Leg:
    """One way to do one half of the work."""

    provider: str
    model: str
    mode: str
    parts: tuple[Part, ...]
    pace: Pace
    notes: tuple[Note, ...] = ()
    blocked: Note | None = None

    @property
    def name(self) -> str:
        """Stable identifier: provider/model/mode."""
        return "/".join(word for word in (self.provider, self.model, self.mode) if word)

    @property
    def usd(self) -> Decimal | None:
        """Sum of the parts; unknown if one of them is."""
        return total(self.parts)


def busy_hour(device: str, book: Book) -> tuple[Decimal, Decimal]:
    """Dollars a working hour of an own machine (`gpu`, `cpu`): written-off purchase, electricity.

    Purchase ÷ (life × utilisation); power while working, and while waiting for the working hour.
    """
    purchase, life, power_w, idle_w, share = (
        book.assume(f"{device}_{what}").value
        for what in ("purchase_usd", "life_years", "power_w", "idle_w", "utilisation")
    )
    tariff_usd = book.assume("tariff_rub_per_kwh").value / book.assume("rub_per_usd").value
    kwh = (power_w + idle_w * (1 - share) / share) / 1000
    return purchase / (life * HOURS_A_YEAR * share), kwh * tariff_usd


def engine_legs(size: Size, terms: Terms) -> list[Leg]:
    """Every way to transcribe: own machines, rented GPUs whose speed is known, services."""
    prices = terms.book.prices
    rented = [
        price for price in prices if price.kind == "gpu" and terms.book.speed(price.provider, price.model)
    ]
    bought = [price for price in prices if price.kind == "transcription"]
    return [
        *(_own(*engine, size, terms) for engine in _own_engines(terms.book)),
        *(_rented(price, size, terms) for price in rented),
        *(_bought(price, size, terms) for price in bought),
    ]


def embedding_legs(size: Size, language: str, terms: Terms) -> list[Leg]:
    """Every way to make vectors: the models asked for, by their modes, and the local embedder."""
    prices = [price for price in terms.book.prices if price.kind == "embedding"]
    sold = [_embedded(price, size, terms) for price in prices if price.model in terms.embedding_models]
    without = Leg(WORDS, WORDS, "", (), pace.AT_ONCE)
    return [*sold, _local(size, language, terms), *([without] if terms.words_only else [])]


def total(parts: Iterable[Part]) -> Decimal | None:
    """Sum of parts; unknown if one of them is."""
    prices_usd = [part.usd for part in parts]
    return None if None in prices_usd else sum((usd for usd in prices_usd if usd is not None), Decimal(0))


def _own_engines(book: Book) -> list[tuple[str, str]]:
    """Engines on own machines, with their device: those of which a speed is known."""
    known = [name.partition(":")[2].rpartition("/") for name in book.assumptions if name.startswith(SPEED)]
    return [(engine, device) for engine, _, device in known if device in {"gpu", "cpu"}]


def _own(engine: str, device: str, size: Size, terms: Terms) -> Leg:
    """An engine on an own machine: its share of the purchase, and electricity."""
    speed = terms.book.assumptions[f"{SPEED}{engine}/{device}"]
    hours = size.audio_s / HOUR_S / speed.value
    purchase, power = busy_hour(device, terms.book)
    how = Note(
        "{hours} h of work at {speed} times real time", {"hours": f"{hours:.2f}", "speed": plain(speed.value)}
    )
    parts = (
        Part("purchase, written off", money(hours * purchase), how),
        Part("electricity", money(hours * power), how),
    )
    steps = pace.transcribe_now(size.audio_s, size.recordings, None, speed, Decimal(1))
    blocked = _not_ready(terms, f"{engine}/{device}", engine)
    return Leg(engine, device, "", parts, steps, _assumed_speed(speed), blocked)


def _rented(price: Price, size: Size, terms: Terms) -> Leg:
    """A rented GPU: seconds of work, and the starts around them; whole seconds are billed."""
    book = terms.book
    speed = book.assumptions[f"times_real_time:{price.provider}/{price.model}"]
    start_s = book.assume("runpod_cold_start_s").value
    work_s = (size.audio_s / speed.value).to_integral_value(ROUND_CEILING)
    around_s = book.assume("runpod_bursts").value * (start_s + book.assume("runpod_idle_s").value)
    parts = tuple(
        Part(name, _usd(price, seconds, book), _how(price, seconds, "s"))
        for name, seconds in (("GPU at work", work_s), ("GPU starting and idle", around_s))
    )
    work = pace.transcribe_now(size.audio_s, size.recordings, None, speed, Decimal(1))
    steps = pace.later(work, float(start_s))
    return _provider_leg(price, parts, steps, terms, _assumed_speed(speed))


def _bought(price: Price, size: Size, terms: Terms) -> Leg:
    """A service: every recording billed by its length, at least the minimum."""
    billed_s = sum((price.billed_s(length) * count for length, count in size.lengths_s), Decimal(0))
    parts = (Part("transcription", _usd(price, billed_s, terms.book), _how(price, billed_s, "s")),)
    if price.mode == "sync":
        limit = terms.book.limit(price.provider, price.model, price.mode)
        speed = terms.book.speed(price.provider, price.model)
        at_once = _at_once(limit, terms.book)
        steps = pace.transcribe_now(size.audio_s, size.recordings, limit, speed, at_once)
    else:
        steps = _batch(price, size.recordings, 0, terms)
    return _provider_leg(price, parts, steps, terms)


def _embedded(price: Price, size: Size, terms: Terms) -> Leg:
    """Vectors from a service, through its sync or its batch lane."""
    book = terms.book
    parts = (Part("embedding", _usd(price, Decimal(size.tokens), book), _how(price, size.tokens, "tokens")),)
    if price.mode == "batch":
        return _provider_leg(price, parts, _batch(price, size.passages, size.tokens, terms), terms)
    limit = book.limit(price.provider, price.model, price.mode)
    at_once = _at_once(limit, book)
    steps = pace.embed_now(size.passages, size.tokens, limit, book.assume("call_s"), at_once)
    return _provider_leg(price, parts, steps, terms)


def _at_once(limit: Limit | None, book: Book) -> Decimal:
    """Calls at the same time: as many as this installation makes, and as the provider allows."""
    app = book.assume("calls_at_once").value
    return min(app, Decimal(limit.at_once)) if limit and limit.at_once else app


def _local(size: Size, language: str, terms: Terms) -> Leg:
    """Vectors from this machine: hours of its CPU."""
    speed = terms.book.assume("local_passages_per_s")
    hours = size.passages / speed.value / HOUR_S
    how = Note("{hours} h of this machine's CPU", {"hours": f"{hours:.2f}"})
    parts = (Part("embedding", money(hours * sum(busy_hour("cpu", terms.book))), how),)
    fast, slow = (float(size.passages / each) for each in (speed.value, speed.low))
    steps = Pace(fast, slow, "speed of the local embedder", float(1 / speed.value), float(1 / speed.low))
    blocked = _not_ready(terms, "local", "local")
    if terms.local_languages is not None and language not in terms.local_languages:
        blocked = Note("The local embedder does not understand this language: it is found by words only.")
    return Leg("local", "local", "", parts, steps, (), blocked)


def _batch(price: Price, requests: int, tokens: int, terms: Terms) -> Pace:
    book, own_s = terms.book, terms.history.of(price.provider, price.mode)
    times = pace.rounds(requests, tokens, book.limit(price.provider, price.model, price.mode))
    return pace.batch(times, book.wait(price.provider, price.mode), own_s)


def _provider_leg(
    price: Price, parts: tuple[Part, ...], steps: Pace, terms: Terms, notes: tuple[Note, ...] = ()
) -> Leg:
    """A leg that a provider sells, with what there is to say about the provider and the price."""
    provider = terms.book.provider(price.provider)
    risks = (*provider.risks.get(price.mode, ()), *provider.risks.get("any", ()))
    all_notes = (*notes, *_about(price, provider.title, terms.on), *(Note(risk) for risk in risks))
    return Leg(price.provider, price.model, price.mode, parts, steps, all_notes, _blocked(price, terms))


def _about(price: Price, title: str, on: date) -> tuple[Note, ...]:
    """What the price itself warns of: its age, its end, its owner."""
    notes = []
    if price.stale(on):
        notes.append(
            Note("The price was read on {day}; it may have changed.", {"day": price.read_on.isoformat()})
        )
    if price.ends_on and not price.ended(on):
        notes.append(Note("{title} ends this on {day}.", {"title": title, "day": price.ends_on.isoformat()}))
    if price.yours:
        notes.append(Note("The price is yours."))
    if price.note:
        notes.append(Note("About the price: {note}.", {"note": price.note}))
    return tuple(notes)


def _blocked(price: Price, terms: Terms) -> Note | None:
    provider = terms.book.provider(price.provider)
    if price.ended(terms.on):
        day = price.ends_on.isoformat() if price.ends_on else "?"
        return Note("{title} withdrew this on {day}.", {"title": provider.title, "day": day})
    if not provider.connected:
        return Note("For comparison only: this tool is not connected to {title}.", {"title": provider.title})
    names = (price.model, price.mode, f"{price.model}/{price.mode}")
    return _not_ready(terms, price.provider, price.model, *(f"{price.provider}/{name}" for name in names))


def _not_ready(terms: Terms, *names: str) -> Note | None:
    name = next((name for name in names if name in terms.not_ready), None)
    if name is None:
        return None
    code = OUT_OF_REACH if name in terms.out_of_reach else NOT_READY
    return Note("Not ready: {reason}", {"reason": terms.not_ready[name]}, code)


def _assumed_speed(speed: Assumption) -> tuple[Note, ...]:
    if speed.source == MEASURED:
        return ()
    return (Note("The speed was not measured on this machine ({source}).", {"source": speed.source}),)


def _usd(price: Price, quantity: Decimal, book: Book) -> Decimal | None:
    return money(book.usd(price.cost(quantity), price.currency))


def _how(price: Price, quantity: Decimal | int, unit: str) -> Note:
    price_text = "?" if price.price is None else plain(price.price)
    facts = {"quantity": f"{quantity:,f}" if isinstance(quantity, Decimal) else f"{quantity:,}", "unit": unit}
    return Note(
        "{quantity} {unit} at {price} {currency} for {per}",
        {**facts, "price": price_text, "currency": price.currency, "per": price.unit},
    )
