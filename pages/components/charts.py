"""Charts of money: against time, by month, against doubt. Their menu exports them as pictures."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st
from babel.numbers import get_decimal_symbol, get_group_symbol

from core import billing
from core.billing import Answer, Quote
from core.i18n import catalogue
from core.planning import recommendations
from core.planning.proof import Month
from pages.components import assumptions, common, figures, plan
from pages.components.common import gettext

HEIGHT = 300
BARS = 8
ROW_PX = 36
NAMED = 8
"""So many points carry their names; more would hide each other."""
WIDTH_PX, LETTER_PX, LINE_PX = 640, 6.2, 15
"""About how wide a chart, a letter and a line of text are, for names that keep clear of each other."""
ROOMY = "width > 440"
"""When there is room for names, as Vega puts it."""
TICKS_H = (1 / 60, 5 / 60, 0.25, 0.5, 1, 2, 4, 8, 12, 24, 48, 96, 168, 336, 720, 2160, 8760)
NAME_LETTERS = 42
"""What a telephone has room for in a line."""
LEGEND = alt.Legend(orient="top", labelLimit=0, columns=2, title=None)
SPARSE = alt.Axis(grid=False, tickCount=5)
"""Without lines; logarithmic axes have one for every digit unless told otherwise."""
MONTHS = alt.Axis(labelAngle=0, labelExpr="split(datum.label, ' ')", labelOverlap="greedy")
"""The year below the month."""


@dataclass(frozen=True)
class Palette:
    """Colours that are told apart by people who see red and green alike, on light or on dark."""

    own: str
    now: str
    batch: str
    quiet: str
    text: str


LIGHT = Palette("#0F766E", "#B4570F", "#3F5FA8", "#8A9694", "#3A4644")
DARK = Palette("#4FC3B5", "#E8A15C", "#8FAAE8", "#7C8886", "#C6D0CE")


def palette() -> Palette:
    """The colours of the theme that the visitor sees."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def price_and_time(answer: Answer) -> None:
    """Each way that could be chosen by when it is ready and what it costs, with its name beside it."""
    rows = _points(answer)
    if not rows:
        st.caption(gettext("Nobody knows price and time of any way."))
        return
    data, colours = pd.DataFrame(rows), palette()
    kinds = {
        gettext("own machine"): colours.own,
        gettext("provider, at once"): colours.now,
        gettext("provider, by batch"): colours.batch,
    }
    ready = [gettext("set up"), gettext("to be set up first")]
    hours = [tick for tick in TICKS_H if data["hours"].min() / 2 <= tick <= data["hours"].max() * 2]
    x = alt.X(
        "hours:Q",
        title=gettext("Ready within (9 times in 10)"),
        scale=alt.Scale(type="log", domain=[data["hours"].min() / 1.5, data["hours"].max() * 1.5]),
        axis=alt.Axis(values=hours, grid=False, labelExpr=_time_labels(), labelOverlap="greedy"),
    )
    y = alt.Y(
        "price:Q",
        title=gettext("Price, {sign}", sign=common.SIGNS[answer.currency]),
        **_money_axis(data["price"]),
    )
    points = (
        alt.Chart(data)
        .mark_point(size=140, filled=True, opacity=1)
        .encode(
            x=x,
            y=y,
            color=alt.Color(
                "kind:N", scale=alt.Scale(domain=[*kinds], range=[*kinds.values()]), legend=LEGEND
            ),
            shape=alt.Shape(
                "ready:N", scale=alt.Scale(domain=ready, range=["circle", "diamond"]), legend=None
            ),
            tooltip=[
                alt.Tooltip("way:N", title=gettext("Way")),
                alt.Tooltip("cash:N", title=gettext("Price")),
                alt.Tooltip("time:N", title=gettext("9 times in 10 within")),
            ],
        )
    )
    show(alt.LayerChart(layer=[points, *_names(data, x, y, colours.text)]), "price-and-time")
    figures.narrow_key(list(data["name"][:NAMED]))
    st.caption(common.facts(f"● {ready[0]}", f"◆ {ready[1]}"))


