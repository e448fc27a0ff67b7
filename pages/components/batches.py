"""Batches: jobs of a provider as things to look at, to stop, to finish now."""

from __future__ import annotations

import streamlit as st

from core import application
from core.i18n.catalogue import money
from core.i18n.messages import phrase
from core.orders.batch_view import Seen
from pages.components.common import duration, explain, facts, line, plain, say, say_many, tight
from pages.components.live import actions, button

CHEAPEST = phrase("No way is cheaper than a batch: they go when the cap is raised or a new month begins.")


def show_batches() -> None:
    """What waits to be ordered, and every batch with what can be done about it."""
    batches = application.current().batches
    queue = batches.view.queue()
    with line():
        waits = (
            say_many("{n} text waits", "{n} texts wait", queue.texts) if queue.texts else say("nothing waits")
        )
        st.caption(facts(waits, explain(queue.stopped) if queue.stopped else ""), width="stretch")
        if queue.texts and not queue.capped and actions().allowed:
            button(say("Send now"), "send", actions().send_batch)
    if queue.capped:
        st.caption(say(CHEAPEST))
    seen = batches.view.list()
    if not seen:
        st.caption(say("No batch has been ordered yet."))
    for batch in seen:
        _batch(batch)


def _batch(batch: Seen) -> None:
    with tight(key=f"row-batch-{batch.id}"):
        with st.container(horizontal=True, vertical_alignment="center"):  # on a telephone below each other
            st.markdown(say(batch.says), width="stretch")
            if actions().allowed and (batch.live or batch.failed):
                with st.container(horizontal=True, width="content"):
                    answers(batch)
        st.caption(facts(*_about_batch(batch)))
        for told in (batch.error, batch.alarm):
            if told:
                st.caption(explain(told))


def answers(batch: Seen) -> None:
    """What can be done about a batch that lives, or of which texts are missing."""
    button(say("Finish now"), f"now-{batch.id}", lambda: actions().finish_batch(batch.id))
    if batch.live:
        button(say("Cancel"), f"stop-{batch.id}", lambda: actions().cancel_batch(batch.id))
    else:
        button(say("Try again"), f"again-{batch.id}", lambda: actions().retry_batch(batch.id))


def _about_batch(batch: Seen) -> list[str]:
    counts = say("{good} of {n} texts ready", good=batch.good, n=batch.texts)
    if batch.at_once:
        counts = say("by batch: {good}, at the full price: {rest}", good=batch.good, rest=batch.at_once)
    check, expected = batch.next_check_s, batch.expected
    return [
        say("by an emulator, nothing is paid") if batch.emulated else "",
        counts,
        say("{n} failed", n=batch.failed) if batch.failed else "",
        say("age {time}", time=duration(batch.age_s)),
        say("next look in {time}", time=duration(check)) if check is not None else "",
        say("usually ready within {time}", time=duration(expected.high_s)) if expected else "",
        plain(money(float(batch.usd))) if batch.usd else "",
        say("{usd} saved", usd=plain(money(float(batch.saved_usd)))) if batch.saved_usd else "",
        plain(batch.name),
    ]
