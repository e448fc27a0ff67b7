"""What narrows a question, on the search page: chosen, offered with counts, and taken out again.

All of it stands in the question as operators: it can be typed, saved and sent as a link.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta

import streamlit as st

from core.database.states import EmbeddingStatus
from core.i18n.messages import N_
from core.library import views
from core.library.moments import LENGTHS, Moments
from core.search import operators
from jobs.installation import application
from pages.components import common
from pages.components.common import current_principal, gettext, plain

FACETS = 12
"""So many ways to narrow what was found are offered."""
OF_LENGTH = dict(
    zip(LENGTHS, (N_("Under 10 minutes"), N_("10 to 60 minutes"), N_("Over an hour")), strict=True)
)
OF_STATE = {
    EmbeddingStatus.DONE: N_("Found by meaning, too"),
    EmbeddingStatus.WAITING: N_("By meaning soon"),
    EmbeddingStatus.OFF: N_("By words only"),
    EmbeddingStatus.FAILED: N_("By meaning failed"),
}
Options = Mapping[str, str]
"""Operators, and what people see for them."""


def choose(question: str) -> None:
    """A form whose choices become operators of the question."""
    with (
        st.popover(gettext("Filters"), icon=":material/filter_alt:", key="narrow"),
        st.form("filters-form", border=False),
    ):
        chosen = [
            _one(name, options)
            for name, options in (
                (gettext("Tag"), _counted("tag", views.tags(application().database, current_principal()))),
                (gettext("Language"), _languages()),
                (gettext("Engine"), _engines()),
                (gettext("Length"), common.translated(OF_LENGTH)),
                (gettext("Collection"), _collections()),
                (gettext("State"), {f"state:{state}": gettext(said) for state, said in OF_STATE.items()}),
            )
            if options
        ]
        with st.container(horizontal=True):
            since = st.date_input(
                gettext("Recorded from"), None, format=common.day_field(), key="filter-from"
            )
            until = st.date_input(
                gettext("Recorded until"), None, format=common.day_field(), key="filter-until"
            )
        if st.form_submit_button(gettext("Apply"), type="primary"):
            st.query_params["q"] = " ".join(filter(None, [question, *chosen, *_days(since, until)]))
            st.rerun()


def active(question: str, mode: str) -> None:
    """What narrows the question now; a click takes it out."""
    parts = operators.parts(question)
    if not parts:
        return
    with st.container(horizontal=True, gap="xsmall", key="active-filters"):
        for part in parts:
            st.page_link(
                "search.py",
                label=plain(part),
                query_params={"q": " ".join(question.replace(part, " ", 1).split()), "mode": mode},
                icon=":material/close:",
                help=gettext("Without this filter"),
            )


def facets(question: str, mode: str, found: Moments) -> None:
    """What some of what was found has in common; one more click narrows the question to it."""
    offered = [each for each in _offered(found) if each[0] not in question]
    if not offered:
        return
    with st.container(horizontal=True, gap="xsmall", key="facets"):
        for asked, name, count in offered[:FACETS]:
            st.page_link(
                "search.py",
                label=f"{name} ({common.number(count)})",
                query_params={"q": f"{question} {asked}", "mode": mode},
                icon=":material/filter_alt:",
            )


def _offered(found: Moments) -> Iterator[tuple[str, str, int]]:
    """Operators, what people see for them, and for how many they hold, where they do not hold for all."""
    recordings = len({each.recording_id for each in found.counted})
    # names that people gave
    named = (each for each in found.speakers if common.speaker(each.speaker) == plain(each.speaker))
    yield from (
        (operators.quoted(field, value), plain(value), count)
        for field, counts, whole in (
            ("tag", found.tags, recordings),
            ("speaker", {each.speaker: each.moments for each in named}, len(found.counted)),
            ("in", found.collections, recordings),
        )
        for value, count in counts.items()
        if count < whole
    )
    for counts, name in (
        (found.languages, lambda code: ("lang:" + code, common.language_names([code]))),
        (found.engines, lambda engine: ("engine:" + engine, _engine(engine))),
        (found.lengths, lambda length: (length, gettext(OF_LENGTH[length]))),
        (found.states, lambda state: ("state:" + state, gettext(OF_STATE[EmbeddingStatus(state)]))),
        (
            found.months,
            lambda month: (f"after:{_before(month)} before:{_following(month)}", common.month(month)),
        ),
    ):
        if len(counts) > 1:
            yield from ((*name(value), count) for value, count in counts.items())


def _before(month: str) -> str:
    """The last day before a month: what is brought after it is brought in the month, or later."""
    return str(date.fromisoformat(f"{month}-01") - timedelta(days=1))


def _following(month: str) -> str:
    """The first day after a month."""
    first = date.fromisoformat(f"{month}-01")
    return str((first + timedelta(days=31)).replace(day=1))


def _one(name: str, options: Options) -> str:
    """One of these operators, or none."""
    shown = {"": gettext("Any"), **options}
    return str(st.selectbox(name, list(shown), format_func=shown.__getitem__, key=f"filter-{name}") or "")


def _counted(field: str, counts: Mapping[str, int]) -> Options:
    return {operators.quoted(field, value): f"{value} ({common.number(n)})" for value, n in counts.items()}


def _languages() -> Options:
    counts = views.languages(application().database, current_principal())
    return {f"lang:{code}": f"{common.language_names([code])} ({n})" for code, n in counts.items()}


def _engines() -> Options:
    counts = views.engines(application().database, current_principal())
    return {f"engine:{name}": f"{_engine(name)} ({n})" for name, n in counts.items()}


def _engine(name: str) -> str:
    engine = application().engines.get(name)
    return common.translate_fact(engine.title) if engine else plain(name)


def _collections() -> Options:
    return _counted(
        "in", {row.title: n for row, n in application().kept_moments.collections(current_principal())}
    )


def _days(since: date | None, until: date | None) -> list[str]:
    """Both days belong to what is asked for."""
    day = timedelta(days=1)
    return [
        *([f"after:{since - day}"] if since else []),
        *([f"before:{until + day}"] if until else []),
    ]