def _points(answer: Answer) -> list[dict[str, Any]]:
    rows = []
    quotes = recommendations.by_engine(answer.quotes) if answer.work.audio_s else answer.quotes
    for quote in quotes:
        if quote.total_usd is None or not quote.p90_s or not recommendations.may_be_chosen(quote):
            continue
        rows.append(
            {
                "way": plan.route(answer, quote).replace("\\", ""),
                "name": plan.transcriber(answer, quote) if quote.engine else plan.route(answer, quote),
                "hours": quote.p90_s / 3600,
                "price": _units(answer, quote.total_usd),
                "cash": plan.cash(answer, quote.total_usd),
                "time": common.wait(quote.p90_s),
                "kind": _kind(quote),
                "ready": gettext("to be set up first") if quote.blocked else gettext("set up"),
            }
        )
    return rows


def _kind(quote: Quote) -> str:
    if quote.mode == "batch" or (not quote.engine and quote.lane == "batch"):
        return gettext("provider, by batch")
    is_own = (quote.engine and not quote.mode) or (quote.embedder in {"local", "words"} and not quote.engine)
    return gettext("own machine") if is_own else gettext("provider, at once")


def _time_labels() -> str:
    """Minutes, hours and days as a Vega expression, with the visitor's units."""
    minutes, hours, days = gettext("{min} min", min="#"), gettext("{h} h", h="#"), gettext("{d} d", d="#")
    unit = f"datum.value < 1 ? {minutes!r} : datum.value < 24 ? {hours!r} : {days!r}"
    number = "datum.value < 1 ? datum.value * 60 : datum.value < 24 ? datum.value : datum.value / 24"
    return f"replace({unit}, '#', format({number}, '.0f'))"


def _names(data: pd.DataFrame, x: alt.X, y: alt.Y, colour: str) -> list[alt.Chart]:
    """A name beside each of the first points, moved up or down where it would cover another.

    Where there is no room for names, a number that stands for it below the chart.
    """
    placed: list[tuple[float, float, float]] = []
    layers = []
    for n in range(min(NAMED, len(data))):
        align, dx, dy = _place(data, n, placed)
        here = alt.Chart(data.iloc[[n]]).encode(x=x, y=y)
        name = here.mark_text(
            align=align,
            dx=dx,
            dy=dy,
            color=colour,
            fontSize=12,
            limit=260,
            opacity=alt.expr(f"{ROOMY} ? 1 : 0"),
        )
        number = here.mark_text(
            dx=12, color=colour, fontSize=12, text=str(n + 1), opacity=alt.expr(f"{ROOMY} ? 0 : 1")
        )
        layers += [name.encode(text="name:N"), number]
    return layers


def _place(data: pd.DataFrame, n: int, placed: list[tuple[float, float, float]]) -> tuple[Any, float, float]:
    left, right = math.log(data["hours"].min() / 1.5), math.log(data["hours"].max() * 1.5)
    at = (math.log(data["hours"][n]) - left) / (right - left) * WIDTH_PX
    height = HEIGHT - data["price"][n] / (data["price"].max() or 1) * HEIGHT * 0.9
    long = len(data["name"][n]) * LETTER_PX
    align = "left" if at + 12 + long < WIDTH_PX else "right"
    start = at + 12 if align == "left" else at - 12 - long
    for dy in (0, -LINE_PX, LINE_PX, -2 * LINE_PX, 2 * LINE_PX):
        if all(
            abs(height + dy - y) >= LINE_PX or start + long < x or start > x + wide for x, y, wide in placed
        ):
            break
    placed.append((start, height + dy, long))
    return align, 12 if align == "left" else -12, dy


def months(spending: Sequence[Month]) -> None:
    """What was promised, billed and saved, month by month."""
    colours = palette()
    names = {
        "promised_usd": gettext("promised"),
        "usd": gettext("billed"),
        "saved_usd": gettext("saved by batches"),
    }
    rows = [
        {
            "month": common.month(each.name),
            "what": title,
            "price": float(getattr(each, field)),
            "cash": common.money(getattr(each, field)),
        }
        for each in reversed(spending)
        for field, title in names.items()
    ]
    chart = (
        alt.Chart(pd.DataFrame(rows))
        .mark_bar(cornerRadiusEnd=2)
        .encode(
            x=alt.X("month:N", title=None, sort=None, axis=MONTHS),
            xOffset=alt.XOffset("what:N", sort=[*names.values()]),
            y=alt.Y("price:Q", title=gettext("Price, {sign}", sign="$"), axis=alt.Axis(tickCount=4)),
            color=alt.Color(
                "what:N",
                scale=alt.Scale(domain=[*names.values()], range=[colours.quiet, colours.now, colours.own]),
                legend=LEGEND,
            ),
            tooltip=[
                alt.Tooltip("month:N", title=gettext("Month")),
                alt.Tooltip("what:N", title=gettext("What")),
                alt.Tooltip("cash:N", title=gettext("Price")),
            ],
        )
    )
    show(chart, "months", height=240)


