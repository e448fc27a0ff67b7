"""Saved searches on the pages: keeping one, finding it again, and what standing ones found."""

from __future__ import annotations

import streamlit as st

from core.errors import StenogramError
from core.library.saved_searches import Saved
from jobs.installation import application
from pages.components import common
from pages.components.common import current_principal, gettext, ngettext, plain, translate_error


def save(question: str, mode: str) -> None:
    """Keep the question that was asked."""
    if not common.may_change():
        return
    with st.popover(gettext("Save this search"), icon=":material/bookmark_add:", key="save-search"):
        standing = st.checkbox(gettext("Look for it in each new recording, too"), key="standing")
        if st.button(gettext("Save"), type="primary", key="save-it"):
            try:
                application().saved_searches.save(current_principal(), question, mode, standing=standing)
                st.toast(gettext("The search is saved."), icon=":material/bookmark_added:")
            except StenogramError as error:
                st.error(translate_error(error))


def all_of_them() -> None:
    """Every saved search as a link."""
    found = application().saved_searches.all(current_principal())
    if found:
        st.header(gettext("Saved searches"), anchor=False)
    for saved in found:
        with common.line(key=f"saved-{saved.search.id}"):
            _link(saved, plain(saved.search.question))
            if saved.search.standing:
                st.badge(gettext("in new recordings, too"), color="blue")
            if common.may_change() and common.icon_button(
                gettext("Delete"), "delete", f"unsave-{saved.search.id}"
            ):
                application().saved_searches.delete(current_principal(), saved.search.id)
                st.rerun()


def news() -> None:
    """What standing searches found that nobody has seen, for the overview."""
    for saved in application().saved_searches.all(current_principal()):
        if saved.new:
            label = ngettext(
                "{n} new moment for: {question}",
                "{n} new moments for: {question}",
                saved.new,
                question=plain(saved.search.question),
            )
            _link(saved, label)


def seen(search_id: str) -> None:
    """Whoever comes by the link of a saved search sees what is new."""
    try:
        application().saved_searches.see(current_principal(), search_id)
    except StenogramError:
        return  # it is deleted; its question is asked all the same


def _link(saved: Saved, label: str) -> None:
    st.page_link(
        "search.py",
        label=label,
        query_params={"q": saved.search.question, "mode": saved.search.mode, "saved": saved.search.id},
        icon=":material/saved_search:",
        width="stretch",
    )
