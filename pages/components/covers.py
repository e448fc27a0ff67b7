"""The pictures of a recording, and its passages that wait for a batch."""

from __future__ import annotations

import functools

import streamlit as st

from core.database.states import EmbeddingMode, OrderState
from core.database.tables import Recording
from core.errors import StenogramError
from core.orders.covers import LIVE
from core.orders.pictures import MOST_PROMPT, PictureOptions
from jobs.installation import application
from pages.components import common
from pages.components.common import (
    current_principal,
    gettext,
    may_change,
    ngettext,
    translate_error,
    translate_fact,
)


def offered(recording: Recording) -> bool:
    """Whether there is anything to do with pictures here: somebody set them up, or some were made."""
    covers = application().covers
    return covers.pictures.readiness().ready or bool(covers.of(recording.id))


def form(recording: Recording) -> None:
    """Ask for pictures, one a line; what hinders it is said instead."""
    covers = application().covers
    readiness = covers.pictures.readiness()
    if not readiness.ready:
        st.caption(translate_fact(readiness.reason))
    with st.form("covers", border=False):
        prompts = st.text_area(
            gettext("What it shows, a line for each picture"),
            recording.title,
            max_chars=MOST_PROMPT,
            height="content",
        )
        if not st.form_submit_button(gettext("Make pictures"), type="primary", disabled=not readiness.ready):
            return
        try:
            covers.ask(current_principal(), recording.id, prompts.splitlines(), PictureOptions(""))
        except StenogramError as error:
            st.error(translate_error(error))
        else:
            st.rerun()


def pictures(recording: Recording) -> None:
    """Finished pictures, and how many of those that were asked for last are ready."""
    covers = application().covers
    rows = covers.of(recording.id)
    if rows:
        show = functools.partial(_pictures, recording.id)
        common.live(show, moving=any(cover.state in LIVE for cover in rows))


def _pictures(recording_id: str) -> bool:
    covers = application().covers
    rows = covers.of(recording_id)
    series = covers.series(rows[0].series)
    if not series.ended or series.failed:
        ready = gettext("{done} of {total} pictures are ready", done=series.successful, total=series.total)
        if series.ended:
            st.warning(ready, icon=":material/image:")
        else:
            st.progress((series.successful + series.failed) / series.total, ready)
    if (failed := next((one for one in rows if one.state == OrderState.FAILED), None)) and failed.error:
        st.caption(translate_error(failed.error))
    if picture := covers.picture(recording_id):
        st.image(picture, width=220)
    return not series.ended


def waiting_for_batch(recording: Recording) -> None:
    """Where passages wait for a batch: how many, and the way to have them at once."""
    left = application().batches.waiting(recording.id).get("batch", 0)
    if not left:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(ngettext("{n} passage waits for a batch.", "{n} passages wait for a batch.", left))
        label = gettext("Make the vectors now, at the full price")
        if may_change() and st.button(label, type="tertiary", key="lane-now"):
            try:
                application().batches.change_mode(current_principal(), recording.id, EmbeddingMode.SYNC)
            except StenogramError as error:
                st.error(translate_error(error))
            else:
                st.rerun()
