"""Charts of money: against time, against volume, against doubt. Their menu exports them as pictures."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

from core import billing
from core.billing import Answer
from core.billing.forecast import BreakEven
from core.errors import StenogramError
from pages.components import assumptions, plan
from pages.components.common import duration, gettext, number, translate_error

HEIGHT = 280
CHOSEN, ABLE, OTHER = "#0F766E", "#7DA8A3", "#B0B7B6"
BATCH, SYNC = "#0F766E", "#C2762B"
BARS = 8
ROW_PX = 36
QUIET = "#7A8886"
LEGEND = alt.Legend(orient="top", labelLimit=0, columns=3)
SPARSE = alt.Axis(grid=False, tickCount=5)
"""Without lines; logarithmic axes have one for every digit unless told otherwise."""


def deadline(answer: Answer) -> None:
    """Each way by when it is ready and what it costs; waiting longer buys what lies on the line."""
    rows = _points(answer)
    if not rows:
        st.caption(gettext("Nobody knows price and time of any way."))
        return
    sign = plan.SIGNS[answer.currency]
    kinds = {"chosen": gettext("cheapest"), "able": gettext("possible"), "other": gettext("not from here")}
    data = pd.DataFrame([{**row, "kind": kinds[row["kind"]]} for row in rows])
    colours = alt.Scale(domain=list(kinds.values()), range=[CHOSEN, ABLE, OTHER])
    x = alt.X(
        "hours:Q",
        title=gettext("Ready within, hours (9 times in 10)"),
        scale=alt.Scale(type="log"),
        axis=SPARSE,
    )
    y = alt.Y(
        "price:Q",
        title=gettext("Price, {sign}", sign=sign),
        **_money_axis(data["price"]),
    )
    points = (
        alt.Chart(data)
        .mark_circle(size=130)
        .encode(
            x=x,
            y=y,
            color=alt.Color("kind:N", scale=colours, title=None, legend=LEGEND),
            opacity=alt.condition(alt.datum.real, alt.value(1.0), alt.value(0.45)),
            tooltip=[
                alt.Tooltip("way:N", title=gettext("Way")),
                alt.Tooltip("cash:N", title=gettext("Price")),
                alt.Tooltip("time:N", title=gettext("At most")),
            ],
        )
    )
    line = _frontier(answer)
    edge = alt.Chart(line).mark_line(interpolate="step-after", color=CHOSEN, opacity=0.5).encode(x=x, y=y)
    _show(edge + points if len(line) > 1 else points, "deadline")


def _points(answer: Answer) -> list[dict[str, Any]]:
    best = answer.best.id if answer.best else ""
    rows = []
    for quote in answer.quotes:
        if quote.total_usd is None or not quote.p90_s:
            continue
        kind = "chosen" if quote.id == best else "other" if quote.blocked else "able"
        rows.append(
            {
                "way": plan.route(answer, quote).replace("\\", ""),
                "hours": quote.p90_s / 3600,
                "price": _units(answer, quote.total_usd),
                "cash": plan.cash(answer, quote.total_usd),
                "time": duration(quote.p90_s),
                "kind": kind,
                "real": kind != "other",
            }
        )
    return sorted(rows, key=lambda row: ("other", "able", "chosen").index(row["kind"]))


def _frontier(answer: Answer) -> pd.DataFrame:
    steps = billing.frontier(answer.quotes)
    rows = [
        {"hours": step.p90_s / 3600, "price": _units(answer, step.total_usd)}
        for step in steps
        if step.p90_s and step.total_usd is not None
    ]
    return pd.DataFrame(rows, columns=["hours", "price"])


def lanes(answer: Answer) -> None:
    """Cost of vectors against volume, sync and batch, and where the answer changes."""
    tokens = answer.work.tokens_per_document or Decimal(
        max(1, answer.size.tokens // max(1, answer.size.passages))
    )
    try:
        found = billing.break_even(tokens, answer.book, on=answer.on, model=answer.embedding.model)
    except StenogramError as error:
        st.caption(translate_error(error))
        return
    st.caption(plan.remark(answer, answer.embedding.advice))
    x = alt.X("texts:Q", title=gettext("Texts"), scale=alt.Scale(type="log"), axis=SPARSE)
    lines = _lines(answer, found, x)
    turns = [turn for turn in (found.batch_pays_from, found.sync_slower_from) if turn]
    rules = alt.Chart(pd.DataFrame({"texts": turns})).mark_rule(strokeDash=[4, 4], color=QUIET).encode(x=x)
    _show(lines + rules if turns else lines, "lanes")
    for sentence in _turns(found):
        st.caption(sentence)


def _lines(answer: Answer, found: BreakEven, x: alt.X) -> alt.Chart:
    names = {"sync": gettext("Now"), "batch": gettext("In a batch")}
    rows = [
        {
            "texts": point.documents,
            "price": _units(answer, usd),
            "lane": names[lane],
            "cash": plan.cash(answer, usd),
        }
        for point in found.points
        for lane, usd in (("sync", point.sync_usd), ("batch", point.batch_usd))
        if usd is not None
    ]
    chart: alt.Chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_line(point=True)
        .encode(
            x=x,
            y=alt.Y(
                "price:Q",
                title=gettext("Price, {sign}", sign=plan.SIGNS[answer.currency]),
                scale=alt.Scale(type="log"),
                axis=alt.Axis(tickCount=5),
            ),
            color=alt.Color(
                "lane:N",
                scale=alt.Scale(domain=list(names.values()), range=[SYNC, BATCH]),
                title=None,
                legend=LEGEND,
            ),
            tooltip=[
                alt.Tooltip("texts:Q", title=gettext("Texts"), format=","),
                alt.Tooltip("cash:N", title=gettext("Price")),
            ],
        )
    )
    return chart


def _turns(found: BreakEven) -> list[str]:
    said = []
    if found.batch_pays_from:
        said.append(
            gettext("From {n} texts on the saving outweighs the waiting.", n=number(found.batch_pays_from))
        )
    if found.sync_slower_from:
        said.append(
            gettext(
                "From {n} texts on rate limits make “now” slower than a batch.",
                n=number(found.sync_slower_from),
            )
        )
    return said


def tornado(answer: Answer) -> None:
    """Which assumption moves the price most: each at both ends of its range."""
    if answer.best is None or answer.best.total_usd is None:
        st.caption(gettext("There is no way whose price could move."))
        return
    swings = billing.tornado(answer.work, answer.book, answer.best, on=answer.on)[:BARS]
    if not swings:
        st.caption(gettext("No assumption moves this price."))
        return
    rows = [
        {
            "what": assumptions.about(swing.assumption),
            "low": _units(answer, min(swing.low_usd, swing.high_usd)),
            "high": _units(answer, max(swing.low_usd, swing.high_usd)),
            "range": f"{billing.plain(swing.assumption.low)} – {billing.plain(swing.assumption.high)}",
        }
        for swing in swings
    ]
    order = [str(row["what"]) for row in rows]
    y = alt.Y("what:N", sort=order, title=None, axis=None)
    data = pd.DataFrame(rows)
    bars = (
        alt.Chart(data)
        .mark_bar(color=ABLE, height=10, yOffset=8)
        .encode(
            x=alt.X(
                "low:Q",
                title=gettext("Price, {sign}", sign=plan.SIGNS[answer.currency]),
                scale=alt.Scale(zero=False),
                axis=SPARSE,
            ),
            x2="high:Q",
            y=y,
            tooltip=[
                alt.Tooltip("what:N", title=gettext("What is assumed")),
                alt.Tooltip("range:N", title=gettext("From – to")),
                alt.Tooltip("low:Q", title=gettext("Lowest price"), format=".4f"),
                alt.Tooltip("high:Q", title=gettext("Highest price"), format=".4f"),
            ],
        )
    )
    now = alt.Chart(data.assign(price=_units(answer, answer.best.total_usd)))
    marks = now.mark_tick(color=CHOSEN, size=12, thickness=2, yOffset=8).encode(x="price:Q", y=y)
    _show(bars + marks + _above(data, y, "what"), "tornado", height=ROW_PX * len(rows) + 50)
    st.caption(plan.route(answer, answer.best))


def replay(rows: list[dict[str, Any]], answer_currency: str = "USD") -> None:
    """What a month would have cost by other ways; the first is what it did cost."""
    order = [row["way"] for row in rows]
    data = pd.DataFrame([{**row, "said": f"{row['way']}  {row['cash']}"} for row in rows])
    y = alt.Y("way:N", sort=order, title=None, axis=None)
    chart = (
        alt.Chart(data)
        .mark_bar(height=10, yOffset=8)
        .encode(
            x=alt.X("price:Q", title=gettext("Price, {sign}", sign=plan.SIGNS[answer_currency]), axis=SPARSE),
            y=y,
            color=alt.condition("datum.real", alt.value(CHOSEN), alt.value(OTHER)),
            tooltip=[
                alt.Tooltip("way:N", title=gettext("Way")),
                alt.Tooltip("cash:N", title=gettext("Price")),
            ],
        )
    )
    _show(chart + _above(data, y, "said"), "replay", height=ROW_PX * len(rows) + 50)


def _above(data: pd.DataFrame, y: alt.Y, column: str) -> alt.Chart:
    """What each bar is, above it: beside it a telephone has no room."""
    texts: alt.Chart = (
        alt.Chart(data)
        .mark_text(align="left", baseline="middle", dy=-7, color=QUIET, fontSize=12)
        .encode(x=alt.value(0), y=y, text=f"{column}:N")
    )
    return texts


def _units(answer: Answer, usd: Decimal | None) -> float:
    """An amount in the answer's currency, for drawing only."""
    if usd is None:
        return 0.0
    rate = answer.book.assume(f"{answer.currency.lower()}_per_usd").value
    return float(usd * rate)


def _money_axis(amounts: Any) -> dict[str, Any]:
    """Logarithmic where amounts differ a lot; zero has no logarithm."""
    low, high = amounts.min(), amounts.max()
    if low > 0 and high / low > 50:
        return {"scale": alt.Scale(type="log"), "axis": SPARSE}
    return {"scale": alt.Scale(type="linear"), "axis": alt.Axis(tickCount=5)}


def _show(chart: alt.Chart | alt.LayerChart, key: str, height: int = HEIGHT) -> None:
    st.altair_chart(chart.properties(height=height), key=f"chart-{key}")
