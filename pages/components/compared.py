"""Sync against batch, side by side: what each costs, when it is ready, what it asks for, what it saves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape

import streamlit as st

from core.billing import Answer
from core.billing.comparison import Bill, Comparison, Scenario, pairs, scenarios, transcriber
from core.billing.stages import OUT_OF_REACH, Leg
from core.i18n import catalogue
from core.i18n.messages import N_
from core.planning.needs import Need
from jobs.installation import application
from pages.components import address, common, figures, plan
from pages.components.common import gettext, ngettext
from pages.components.figures import Cell, Column

NEEDS = {
    Need.KEY: N_("needs a {title} key"),
    Need.STORE: N_("needs an object store"),
    Need.ENDPOINT: N_("needs the address of your {title} endpoint"),
    Need.SETTING: N_("needs another setting for {title}"),
    Need.MODEL: N_("needs the files of {title}"),
    Need.SWITCH: N_("needs {title} to make the vectors"),
}
LATE = {
    "sync": N_("A call that fails is repeated; what is finished stays finished."),
    "batch": N_(
        "24 hours are promised, not guaranteed: what is overdue shows on the monitor and is sent again. "
        "With a deadline, vectors still missing then are bought at once, at the full price."
    ),
}
NAMES = {
    10: N_("Added by hand"),
    1_000: N_("An import of articles"),
    10_000: N_("A knowledge base"),
    100_000: N_("A company archive"),
}
ONCE = N_(
    "The note that began this tool reckoned with $0.025 and $0.0125 for a million tokens. "
    "It printed sums a hundred times as large as those prices make; both are shown."
)


def offered(answer: Answer) -> list[str]:
    """Who may transcribe in the comparison, as far as this installation could have it."""
    if not answer.work.audio_s:
        return []
    scenarios = pairs(answer.work, answer.terms).items()
    return [name for name, (leg, _) in scenarios if leg.blocked is None or leg.blocked.code != OUT_OF_REACH]


def assumption_controls(answer: Answer) -> None:
    """What the comparison supposes and may be changed: the worth of waiting, and who transcribes."""
    left, right = st.columns(2)
    with left:
        plan.waiting(answer.book)
    names = offered(answer)
    if not names:
        return
    titles = {name: transcriber_title(answer, *name.split("/", 1)) for name in names}
    st.session_state["who-box"] = transcriber(answer.work, answer.terms, st.session_state["who"])
    right.selectbox(
        gettext("Transcribed by"),
        names,
        format_func=titles.__getitem__,
        key="who-box",
        on_change=_choose,
        args=(answer.terms.transcriber,),
        help=gettext(
            "Groq sells a batch at half the price, RunPod waits for a free worker, "
            "your own machine costs the same either way."
        ),
    )


def _choose(usual: str) -> None:
    """Keep who transcribes; the usual one needs no place in a link."""
    selected = st.session_state["who-box"]
    st.session_state["who"] = "" if selected == usual else selected


def side_by_side(answer: Answer, compared: Comparison) -> None:
    """Two bills, and what lies between them."""
    sides = {"sync": compared.sync, "batch": compared.batch}
    for column, (lane, bill) in zip(st.columns(2, border=True), sides.items(), strict=True):
        with column:
            st.html(_bill(answer, bill, lane, advised=compared.take == lane))
            _needs(bill)
    _between(answer, compared)
    with st.expander(gettext("What is a batch?"), type="compact", key="what-is-a-batch"):
        st.write(
            gettext(
                "Instead of one request after the other, all are handed over together, and the provider "
                "does them when its machines have time. That costs about half and takes minutes, at most a day."
            )
        )
        st.write(
            gettext(
                "Until then recordings can be read and searched by words; nothing is lost or paid twice "
                "if something breaks meanwhile."
            )
        )


def _bill(answer: Answer, bill: Bill, lane: str, *, advised: bool) -> str:
    name = gettext("At once") if lane == "sync" else gettext("By batch")
    mark = f'<span class="bill-mark">{escape(gettext("advised"))}</span>' if advised else ""
    usually = gettext("Usually ready in")
    rows = [(_part(answer, leg), plan.cash(answer, leg.usd)) for leg in bill.legs]
    together = common.money(plan.bill_sum(answer, bill), answer.currency)
    rows += [
        (usually, common.wait(bill.p50_s) if bill.p50_s is not None else gettext("not published")),
        (gettext("9 times in 10 within"), common.wait(bill.p90_s)),
    ]
    price = f"{escape(together)} <small>{escape(per(answer))}</small>"
    return (
        f'<div class="bill bill-{lane}"><div class="bill-head"><span class="bill-name">{escape(name)}</span>'
        f'{mark}</div><div class="bill-price">{price}</div>{figures.pairs(rows, rule_before=usually)}'
        f'<p class="quiet">{escape(gettext("If it is late:"))} {escape(gettext(LATE[lane]))}</p></div>'
    )


def per(answer: Answer) -> str:
    """For how long a price is enough."""
    return gettext("a month") if answer.work.audio_s and answer.times_per_year == plan.MONTHS else ""


def _part(answer: Answer, leg: Leg) -> str:
    label = gettext("Vectors") if leg.provider == "gemini" else gettext("Transcription")
    return f"{label}, {transcriber_title(answer, leg.provider, leg.model)}"


def transcriber_title(answer: Answer, provider: str, model: str) -> str:
    """A transcriber's name without Markdown."""
    own_titles = {"gpu": gettext("own GPU"), "cpu": gettext("own processor")}.get(model)
    if own_titles is None:
        title = answer.book.provider(provider).title
        return title if provider == "gemini" else f"{title} {model}"
    return f"{plan.own_title(provider)}, {own_titles}"