def errors(rows: Sequence[tuple[str, float]]) -> None:
    """How far estimates lay off, month by month, in percent of what came; 10 % are marked."""
    colours = palette()
    data = pd.DataFrame([{"month": common.month(month), "error": share * 100} for month, share in rows])
    line = (
        alt.Chart(data)
        .mark_line(point=alt.OverlayMarkDef(size=70), color=colours.batch)
        .encode(
            x=alt.X("month:N", title=None, sort=None, axis=MONTHS),
            y=alt.Y("error:Q", title=gettext("Estimate too high, %"), axis=alt.Axis(tickCount=4)),
            tooltip=[
                alt.Tooltip("month:N", title=gettext("Month")),
                alt.Tooltip("error:Q", title=gettext("Estimate too high, %"), format=".1f"),
            ],
        )
    )
    bounds = alt.Chart(pd.DataFrame({"error": [-10, 10]}))
    show(
        bounds.mark_rule(strokeDash=[4, 4], color=colours.quiet).encode(y="error:Q") + line,
        "errors",
        height=200,
    )


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
        .mark_bar(color=palette().own, height=10, yOffset=8)
        .encode(
            x=alt.X(
                "low:Q",
                title=gettext("Price, {sign}", sign=common.SIGNS[answer.currency]),
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
    marks = now.mark_tick(color=palette().now, size=12, thickness=2, yOffset=8).encode(x="price:Q", y=y)
    above, row_px = _named_above(data, y)
    show(bars + marks + above, "tornado", height=row_px * len(rows) + 50)
    st.caption(plan.route(answer, answer.best))


def _named_above(data: pd.DataFrame, y: alt.Y) -> tuple[Any, int]:
    """What each bar is, above it, in two lines where one would squeeze the bars; and the height of a row."""
    lines = data["what"].map(lambda what: textwrap.wrap(what, NAME_LETTERS))
    names = data.assign(
        first=lines.map(lambda all_: " ".join(all_[:-1])), last=lines.map(lambda all_: all_[-1])
    )
    above = _above(names, y, "last", -7) + _above(names, y, "first", -7 - LINE_PX)
    return above, ROW_PX + LINE_PX * (lines.map(len).max() > 1)


def _above(data: pd.DataFrame, y: alt.Y, column: str, dy: int) -> alt.Chart:
    """A line of it: beside the bar a telephone has no room."""
    texts: alt.Chart = (
        alt.Chart(data)
        .mark_text(align="left", baseline="middle", dy=dy, color=palette().text, fontSize=12)
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
    return {"scale": alt.Scale(type="linear", zero=True, nice=True), "axis": SPARSE}


def show(chart: alt.Chart | alt.LayerChart, key: str, height: int = HEIGHT) -> None:
    """Draw it, with the digits and months of the language on its axes."""
    language = common.language()
    digits = alt.NumberLocale(
        decimal=get_decimal_symbol(language),
        thousands=get_group_symbol(language),
        grouping=[3],
        currency=["", ""],
    )
    months = [catalogue.month(f"2000-{n:02}", language).split()[0] for n in range(1, 13)]
    days = ["", "", "", "", "", "", ""]  # no chart names one
    times = alt.TimeLocale(
        dateTime="%d %b %Y, %H:%M",
        date="%d %b %Y",
        time="%H:%M",
        periods=["", ""],
        days=days,
        shortDays=days,
        months=months,
        shortMonths=months,
    )
    locale = alt.Locale(number=digits, time=times)
    text = palette().text  # Streamlit's own grey has a contrast of 3.5
    drawn = (
        chart.properties(height=height)
        .configure(locale=locale)
        .configure_axis(labelColor=text, titleColor=text)
        .configure_legend(labelColor=text, titleColor=text)
    )
    st.altair_chart(drawn, key=f"chart-{key}")
