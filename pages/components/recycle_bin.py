"""The bin on the pages: deleting that can be undone, and what is in the bin."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core.database.tables import Recording
from jobs.installation import application
from pages.components import address, common
from pages.components.common import current_principal, gettext, ngettext, plain

DELETED = "deleted"
"""What was deleted last in this visit: ids that can be restored, how many, the title of one."""
PAGE = 20


def delete(recordings: Sequence[Recording]) -> None:
    """Delete these; the library then offers to undo that."""
    back = application().recycle_bin.put_all(current_principal(), [recording.id for recording in recordings])
    title = recordings[0].title if len(recordings) == 1 else ""
    st.session_state[DELETED] = (back, len(recordings), title)


def undo() -> None:
    """What was deleted last, with the way back; nothing where nothing was."""
    if not (deleted := st.session_state.get(DELETED)):
        return
    back, count, title = deleted
    message = (
        gettext("“{title}” is deleted.", title=plain(title))
        if title
        else ngettext("{n} recording is deleted.", "{n} recordings are deleted.", count)
    )
    with st.container(horizontal=True, vertical_alignment="center", key="undo"):
        st.markdown(message)
        if back and st.button(gettext("Undo"), icon=":material/undo:", key="undo-delete"):
            application().recycle_bin.restore_all(current_principal(), back)
            del st.session_state[DELETED]
            st.rerun()
        if st.button(gettext("Close"), type="tertiary", key="undo-close"):
            del st.session_state[DELETED]
            st.rerun()


def popover(recording: Recording) -> None:
    """Ask, delete it, and go to the others."""
    with st.popover(gettext("Delete"), icon=":material/delete:"):
        st.write(warning())
        label = gettext("Delete") if application().recycle_bin.days else gettext("Delete for good")
        if st.button(f":red[{label}]", icon=":material/delete_forever:", key="delete"):
            delete([recording])
            st.switch_page("library.py")


def warning() -> str:
    """What deleting means in this installation."""
    days = application().recycle_bin.days
    if not days:
        return gettext("The recording, its transcript and its place in the search go for good.")
    return ngettext(
        "What is deleted goes into the bin and can be restored for {n} day.",
        "What is deleted goes into the bin and can be restored for {n} days.",
        days,
    )


def link() -> None:
    """The way into the bin, with what it keeps; nothing where it is empty."""
    binned = application().recycle_bin.kept(current_principal())
    if binned.recordings:
        st.page_link(
            "library.py",
            label=gettext("Bin: {n} ({size})", n=binned.recordings, size=common.size(binned.size_bytes)),
            query_params={"view": "bin"},
            icon=":material/delete:",
        )


def view() -> None:
    """Everything in the bin, with its ways out."""
    recycle_bin = application().recycle_bin
    binned = recycle_bin.kept(current_principal())
    st.title(gettext("Bin"), anchor=False)
    st.page_link("library.py", label=gettext("All recordings"), icon=":material/arrow_back:")
    if not binned.recordings:
        st.write(gettext("The bin is empty."))
        return
    st.caption(
        common.facts(
            ngettext("{n} recording", "{n} recordings", binned.recordings),
            common.size(binned.size_bytes),
            ngettext("each is kept for {n} day", "each is kept for {n} days", recycle_bin.days),
        )
    )
    if common.may_change():
        with st.popover(gettext("Empty the bin"), icon=":material/delete_forever:"):
            st.write(gettext("All recordings in the bin go for good. This cannot be undone."))
            if st.button(f":red[{gettext('Delete for good')}]", key="empty-bin"):
                recycle_bin.empty(current_principal())
                st.rerun()
    page = address.page("page")
    for recording in recycle_bin.recordings(current_principal(), PAGE, PAGE * (page - 1)):
        _row(recording)
    address.pages("page", -(-binned.recordings // PAGE))


def _row(recording: Recording) -> None:
    recycle_bin = application().recycle_bin
    with common.line(key=f"binned-{recording.id}"):
        with common.tight():
            st.markdown(f"**{plain(recording.title)}**")
            st.caption(
                common.facts(
                    common.duration(recording.duration_s),
                    common.size(recording.size_bytes),
                    gettext("deleted {time}", time=common.moment(recording.deleted_at)),
                    gettext("goes for good {time}", time=common.moment(recycle_bin.ends_at(recording))),
                )
            )
        if not common.may_change():
            return
        if st.button(gettext("Restore"), icon=":material/undo:", key=f"restore-{recording.id}"):
            recycle_bin.restore_all(current_principal(), [recording.id])
            st.rerun()
        with common.icon_popover(gettext("Delete for good"), "delete_forever", f"gone-{recording.id}"):
            st.write(gettext("This cannot be undone."))
            if st.button(f":red[{gettext('Delete for good')}]", key=f"delete-{recording.id}"):
                recycle_bin.delete(current_principal(), recording.id)
                st.rerun()
