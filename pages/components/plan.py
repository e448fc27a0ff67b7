"""The plan: what is asked, what it comes to by the best way, and what the others would be."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Any, Literal

import pandas as pd
import streamlit as st

from core.billing import Answer, Note, Quote, Usd
from core.billing.stages import NOT_READY
from core.i18n import catalogue
from core.i18n.messages import N_
from core.planning.estimates import SPOKEN
from core.planning.plans import Archive
from jobs.installation import application
from pages.components import archive_files, assumptions, common, plan_exports
from pages.components.common import duration, facts, gettext, ngettext

VIEWS = {
    "plan": N_("Estimate"),
    "proof": N_("What it came to"),
    "prices": N_("Prices"),
}
BY = {"hours": N_("Hours of sound"), "files": N_("Files"), "documents": N_("Texts")}
READY = {
    "": N_("no matter when"),
    "3600": N_("within an hour"),
    "28800": N_("within 8 hours"),
    "86400": N_("within a day"),
    "259200": N_("within 3 days"),
    "604800": N_("within a week"),
}
SCENARIO: dict[str, Any] = {
    "view": "plan",
    "by": "hours",
    "hours": 100.0,
    "documents": 1000,
    "tokens": 500,
    "times": 1,
    "spoken": "ru",
    "ready": "",
    "most": 0.0,
    "currency": "USD",
    "own": "",
}
"""What a link carries, with what holds where it says nothing."""
CHOICES: dict[str, Collection[str]] = {"view": VIEWS, "by": BY, "ready": READY, "spoken": SPOKEN}
ROW_PX = 84
"""Rows this high break their texts into lines, up to four."""
SIGNS = {"USD": "$", "RUB": "₽"}
KEPT: Literal["session"] = "session"
"""What was chosen is there again after something else was looked at; without this the browser forgets it."""
PARTS = {
    "purchase, written off": N_("wear"),
    "electricity": N_("electricity"),
    "GPU at work": N_("GPU at work"),
    "GPU starting and idle": N_("GPU starting and idle"),
    "transcription": N_("transcription"),
    "embedding": N_("vectors"),
}


def settle() -> None:
    """What a link says holds until it is changed here; nonsense in it counts as nothing."""
    for name, usual in SCENARIO.items():
        if name not in st.session_state:
            st.session_state[name] = _read(name, st.query_params.get(name), usual)


def _read(name: str, given: str | None, usual: Any) -> Any:
    if given is None:
        return usual
    if name == "own":
        return plan_exports.prices_of_link(given)
    if isinstance(usual, str):
        return given if given in CHOICES.get(name, SIGNS) else usual
    try:
        number = float(given)
    except ValueError:
        return usual
    return type(usual)(number) if math.isfinite(number) and abs(number) < 2**53 else usual


def choose(name: str, choices: Mapping[str, str]) -> str:
    """One of a few ways to look at it."""
    shown = common.translated(choices)
    st.session_state.setdefault(name, next(iter(shown)))
    return str(
        st.segmented_control(
            gettext("View"),
            list(shown),
            required=True,
            format_func=shown.__getitem__,
            key=name,
            label_visibility="collapsed",
            persist_state=KEPT,
        )
    )


def ask() -> dict[str, Any] | None:
    """What shall be priced; None while there is nothing yet."""
    by = choose("by", BY)
    amount = {"hours": _hours, "files": _files, "documents": _documents}[by]()
    with st.container(horizontal=True):
        ready = common.translated(READY)
        st.selectbox(
            gettext("Ready"), list(ready), format_func=ready.__getitem__, key="ready", persist_state=KEPT
        )
        sign = SIGNS[st.session_state["currency"]]
        st.number_input(
            gettext("At most, {sign} (0: any price)", sign=sign),
            step=1.0,
            format="%g",
            key="most",
            persist_state=KEPT,
        )
        st.segmented_control(
            gettext("Currency"),
            list(SIGNS),
            format_func=SIGNS.__getitem__,
            required=True,
            key="currency",
            persist_state=KEPT,
        )
    return None if amount is None else {**amount, **_wishes()}


def _hours() -> dict[str, Any]:
    with st.container(horizontal=True):
        st.number_input(gettext("Hours of sound"), step=10.0, format="%g", key="hours", persist_state=KEPT)
        _spoken()
    return {"hours": st.session_state["hours"]}


def _documents() -> dict[str, Any]:
    with st.container(horizontal=True):
        st.number_input(gettext("Texts"), step=100, key="documents", persist_state=KEPT)
        st.slider(gettext("Tokens a text"), 50, 4000, step=50, key="tokens", persist_state=KEPT)
        st.slider(gettext("Indexed anew, times a year"), 1, 52, key="times", persist_state=KEPT)
    return {
        "documents": st.session_state["documents"],
        "tokens_per_document": st.session_state["tokens"],
        "times_per_year": st.session_state["times"],
    }


def _spoken() -> None:
    spoken = {code: catalogue.language_name(code, common.language()) for code in SPOKEN}
    st.segmented_control(
        gettext("Spoken language"),
        list(spoken),
        required=True,
        format_func=spoken.__getitem__,
        key="spoken",
        persist_state=KEPT,
    )


def _wishes() -> dict[str, Any]:
    wishes: dict[str, Any] = {
        "language": st.session_state["spoken"],
        "currency": st.session_state["currency"],
    }
    if st.session_state["ready"]:
        wishes["ready_by_s"] = st.session_state["ready"]
    if most := st.session_state["most"]:
        rate = application().estimates.book(own=st.session_state["own"]).assume("rub_per_usd").value
        wishes["at_most_usd"] = Decimal(str(most)) / (rate if wishes["currency"] == "RUB" else 1)
    return wishes


def _files() -> dict[str, Any] | None:
    candidates = archive_files.ask()
    _spoken()
    return archive_files.amount(candidates)


# The answer


def answered(asked: Mapping[str, Any]) -> Answer:
    """The one function that pages and programs ask."""
    return application().estimates.answer(**asked, own=st.session_state["own"])


def cash(answer: Answer, usd: Decimal | None) -> str:
    """Money in the currency of the answer, or that nobody knows."""
    if usd is None:
        return catalogue.NOTHING
    if answer.currency == "USD":
        return catalogue.money(float(usd))
    rate = answer.book.assume(f"{answer.currency.lower()}_per_usd").value
    amount = float(usd * rate)
    return f"{common.number(amount, catalogue.cents(amount) if amount < 100 else 0)}\u00a0{SIGNS[answer.currency]}"


def result(answer: Answer) -> None:
    """The answer to the page's question."""
    best = answer.best or _would_be(answer)
    if best is None:
        st.warning(gettext("No way fits. The list below says why for each."), icon=":material/block:")
        return
    if answer.best is None:
        st.info(gettext("No way can be taken from here yet. This is what it would come to."))
    with st.container(border=True):
        with st.container(horizontal=True):
            st.metric(gettext("Price"), cash(answer, best.total_usd))
            st.metric(gettext("Usually ready in"), duration(best.p50_s))
            st.metric(gettext("9 times in 10 within"), duration(best.p90_s))
        with common.tight():
            st.markdown(f"**{route(answer, best)}**")
            st.caption(facts(*_split(answer, best), *_dated(answer, best)))
            if best.blocked:
                st.caption(remark(answer, best.blocked))
            st.caption(" ".join(remark(answer, each) for each in best.notes))


