"""The proof: what was promised against what it came to, and what a month may cost."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import streamlit as st

from core.database.states import PaymentState
from core.errors import StenogramError
from core.i18n.messages import N_
from core.planning import proof
from core.planning.holds import Alternative
from core.planning.proof import Budgeted, Paid, Proved, Sum
from jobs.installation import application
from pages.components import charts, plan
from pages.components.batches import CHEAPEST
from pages.components.common import (
    duration,
    facts,
    gettext,
    line,
    may_change,
    moment,
    ngettext,
    number,
    plain,
    tight,
    translate_error,
)
from pages.components.prices import usd

BY = {"month": N_("By month"), "provider": N_("By provider"), "owner": N_("By key")}
STATES: dict[str, str] = {
    PaymentState.RESERVED: N_("under way"),
    PaymentState.SETTLED: N_("paid"),
    PaymentState.RELEASED: N_("not made"),
    PaymentState.DISPUTED: N_("unclear, counted as promised"),
}
WAYS = 8


def draw() -> None:
    """The present month, what was saved, the plans that were taken, and every call."""
    app = application()
    _month()
    held = _held()
    if may_change():
        _caps(open_=held)
    _plans(app.proof.plans())
    calls = app.proof.paid()
    if not calls:
        st.caption(
            gettext("Nothing has been paid for yet. Every paid call will stand here, with its estimate.")
        )
        return
    _sums()
    _replay()
    with st.expander(gettext("Every call")):
        rows = [_call(call) for call in calls]
        order = ("at", "promised", "usd", "error", "title", "who", "quantity", "state", "took")
        st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=_columns(), column_order=order)


def _month() -> None:
    app = application()
    spent, saved = app.ledger.month(), app.proof.saved()
    with st.container(horizontal=True):
        st.metric(gettext("Spent this month"), usd(spent.spent))
        st.metric(gettext("Saved by batching"), usd(saved.by_batching))
        st.metric(gettext("By not paying twice"), usd(saved.by_not_paying_twice))
    if spent.cap is None:
        return
    share = float((spent.spent + spent.reserved) / spent.cap) if spent.cap else 1.0
    text = gettext(
        "{spent} and {reserved} under way, of {cap}", **_amounts(spent.spent, spent.reserved, spent.cap)
    )
    st.progress(min(1.0, share), plain(text))


def _amounts(spent: Decimal, reserved: Decimal, cap: Decimal) -> dict[str, str]:
    return {"spent": usd(spent), "reserved": usd(reserved), "cap": usd(cap)}


def _held() -> bool:
    """What a cap holds, if anything, and for each group of it the cheaper way, if one fits."""
    app = application()
    waiting, queue = app.proof.held(), app.batches.view.queue()
    if waiting:
        _reached(
            ngettext("{n} piece of work waits", "{n} pieces of work wait", waiting),
            gettext("Nothing is lost: it goes on when the cap is raised, or now by a cheaper way."),
        )
        titles = plan.routes_by_id()
        ways = app.holds.ways()
        for n, way in enumerate(ways):
            _cheaper(n, way, titles)
        if not ways:
            st.caption(gettext("No cheaper way fits under the cap."))
    if queue.capped:
        _reached(
            ngettext("{n} text waits for a batch", "{n} texts wait for a batch", queue.texts),
            gettext(CHEAPEST),
        )
    return bool(waiting or queue.capped)


def _reached(what: str, then: str) -> None:
    title = f"{what}: {gettext('the cap is reached')}"
    st.warning(then, title=title, icon=":material/pause_circle:")


def _cheaper(n: int, way: Alternative, titles: dict[str, str]) -> None:
    title = titles.get(way.quote.id, way.quote.id) if way.quote else gettext("Vectors in a batch")
    with line():
        with tight():
            st.markdown(f"**{plain(title)}**")
            st.caption(
                facts(
                    ngettext("{n} recording", "{n} recordings", len(way.group.recordings)),
                    gettext(
                        "{usd} instead of {before}",
                        usd=plain(usd(way.usd)),
                        before=plain(usd(way.before_usd)),
                    ),
                )
            )
        if may_change():
            st.button(gettext("Send this way"), key=f"cheaper-{n}", on_click=_take, args=(way,))


def _take(way: Alternative) -> None:
    application().holds.take(way)


def _caps(*, open_: bool) -> None:
    """A cap for everybody, and one for each key."""
    budgets = application().proof.budgets()
    keys = {key.id: key.name for key in application().keys.all() if not key.revoked_at}
    with st.expander(gettext("Caps"), expanded=open_):
        if said := st.session_state.pop("cap-error", None):
            st.error(said)
        names = {"": gettext("Everybody together"), "pages": gettext("The pages"), **keys}
        known = {each.scope: each for each in budgets}
        for scope in dict.fromkeys(["", *known, *keys]):
            _cap(scope, names.get(scope, scope), known.get(scope))
        st.caption(gettext("Empty: no cap of its own. What would pass a cap waits, it does not fail."))


def _cap(scope: str, name: str, known: Budgeted | None) -> None:
    key = f"cap-{scope}"
    # Only a field that began empty can be emptied again, so the cap is put into it as if typed.
    st.session_state.setdefault(key, float(known.cap) if known and known.cap is not None else None)
    with line():
        st.text(name, width="stretch")
        st.caption(plain(usd(known.spent)) if known else "", width="content")
        st.number_input(
            gettext("Cap a month, $"),
            value=None,
            step=1.0,
            format="%g",
            placeholder=gettext("no cap"),
            label_visibility="collapsed",
            width=160,
            key=key,
            on_change=_set_cap,
            args=(scope, key),
        )


def _set_cap(scope: str, key: str) -> None:
    try:
        application().proof.set_cap(scope, st.session_state[key])
    except StenogramError as error:
        st.session_state["cap-error"] = translate_error(error)


def _plans(plans: list[Proved]) -> None:
    if not plans:
        return
    st.subheader(gettext("Plans that were run"), anchor=False)
    ways = plan.routes_by_id()
    rows = [_plan(each, ways.get(each.route, each.route)) for each in plans]
    order = ("at", "promised", "usd", "error", "expected", "took", "recordings", "way")
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=_columns(), column_order=order)


def _plan(each: Proved, way: str) -> dict[str, object]:
    came = each.complete and each.usd
    return {
        "at": moment(each.at),
        "way": way,
        "recordings": f"{each.done} / {each.recordings}",
        "promised": usd(each.quoted_usd),
        "usd": usd(each.usd),
        "error": percents(proof.error(each.quoted_usd, each.usd)) if came else "",
        "expected": duration(each.p50_s),
        "took": duration(each.took_s) if each.took_s else "",
    }


def percents(share: float | None) -> str:
    """An error with its sign; empty where nothing came."""
    return "" if share is None else f"{'+' if share > 0 else ''}{number(share * 100, 1)} %"


def _sums() -> None:
    st.subheader(gettext("Estimate against what came"), anchor=False)
    by = plan.choose("sums", BY)
    names = {key.id: key.name for key in application().keys.all()} | {"pages": gettext("The pages")}
    rows = [_sum(each, names) for each in application().proof.sums(by)]
    st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=_columns())


def _sum(each: Sum, names: dict[str, str]) -> dict[str, object]:
    return {
        "name": names.get(each.name, each.name),
        "calls": each.calls,
        "promised": usd(each.promised_usd),
        "usd": usd(each.usd),
        "error": percents(proof.error(each.promised_usd, each.usd)),
    }


def _replay() -> None:
    """The last month in which something was done, by other ways."""
    app = application()
    now = datetime.now(UTC)
    months = {each.name: each.name for each in app.proof.sums("month")}
    months.setdefault(now.strftime("%Y-%m"), now.strftime("%Y-%m"))
    with st.expander(gettext("A month by another way")):
        month = st.selectbox(gettext("Month"), sorted(months, reverse=True), key="replay-month")
        paid, quotes = app.proof.replay(month)
        if not quotes:
            st.caption(gettext("Nothing was transcribed in that month."))
            return
        answer = app.estimates.answer(hours=1)
        rows: list[dict[str, Any]] = [
            {"way": gettext("as it was"), "price": float(paid), "cash": usd(paid), "real": True}
        ]
        payable = ((app.estimates.payable(quote), plan.route(answer, quote)) for quote in quotes)
        priced = sorted((price, way) for price, way in payable if price is not None)
        rows += [
            {"way": way.replace("\\", ""), "price": float(price), "cash": usd(price), "real": False}
            for price, way in priced[:WAYS]
        ]
        charts.replay(rows)
        st.caption(
            gettext("Only what is paid to others; electricity and wear of an own machine are left out.")
        )


def _call(call: Paid) -> dict[str, object]:
    return {
        "at": moment(call.at),
        "title": call.title,
        "who": f"{call.provider} {call.model}",
        "state": gettext(STATES[call.state]) if call.state in STATES else call.state,
        "quantity": f"{number(call.promised)} → {number(call.counted)}",
        "promised": usd(call.promised_usd),
        "usd": usd(call.usd),
        "error": percents(proof.error(call.promised_usd, call.usd))
        if call.state == PaymentState.SETTLED
        else "",
        "took": duration(call.waited_s) if call.waited_s is not None else "",
    }


def _columns() -> dict[str, Any]:
    return {
        "at": gettext("When"),
        "title": st.column_config.TextColumn(gettext("Recording"), width="medium"),
        "way": st.column_config.TextColumn(gettext("Way"), width="medium"),
        "who": st.column_config.TextColumn(gettext("Provider"), width="medium"),
        "name": st.column_config.TextColumn(gettext("Name"), width="medium"),
        "calls": st.column_config.NumberColumn(gettext("Calls")),
        "recordings": gettext("Done"),
        "state": gettext("State"),
        "quantity": st.column_config.TextColumn(
            gettext("Tokens or seconds"), help=gettext("Promised → counted")
        ),
        "promised": st.column_config.TextColumn(gettext("Promised"), width="small", alignment="right"),
        "usd": st.column_config.TextColumn(gettext("Came to"), width="small", alignment="right"),
        "error": st.column_config.TextColumn(gettext("Error"), width="small", alignment="right"),
        "expected": st.column_config.TextColumn(gettext("Expected"), width="small", alignment="right"),
        "took": st.column_config.TextColumn(gettext("Took"), width="small", alignment="right"),
    }
