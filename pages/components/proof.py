"""The proof: what was promised against what it came to, and what a month may cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import streamlit as st

from core.billing import is_under_a_cent
from core.database.states import PaymentState
from core.errors import StenogramError
from core.i18n import catalogue
from core.i18n.catalogue import NOTHING
from core.i18n.messages import N_
from core.planning import proof, recommendations
from core.planning.holds import Alternative
from core.planning.proof import LARGEST, Budgeted, Month, Paid, Proved, Reason, Sum
from jobs.installation import application
from pages.components import charts, common, figures, plan
from pages.components.batches import CHEAPEST
from pages.components.common import (
    current_principal,
    facts,
    gettext,
    line,
    may_administer,
    moment,
    money,
    ngettext,
    number,
    plain,
    price,
    tight,
    translate_error,
    wait,
)
from pages.components.figures import Cell, Column

WHY = {
    Reason.TINY: N_("Less than a cent: minimums and rounding weigh more than the work."),
    Reason.COUNTED: N_(
        "The provider counted another quantity than was promised; the next estimates reckon with what it counts."
    ),
    Reason.PRICE: N_("The quantity was right: the price is another by now. Check it under “Prices”."),
}
YEAR = 12
STATES: dict[str, str] = {
    PaymentState.RESERVED: N_("under way"),
    PaymentState.SETTLED: N_("paid"),
    PaymentState.RELEASED: N_("not made"),
    PaymentState.DISPUTED: N_("unclear, counted as promised"),
}
WAYS = 8
SAVED = N_("What batches that have delivered cost less than single calls would have.")
TWICE = N_("Texts and transcripts that were needed again and taken from what is here.")


def draw() -> None:
    """The present month, all months, what cost most, how far estimates lay off, and every call."""
    app = application()
    _month()
    held = _held()
    months = app.proof.months()
    if months:
        st.header(gettext("Month by month"), anchor=False)
        charts.months(months[:YEAR])
        if current_principal().admin:
            _most_expensive()
        _errors(months[:YEAR])
    else:
        st.caption(
            gettext("Nothing has been paid for yet. Every paid call will stand here, with its estimate.")
        )
    _replay()
    if may_administer():
        _caps(open_=held)
    _plans(app.proof.plans())
    if calls := app.proof.paid(current_principal()):
        with st.expander(gettext("Every call")):
            rows = [_call(call) for call in calls]
            order = ("at", "promised", "usd", "error", "title", "who", "quantity", "state", "took")
            common.table(rows, column_config=_columns(), column_order=order)


def _month() -> None:
    app = application()
    spent, saved = app.ledger.month(), app.proof.saved()
    with st.container(horizontal=True, key="totals-paid"):
        st.metric(gettext("Spent this month"), money(spent.spent))
        st.metric(gettext("Saved by batching, in all"), money(saved.by_batching), help=gettext(SAVED))
        st.metric(
            gettext("By not paying twice, in all"), money(saved.by_not_paying_twice), help=gettext(TWICE)
        )
    if spent.cap is None:
        return
    share = float((spent.spent + spent.reserved) / spent.cap) if spent.cap else 1.0
    text = gettext(
        "{spent} and {reserved} under way, of {cap}", **_amounts(spent.spent, spent.reserved, spent.cap)
    )
    st.progress(min(1.0, share), plain(text))


def _amounts(spent: Decimal, reserved: Decimal, cap: Decimal) -> dict[str, str]:
    return {"spent": money(spent), "reserved": money(reserved), "cap": money(cap)}


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
                        usd=plain(price(way.usd)),
                        before=plain(price(way.before_usd)),
                    ),
                )
            )
        if may_administer():
            st.button(gettext("Send this way"), key=f"cheaper-{n}", on_click=_take, args=(way,))


def _take(way: Alternative) -> None:
    application().holds.take(common.current_principal(), way)


def _caps(*, open_: bool) -> None:
    """A cap for everybody, and one for each key."""
    budgets = application().proof.budgets()
    keys = {key.id: key.name for key in application().keys.all(current_principal()) if not key.revoked_at}
    people = application().people.known(current_principal())
    with st.expander(gettext("Caps"), expanded=open_):
        if message := st.session_state.pop("cap-error", None):
            st.error(message)
        names = {"": gettext("Everybody together"), "pages": gettext("The pages"), **people, **keys}
        by_scope = {each.scope: each for each in budgets}
        for scope in dict.fromkeys(["", *by_scope, *keys]):
            _cap(scope, names.get(scope, scope), by_scope.get(scope))
        st.caption(gettext("Empty: no cap of its own. What would pass a cap waits, it does not fail."))


def _cap(scope: str, name: str, budget: Budgeted | None) -> None:
    key = f"cap-{scope}"
    # Only a field that began empty can be emptied again, so the cap is put into it as if typed.
    st.session_state.setdefault(key, float(budget.cap) if budget and budget.cap is not None else None)
    with line():
        st.text(name, width="stretch")
        st.caption(plain(money(budget.spent)) if budget else "", width="content")
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
        application().proof.set_cap(common.current_principal(), scope, st.session_state[key])
    except StenogramError as error:
        st.session_state["cap-error"] = translate_error(error)


def _plans(plans: list[Proved]) -> None:
    if not plans:
        return
    st.header(gettext("Plans that were run"), anchor=False)
    ways = plan.routes_by_id()
    columns = [
        Column("at", gettext("When")),
        Column("promised", gettext("Promised"), number=True),
        Column("usd", gettext("Came to"), number=True),
        Column("error", gettext("Error"), number=True),
        Column("expected", gettext("Expected"), number=True),
        Column("took", gettext("Took"), number=True),
        Column("recordings", gettext("Done"), number=True),
        Column("way", gettext("Way"), text=True),
    ]
    figures.table(columns, (_plan(each, ways.get(each.route, each.route)) for each in plans))


def _plan(each: Proved, way: str) -> dict[str, Cell | str]:
    came = each.complete and each.usd
    return {
        "at": moment(each.at),
        "way": way,
        "recordings": f"{each.done} / {each.recordings}",
        "promised": money(each.quoted_usd),
        "usd": money(each.usd),
        "error": _error(each.quoted_usd, each.usd) if came else "",
        "expected": wait(each.p50_s),
        "took": wait(each.took_s) if each.took_s else "",
    }


def _error(promised: Decimal, came: Decimal) -> str:
    """An error in percent; amounts below a cent have none that is worth a word."""
    return "" if is_under_a_cent(max(promised, came)) else percents(proof.error(promised, came))


def percents(share: float | None) -> str:
    """An error with its sign; empty where nothing came."""
    return (
        "" if share is None else f"{'+' if share > 0 else ''}{catalogue.percent(share, common.language(), 1)}"
    )


def _most_expensive() -> None:
    """The recordings, providers and keys that cost most, each list beside the other."""
    app = application()
    names = {key.id: key.name for key in app.keys.all(current_principal())} | app.people.known(
        current_principal()
    )
    names |= {"pages": gettext("The pages")}
    keys = [replace(each, name=names.get(each.name, each.name)) for each in app.proof.sums("owner")]
    recordings, owners = st.columns(2)
    with recordings:
        _most(
            gettext("Most expensive recordings"), gettext("Recording"), app.proof.largest(current_principal())
        )
    with owners:
        _most(gettext("Most expensive people and keys"), gettext("Who"), keys[:LARGEST])


def _most(title: str, name: str, sums: Sequence[Sum]) -> None:
    st.markdown(f"**{title}**")
    columns = [Column("name", name, wide=True), Column("usd", gettext("Came to"), number=True)]
    figures.table(
        columns, ({"name": each.name or gettext("deleted"), "usd": money(each.usd)} for each in sums)
    )


def _errors(months: Sequence[Month]) -> None:
    """How far estimates lay off, and why where that was more than a tenth."""
    st.markdown(f"**{gettext('How far off estimates were')}**")
    deviations = [
        (each, off) for each in months if (off := proof.error(each.promised_usd, each.usd)) is not None
    ]
    notable = [(each, off) for each, off in deviations if application().proof.why(each) != Reason.TINY]
    if len(notable) > 1:
        charts.errors([(each.name, off) for each, off in reversed(notable)])
    columns = [
        Column("month", gettext("Month")),
        Column("promised", gettext("Promised"), number=True),
        Column("usd", gettext("Came to"), number=True),
        Column("off", gettext("Error"), number=True),
        Column("why", gettext("Reason"), wide=True),
    ]
    figures.table(columns, (_off(each, off) for each, off in deviations))


def _off(month: Month, off: float) -> dict[str, Cell | str]:
    why = application().proof.why(month)
    tiny = why == Reason.TINY
    return {
        "month": common.month(month.name),
        "promised": money(month.promised_usd),
        "usd": money(month.usd),
        "off": NOTHING if tiny else percents(off),
        "why": Cell("", gettext(WHY[why])) if why else "",
    }


def _replay() -> None:
    """A month in which something was done, by other ways: first the one with the newest work."""
    app = application()
    now = datetime.now(UTC).strftime("%Y-%m")
    months = sorted({now, *(each.name for each in app.proof.sums("month"))}, reverse=True)
    if months == [now] and not app.proof.replay(now)[1]:
        return
    st.header(gettext("The same month by other ways"), anchor=False)
    month = st.selectbox(
        gettext("Month"),
        months,
        format_func=common.month,
        key="replay-month",
        help=gettext("The recordings of that month, priced by every other way."),
    )
    paid, quotes = app.proof.replay(month)
    if not quotes:
        st.caption(gettext("Nothing was transcribed in that month."))
        return
    answer = app.estimates.answer(hours=1)
    payable = (
        (app.estimates.payable(quote), quote) for quote in quotes if recommendations.may_be_chosen(quote)
    )
    priced = sorted(((price, plan.route(answer, quote)) for price, quote in payable if price is not None))
    columns = [Column("way", gettext("Way"), wide=True), Column("price", gettext("Price"), number=True)]
    rows = [(gettext("As it was"), paid), *((way.replace("\\", ""), price) for price, way in priced[:WAYS])]
    figures.table(columns, ({"way": way, "price": money(price)} for way, price in rows))
    st.caption(gettext("Only what is paid to others; electricity and wear of an own machine are left out."))


def _call(call: Paid) -> dict[str, object]:
    return {
        "at": moment(call.at),
        "title": call.title,
        "who": f"{call.provider} {call.model}",
        "state": gettext(STATES[call.state]) if call.state in STATES else call.state,
        "quantity": f"{number(call.promised)} → {number(call.counted)}",
        "promised": money(call.promised_usd),
        "usd": money(call.usd),
        "error": _error(call.promised_usd, call.usd) if call.state == PaymentState.SETTLED else "",
        "took": wait(call.waited_s) if call.waited_s is not None else "",
    }


def _columns() -> dict[str, Any]:
    return {
        "at": gettext("When"),
        "title": st.column_config.TextColumn(gettext("Recording")),
        "who": st.column_config.TextColumn(gettext("Provider")),
        "state": gettext("State"),
        "quantity": st.column_config.TextColumn(
            gettext("Tokens or seconds"), help=gettext("Promised → counted")
        ),
        "promised": st.column_config.TextColumn(gettext("Promised"), alignment="right"),
        "usd": st.column_config.TextColumn(gettext("Came to"), alignment="right"),
        "error": st.column_config.TextColumn(gettext("Error"), alignment="right"),
        "took": st.column_config.TextColumn(gettext("Took"), alignment="right"),
    }
