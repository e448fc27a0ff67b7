"""The overview's parts: what is new, what needs somebody, what is under way, and how much there is."""

from __future__ import annotations

import time

import streamlit as st

from core.database.states import TaskStatus
from core.library import views
from core.library.views import Totals
from core.monitor import monitor
from jobs.installation import application
from pages.components import common, live
from pages.components.common import current_principal, duration, gettext, moment, ngettext
from pages.components.frame import SEEN_COOKIE

NEW_S = 600.0
"""Whoever was here less long ago has seen it all."""


def needs() -> None:
    """What needs a person: alarms of the work, then recordings that should be looked at."""
    if alarms := live.alarms(quiet=True):
        st.switch_page("monitor.py", query_params={"view": alarms})
    attention = views.attention(application().database, current_principal())
    if attention.doubtful:
        _link(
            ngettext("{n} transcript has a warning", "{n} transcripts have a warning", attention.doubtful),
            "doubtful",
        )
    if attention.unnamed:
        _link(
            ngettext(
                "In {n} recording speakers wait for names",
                "In {n} recordings speakers wait for names",
                attention.unnamed,
            ),
            "unnamed",
        )


def _link(label: str, state: str) -> None:
    st.page_link("library.py", label=label, query_params={"state": state}, icon=":material/flag:")


def news() -> None:
    """What ended since this browser was here last, and what is under way."""
    database = application().database
    since = _seen()
    events = views.news(database, current_principal(), since or time.time())
    if since and (events.ready or events.failed):
        st.write(
            common.facts(
                gettext("Since you were here ({time}):", time=moment(since)),
                ngettext("{n} recording became ready", "{n} recordings became ready", events.ready),
                duration(events.ready_s),
                ngettext("{n} failed", "{n} failed", events.failed) if events.failed else "",
            )
        )
    if events.open:
        left_s = monitor.now(database, current_principal()).done_in_s
        st.caption(
            common.facts(
                ngettext("{n} recording is under way", "{n} recordings are under way", events.open),
                gettext("all ready in about {time}", time=duration(left_s)) if left_s else "",
            )
        )


def _seen() -> float | None:
    """When this browser had the overview open before, unix seconds; None where that is new or just now."""
    cookie = st.context.cookies.get(SEEN_COOKIE, "")
    at = float(cookie) if cookie.isdecimal() else 0.0
    return at if 0.0 < at < time.time() - NEW_S else None


def totals(totals: Totals) -> None:
    """How much there is, and what it cost and saved this month: four figures on one grid."""
    app = application()
    month = app.ledger.month()
    with st.container(horizontal=True, key="totals"):
        st.metric(gettext("Recordings"), common.number(totals.recordings))
        st.metric(gettext("Searchable"), duration(totals.words_s))
        st.metric(gettext("Spent this month"), common.money(month.spent))
        st.metric(gettext("Saved this month"), common.money(app.ledger.saved(month.month)))
    st.caption(common.coverage(totals))


def under_way() -> None:
    """Recordings that are worked at now."""
    running, _ = views.cards(
        application().database, current_principal(), status=TaskStatus.PROCESSING, limit=5
    )
    if running:
        st.header(gettext("Under way"), anchor=False)
        common.live_rows(status=TaskStatus.PROCESSING, limit=5, part="now-")
