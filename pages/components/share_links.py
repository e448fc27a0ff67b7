"""Links that somebody gives out: made, listed, taken back."""

from __future__ import annotations

import streamlit as st

from core.clients.links import DAYS, MOST_DAYS
from core.errors import StenogramError
from jobs.installation import application
from pages.components import common
from pages.components.common import current_principal, gettext, translate_error

MADE = "link made"


def popover(recording_id: str, moment_id: str = "") -> None:
    """Links to a recording, or to one of its moments."""
    with st.popover(gettext("Link"), icon=":material/link:", key=f"links-{moment_id or recording_id}"):
        _list(recording_id, moment_id)
        _new(recording_id, moment_id)


def _list(recording_id: str, moment_id: str) -> None:
    app = application()
    for row in app.links.all(current_principal(), recording_id):
        if row.moment_id == moment_id:
            with common.line():
                st.text(gettext("Until {time}", time=common.moment(row.expires_at)), width="stretch")
                if st.button(gettext("Take back"), key=f"link-{row.id}", type="tertiary"):
                    app.links.revoke(current_principal(), row.id)
                    st.rerun()


def _new(recording_id: str, moment_id: str) -> None:
    app, key = application(), moment_id or recording_id
    who_opens = (
        gettext("Whoever has the link sees this, without signing in.")
        if app.links.public or not app.settings.requires_sign_in
        else gettext("Whoever signs in here and has the link sees this.")
    )
    st.caption(common.facts(who_opens, gettext("It opens nothing else.")))
    days = st.number_input(gettext("Days it lasts"), 1, MOST_DAYS, DAYS, key=f"link-days-{key}")
    if st.button(gettext("Make a link"), type="primary", key=f"link-make-{key}"):
        target = {"moment_id": moment_id} if moment_id else {"recording_id": recording_id}
        try:
            made = app.links.make(current_principal(), **target, days=days)
        except StenogramError as error:
            st.error(translate_error(error))
            return
        st.session_state[MADE] = (key, made.address)
    if (made_for := st.session_state.get(MADE)) and made_for[0] == key:
        st.success(gettext("Copy it now: it cannot be shown again."))
        st.code(f"{_base()}{made_for[1]}", language=None, wrap_lines=True)


def _base() -> str:
    """The address of these pages as the visitor has it, without the page."""
    return str(st.context.url or "").partition("?")[0].rpartition("/")[0]
