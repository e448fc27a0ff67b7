"""What is yours in a link, so that it gives the same answer later and elsewhere."""

from __future__ import annotations

import json
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from core.billing import Book, Price, plain
from core.billing.prices import LIMITS, Limit
from core.billing.tariffs import with_own_figures
from core.database.tables import OwnLimit, OwnPrice
from core.errors import BadRequest, Code

LONGEST = 4000
"""Letters; browsers and chats cut longer addresses."""


def packed(book: Book) -> str:
    """Your prices, figures and rate limits as text; empty if there are none, or too many for a link."""
    figures = own(book)
    text = json.dumps(figures, separators=(",", ":"), ensure_ascii=False) if figures else ""
    return text if len(text) <= LONGEST else ""


def own(book: Book) -> dict[str, Any]:
    """What of a book is yours."""
    figures = {
        "prices": [_price(price) for price in book.prices if price.yours],
        "figures": {
            each.name: plain(each.value) for each in book.assumptions.values() if each.source == "yours"
        },
        "limits": [_limit(limit) for limit in book.limits if limit.yours],
    }
    return {name: each for name, each in figures.items() if each}


def unpacked(text: str, book: Book) -> Book:
    """A book with these in place of its own. Raise BadRequest for nonsense."""
    try:
        payload = json.loads(text)
        prices = [OwnPrice(**row) for row in payload.get("prices", [])]
        limits = [OwnLimit(**row) for row in payload.get("limits", [])]
        figures = {str(name): Decimal(value) for name, value in payload.get("figures", {}).items()}
        return with_own_figures(book, prices, figures, limits)
    except (ValueError, TypeError, AttributeError, ArithmeticError, OSError, RecursionError) as error:
        raise BadRequest(Code.PLAN_LINK_UNREADABLE) from error


def _price(price: Price) -> dict[str, Any]:
    return {
        **_key(price),
        "price": plain(price.price or Decimal(0)),
        "unit": price.unit,
        "currency": price.currency,
        "minimum_s": plain(price.minimum_s),
    }


def _limit(limit: Limit) -> dict[str, Any]:
    figures = {name: getattr(limit, name) for name in LIMITS}
    stated = {name: figure for name, figure in figures.items() if figure is not None}
    return {**_key(limit), "tier": limit.tier, **stated}


def _key(row: Price | Limit) -> dict[str, Any]:
    noon = datetime.combine(row.read_on, time(12), UTC)
    return {"provider": row.provider, "model": row.model, "mode": row.mode, "set_at": int(noon.timestamp())}
