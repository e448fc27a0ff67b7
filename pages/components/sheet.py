"""The page for whoever has to sign: figures, sources and days; printed, or as a document of Word."""

from __future__ import annotations

from datetime import date
from html import escape
from pathlib import Path

import streamlit as st

from core.billing import Answer, Quote
from core.billing.comparison import Bill, Comparison, scenarios
from core.i18n import catalogue
from core.planning import sheet
from core.planning.sheet import Sheet, Table
from jobs.installation import application
from pages.components import common, compared, figures, plan, recommended
from pages.components.common import gettext
from pages.components.figures import Column

HERE = Path(__file__).parent
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"

_print = st.components.v2.component(
    "stenogram_print",
    html="<button type='button'></button>",
    css=(HERE / "print.css").read_text(),
    js=(HERE / "print.js").read_text(),
)


def draw(answer: Answer, both: Comparison) -> None:
    """The page, with what takes it along above it."""
    page = _sheet(answer, both)
    with st.container(horizontal=True, key="sheet-actions", vertical_alignment="center"):
        _print(key="print", data={"label": gettext("Print or save as PDF")}, width="content")
        st.download_button(
            gettext("Word document"), lambda: sheet.as_docx(page), "stenogram-costs.docx", WORD
        )
    st.html(_as_html(page))


def _sheet(answer: Answer, both: Comparison) -> Sheet:
    return Sheet(
        title=gettext("{what}: sync or batch?", what=_asked(answer)),
        answer=compared.advice(answer, both),
        lines=[line for line in (_saved(answer, both), compared.break_even_sentence(answer, both)) if line],
        tables=[_bills(answer, both), *_ways(answer), _scenarios(answer)],
        sources_title=gettext("Sources and days"),
        sources=_sources(answer, both),
    )


def _asked(answer: Answer) -> str:
    work = answer.work
    if work.documents:
        n = common.number(work.documents)
        return gettext(
            "{n} documents of {tokens} tokens", n=n, tokens=common.number(float(work.tokens_per_document))
        )
    hours = common.number(float(work.audio_s) / 3600, 1)
    if answer.times_per_year == plan.MONTHS:
        return gettext("{n} hours of sound a month", n=hours)
    return gettext("{n} hours of sound", n=hours)


def _saved(answer: Answer, both: Comparison) -> str:
    once, yearly = compared.savings(answer, both)
    if not once:
        return ""
    share = catalogue.percent(float(both.saved_share or 0), common.language())
    text = gettext("Batch saves {usd}, {share}", usd=once, share=share)
    return f"{text}; {gettext('{usd} a year', usd=yearly)}." if yearly else f"{text}."


def _bills(answer: Answer, both: Comparison) -> Table:
    sides = (both.sync, both.batch)
    rows = []
    if both.sync.transcription and both.batch.transcription:
        leg = both.sync.transcription
        title = f"{gettext('Transcription')}, {compared.transcriber_title(answer, leg.provider, leg.model)}"
        rows.append(
            [title, *(plan.cash(answer, bill.transcription.usd) for bill in sides if bill.transcription)]
        )
    title = f"{gettext('Vectors')}, {compared.transcriber_title(answer, 'gemini', '')}"
    rows.append([title, *(plan.cash(answer, bill.vectors.usd) for bill in sides)])
    rows.append(
        [gettext("Total"), *(common.money(plan.bill_sum(answer, bill), answer.currency) for bill in sides)]
    )
    rows.append([gettext("Usually ready in"), *map(_usual, sides)])
    rows.append([gettext("9 times in 10 within"), *(common.wait(bill.p90_s) for bill in sides)])
    return Table(gettext("The bill"), ["", gettext("At once"), gettext("By batch")], rows)


def _usual(bill: Bill) -> str:
    return gettext("not published") if bill.p50_s is None else common.wait(bill.p50_s)


def _ways(answer: Answer) -> list[Table]:
    recommendations = application().estimates.recommendations(answer)
    rows = [
        [
            f"{plan.route(answer, way.quote)} ({', '.join(gettext(recommended.ROLES[role]) for role in way.roles)})".replace(
                "\\", ""
            ),
            _quality(answer, way.quote),
            plan.cash(answer, way.quote.total_usd),
            common.wait(way.quote.p90_s),
        ]
        for way in recommendations
    ]
    head = [gettext("Way"), gettext("Recognises"), gettext("Price"), gettext("9 times in 10 within")]
    return [Table(gettext("Other ways"), head, rows, texts=2)] if rows else []


def _quality(answer: Answer, quote: Quote) -> str:
    cell = recommended.quality(answer, quote)
    return ", ".join(filter(None, (cell.text, cell.below)))


def _scenarios(answer: Answer) -> Table:
    rows = [
        [
            f"{gettext(compared.NAMES[each.documents])}, {common.number(each.documents)}",
            plan.cash(answer, each.sync_usd, exact=True),
            plan.cash(answer, each.batch_usd, exact=True),
        ]
        for each in scenarios(answer.terms)
    ]
    head = [gettext("Documents"), gettext("At once"), gettext("By batch")]
    return Table(gettext("Four sizes, vectors alone"), head, rows)


def _sources(answer: Answer, both: Comparison) -> list[str]:
    """Each price that the bill is paid by with its source and day, the speeds, and the day of the page."""
    language, lines = common.language(), []
    for leg in (*both.sync.legs, *both.batch.legs):
        price = answer.book.price(leg.provider, leg.model, leg.mode)
        if price and price.price is not None:
            mode = gettext("by batch") if leg.mode == "batch" else gettext("at once")
            title = f"{answer.book.provider(leg.provider).title} {leg.model}, {mode}"
            figure = f"{catalogue.money(float(price.price), language, common.SIGNS[price.currency])} / {catalogue.translate_fact(price.unit, language)}"
            source = catalogue.translate_fact(price.source, language)
            lines.append(f"{title}: {figure}; {source}; {catalogue.day(price.read_on, language)}")
    speed = both.sync.transcription and answer.book.speed(
        both.sync.transcription.provider, both.sync.transcription.model
    )
    if speed:
        lines.append(
            f"{catalogue.translate_fact(speed.about, language)}: {catalogue.translate_fact(speed.source, language)}"
        )
    counted = gettext(
        "{passages} passages, {tokens} tokens, give or take {error}: words a minute × tokens a word × overlap.",
        passages=common.number(answer.size.passages),
        tokens=common.number(answer.size.tokens),
        error=catalogue.percent(float(answer.size.error), language),
    )
    lines += plan.dated(answer, ())
    return [
        *dict.fromkeys(lines),
        counted,
        gettext("Stenogram, {day}", day=catalogue.day(date.today(), language)),
    ]


def _as_html(page: Sheet) -> str:
    tables = "".join(f"<h3>{escape(table.title)}</h3>{_table(table)}" for table in page.tables)
    lines = "".join(f"<p>{escape(line)}</p>" for line in page.lines)
    sources = "".join(f"<li>{escape(source)}</li>" for source in page.sources)
    return (
        f'<div class="sheet"><h2>{escape(page.title)}</h2><p class="advice">{escape(page.answer)}</p>{lines}{tables}'
        f'<h3>{escape(page.sources_title)}</h3><ul class="quiet">{sources}</ul></div>'
    )


def _table(table: Table) -> str:
    columns = [
        Column(str(n), title, number=n >= table.texts, wide=n == 0) for n, title in enumerate(table.head)
    ]
    return figures.as_html(columns, ({str(n): text for n, text in enumerate(row)} for row in table.rows))
