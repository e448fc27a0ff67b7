"""The ways through the tool that matter, with quality beside the price, and all the others on request."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import streamlit as st

from core.billing import Answer, Note, Quote
from core.i18n import catalogue
from core.i18n.messages import N_
from core.planning.recommendations import Role, may_be_chosen
from jobs.installation import application
from pages.components import common, compared, figures, plan
from pages.components.common import facts, gettext, ngettext
from pages.components.figures import Cell, Column

ROLES = {
    Role.CHEAPEST: N_("cheapest"),
    Role.FASTEST: N_("fastest"),
    Role.OWN: N_("cheapest on your own machine"),
    Role.BEST: N_("recognises best"),
    Role.NOW: N_("what you use now"),
}


def that_matter(answer: Answer) -> None:
    """At most five ways, and what each is best for."""
    recommendations = application().estimates.recommendations(answer)
    figures.table(
        _columns(),
        (_row(answer, way.quote, facts(*labels(way.roles))) for way in recommendations),
    )


def labels(roles: Collection[Role]) -> Iterator[str]:
    """What a way is best for; where the cheapest is one's own, "cheapest" is not said twice."""
    for role in roles:
        on_own = role is Role.OWN and Role.CHEAPEST in roles
        yield gettext("on your own machine") if on_own else gettext(ROLES[role])


def all_of_them(answer: Answer) -> None:
    """Every way: those that fit what was asked, then the others with the reason why not."""
    why = {out.id: out.reasons for out in answer.choice.out}
    with st.expander(ngettext("All {n} ways", "All {n} ways", len(answer.quotes)), key="all-ways"):
        plan.limits()
        fitting = [quote for quote in answer.quotes if quote.id not in why]
        if not fitting:
            st.warning(gettext("No way fits. The list below says why for each."), icon=":material/block:")
        figures.table(_columns(), (_row(answer, quote) for quote in fitting))
        others = [quote for quote in answer.quotes if quote.id in why]
        st.markdown(f"**{gettext('Not from here now')}**")
        rows = (_row(answer, quote, _reasons(answer, why[quote.id])) for quote in others)
        figures.table(_columns(), rows)


def _reasons(answer: Answer, notes: Iterable[Note]) -> str:
    return " ".join(plan.sentence(answer, each) for each in notes)


def _columns() -> list[Column]:
    return [
        Column("way", gettext("Way"), wide=True),
        Column("quality", gettext("Recognises")),
        Column("price", gettext("Price"), number=True),
        Column("usual", gettext("Usually ready in"), number=True),
        Column("late", gettext("9 times in 10 within"), number=True),
    ]


def _row(answer: Answer, quote: Quote, below: str = "") -> dict[str, Cell | str]:
    return {
        "way": Cell(_name(answer, quote), facts(below, _needs(quote))),
        "quality": quality(answer, quote),
        "price": plan.cash(answer, quote.total_usd),
        "usual": common.wait(quote.p50_s),
        "late": common.wait(quote.p90_s),
    }


def _name(answer: Answer, quote: Quote) -> str:
    vectors_title = plan.vectors(answer, quote)
    return f"{plan.transcriber(answer, quote)}; {vectors_title}" if quote.engine else vectors_title


def _needs(quote: Quote) -> str:
    if not may_be_chosen(quote):
        return ""
    return facts(*compared.needs_messages(application().estimates.needs.of_quote(quote)))


def quality(answer: Answer, quote: Quote) -> Cell:
    """How well it recognises, in words, and words wrong in a hundred where somebody has counted."""
    assessment = application().estimates.quality(quote, answer.work.language)
    if assessment is None:
        return Cell(gettext("not known") if quote.engine else catalogue.NOTHING)
    text = str(catalogue.translate_fact(assessment.about, common.language()))
    if assessment.wrong_percent is None:
        return Cell(text, gettext("no figure published"))
    share = catalogue.percent(float(assessment.wrong_percent) / 100, common.language(), 1)
    return Cell(text, gettext("{share} of words wrong", share=share))
