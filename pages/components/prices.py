"""Prices and assumptions: where each comes from, and yours in their place."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import date
from decimal import Decimal
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
from pages.components.common import gettext, language, may_change, ngettext, number, translate_error

MODES = {
    "sync": N_("now"),
    "batch": N_("in a batch"),
    "async": N_("later"),
    "deferred": N_("within a day"),
}


def draw() -> None:
    """Both books, each to be changed where it stands."""
    if not may_change():
        st.caption(translate_error(AdminsOnly()))
        return
    app = application()
    book = app.estimates.book()
    if said := st.session_state.pop("price-error", None):
        st.error(said)
    stale = book.stale(date.today())
    if stale:
        one, many = "{n} price was read long ago: check it", "{n} prices were read long ago: check them"
        with st.expander(ngettext(one, many, len(stale))):
            st.caption(", ".join(f"{price.provider} {price.model}" for price in stale))
    st.caption(
        gettext("Type your own figure where it stands; empty it to take it back. It holds from then on.")
    )
    st.subheader(gettext("Prices"), anchor=False)
    _prices(book)
    with st.expander(gettext("Add a way that is not in the list")):
        _add()
    st.subheader(gettext("Rate limits"), anchor=False)
    _limits(book)
    st.subheader(gettext("Assumptions"), anchor=False)
    _figures(book)


def _prices(book: Book) -> None:
    known = list(book.prices)
    st.data_editor(
        pd.DataFrame([_row(book, price) for price in known]),
        hide_index=True,
        key=_table("prices"),
        column_config=columns(),
        disabled=["who", "mode", "unit", "state", "day", "source"],
        on_change=_change_prices,
        args=(known,),
    )


def _row(book: Book, price: Price) -> dict[str, object]:
    return {
        "who": f"{book.provider(price.provider).title} {price.model}",
        "mode": gettext(MODES[price.mode]) if price.mode in MODES else price.mode,
        "price": None if price.price is None else float(price.price),
        "unit": f"{price.currency} / {catalogue.translate_fact(price.unit, language())}",
        "state": _state(price),
        "day": price.read_on,
        "source": price.source,
    }


def _state(price: Price) -> str:
    if price.yours:
        return gettext("yours")
    if price.ended(date.today()):
        return gettext("withdrawn")
    return gettext("old") if price.stale(date.today()) else ""


def _change_prices(known: list[Price]) -> None:
    tariffs = application().tariffs
    for n, changed in _edits("prices"):
        price, value = known[n], changed.get("price")
        if value is None:
            tariffs.take_back_price(*price.key)
        else:
            _attempt(functools.partial(tariffs.set_price, *price.key, value))


def _figures(book: Book) -> None:
    table = assumptions.table(book)
    st.data_editor(
        table,
        hide_index=True,
        key=_table("figures"),
        column_config=assumptions.columns(),
        disabled=["about", "unit", "source"],
        on_change=_change_figures,
        args=(list(table["name"]),),
    )


def _change_figures(names: list[str]) -> None:
    tariffs = application().tariffs
    for n, changed in _edits("figures"):
        name, value = names[n], changed.get("value")
        if value is None:
            tariffs.take_back_figure(name)
        else:
            _attempt(functools.partial(tariffs.set_figure, name, value))


def _limits(book: Book) -> None:
    """Your tier: what a quote waits for."""
    known = list(book.limits)
    st.data_editor(
        pd.DataFrame([_limit(book, limit) for limit in known]),
        hide_index=True,
        key=_table("limits"),
        column_config=_limit_columns(),
        disabled=["who", "mode", "state", "source"],
        on_change=_change_limits,
        placeholder="",
        args=(known,),
    )
    most = application().settings.batch_enqueued_tokens
    if any(limit.yours and (limit.enqueued_tokens or 0) > most for limit in known):
        facts = {"setting": "`BATCH_ENQUEUED_TOKENS`", "most": number(most)}
        st.caption(gettext("Batches are sent under {setting}, {most} tokens: raise that too.", **facts))


def _limit(book: Book, limit: Limit) -> dict[str, object]:
    return {
        "who": f"{book.provider(limit.provider).title} {limit.model}".strip(),
        "mode": gettext(MODES[limit.mode]) if limit.mode in MODES else limit.mode,
        "tier": limit.tier,
        **{name: getattr(limit, name) for name in LIMITS},
        "state": gettext("yours") if limit.yours else "",
        "source": limit.source,
    }


def _change_limits(known: list[Limit]) -> None:
    tariffs = application().tariffs
    for n, changed in _edits("limits"):
        _attempt(functools.partial(tariffs.set_limit, *known[n].key, **changed))


def _table(name: str) -> str:
    """The key of a table; a new one after each change, so that it shows what holds then."""
    return f"own-{name}-{st.session_state.get(f'changes-{name}', 0)}"


def _edits(name: str) -> list[tuple[int, dict[str, Any]]]:
    """What was typed into a table, by row."""
    edited: dict[int, dict[str, Any]] = st.session_state[_table(name)]["edited_rows"]
    st.session_state[f"changes-{name}"] = st.session_state.get(f"changes-{name}", 0) + 1
    return list(edited.items())


def _attempt(change: Callable[[], None]) -> None:
    """Do it, or keep the sentence that says why not for the next drawing."""
    try:
        change()
    except StenogramError as error:
        st.session_state["price-error"] = translate_error(error)


def _add() -> None:
    units = {unit: str(catalogue.translate_fact(unit, language())) for unit in UNITS}
    modes = {mode: gettext(template) for mode, template in MODES.items()}
    with st.form("add-price", border=False):
        with st.container(horizontal=True):
            provider = st.text_input(gettext("Provider"), max_chars=60)
            model = st.text_input(gettext("Model"), max_chars=60)
            mode = st.selectbox(gettext("When"), list(modes), format_func=modes.__getitem__)
        with st.container(horizontal=True):
            price = st.text_input(gettext("Price"))
            currency = st.selectbox(gettext("Currency"), list(CURRENCIES))
            unit = st.selectbox(gettext("For"), list(units), index=1, format_func=units.__getitem__)
        if st.form_submit_button(gettext("Add")):
            _attempt(
                lambda: application().tariffs.set_price(
                    provider, model, mode, price.replace(",", "."), unit=unit, currency=currency
                )
            )
            st.rerun()


def columns() -> dict[str, Any]:
    """The headings of prices."""
    return {
        "who": st.column_config.TextColumn(gettext("What"), width="medium"),
        "mode": gettext("When"),
        "price": st.column_config.NumberColumn(gettext("Price"), format="%.6g"),
        "unit": gettext("For"),
        "state": st.column_config.TextColumn(gettext("State"), width=96),
        "day": st.column_config.DateColumn(gettext("Read on")),
        "source": st.column_config.TextColumn(gettext("Source"), width="large"),
    }


def _limit_columns() -> dict[str, Any]:
    whole = {name: gettext(title) for name, title in LIMITS.items()}
    return {
        "who": st.column_config.TextColumn(gettext("What"), width="medium"),
        "mode": gettext("When"),
        "tier": st.column_config.TextColumn(gettext("Tier"), width="small", max_chars=60),
        **{name: st.column_config.NumberColumn(title, format="localized") for name, title in whole.items()},
        "state": gettext("State"),
        "source": st.column_config.TextColumn(gettext("Source"), width="large"),
    }


def usd(amount: Decimal | None) -> str:
    """Dollars, or that nobody knows."""
    return catalogue.NOTHING if amount is None else catalogue.money(float(amount))
