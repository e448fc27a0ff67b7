"""The plan: what is asked, kept in the link, and how its answer is said."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Any, Literal

import streamlit as st

from core.billing import Answer, Book, Note, Quote, Usd, is_under_a_cent
from core.billing.comparison import Bill
from core.billing.stages import Leg
from core.i18n import catalogue
from core.i18n.messages import N_
from core.planning.estimates import SPOKEN
from core.planning.plans import Archive
from jobs.installation import application
from pages.components import address, archive_files, assumptions, common, file_intake, plan_exports
from pages.components.common import gettext

VIEWS = {
    "plan": N_("Estimate"),
    "sheet": N_("On one page"),
    "proof": N_("What it came to"),
    "prices": N_("Prices"),
}
BY = {"hours": N_("Hours a month"), "files": N_("Files"), "documents": N_("Documents")}
MONTHS = 12
CENT = Decimal("0.01")
HOURS = (10, 20, 50, 100, 200, 300, 500, 750, 1000, 2000, 5000, 10_000)
WAITS_USD = (0.0, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
AS_IN_BOOK = -1.0
"""What waiting is worth while nobody has said: as the assumptions have it."""
LONGEST_NAME = 80
"""Letters of a transcriber's name in a link."""
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
    "hours": 500.0,
    "documents": 1000,
    "tokens": 500,
    "times": 1,
    "spoken": "ru",
    "who": "",
    "wait": AS_IN_BOOK,
    "ready": "",
    "most": 0.0,
    "currency": "USD",
    "own": "",
}
"""What a link carries, with what holds where it says nothing."""
CHOICES: dict[str, Collection[str]] = {"view": VIEWS, "by": BY, "ready": READY, "spoken": SPOKEN}
WRITTEN = "costs-address"
"""What the page itself has put into the address."""
KEPT: Literal["session"] = "session"
"""What was chosen is there again after something else was looked at; without this the browser forgets it."""


def settle() -> None:
    """What an address says holds until it is changed here; nonsense in it counts as nothing.

    An address that says nothing, as the menu's, brings back what was chosen before.
    """
    written = st.session_state.get(WRITTEN, {})
    for name, usual in SCENARIO.items():
        value = st.query_params.get(name)
        moved = value is not None and value != written.get(name) and not address.is_stale_run()
        if st.session_state.get(name) is None or moved or not _is_one(name, st.session_state[name]):
            st.session_state[name] = _read(name, value, usual)
        address.tell(name)


def carry() -> None:
    """Write what differs from the usual into the address, so that it can be kept, sent, and come back to."""
    other = plan_exports.scenario(SCENARIO)
    for name in SCENARIO:
        if name in other and st.query_params.get(name) != other[name]:
            st.query_params[name] = other[name]
        elif name not in other and name in st.query_params:
            del st.query_params[name]
        address.know(name)
    st.session_state[WRITTEN] = other


def _is_one(name: str, value: object) -> bool:
    """Whether a choice is one of this page's; another page may have one of the same name."""
    return (
        not isinstance(SCENARIO[name], str)
        or name in ("own", "who")
        or value in CHOICES.get(name, common.SIGNS)
    )


def _read(name: str, text: str | None, usual: Any) -> Any:
    if text is None:
        return usual
    if name == "own":
        return plan_exports.prices_of_link(text)
    if name == "who":
        return text[:LONGEST_NAME]
    if isinstance(usual, str):
        return text if text in CHOICES.get(name, common.SIGNS) else usual
    try:
        number = float(text)
    except ValueError:
        return usual
    return type(usual)(number) if math.isfinite(number) and abs(number) < 2**53 else usual


def choose(name: str, choices: Mapping[str, str]) -> str:
    """One of a few ways to look at it."""
    labels = common.translated(choices)
    st.session_state.setdefault(name, next(iter(labels)))
    return str(
        st.segmented_control(
            gettext("View"),
            list(labels),
            required=True,
            format_func=labels.__getitem__,
            key=name,
            label_visibility="collapsed",
            persist_state=KEPT,
        )
    )


