"""Prices as tables and sentences."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pandas as pd
import streamlit as st

from core import costs, journey, words
from core.costs import Book
from core.words import phrase
from pages._parts import duration, language, say

MODES = {"": phrase("here"), "sync": phrase("now"), "batch": phrase("in a batch")}


def today() -> date:
    """The day whose prices hold."""
    return date.today()


def usd(amount: Decimal | None) -> str:
    """Dollars, or that nobody knows."""
    return words.NOTHING if amount is None else words.money(float(amount))


def engines(hours: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ways to transcribe so many hours, cheapest first: those that can be taken, and the others with why."""
    known = ((engine.name, engine.readiness()) for engine in journey.current().engines.values())
    not_ready = {name: readiness.reason for name, readiness in known if not readiness.ready}
    ways = costs.estimate(hours=hours, on=today(), not_ready=not_ready)["transcription"]["engines"]
    ways = sorted(ways, key=lambda way: float(way["usd"] or "inf"))
    able = [_row(way) for way in ways if not way["blocked"]]
    others = [
        {**_row(way), "why": str(words.reason(way["blocked"], language()))} for way in ways if way["blocked"]
    ]
    return pd.DataFrame(able), pd.DataFrame(others)


def _row(way: dict[str, Any]) -> dict[str, object]:
    return {
        "engine": f"{way['engine']} {way['model']}",
        "mode": say(MODES[way["mode"]]) if way["mode"] in MODES else way["mode"],
        "usd": float(way["usd"]) if way["usd"] else None,
        "hour": float(way["usd_per_hour"]) if way["usd_per_hour"] else None,
        "ready": duration(way["p50_s"] or way["p90_s"]),
    }


def columns() -> dict[str, Any]:
    """The headings of these tables."""
    return {
        "engine": st.column_config.TextColumn(say("Engine"), width="medium"),
        "mode": say("When"),
        "usd": st.column_config.NumberColumn(say("Price"), format="$%.2f"),
        "hour": st.column_config.NumberColumn(say("An hour"), format="$%.4f"),
        "ready": st.column_config.TextColumn(say("Ready in"), alignment="right"),
        "unit": say("For"),
        "day": st.column_config.DateColumn(say("Read on")),
        "source": st.column_config.TextColumn(say("Source"), width="large"),
        "why": st.column_config.TextColumn(say("Why not"), width="large"),
    }


def sources(book: Book) -> pd.DataFrame:
    """Every price with its day and source."""
    rows = [
        {
            "engine": f"{price.provider} {price.model}",
            "mode": say(MODES[price.mode]) if price.mode in MODES else price.mode,
            "usd": None if price.price is None else float(price.price),
            "unit": price.unit,
            "day": price.read_on,
            "source": price.source,
        }
        for price in book.prices
    ]
    return pd.DataFrame(rows)
