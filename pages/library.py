"""Library: which recordings are here."""

import streamlit as st

from core.library import views
from core.monitor import monitor
from jobs.installation import application
from pages.components import common
from pages.components.common import WHO, gettext

PAGE = 20
database = application().database

st.title(gettext("Library"), anchor=False)
if gone := st.session_state.pop("deleted", ""):
    st.toast(gettext("“{title}” is deleted.", title=common.plain(gone)), icon=":material/delete:")

if not views.totals(database, WHO).recordings:
    st.write(gettext("There are no recordings yet."))
    st.page_link("upload.py", label=gettext("Upload the first recording"), icon=":material/upload:")
    st.stop()

with st.container(horizontal=True):
    title = st.text_input(
        gettext("Title"),
        placeholder=gettext("Part of a title"),
        label_visibility="collapsed",
        icon=":material/search:",
        key="title",
        bind="query-params",
    )
    states = {"": gettext("Any state"), **common.translated(monitor.STATUSES)}
    status = st.selectbox(
        gettext("State"), states, format_func=states.__getitem__, label_visibility="collapsed"
    )
    tags = {"": gettext("Any tag"), **{tag: tag for tag in views.tags(database, WHO)}}
    tag = st.selectbox(gettext("Tag"), tags, format_func=tags.__getitem__, label_visibility="collapsed")

total, _ = views.cards(database, WHO, words=title, tag=tag, status=status, limit=0)

if not total:
    st.write(gettext("No recording fits this filter."))
    st.stop()

page = 1
rows = st.container()
if total > PAGE:
    page = st.pagination(-(-total // PAGE), key="page")

with rows:
    st.caption(common.ngettext("{n} recording", "{n} recordings", total))
    common.live_rows(title=title, tag=tag, status=status, limit=PAGE, offset=PAGE * (page - 1))
