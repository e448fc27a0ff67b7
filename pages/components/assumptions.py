"""Assumptions as a table: what is assumed, how much, and by whom."""

from __future__ import annotations

from datetime import date
from typing import Any

import pandas as pd
import streamlit as st

from core.billing import Assumption, Book
from core.errors import StenogramError
from core.i18n import catalogue
from core.i18n.messages import N_
from core.planning.estimates import SPOKEN
from core.planning.samples import Counted
from jobs.installation import application
from pages.components import common, figures
from pages.components.common import gettext
from pages.components.figures import Cell, Column

UNITS = {
    "words": N_("words"),
    "tokens": N_("tokens"),
    "characters": N_("characters"),
    "times": N_("times"),
    "s": N_("seconds"),
    "passages": N_("passages"),
    "share": N_("share"),
    "years": N_("years"),
    "calls": N_("calls"),
    "starts": N_("starts"),
    "RUB": N_("roubles"),
    "USD": N_("dollars"),
    "W": N_("watts"),
}


DIGITS = 6
"""After the point, at most."""


def table(book: Book) -> pd.DataFrame:
    """Every assumption of a book."""
    language = common.language()
    rows = [
        {
            "name": each.name,
            "about": about(each),
            "value": float(each.value),
            "unit": gettext(UNITS[each.unit]) if each.unit in UNITS else each.unit,
            "source": str(catalogue.translate_fact(each.source, language)),
        }
        for each in book.assumptions.values()
        if each.name != "usd_per_usd"
    ]
    return pd.DataFrame(rows)


def show(book: Book) -> None:
    """Every assumption of a book, to read."""
    columns = [
        Column("about", gettext("What is assumed"), wide=True),
        Column("value", gettext("Value"), number=True),
        Column("source", gettext("Source"), text=True),
    ]
    frame = table(book)
    values = common.aligned([common.number(value, DIGITS) for value in frame["value"]])
    rows = zip(frame["about"], values, frame["unit"], frame["source"], strict=True)
    figures.table(
        columns,
        [{"about": what, "value": Cell(value, unit), "source": source} for what, value, unit, source in rows],
    )


def about(each: Assumption) -> str:
    """What is assumed, with the language it holds for; speeds by their engine."""
    kind, _, variant = each.name.partition(":")
    if each.about == each.name:
        return gettext("speed of {engine}, times real time", engine=variant)
    text = str(catalogue.translate_fact(each.about, common.language()))
    if variant not in SPOKEN or kind == "chars_per_token":
        return text
    return f"{text} ({catalogue.language_name(variant, common.language())})"


def sample(spoken_language: str) -> None:
    """Tokens counted by the provider on texts like yours, on request."""
    if not common.may_administer():
        return
    app = application()
    counted = app.estimates.samples.known(spoken_language)
    if message := st.session_state.pop("sample-error", None):
        st.error(message)
    if counted:
        with common.line():
            st.caption(_counted(counted), width="stretch")
            st.button(
                gettext("Undo"), key="drop-sample", type="tertiary", on_click=_drop, args=(spoken_language,)
            )
    label = gettext("A sample of your texts")
    st.text_area(
        label,
        key="sample",
        placeholder=gettext("Empty: the newest passages here"),
        height=80,
        help=gettext("A page of what your people say is enough: it makes the count right for texts like it."),
    )
    st.button(
        gettext("Count its tokens"),
        key="count-sample",
        help=gettext("Gemini counts them; that is free."),
        on_click=_count,
        args=(spoken_language,),
    )


def _counted(counted: Counted) -> str:
    return gettext(
        "{tokens} tokens in {letters} characters: {each} characters a token. {model} counted on {day}.",
        tokens=common.number(counted.tokens),
        letters=common.number(counted.letters),
        each=common.number(float(counted.letters_a_token), 2),
        model=common.plain(counted.model),
        day=catalogue.day(date.fromisoformat(counted.on), common.language()),
    )


def _count(spoken_language: str) -> None:
    samples = application().estimates.samples
    try:
        samples.count(common.current_principal(), spoken_language, st.session_state.get("sample") or "")
    except StenogramError as error:
        st.session_state["sample-error"] = common.translate_error(error)


def _drop(spoken_language: str) -> None:
    application().estimates.samples.drop(common.current_principal(), spoken_language)


def columns() -> dict[str, Any]:
    """The headings of assumptions."""
    return {
        "name": None,
        "about": st.column_config.TextColumn(gettext("What is assumed")),
        "value": st.column_config.NumberColumn(gettext("Value"), format="localized"),
        "unit": gettext("Unit"),
        "source": st.column_config.TextColumn(gettext("Source")),
    }
