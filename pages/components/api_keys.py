"""API keys: of programs, for admins, and everybody's own; a new one is shown once."""

from collections.abc import Mapping, Sequence

import streamlit as st

from core.clients import keys
from core.database.tables import Key
from core.errors import NotFound
from core.i18n.messages import N_
from jobs.installation import application
from pages.components import common
from pages.components.common import gettext

SCOPES = {
    "write": N_("Bring recordings, see and change its own"),
    "read": N_("See its own"),
    "read all": N_("See everything"),
    "admin": N_("See and change everything"),
}
OWN = {"write": N_("Do what you may do, except for an admin's work"), "read": N_("See what you may see")}
LASTS = {0: N_("For ever"), 30: N_("30 days"), 90: N_("90 days"), 365: N_("A year")}
"""Days."""


def draw() -> None:
    """All keys, each to be revoked, and the form of a new one of a program."""
    _list(application().keys.all(common.current_principal()))
    _new(SCOPES, own=False)


def own() -> None:
    """The keys of this visitor, who makes and revokes them."""
    visitor = common.current_principal()
    mine = [key for key in application().keys.all(visitor) if key.owner == visitor.owner]
    if not mine:
        st.write(gettext("You have no key yet."))
    _list(mine)
    _new(OWN, own=True)


def _list(shown: Sequence[Key]) -> None:
    app = application()
    for key in shown:
        with common.tight():
            with common.line():
                st.text(key.name, width="stretch")
                if key.revoked_at:
                    st.badge(gettext("Revoked"), color="gray")
                elif not keys.is_good(key):
                    st.badge(gettext("Over"), color="gray")
                else:
                    _renew(key.id)
                    with st.popover(gettext("Revoke"), type="tertiary", key=f"ask-{key.id}"):
                        st.write(gettext("Programs with this key are refused from then on."))
                        if st.button(gettext("Revoke for good"), type="primary", key=f"revoke-{key.id}"):
                            app.keys.revoke(common.current_principal(), key.id)
                            st.rerun()
            st.caption(common.about_key(key))


def _renew(id_: str) -> None:
    """Offer a new key in the place of this one."""
    with st.popover(gettext("Renew"), type="tertiary", key=f"ask-renew-{id_}"):
        hours = common.duration(keys.OVERLAP_S)
        st.write(
            gettext(
                "A new key with the same rights to the same recordings. The old one is good for {time} still, "
                "so that no program stands still.",
                time=hours,
            )
        )
        if st.button(gettext("Make the new key"), type="primary", key=f"renew-{id_}"):
            try:
                st.session_state["made"] = application().keys.rotate(common.current_principal(), id_)
            except NotFound as error:
                st.error(common.translate_error(error))
            else:
                st.rerun()


def _new(offered: Mapping[str, str], *, own: bool) -> None:
    app = application()
    with st.form("key", clear_on_submit=True):
        name = st.text_input(
            gettext("Name of a new key"),
            max_chars=60,
            help=gettext(
                "Who or what will use it, so that you know later which key to revoke. What comes with this key "
                "belongs to it."
            )
            if not own
            else gettext(
                "What will use it, so that you know later which key to revoke. It opens what is yours."
            ),
        )
        scopes, lasts = common.translated(offered), {days: gettext(text) for days, text in LASTS.items()}
        with st.container(horizontal=True, key="fields-key"):
            scope = st.selectbox(
                gettext("It may"),
                scopes,
                format_func=scopes.__getitem__,
                help=gettext(
                    "A key sees what came with it. Only one that sees everything may read the monitor."
                )
                if not own
                else gettext("It never may more than you, and ends when you may not come in any more."),
            )
            days = st.selectbox(
                gettext("It lasts"),
                lasts,
                format_func=lasts.__getitem__,
                help=gettext(
                    "Afterwards programs with it are refused. Renew it before that: the old key and the new one "
                    "are good side by side for a day."
                ),
            )
        if st.form_submit_button(gettext("Create key")) and name.strip():
            may = {"admin": scope in {"admin", "read all"}, "read_only": scope in {"read", "read all"}}
            language = common.language()
            st.session_state["made"] = app.keys.make(
                common.current_principal(), name, **may, days=days or None, language=language, own=own
            )
            st.rerun()
    if new_key := st.session_state.pop("made", ""):
        st.success(gettext("Keep this key now: it cannot be shown again."))
        st.code(new_key, language=None)
