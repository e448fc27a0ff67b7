"""Recordings from addresses on the web: what is there is said before it is taken."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

import streamlit as st

from core.database.states import ItemState
from core.database.tables import SourceItem
from core.errors import Code, StenogramError
from core.i18n.messages import N_
from core.library.recordings import TranscriptionOptions
from core.sources.links import LinkFacts
from core.sources.service import OPEN_ITEMS
from jobs.installation import application
from pages.components import common, transcription_form
from pages.components.common import (
    current_principal,
    duration,
    facts,
    gettext,
    ngettext,
    plain,
    size,
    translate_error,
)

LISTED = 20
STATES: dict[ItemState, str] = {
    ItemState.SEEN: N_("Perhaps still being copied"),
    ItemState.WAITING: N_("Waiting"),
    ItemState.FETCHING: N_("Being fetched"),
    ItemState.DONE: N_("Here"),
    ItemState.FAILED: N_("Failed"),
    ItemState.SKIPPED: N_("Left there"),
    ItemState.CANCELLED: N_("Cancelled"),
}
"""Where something that comes by itself or by a link stands."""


def draw() -> None:
    """Ask for an address, say what is there, take it; below, what was taken lately."""
    with st.form("link-form", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        url = st.text_input(
            gettext("Address"),
            placeholder="https://",
            max_chars=2000,
            key="link-url",
            help=gettext(
                "The page of a recording (YouTube, a podcast and some thousand sites) or the file itself."
            ),
        )
        if st.form_submit_button(gettext("Look")) and url:
            _look(url)
    st.caption(gettext("Take only what you may take: what is on the web belongs to somebody."))
    if error := st.session_state.get("link-error"):
        st.error(translate_error(error))
        if error.code == Code.LINK_IS_LIST:
            st.button(gettext("Watch it as a feed"), on_click=_watch, args=(url,), key="as-feed")
    if found := st.session_state.get("link"):
        _offer(found)
    listed(lambda: application().sources.links(current_principal(), LISTED))


def listed(read: Callable[[], list[SourceItem]]) -> None:
    """Links, files or episodes with where they stand, kept up to date while something moves."""
    common.live(lambda: rows(read()), moving=any(item.state in OPEN_ITEMS for item in read()))


def described(found: LinkFacts) -> str:
    """What is known of it, on a quiet line."""
    return facts(
        plain(found.site),
        duration(found.duration_s) if found.duration_s else gettext("length not known"),
        size(found.size_bytes) if found.size_bytes else "",
        common.moment(found.published_at) if found.published_at else "",
        ngettext("{n} chapter", "{n} chapters", len(found.chapters)) if found.chapters else "",
    )


def _look(url: str) -> None:
    st.session_state.pop("link", None)
    st.session_state.pop("link-error", None)
    try:
        with st.spinner(gettext("Looking what is there…")):
            st.session_state["link"] = application().sources.look(current_principal(), url)
    except StenogramError as error:
        st.session_state["link-error"] = error


def _watch(url: str) -> None:
    st.session_state.update({"way": "watched", "source-kind": "feed", "source-address": url})
    st.session_state.pop("link-error", None)


def _offer(found: LinkFacts) -> None:
    """What was found, how it is to be heard, what that costs."""
    with st.container(border=True):
        st.write(f"**{plain(found.title or found.url)}**")
        st.caption(described(found))
        language, engine, ready = common.engine("link", application().settings.spoken_language)
        with st.expander(gettext("More")):
            options = transcription_form.more(one=True, key="link")
        options = replace(options, language=language, engine=engine)
        ready = ready and transcription_form.possible(options)
        if ready and found.duration_s:
            transcription_form.price([found.duration_s], options)
        if st.button(gettext("Fetch and transcribe"), type="primary", disabled=not ready, key="take-link"):
            _take(found, options)


def _take(found: LinkFacts, options: TranscriptionOptions) -> None:
    try:
        application().sources.take_link(current_principal(), found, options)
    except StenogramError as error:
        st.error(translate_error(error))
        return
    application().periodic_tasks.expedite("sources")
    st.session_state.pop("link", None)
    st.rerun()


def rows(items: Sequence[SourceItem]) -> bool:
    """Each with where it stands; whether something moves."""
    for item in items:
        _row(item)
    return any(item.state in OPEN_ITEMS for item in items)


def _row(item: SourceItem) -> None:
    title = plain(item.title or item.address)
    with common.tight(key=f"item-{item.id}"):
        with common.line():
            if item.recording_id:
                query = {"id": item.recording_id}
                st.page_link(
                    "recording.py", label=title, query_params=query, icon="", help="", width="stretch"
                )
            else:
                st.markdown(title, width="stretch")
            if item.state != ItemState.DONE:
                st.badge(gettext(STATES[item.state]), color=_colour(item.state))
            _actions(item)
        if item.error:
            st.caption(translate_error(item.error))
        if item.state == ItemState.FETCHING and item.size_bytes:
            done = min(1.0, item.done_bytes / item.size_bytes)
            st.progress(done, facts(size(item.done_bytes), size(item.size_bytes)))


def _actions(item: SourceItem) -> None:
    sources = application().sources
    if item.state in OPEN_ITEMS and common.icon_button(gettext("Cancel"), "close", f"stop-{item.id}"):
        sources.cancel(current_principal(), item.id)
        st.rerun()
    again = {ItemState.SKIPPED: N_("Take it after all"), ItemState.FAILED: N_("Try again")}
    again[ItemState.CANCELLED] = again[ItemState.SKIPPED]
    if item.state in again and common.icon_button(gettext(again[item.state]), "replay", f"take-{item.id}"):
        sources.take(current_principal(), item.id)
        application().periodic_tasks.expedite("sources")
        st.rerun()


def _colour(state: ItemState) -> Literal["red", "blue", "gray"]:
    if state == ItemState.FAILED:
        return "red"
    return "blue" if state == ItemState.FETCHING else "gray"