def _would_be(answer: Answer) -> Quote | None:
    """The cheapest way that only waits to be set up here, if no wish stands against it."""
    waiting = {out.id for out in answer.choice.out if len(out.reasons) == 1}
    ways = (quote for quote in answer.quotes if quote.id in waiting and quote.blocked)
    return next((quote for quote in ways if quote.blocked and quote.blocked.code == NOT_READY), None)


def _dated(answer: Answer, quote: Quote) -> list[str]:
    """How old the prices are that a way is paid by, and the rate that turns them into roubles."""
    lane = "batch" if quote.lane == "batch" else "sync"
    asked = ((quote.engine, quote.engine_model, quote.mode), ("gemini", quote.embedder, lane))
    prices = [price for key in asked if (price := answer.book.price(*key))]
    said = []
    if prices:
        day = catalogue.day(min(price.read_on for price in prices), common.language())
        said.append(gettext("prices as of {day}", day=day))
    if answer.currency != "USD":
        rate = answer.book.assume(f"{answer.currency.lower()}_per_usd")
        source = common.plain(str(catalogue.translate_fact(rate.source, common.language())))
        said.append(
            gettext(
                "{rate} ₽ for a dollar: {source}", rate=common.number(float(rate.value), 2), source=source
            )
        )
    return said


def _split(answer: Answer, quote: Quote) -> list[str]:
    """Price by part, and what decides the time."""
    said = [
        f"{gettext(PARTS.get(part.name, part.name))} {common.plain(cash(answer, part.usd))}"
        for part in quote.parts
        if part.usd
    ]
    if quote.bound_by and quote.p50_s:
        said.append(gettext("the time is set by: {bound}", bound=quote.bound_by))
    yearly = answer.embedding.yearly_sync_usd
    if answer.work.documents and yearly != answer.embedding.sync_usd:
        by_lane = answer.embedding.yearly_batch_usd if quote.lane == "batch" else yearly
        said.append(gettext("a year: {usd}", usd=common.plain(cash(answer, by_lane))))
    return said


def route(answer: Answer, quote: Quote) -> str:
    """A way in words: who transcribes, and how vectors are made."""
    meaning = {
        "words": gettext("found by words"),
        "local": gettext("meaning: here"),
    }.get(quote.embedder)
    if meaning is None:
        title = f"{answer.book.provider('gemini').title}"
        lane = gettext("in a batch") if quote.lane == "batch" else gettext("now")
        meaning = gettext("meaning: {title}, {lane}", title=title, lane=lane)
    return meaning if not quote.engine else f"{common.plain(_engine(answer, quote))} → {meaning}"


