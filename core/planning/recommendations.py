"""The few routes that matter for a choice, and what each is recommended for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from core.billing import Quote
from core.billing.stages import NOT_READY

NEVER = float("inf")


class Role(StrEnum):
    """What a route is recommended for."""

    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    OWN = "own"
    BEST = "best"
    NOW = "now"


@dataclass(frozen=True)
class Recommendation:
    """A route and all that it is best for."""

    quote: Quote
    roles: tuple[Role, ...]


def may_be_chosen(quote: Quote) -> bool:
    """Whether it works, or would once somebody has set it up; its price must be known."""
    return quote.total_usd is not None and (quote.blocked is None or quote.blocked.code == NOT_READY)


def recommend(
    quotes: Sequence[Quote], error_rate: Callable[[Quote], Decimal | None], now: Quote | None
) -> tuple[Recommendation, ...]:
    """Cheapest, fastest, cheapest on an own machine, best quality, and what is used now; at most five.

    `quotes` come cheapest first. `error_rate` says how many words in a hundred an engine gets wrong, None
    where nobody has counted: such a way is never called the best.
    """
    able = [quote for quote in quotes if may_be_chosen(quote)]
    counted = [quote for quote in able if error_rate(quote) is not None]
    quotes_by_role: dict[Role, Quote | None] = {
        Role.CHEAPEST: next(iter(able), None),
        Role.FASTEST: min(able, key=_by_readiness, default=None),
        Role.OWN: next((quote for quote in able if quote.engine and not quote.mode), None),
        Role.BEST: min(counted, key=lambda quote: error_rate(quote) or Decimal(0), default=None),
        Role.NOW: now,
    }
    roles: dict[str, list[Role]] = {}
    selected: dict[str, Quote] = {}
    for role, quote in quotes_by_role.items():
        if quote is not None:
            roles.setdefault(quote.id, []).append(role)
            selected[quote.id] = quote
    return tuple(Recommendation(quote, tuple(roles[id_])) for id_, quote in selected.items())


def by_engine(quotes: Sequence[Quote]) -> tuple[Quote, ...]:
    """Of each engine and mode that may be chosen, its cheapest way, cheapest first."""
    first: dict[tuple[str, str, str], Quote] = {}
    for quote in quotes:
        if may_be_chosen(quote):
            first.setdefault((quote.engine, quote.engine_model, quote.mode), quote)
    return tuple(first.values())


def _by_readiness(quote: Quote) -> tuple[float, float, Decimal]:
    """By what holds 9 times in 10, then by the median, then by price."""
    late_s, usual_s = quote.p90_s, quote.p50_s
    return (
        NEVER if late_s is None else late_s,
        NEVER if usual_s is None else usual_s,
        quote.total_usd or Decimal(0),
    )
