"""Prices and assumptions: where each comes from, and yours in their place."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import date
from typing import Any

import pandas as pd
import streamlit as st

from core.billing import Book, Limit, Price
from core.billing.prices import CURRENCIES, LIMITS, UNITS
from core.errors import AdminsOnly, StenogramError
from core.i18n import catalogue
from core.i18n.messages import N_
from jobs.installation import application
from pages.components import assumptions
from pages.components.common import (
    SIGNS,
    aligned,
    current_principal,
    date_format,
    day_field,
    gettext,
    grid,
    language,
    may_administer,
    ngettext,
    number,
    plain,
    translate_error,
)

MODES = {
    "sync": N_("now"),
    "batch": N_("in a batch"),
    "async": N_("later"),
    "deferred": N_("within a day"),
}

DIGITS = 9
"""After the point: a second of a processor and a token cost little."""


def draw() -> None:
    """Both books, each to be changed where it stands."""
    if not may_administer():
        st.caption(translate_error(AdminsOnly()))
        return
    app = application()
    book = app.estimates.book()
    if message := st.session_state.pop("price-error", None):
        st.error(message)
    _stale(book)
    st.caption(
        gettext(
            "Type your own figure where it stands, with the day it holds as of; empty it to take it back. "
            "It holds from then on."
        )
    )
    st.header(gettext("Prices"), anchor=False)
    _prices(book)
    with st.expander(gettext("Add a way that is not in the list")):
        _add()
    st.header(gettext("Rate limits"), anchor=False)
    _limits(book)
    st.header(gettext("Assumptions"), anchor=False)
    _figures(book)


def _stale(book: Book) -> None:
    """Prices that were read too long ago, of what can be bought here."""
    today = date.today()
    old = [price for price in book.stale(today) if book.provider(price.provider).connected]
    old = [price for price in old if not price.ended(today)]
    if not old:
        return
    one, many = "{n} price was read long ago: check it", "{n} prices were read long ago: check them"
    names = (f"{book.provider(price.provider).title} {price.model}" for price in old)
    st.warning(plain(", ".join(names)), title=ngettext(one, many, len(old)), icon=":material/schedule:")


def _prices(book: Book) -> None:
    prices = list(book.prices)
    key = _table("prices")
    frame = pd.DataFrame([_row(book, price) for price in prices])
    known = frame["price"].notna()
    frame.loc[known, "price"] = aligned(list(frame.loc[known, "price"]))
    st.data_editor(
        frame,
        hide_index=True,
        key=key,
        column_order=["who", "price", "unit", "mode", "state", "day", "source", "second"],
        **grid(frame, {"column_config": columns()}),
        disabled=["who", "mode", "unit", "state", "source", "second"],
        on_change=_change_prices,
        args=(key, prices),
    )


def _row(book: Book, price: Price) -> dict[str, object]:
    return {
        "who": f"{book.provider(price.provider).title} {catalogue.translate_fact(price.model, language())}",
        "mode": gettext(MODES[price.mode]) if price.mode in MODES else price.mode,
        "price": None if price.price is None else number(float(price.price), DIGITS),
        "unit": f"{SIGNS[price.currency]} / {catalogue.translate_fact(price.unit, language())}",
        "state": _state(price),
        "day": price.read_on,
        "source": str(catalogue.translate_fact(price.source, language())),
        "second": str(catalogue.translate_fact(price.second_source, language())),
    }


def _state(price: Price) -> str:
    if price.yours:
        return gettext("yours")
    if price.ended(date.today()):
        return gettext("withdrawn")
    return gettext("old") if price.stale(date.today()) else ""


def _change_prices(key: str, prices: list[Price]) -> None:
    tariffs = application().tariffs
    for n, changed in _edits(key):
        price = prices[n]
        value = changed.get("price", price.price)
        if value is None or value == "":
            tariffs.take_back_price(current_principal(), *price.key)
        else:
            if isinstance(value, str):
                value = value.strip().replace(",", ".")
            day = date.fromisoformat(changed["day"]) if changed.get("day") else None
            _attempt(functools.partial(tariffs.set_price, current_principal(), *price.key, value, on=day))


def _figures(book: Book) -> None:
    table = assumptions.table(book)
    key = _table("figures")
    st.data_editor(
        table,
        hide_index=True,
        key=key,
        column_order=["value", "unit", "about", "source"],  # what is typed in is seen on a telephone, too
        **grid(table, {"column_config": assumptions.columns()}),
        disabled=["about", "unit", "source"],
        on_change=_change_figures,
        args=(key, list(table["name"])),
    )


def _change_figures(key: str, names: list[str]) -> None:
    tariffs = application().tariffs
    for n, changed in _edits(key):
        name, value = names[n], changed.get("value")
        if value is None:
            tariffs.take_back_figure(current_principal(), name)
        else:
            _attempt(functools.partial(tariffs.set_figure, current_principal(), name, value))


def _limits(book: Book) -> None:
    """Your tier: what a quote waits for."""
    limits = list(book.limits)
    key = _table("limits")
    frame = pd.DataFrame([_limit(book, limit) for limit in limits])
    st.data_editor(
        frame,
        hide_index=True,
        key=key,
        **grid(frame, {"column_config": _limit_columns()}),
        disabled=["who", "mode", "state", "source"],
        on_change=_change_limits,
        placeholder="",
        args=(key, limits),
    )
    most = application().settings.batch_enqueued_tokens
    if any(limit.yours and (limit.enqueued_tokens or 0) > most for limit in limits):
        facts = {"setting": "`BATCH_ENQUEUED_TOKENS`", "most": number(most)}
        st.caption(gettext("Batches are sent under {setting}, {most} tokens: raise that too.", **facts))


def _limit(book: Book, limit: Limit) -> dict[str, object]:
    return {
        "who": f"{book.provider(limit.provider).title} {limit.model}".strip(),
        "mode": gettext(MODES[limit.mode]) if limit.mode in MODES else limit.mode,
        "tier": limit.tier,
        **{name: getattr(limit, name) for name in LIMITS},
        "state": gettext("yours") if limit.yours else "",
        "source": str(catalogue.translate_fact(limit.source, language())),
    }


def _change_limits(key: str, limits: list[Limit]) -> None:
    tariffs = application().tariffs
    for n, changed in _edits(key):
        _attempt(functools.partial(tariffs.set_limit, current_principal(), *limits[n].key, **changed))


def _table(name: str) -> str:
    """The key of a table; a new one after each change, so that it shows what holds then."""
    return f"own-{name}-{st.session_state.get(_changes(name), 0)}"


def _changes(name: str) -> str:
    return f"changes-{name}"


def _edits(key: str) -> list[tuple[int, dict[str, Any]]]:
    """What was typed into the table `key`, by row; the next drawing shows a new one.

    It can be the table before the newest: people still see that one while a run draws its successor.
    """
    name, number = key.removeprefix("own-").rsplit("-", 1)
    st.session_state[_changes(name)] = max(st.session_state.get(_changes(name), 0), int(number)) + 1
    edited: dict[int, dict[str, Any]] = st.session_state[key]["edited_rows"]
    return list(edited.items())


def _attempt(change: Callable[[], None]) -> None:
    """Do it, or keep the sentence that says why not for the next drawing."""
    try:
        change()
    except StenogramError as error:
        st.session_state["price-error"] = translate_error(error)


def _read_on() -> date:
    return st.date_input(
        gettext("Read on"),
        "today",
        max_value="today",
        format=day_field(),
        help=gettext("The day on which you read it. After 90 days it is flagged as old."),
    )


def _add() -> None:
    units = {unit: str(catalogue.translate_fact(unit, language())) for unit in UNITS}
    modes = {mode: gettext(template) for mode, template in MODES.items()}
    with st.form("add-price", border=False):
        with st.container(horizontal=True):
            provider = st.text_input(
                gettext("Provider"), max_chars=60, help=gettext("Who sells it. A name of your own is fine.")
            )
            model = st.text_input(
                gettext("Model"),
                max_chars=60,
                help=gettext("What is bought there, as the price list calls it."),
            )
            mode = st.selectbox(
                gettext("When"),
                list(modes),
                format_func=modes.__getitem__,
                help=gettext("Whether it comes at once or later, at another price."),
            )
        with st.container(horizontal=True):
            price = st.text_input(
                gettext("Price"),
                help=gettext("For one unit, with comma or point. Without tax if you get it back."),
            )
            currency = st.selectbox(
                gettext("Currency"),
                list(CURRENCIES),
                help=gettext("Roubles are turned into dollars by the rate among the assumptions."),
            )
            unit = st.selectbox(
                gettext("For"),
                list(units),
                index=1,
                format_func=units.__getitem__,
                help=gettext("What the price buys: an hour of sound, a million tokens, a GPU second."),
            )
            day = _read_on()
        if st.form_submit_button(gettext("Add")):
            set_price = functools.partial(application().tariffs.set_price, current_principal())
            way = provider, model, mode, price.replace(",", ".")
            _attempt(functools.partial(set_price, *way, unit=unit, currency=currency, on=day))
            st.rerun()


def columns() -> dict[str, Any]:
    """The headings of prices."""
    return {
        "who": st.column_config.TextColumn(gettext("What")),
        "mode": gettext("When"),
        "price": st.column_config.TextColumn(gettext("Price"), alignment="right"),
        "unit": gettext("For"),
        "state": st.column_config.TextColumn(gettext("State")),
        "day": st.column_config.DateColumn(gettext("Read on"), format=date_format()),
        "source": st.column_config.TextColumn(gettext("Source")),
        "second": st.column_config.TextColumn(
            gettext("Second source"), help=gettext("Who else says so, or what else they say.")
        ),
    }


def _limit_columns() -> dict[str, Any]:
    whole = {name: gettext(title) for name, title in LIMITS.items()}
    return {
        "who": st.column_config.TextColumn(gettext("What")),
        "mode": gettext("When"),
        "tier": st.column_config.TextColumn(gettext("Tier"), max_chars=60),
        **{name: st.column_config.NumberColumn(title, format="localized") for name, title in whole.items()},
        "state": gettext("State"),
        "source": st.column_config.TextColumn(gettext("Source")),
    }
