"""What is taken along from a plan: its tables, and a link that gives the same answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import streamlit as st

from core import billing
from core.billing import Answer
from core.errors import StenogramError
from core.planning import links
from jobs.installation import application
from pages.components import common
from pages.components.common import gettext


def prices_of_link(given: str) -> str:
    """Prices that a link brings; nothing where they are those of here, or nonsense."""
    estimates = application().estimates
    try:
        own = links.packed(estimates.book(own=given)) if given else ""
    except StenogramError:
        return ""
    return "" if own == links.packed(estimates.book()) else given


def show_prices_of_link() -> None:
    """Say that the prices are those of a link, and offer those of here."""
    if st.session_state["own"]:
        with common.line():
            st.info(gettext("Counted with the prices in the link, not with those kept here."))
            st.button(gettext("Use those kept here"), key="forget-own", on_click=_forget)


def _forget() -> None:
    st.session_state["own"] = ""
    st.query_params.pop("own", None)


def scenario(usual: Mapping[str, Any]) -> dict[str, str]:
    """What was chosen here and differs from the usual, as an address says it."""
    values = {name: st.session_state[name] for name in usual if name in st.session_state}
    return {name: _written(value) for name, value in values.items() if value != usual[name]}


def _written(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def export(answer: Answer, usual: Mapping[str, Any]) -> None:
    """The whole table for a spreadsheet or a program, and a link that reproduces the scenario."""
    described = json.dumps(billing.described(answer), ensure_ascii=False, indent=1)
    with st.container(horizontal=True):
        st.download_button(gettext("Table (CSV)"), billing.as_csv(answer.quotes), "estimate.csv", "text/csv")
        st.download_button(gettext("For programs (JSON)"), described, "estimate.json", "application/json")
    own = links.packed(answer.book)
    st.caption(_about(own, bool(links.own(answer.book))))
    st.code(_link(own, usual), language=None, wrap_lines=True)


def _about(own: str, has_own: bool) -> str:
    if own:
        return gettext("A link to this very question; it carries your own prices and figures too:")
    if has_own:
        return gettext("A link to this question. Your own prices and figures are too many for it:")
    return gettext("A link to this very question:")


def _link(own: str, usual: Mapping[str, Any]) -> str:
    """The address of this page with what differs from the usual."""
    values = {name: value for name, value in scenario(usual).items() if name != "own"}
    other = {**values, **({"own": own} if own else {})}
    base = str(st.context.url or "").partition("?")[0]
    return f"{base}?{urlencode(other)}" if other else base
