"""What will it cost, and when will it be ready, by every route: engine × its mode × embedding lane."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal

from core.billing import pace
from core.billing.money import Note, Usd
from core.billing.pace import History, Pace
from core.billing.prices import MEASURED, Book, Limit
from core.billing.stages import Leg, Part, Terms, embedding_legs, engine_legs, total
from core.billing.tokens import Workload, measure


@dataclass(frozen=True)
class Speeds:
    """What was measured on this machine; what is missing is assumed.

    `times_real_time` by `engine/model`, e.g. `gigaam/gpu`, `gigaam/cpu`, `runpod/24 GB L4`.
    """

    times_real_time: Mapping[str, Decimal] = field(default_factory=dict)
    call_s: Decimal | None = None
    local_passages_per_s: Decimal | None = None

    def applied(self, book: Book) -> Book:
        """The book with these speeds in place of its assumptions."""
        engines = {f"times_real_time:{name}": value for name, value in self.times_real_time.items()}
        others = {"call_s": self.call_s, "local_passages_per_s": self.local_passages_per_s}
        stated = {name: value for name, value in others.items() if value is not None}
        return book.with_assumptions({**engines, **stated}, source=MEASURED)


@dataclass(frozen=True)
class Quote:
    """One route with its price, split by part, and its expected finish."""

    id: str
    engine: str
    engine_model: str
    mode: str
    embedder: str
    lane: str
    parts: tuple[Part, ...]
    transcription_usd: Decimal | None
    embedding_usd: Decimal | None
    total_usd: Decimal | None
    p50_s: float | None
    p90_s: float | None
    bound_by: str
    notes: tuple[Note, ...]
    blocked: Note | None


@dataclass(frozen=True)
class ExcludedRoute:
    """A route that was not chosen, and why."""

    id: str
    reasons: tuple[Note, ...]


@dataclass(frozen=True)
class Choice:
    """The cheapest route that fits, and why the others fall out."""

    best: Quote | None
    fitting: tuple[str, ...]
    out: tuple[ExcludedRoute, ...]


def routes(
    work: Workload,
    book: Book,
    speeds: Speeds | None = None,
    limits: Iterable[Limit] = (),
    *,
    on: date,
    history: History | None = None,
    not_ready: Mapping[str, str] | None = None,
    embedding_models: Sequence[str] = ("gemini-embedding-2",),
    local_languages: Sequence[str] | None = ("en",),
    words_only: bool = False,
) -> list[Quote]:
    """A quote for every route, cheapest first, unknown prices last.

    `not_ready` gives reasons by engine or embedder (`groq`, `gemini`, `local`); `local_languages` is
    what the local embedder understands (None: any); with `words_only`, no vectors are a way too.
    """
    known = (speeds or Speeds()).applied(book).with_limits(limits)
    languages = None if local_languages is None else tuple(local_languages)
    models = tuple(embedding_models)
    terms = Terms(known, on, history or History(), dict(not_ready or {}), models, languages, words_only)
    return quotes(work, terms)


def quotes(work: Workload, terms: Terms) -> list[Quote]:
    """The same with everything settled: every engine by every lane."""
    size = measure(work, terms.book)
    engines = engine_legs(size, terms) if work.audio_s else [None]
    lanes = embedding_legs(size, work.language, terms)
    return sorted((_quote(engine, lane) for engine in engines for lane in lanes), key=_cheapest)


def recommend(
    quotes: Sequence[Quote], ready_by_s: float | None = None, at_most_usd: Decimal | None = None
) -> Choice:
    """The cheapest route that can be taken, is ready in time 9 times in 10, and is within the money."""
    reasons = {quote.id: _reasons(quote, ready_by_s, at_most_usd) for quote in quotes}
    fitting = sorted((quote for quote in quotes if not reasons[quote.id]), key=_cheapest)
    out = tuple(ExcludedRoute(name, why) for name, why in reasons.items() if why)
    return Choice(fitting[0] if fitting else None, tuple(quote.id for quote in fitting), out)


def frontier(quotes: Iterable[Quote]) -> list[Quote]:
    """Cost against deadline: the routes for which waiting longer buys a lower price, soonest first."""
    able = [quote for quote in quotes if quote.blocked is None and quote.total_usd is not None]
    timed = [(quote.p90_s, quote.total_usd or Decimal(0), quote) for quote in able if quote.p90_s is not None]
    best: list[Quote] = []
    lowest: Decimal | None = None
    for _, usd, quote in sorted(timed, key=lambda row: row[:2]):
        if lowest is None or usd < lowest:
            best, lowest = [*best, quote], usd
    return best


def _quote(engine: Leg | None, lane: Leg) -> Quote:
    parts = (*(engine.parts if engine else ()), *lane.parts)
    first = engine.pace if engine else pace.AT_ONCE
    gradual = engine is not None and engine.mode in {"sync", ""}
    p50_s, p90_s = pace.join(first, lane.pace, gradual=gradual)
    longest = first if engine and _takes_longer(first, lane.pace) else lane.pace
    return Quote(
        id=f"{engine.name} + {lane.name}" if engine else lane.name,
        engine=engine.provider if engine else "",
        engine_model=engine.model if engine else "",
        mode=engine.mode if engine else "",
        embedder=lane.model,
        lane={"sync": "now", "": "now"}.get(lane.mode, lane.mode),
        parts=parts,
        transcription_usd=engine.usd if engine else Decimal(0),
        embedding_usd=lane.usd,
        total_usd=total(parts),
        p50_s=p50_s,
        p90_s=p90_s,
        bound_by=longest.bound_by,
        notes=(*(engine.notes if engine else ()), *lane.notes),
        blocked=(engine.blocked if engine else None) or lane.blocked,
    )


def _takes_longer(first: Pace, second: Pace) -> bool:
    """Whether the first step decides; one that nobody can time does."""
    return first.p50_s is None or first.p50_s >= (second.p50_s or 0.0)


def _cheapest(quote: Quote) -> tuple[bool, Decimal, float, str]:
    """Known prices before unknown ones, then the lower, then the sooner."""
    late_s = float("inf") if quote.p90_s is None else quote.p90_s
    return quote.total_usd is None, quote.total_usd or Decimal(0), late_s, quote.id


def _reasons(quote: Quote, ready_by_s: float | None, at_most_usd: Decimal | None) -> tuple[Note, ...]:
    """Why a route does not fit; nothing if it does."""
    reasons = (quote.blocked, _over_budget(quote, at_most_usd), _too_late(quote, ready_by_s))
    return tuple(reason for reason in reasons if reason is not None)


def _over_budget(quote: Quote, at_most_usd: Decimal | None) -> Note | None:
    if quote.total_usd is None:
        return Note("Its price is not known.")
    if at_most_usd is None or quote.total_usd <= at_most_usd:
        return None
    return Note("Costs {usd}, more than {most}.", {"usd": Usd(quote.total_usd), "most": Usd(at_most_usd)})


def _too_late(quote: Quote, ready_by_s: float | None) -> Note | None:
    if ready_by_s is None:
        return None
    if quote.p90_s is None:
        return Note("Nobody knows when it would be ready.")
    if quote.p90_s <= ready_by_s:
        return None
    facts = {"late": pace.span(quote.p90_s), "asked": pace.span(ready_by_s)}
    return Note("Takes up to {late} (9 times in 10), longer than {asked}.", facts)
