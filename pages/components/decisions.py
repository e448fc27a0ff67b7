"""What waits for a person's word, as cards: what happened, what it costs, and the answers."""

from __future__ import annotations

import functools
import time

import streamlit as st

from core.i18n.messages import N_
from core.monitor import decisions
from core.monitor.decisions import Decision
from core.orders.batch_view import BatchSummary
from jobs.installation import application
from pages.components import batches
from pages.components.common import duration, facts, gettext, ngettext, plain, price, tight, translate_error
from pages.components.live import actions, button, principal

EITHER = N_(
    "It may have been paid for. Its texts can wait for the next batch, or be finished now at the full price."
)


def show() -> None:
    """A card for everything that waits; nothing where nothing does."""
    questions = decisions.waiting(application().database, principal())
    held_batches = application().batches.view.held()
    if not (questions or held_batches):
        return
    st.header(gettext("Waiting for your decision"), anchor=False)
    for one in questions:
        _card(one, titled=True)
    for batch in held_batches:
        _batch(batch)


def show_of(transcript_id: str) -> None:
    """The same card on the page of the recording, above its transcript."""
    for one in decisions.waiting(application().database, principal()):
        if one.transcript_id == transcript_id:
            _card(one, titled=False)


def _card(one: Decision, *, titled: bool) -> None:
    with st.container(border=True, gap="small", key=f"decision-{one.transcript_id}"):
        with tight():
            if titled:
                query = {"id": one.recording.id}
                title = f"**{plain(one.recording.title)}**"
                st.page_link("recording.py", label=title, query_params=query, icon="", help="")
            st.markdown(translate_error(one.question))
            st.caption(facts(*_about(one)))
        if actions().allowed:
            with st.container(horizontal=True):
                _answers(one)


def _about(one: Decision) -> list[str]:
    return [
        ngettext("{n} part", "{n} parts", len(one.orders)),
        gettext("{time} of sound", time=duration(one.audio_s)),
        gettext("ordered {time} ago", time=duration(max(0.0, time.time() - one.since))),
        gettext("once more for {usd}", usd=plain(price(one.usd))),
    ]


def _answers(one: Decision) -> None:
    """Each says first what follows from it."""
    facts_ = {"usd": plain(price(one.usd)), "provider": plain(one.provider)}
    with st.popover(gettext("Buy again"), icon=":material/refresh:"):
        st.write(gettext("{provider} is paid {usd}. The first order may be billed as well.", **facts_))
        again = functools.partial(actions().buy_again, one.order_ids)
        button(gettext("Buy again for {usd}", **facts_), f"buy-{one.transcript_id}", again)
    with st.popover(gettext("Give it up"), icon=":material/block:"):
        st.write(
            gettext(
                "The transcript fails; what was heard so far is kept, and “Try again” orders the rest anew. "
                "The first order stays in the book as unclear.",
                **facts_,
            )
        )
        up = functools.partial(actions().give_up, one.order_ids)
        button(gettext("Yes, give it up"), f"give-up-{one.transcript_id}", up)


def _batch(batch: BatchSummary) -> None:
    """Its answers are those that every batch has of which texts are missing."""
    with st.container(border=True, gap="small", key=f"decision-{batch.id}"):
        with tight():
            title = ngettext("Batch of {n} text", "Batch of {n} texts", batch.texts)
            st.markdown(f"**{title}**")
            st.markdown(f"{translate_error(batch.alarm or {})} {gettext(EITHER)}")
            ordered = gettext("ordered {time} ago", time=duration(batch.age_s))
            st.caption(facts(ordered, plain(price(batch.usd)), plain(batch.name)))
        if actions().allowed:
            with st.container(horizontal=True):
                batches.answers(batch)