def routes_by_id() -> dict[str, str]:
    """Every way in words, by the name under which plans keep it."""
    answers = [application().estimates.answer(hours=1, language=language) for language in SPOKEN]
    return {quote.id: route(answer, quote).replace("\\", "") for answer in answers for quote in answer.quotes}


def _engine(answer: Answer, quote: Quote) -> str:
    app = application()
    if not quote.mode:
        name = app.estimates.engine(quote, answer.work.language)
        device = gettext("own GPU") if quote.engine_model == "gpu" else gettext("own processor")
        title = (
            str(catalogue.translate_fact(app.engines[name].title, common.language()))
            if name in app.engines
            else "GigaAM"
        )
        return f"{title.partition(' (')[0]}, {device}"
    title = answer.book.provider(quote.engine).title
    modes = {
        "sync": "",
        "batch": gettext("in a batch"),
        "async": gettext("later"),
        "deferred": gettext("within a day"),
    }
    return ", ".join(filter(None, (f"{title} {quote.engine_model}", modes.get(quote.mode, quote.mode))))


def run(answer: Answer) -> None:
    """Take the files of the plan through its route, and remember what was promised."""
    known: Archive | None = st.session_state.get("plan-archive")
    if not common.may_change() or st.session_state["by"] != "files":
        return
    if known is None or not known.fresh or answer.best is None:
        return
    if st.button(gettext("Run this plan"), type="primary", key="run"):
        app = application()
        options = app.estimates.options(answer.best, answer.work.language)
        sources: list[Any] = [each.candidate.source for each in known.fresh]
        outcomes = common.take(sources, options)
        taken = [outcome.recording_id for outcome in outcomes if outcome.recording_id]
        app.estimates.keep(answer.best, answer.size.tokens, taken)
        st.session_state["plan-outcomes"] = outcomes
        st.session_state.pop("plan-names", None)
        st.rerun()


def ways(answer: Answer) -> None:
    """Every route: those that fit, and the others with the reason why not."""
    why = {out.id: out.reasons for out in answer.choice.out}
    fitting = [quote for quote in answer.quotes if quote.id not in why]
    others = [quote for quote in answer.quotes if quote.id in why]
    config = _columns()
    if fitting:
        rows = [_row(answer, quote) for quote in fitting]
        order = ("price", "p50", "p90", "way")
        st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=config, column_order=order)
    with st.expander(ngettext("{n} way does not fit: why", "{n} ways do not fit: why", len(others))):
        rows = [
            {**_row(answer, quote), "why": " ".join(_sentence(answer, each) for each in why[quote.id])}
            for quote in others
        ]
        config["way"]["width"], config["why"]["width"], order = 170, 300, ("price", "p90", "way", "why")
        st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            column_config=config,
            column_order=order,
            row_height=ROW_PX,
        )


def remark(answer: Answer, said: Note) -> str:
    """A remark of the price book, for a person, harmless where Markdown is read."""
    return common.plain(_sentence(answer, said))


def _sentence(answer: Answer, said: Note) -> str:
    """What our code says is translated by its template, what the book says as a fact."""
    paid = {name: cash(answer, usd.amount) for name, usd in said.facts.items() if isinstance(usd, Usd)}
    told = catalogue.translate_error(
        {"message": said.message, "facts": {**said.facts, **paid}}, common.language()
    )
    return str(catalogue.translate_fact(told, common.language()))


def _row(answer: Answer, quote: Quote) -> dict[str, object]:
    return {
        "way": route(answer, quote).replace("\\", ""),
        "price": cash(answer, quote.total_usd),
        "p50": duration(quote.p50_s),
        "p90": duration(quote.p90_s),
    }


def _columns() -> dict[str, Any]:
    right = {"alignment": "right", "width": 92}
    return {
        "way": st.column_config.TextColumn(gettext("Way"), width=360),
        "price": st.column_config.TextColumn(gettext("Price"), **right),  # type: ignore[arg-type]
        "p50": st.column_config.TextColumn(gettext("Usually"), **right),  # type: ignore[arg-type]
        "p90": st.column_config.TextColumn(gettext("At most"), help=gettext("9 times in 10"), **right),  # type: ignore[arg-type]
        "why": st.column_config.TextColumn(gettext("Why not"), width="large"),
    }


def ground(answer: Answer) -> None:
    """How tokens were counted, and every assumption with its source."""
    size = answer.size
    st.caption(
        gettext(
            "{passages} passages, {tokens} tokens, give or take {error}: words a minute × tokens a word × overlap.",
            passages=common.number(size.passages),
            tokens=common.number(size.tokens),
            error=catalogue.percent(float(size.error), common.language()),
        )
    )
    assumptions.sample(answer.work.language)
    st.dataframe(assumptions.table(answer.book), hide_index=True, column_config=assumptions.columns())
    st.caption(gettext("Change any of it under “Prices”."))