def ask() -> dict[str, Any] | None:
    """What shall be priced; None while there is nothing yet."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        by = choose("by", BY)
        choose("currency", common.SIGNS)
    amount = {"hours": _hours, "files": _files, "documents": _documents}[by]()
    return None if amount is None else {**amount, **_options()}


def _hours() -> dict[str, Any]:
    st.session_state["hours-slider"] = min(HOURS, key=lambda each: abs(each - st.session_state["hours"]))
    number, slider, spoken = st.columns([2, 3, 3], vertical_alignment="bottom")
    number.number_input(
        gettext("Hours of sound"),
        step=10.0,
        format="%g",
        key="hours",
        persist_state=KEPT,
        help=gettext("How much is recorded in a month. Silence counts too: services bill whole recordings."),
    )
    slider.select_slider(
        gettext("Hours a month"),
        HOURS,
        format_func=common.number,
        key="hours-slider",
        on_change=_on_slider_change,
        args=("hours",),
        label_visibility="collapsed",
    )
    with spoken:
        _spoken()
    return {"hours": st.session_state["hours"], "times_per_year": MONTHS}


def _on_slider_change(name: str) -> None:
    st.session_state[name] = float(st.session_state[f"{name}-slider"])


def _documents() -> dict[str, Any]:
    columns = st.columns(3)
    columns[0].number_input(
        gettext("Documents"),
        step=100,
        key="documents",
        persist_state=KEPT,
        help=gettext("Texts that are there already: only their vectors are bought. A passage counts as one."),
    )
    columns[1].slider(
        gettext("Tokens a document"),
        50,
        4000,
        step=50,
        key="tokens",
        persist_state=KEPT,
        help=gettext("A token is a piece of a word: a Russian word has about two. 500 are a page of text."),
    )
    columns[2].slider(
        gettext("Indexed anew, times a year"),
        1,
        52,
        key="times",
        persist_state=KEPT,
        help=gettext("Each time all vectors are bought again, as after a change of the model."),
    )
    return {
        "documents": st.session_state["documents"],
        "tokens_per_document": st.session_state["tokens"],
        "times_per_year": st.session_state["times"],
    }


def waiting(book: Book) -> None:
    """What an hour of waiting is worth: decides between sync and batch."""
    now = _worth(book)
    steps = sorted({*WAITS_USD, now})
    st.session_state["wait-slider"] = now
    rate = float(book.assume(f"{st.session_state['currency'].lower()}_per_usd").value)
    sign = common.SIGNS[st.session_state["currency"]]

    def shown(usd: float) -> str:
        return catalogue.money(usd * rate, common.language(), sign)

    st.select_slider(
        gettext("What an hour of waiting is worth to you"),
        steps,
        format_func=shown,
        key="wait-slider",
        on_change=_on_slider_change,
        args=("wait",),
        help=gettext(
            "What it costs you that a recording is found by meaning an hour later. "
            "Nothing for an archive, much for a call centre that reacts the same day."
        ),
    )


def _worth(book: Book) -> float:
    usd_per_hour = float(st.session_state["wait"])
    return usd_per_hour if usd_per_hour >= 0 else float(book.assume("waiting_usd_per_hour").value)


def limits() -> None:
    """What a way has to keep to be in the list."""
    ready = common.translated(READY)
    columns = st.columns(2)
    columns[0].selectbox(
        gettext("Ready"),
        list(ready),
        format_func=ready.__getitem__,
        key="ready",
        persist_state=KEPT,
        help=gettext("Ways that are later than that once in ten times are left out of the list."),
    )
    columns[1].number_input(
        gettext("At most, {sign} (0: any price)", sign=common.SIGNS[st.session_state["currency"]]),
        step=1.0,
        format="%g",
        key="most",
        persist_state=KEPT,
        help=gettext("Ways that cost more are left out of the list."),
    )


def _spoken() -> None:
    spoken = {code: catalogue.language_name(code, common.language()) for code in SPOKEN}
    st.segmented_control(
        gettext("Spoken language"),
        list(spoken),
        required=True,
        format_func=spoken.__getitem__,
        key="spoken",
        persist_state=KEPT,
        help=gettext("Engines differ by language, and Russian has more tokens a word than English."),
    )


def _options() -> dict[str, Any]:
    options: dict[str, Any] = {
        "language": st.session_state["spoken"],
        "currency": st.session_state["currency"],
    }
    if (worth := float(st.session_state["wait"])) >= 0:
        options["waiting_usd_per_hour"] = worth
    if st.session_state["ready"]:
        options["ready_by_s"] = st.session_state["ready"]
    if most := st.session_state["most"]:
        rate = application().estimates.book(own=st.session_state["own"]).assume("rub_per_usd").value
        options["at_most_usd"] = Decimal(str(most)) / (rate if options["currency"] == "RUB" else 1)
    return options


def _files() -> dict[str, Any] | None:
    candidates = archive_files.ask()
    _spoken()
    return archive_files.amount(candidates)


# The answer


def answered(workload: Mapping[str, Any]) -> Answer:
    """The one function that pages and programs ask."""
    return application().estimates.answer(**workload, own=st.session_state["own"])


def cash(answer: Answer, usd: Decimal | None, *, exact: bool = False) -> str:
    """Money in the currency of the answer, in cents, or that nobody knows; `exact` with all its digits."""
    if usd is None:
        return catalogue.NOTHING
    amount = usd * answer.book.assume(f"{answer.currency.lower()}_per_usd").value
    if exact:
        return catalogue.money(float(amount), common.language(), common.SIGNS[answer.currency])
    return common.money(amount, answer.currency)


def bill_sum(answer: Answer, bill: Bill) -> Decimal | None:
    """A bill in the currency of the answer: its parts as they are shown, so that they add up."""
    if bill.usd is None:
        return None
    rate = answer.book.assume(f"{answer.currency.lower()}_per_usd").value
    whole = sum(((leg.usd or Decimal(0)) * rate).quantize(CENT, ROUND_HALF_EVEN) for leg in bill.legs)
    return bill.usd * rate if is_under_a_cent(bill.usd * rate) else Decimal(whole)


def dated(answer: Answer, legs: Sequence[Leg]) -> list[str]:
    """How old the prices are that a bill is paid by, and the rate that turns them into roubles."""
    keys = ((leg.provider, leg.model, leg.mode) for leg in legs)
    prices = [price for key in keys if (price := answer.book.price(*key))]
    lines = []
    if prices:
        day = catalogue.day(min(price.read_on for price in prices), common.language())
        lines.append(gettext("prices as of {day}", day=day))
    if answer.currency != "USD":
        rate = answer.book.assume(f"{answer.currency.lower()}_per_usd")
        source = str(catalogue.translate_fact(rate.source, common.language()))
        value = common.number(float(rate.value), 2)
        lines.append(gettext("{rate} ₽ for a dollar: {source}", rate=value, source=source))
    return lines


def route(answer: Answer, quote: Quote) -> str:
    """A way in words: who transcribes, and how vectors are made."""
    meaning = vectors(answer, quote)
    return meaning if not quote.engine else f"{common.plain(transcriber(answer, quote))} → {meaning}"


def vectors(answer: Answer, quote: Quote) -> str:
    """How a way makes recordings found by meaning."""
    here = {"words": gettext("found by words"), "local": gettext("vectors made here")}.get(quote.embedder)
    if here is not None:
        return here
    lane = gettext("in a batch") if quote.lane == "batch" else gettext("now")
    return gettext("vectors: {title}, {lane}", title=answer.book.provider("gemini").title, lane=lane)


def routes_by_id() -> dict[str, str]:
    """Every way in words, by the name under which plans keep it."""
    answers = [application().estimates.answer(hours=1, language=language) for language in SPOKEN]
    return {quote.id: route(answer, quote).replace("\\", "") for answer in answers for quote in answer.quotes}


def transcriber(answer: Answer, quote: Quote) -> str:
    """Who transcribes, and how."""
    if not quote.mode:
        device = gettext("own GPU") if quote.engine_model == "gpu" else gettext("own processor")
        return f"{own_title(quote.engine)}, {device}"
    title = answer.book.provider(quote.engine).title
    modes = {
        "sync": "",
        "batch": gettext("in a batch"),
        "async": gettext("later"),
        "deferred": gettext("within a day"),
    }
    return ", ".join(filter(None, (f"{title} {quote.engine_model}", modes.get(quote.mode, quote.mode))))


def own_title(engine: str) -> str:
    """An engine of this machine, by its name in the price book."""
    if engine.startswith("whisper-"):
        return f"Whisper {engine.removeprefix('whisper-')}"
    engines = application().engines
    title = next((each.title for name, each in engines.items() if name.startswith(engine)), engine)
    return str(catalogue.translate_fact(title, common.language())).partition(" (")[0]


def run(answer: Answer) -> None:
    """Take the files of the plan through its route, and remember what was promised."""
    archive: Archive | None = st.session_state.get("plan-archive")
    if not common.may_change() or st.session_state["by"] != "files":
        return
    if archive is None or not archive.fresh or answer.best is None:
        return
    if st.button(gettext("Run this plan"), type="primary", key="run"):
        app = application()
        options = app.estimates.options(answer.best, answer.work.language)
        sources: list[Any] = [each.candidate.source for each in archive.fresh]
        outcomes = file_intake.take(sources, options)
        recording_ids = [outcome.recording_id for outcome in outcomes if outcome.recording_id]
        app.estimates.keep(answer.best, answer.size.tokens, recording_ids)
        st.session_state["plan-outcomes"] = outcomes
        st.session_state.pop("plan-names", None)
        st.rerun()


def remark(answer: Answer, note: Note) -> str:
    """A remark of the price book, for a person, harmless where Markdown is read."""
    return common.plain(sentence(answer, note))


def sentence(answer: Answer, note: Note, **said: str) -> str:
    """What our code says is translated by its template, what the book says as a fact.

    A fact that is `said` so elsewhere on the page is said so here.
    """
    paid = {
        name: cash(answer, usd.amount, exact=is_under_a_cent(usd.amount))
        for name, usd in note.facts.items()
        if isinstance(usd, Usd)
    }
    message = catalogue.translate_error(
        {"message": note.message, "facts": {**note.facts, **paid, **said}}, common.language()
    )
    return str(catalogue.translate_fact(message, common.language()))


def assumptions_and_sources(answer: Answer) -> None:
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
    assumptions.show(answer.book)
    st.caption(gettext("Change any of it under “Prices”."))