def _needs(bill: Bill) -> None:
    """What has to be set up first, each a way to where that is done."""
    missing = application().estimates.needs.of_bill(bill)
    if not missing:
        st.caption(gettext("All it needs is set up."))
    with st.container(horizontal=True, gap="small"):
        for sentence in needs_messages(missing):
            if common.may_administer():
                st.page_link("settings.py", label=sentence, icon=":material/key:", help="", width="content")
            else:
                st.caption(sentence, width="content")


def needs_messages(missing: Mapping[str, Sequence[Need]]) -> list[str]:
    """What is missing, in words, by provider."""
    book = application().estimates.book()
    return [
        gettext(
            NEEDS[need],
            title=plan.own_title(provider) if need == Need.MODEL else book.provider(provider).title,
        )
        for provider, needs in missing.items()
        for need in needs
    ]


def _between(answer: Answer, compared: Comparison) -> None:
    """The saving, the advice with its reason, and from where on it holds."""
    with st.container(border=True, key="between"):
        st.html(f"{_saving(answer, compared)}<p class='advice'>{escape(advice(answer, compared))}</p>")
        if turn := break_even_sentence(answer, compared):
            st.html(f'<p class="quiet">{escape(turn)}</p>')


def advice(answer: Answer, compared: Comparison) -> str:
    """What to do, with the saving that stands beside it."""
    return plan.sentence(answer, compared.advice, saved=_money(answer, saved(answer, compared)))


def saved(answer: Answer, compared: Comparison) -> Decimal | None:
    """What lies between both sums as they are shown, in the currency of the answer."""
    sync, batch = (plan.bill_sum(answer, bill) for bill in (compared.sync, compared.batch))
    return None if sync is None or batch is None else sync - batch


def savings(answer: Answer, compared: Comparison) -> tuple[str, str]:
    """What is saved, and so many times that in a year; both empty where nothing is."""
    difference = saved(answer, compared)
    if difference is None or difference <= 0:
        return "", ""
    times = compared.times_per_year
    return _money(answer, difference), _money(answer, difference * times) if times > 1 else ""


def _money(answer: Answer, amount: Decimal | None) -> str:
    return common.money(amount, answer.currency)


def _saving(answer: Answer, compared: Comparison) -> str:
    once, yearly = savings(answer, compared)
    if not once:
        return ""
    share = catalogue.percent(float(compared.saved_share or 0), common.language())
    monthly = gettext("saved a month by batch") if per(answer) else gettext("saved by batch")
    sums = [(once, f"{monthly}, {share}")]
    if yearly:
        sums.append((yearly, gettext("a year")))
    return "".join(
        f"<div><b>{escape(sum_)}</b> <span>{escape(label)}</span></div>" for sum_, label in sums
    ).join(('<div class="saving">', "</div>"))


def break_even_sentence(answer: Answer, compared: Comparison) -> str:
    """From which volume on batch pays, at what an hour of waiting was said to be worth."""
    worth = plan.cash(answer, compared.waiting_usd, exact=True)
    if compared.pays_from is None:
        return ""
    n = compared.pays_from
    if compared.waiting_usd == 0:
        return gettext("Waiting costs you nothing, so batch pays from the first one on.")
    if answer.work.documents:
        one, many = N_("Batch pays from {n} document on"), N_("Batch pays from {n} documents on")
    else:
        one, many = N_("Batch pays from {n} hour of sound on"), N_("Batch pays from {n} hours of sound on")
    return f"{ngettext(one, many, n)}, {gettext('with an hour of waiting at {usd}.', usd=worth)}"


def four_scenarios(answer: Answer) -> None:
    """Four sizes of an archive by today's prices, and as they were first told."""
    st.header(gettext("Four sizes, vectors alone"), anchor=False)
    st.caption(gettext("Documents of 500 tokens, {model}.", model=common.plain(answer.embedding.model)))
    address.tell("once")
    once = st.toggle(
        gettext("Beside it, the prices of the source document"),
        key="once",
        help=gettext(ONCE),
        persist_state=plan.KEPT,
    )
    columns = [
        Column("name", gettext("Scenario"), wide=True),
        Column("documents", gettext("Documents"), number=True),
        Column("sync", gettext("At once"), number=True),
        Column("batch", gettext("By batch"), number=True),
        Column("saved", gettext("Saved"), number=True),
    ]
    if once:
        columns += [
            Column("then", gettext("Then: at once → batch"), number=True),
            Column("printed", gettext("As printed"), number=True),
        ]
    figures.table(columns, [_scenario(answer, each) for each in scenarios(answer.terms)])
    if once:
        st.caption(common.plain(gettext(ONCE)))


def _scenario(answer: Answer, scenario: Scenario) -> dict[str, Cell | str]:

    saved = scenario.sync_usd - scenario.batch_usd if scenario.sync_usd and scenario.batch_usd else None

    def arrow(sync: Decimal, batch: Decimal) -> str:
        return f"{plan.cash(answer, sync, exact=True)} → {plan.cash(answer, batch, exact=True)}"

    return {
        "name": gettext(NAMES[scenario.documents]),
        "documents": common.number(scenario.documents),
        "sync": plan.cash(answer, scenario.sync_usd, exact=True),
        "batch": plan.cash(answer, scenario.batch_usd, exact=True),
        "saved": plan.cash(answer, saved, exact=True),
        "then": arrow(scenario.once_sync_usd, scenario.once_batch_usd),
        "printed": arrow(scenario.printed_sync_usd, scenario.printed_batch_usd),
    }
