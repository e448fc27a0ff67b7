"""Batches: jobs of a provider as things to look at, to stop, to finish now."""

from __future__ import annotations

import streamlit as st

from core.i18n.messages import N_
from core.monitor import alarms
from core.monitor.alarms import AlarmKind
from core.orders.batch_view import BatchSummary
from jobs.installation import application
from pages.components.common import (
    duration,
    facts,
    gettext,
    line,
    ngettext,
    plain,
    price,
    tight,
    translate_error,
)
from pages.components.live import actions, button

CHEAPEST = N_("No way is cheaper than a batch: they go when the cap is raised or a new month begins.")

LATE = N_("Under way for longer than {time}. The provider is asked again and again.")


def show_batches() -> None:
    """What waits to be ordered, and every batch with what can be done about it."""
    batches = application().batches
    queue = batches.view.queue()
    with line():
        waits = (
            ngettext("{n} text waits", "{n} texts wait", queue.texts)
            if queue.texts
            else gettext("no text waits for the next batch")
        )
        st.caption(facts(waits, translate_error(queue.stopped) if queue.stopped else ""), width="stretch")
        if queue.texts and not queue.capped and actions().allowed:
            button(gettext("Send now"), "send", actions().send_batch)
    if queue.capped:
        st.caption(gettext(CHEAPEST))
    rows = batches.view.list()
    if not rows:
        st.caption(gettext("No batch has been ordered yet."))
    for batch in rows:
        _batch(batch)


def _batch(batch: BatchSummary) -> None:
    with tight(key=f"row-batch-{batch.id}"):
        with st.container(horizontal=True, vertical_alignment="center"):  # on a telephone below each other
            st.markdown(gettext(batch.says), width="stretch")
            if batch.late:
                st.badge(gettext("Late"), color="red")
            if actions().allowed and (batch.live or batch.failed):
                with st.container(horizontal=True, width="content"):
                    answers(batch)
        st.caption(facts(*_about_batch(batch)))
        if batch.late:
            promised = duration(application().settings.batch_deadline_h * 3600)
            late = gettext(LATE, time=promised)
            st.caption(f"{late} {gettext(alarms.FIXES[AlarmKind.BATCH_LATE])}")
        for error in (batch.error, batch.alarm):
            if error:
                st.caption(translate_error(error))


def answers(batch: BatchSummary) -> None:
    """What can be done about a batch that lives, or of which texts are missing."""
    button(gettext("Finish now"), f"now-{batch.id}", lambda: actions().finish_batch(batch.id))
    if batch.live:
        button(gettext("Cancel"), f"stop-{batch.id}", lambda: actions().cancel_batch(batch.id))
    else:
        button(gettext("Try again"), f"again-{batch.id}", lambda: actions().retry_batch(batch.id))


def _about_batch(batch: BatchSummary) -> list[str]:
    counts = gettext("{good} of {n} texts ready", good=batch.good, n=batch.texts)
    if batch.at_once:
        counts = gettext("by batch: {good}, at the full price: {rest}", good=batch.good, rest=batch.at_once)
    check, expected = batch.next_check_s, batch.expected
    return [
        gettext("by an emulator, nothing is paid") if batch.emulated else "",
        counts,
        gettext("{n} failed", n=batch.failed) if batch.failed else "",
        gettext("age {time}", time=duration(batch.age_s)),
        gettext("next look in {time}", time=duration(check)) if check is not None else "",
        gettext("usually ready within {time}", time=duration(expected.high_s)) if expected else "",
        plain(price(batch.usd)) if batch.usd else "",
        gettext("{usd} saved", usd=plain(price(batch.saved_usd))) if batch.saved_usd and batch.good else "",
        plain(batch.name),
    ]
