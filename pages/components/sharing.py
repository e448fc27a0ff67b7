"""With whom recordings are shared, on the pages: one of them, several at once, and what is brought."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.database.states import Access
from core.database.tables import Recording
from core.errors import StenogramError
from core.i18n.messages import N_
from core.library.recording_sharing import Sharing, SharingView
from jobs.installation import application
from pages.components import common
from pages.components.common import current_principal, gettext, ngettext, plain, translate_error

EVERYBODY = {
    Access.NONE: N_("Only those below"),
    Access.READ: N_("Everybody here may read it"),
    Access.WRITE: N_("Everybody here may read and change it"),
}
SAVED = "sharing-saved"
"""Counts what was saved, as `recording_actions.SAVED` does."""


def popover(recording: Recording) -> None:
    """Who sees a recording, and for its owner the way to change that; nothing where nobody signs in."""
    if not application().settings.requires_sign_in:
        return
    view = application().recording_sharing.view(current_principal(), recording.id)
    saved = st.session_state.setdefault(SAVED, 0)
    with st.popover(_label(view.sharing), icon=":material/group:", key=f"sharing-{saved}"):
        if view.owner:
            st.caption(gettext("Brought by {name}", name=plain(view.owner)))
        if not view.can_change:
            _show(view)
        elif sharing := _form(view.sharing, f"{recording.id}-{saved}"):
            _save([recording.id], sharing)


def several(ids: Sequence[str]) -> None:
    """Share several recordings alike."""
    if not application().settings.requires_sign_in:
        return
    if not st.checkbox(gettext("Share them"), disabled=not ids, key="several-share") or not ids:
        return
    st.caption(gettext("All of them are shared so from then on, whatever they were before."))
    if sharing := _form(Sharing(), "several"):
        _save(ids, sharing)


def of_new(key: str) -> bool | None:
    """Ask who sees what is brought; None: as usual here."""
    settings = application().settings
    if not settings.requires_sign_in:
        return None
    choices = {True: gettext("Everybody here"), False: gettext("Only me")}
    return st.segmented_control(
        gettext("Who sees it"),
        list(choices),
        default=settings.default_sharing == "everybody",
        required=True,
        format_func=choices.__getitem__,
        help=gettext("Everybody here may change it, too. Admins see everything. It can be changed later."),
        key=key,
    )


def _label(sharing: Sharing) -> str:
    if sharing.everybody is not Access.NONE:
        return gettext("Shared with everybody")
    number = len(sharing.people) + len(sharing.groups)
    return ngettext("Shared with {n}", "Shared with {n}", number) if number else gettext("Private")


def _show(view: SharingView) -> None:
    """How it is shared, for those who cannot change that."""
    if view.sharing.everybody is not Access.NONE:
        st.write(gettext(EVERYBODY[view.sharing.everybody]))
    for name, access in {**view.sharing.people, **view.sharing.groups}.items():
        right = gettext("may change it") if access is Access.WRITE else gettext("may read it")
        st.write(common.facts(plain(name), right))
    st.caption(gettext("Its owner and admins can change that."))


def _form(now: Sharing, key: str) -> Sharing | None:
    """Ask with whom; None until somebody saves."""
    visitor = current_principal()
    names = [name for owner, name in application().people.known(visitor).items() if owner != visitor.owner]
    people = list(dict.fromkeys([*now.people, *names]))
    groups = list(dict.fromkeys([*now.groups, *visitor.groups]))
    with st.form(f"share-{key}", border=False):
        everybody = st.radio(
            gettext("Everybody"),
            list(EVERYBODY),
            list(EVERYBODY).index(now.everybody),
            format_func=lambda access: gettext(EVERYBODY[access]),
            label_visibility="collapsed",
        )
        chosen = {
            Access.READ: _ask(gettext("May read it"), people, groups, now, Access.READ),
            Access.WRITE: _ask(gettext("May change it, too"), people, groups, now, Access.WRITE),
        }
        if not st.form_submit_button(gettext("Save"), type="primary"):
            return None
    given = {kind: {name: access for access, one in chosen.items() for name in one[kind]} for kind in (0, 1)}
    return Sharing(everybody, given[0], given[1])


def _ask(
    label: str, people: Sequence[str], groups: Sequence[str], now: Sharing, access: Access
) -> tuple[list[str], list[str]]:
    """People and groups with this right."""
    options = [(0, name) for name in people] + [(1, name) for name in groups]
    preset = [(0, name) for name, right in now.people.items() if right is access]
    preset += [(1, name) for name, right in now.groups.items() if right is access]
    chosen = st.multiselect(
        label,
        options,
        preset,
        format_func=lambda one: gettext("group {name}", name=one[1]) if one[0] else one[1],
        placeholder=gettext("People and groups"),
    )
    return [name for kind, name in chosen if not kind], [name for kind, name in chosen if kind]


def _save(ids: Sequence[str], sharing: Sharing) -> None:
    try:
        application().recording_sharing.change_all(current_principal(), ids, sharing)
    except StenogramError as error:
        st.error(translate_error(error))
        return
    st.session_state[SAVED] = st.session_state.get(SAVED, 0) + 1
    st.rerun()
