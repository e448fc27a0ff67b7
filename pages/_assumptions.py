"""Assumptions as a table: what is assumed, how much, and by whom."""

from __future__ import annotations

from typing import Any

import pandas as pd
import streamlit as st

from core import words
from core.costs import Assumption, Book
from core.words import phrase
from pages import _parts as parts
from pages._parts import say

SPOKEN = ("ru", "en")
"""Languages of which it is known how fast people speak them, and how many tokens that makes."""
UNITS = {
    "words": phrase("words"),
    "tokens": phrase("tokens"),
    "characters": phrase("characters"),
    "times": phrase("times"),
    "s": phrase("seconds"),
    "passages": phrase("passages"),
    "share": phrase("share"),
    "years": phrase("years"),
    "calls": phrase("calls"),
    "starts": phrase("starts"),
    "RUB": phrase("roubles"),
    "USD": phrase("dollars"),
    "W": phrase("watts"),
}


def table(book: Book) -> pd.DataFrame:
    """Every assumption of a book."""
    language = parts.language()
    rows = [
        {
            "name": each.name,
            "about": about(each),
            "value": float(each.value),
            "unit": say(UNITS[each.unit]) if each.unit in UNITS else each.unit,
            "source": str(words.reason(each.source, language)),
        }
        for each in book.assumptions.values()
        if each.name != "usd_per_usd"
    ]
    return pd.DataFrame(rows)


def about(each: Assumption) -> str:
    """What is assumed, with the language it holds for; speeds by their engine."""
    kind, _, variant = each.name.partition(":")
    if each.about == each.name:
        return say("speed of {engine}, times real time", engine=variant)
    said = str(words.reason(each.about, parts.language()))
    return f"{said} ({variant})" if variant in SPOKEN and kind != "chars_per_token" else said


def columns() -> dict[str, Any]:
    """The headings of assumptions."""
    return {
        "name": None,
        "about": st.column_config.TextColumn(say("What is assumed"), width="medium"),
        "value": st.column_config.NumberColumn(say("Value")),
        "unit": say("Unit"),
        "source": st.column_config.TextColumn(say("Source"), width="large"),
    }
