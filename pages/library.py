"""Library: which recordings are here."""

import streamlit as st

from core import application
from core.library import views
from core.monitor import monitor
from pages.components import common
from pages.components.common import WHO, say

PAGE = 20
database = application.current().database

st.title(say("Library"), anchor=False)
if gone := st.session_state.pop("deleted", ""):
    st.toast(say("“{title}” is deleted.", title=common.plain(gone)), icon=":material/delete:")

if not views.totals(database, WHO).recordings:
    st.write(say("There are no recordings yet."))
    st.page_link("upload.py", label=say("Upload the first recording"), icon=":material/upload:")
    st.stop()

with st.container(horizontal=True):
    title = st.text_input(
        say("Title"),
        placeholder=say("Part of a title"),
        label_visibility="collapsed",
        icon=":material/search:",
        key="title",
        bind="query-params",
    )
    states = {"": say("Any state"), **common.said(monitor.STATUSES)}
    status = st.selectbox(say("State"), states, format_func=states.__getitem__, label_visibility="collapsed")
    tags = {"": say("Any tag"), **{tag: tag for tag in views.tags(database, WHO)}}
    tag = st.selectbox(say("Tag"), tags, format_func=tags.__getitem__, label_visibility="collapsed")

total, _ = views.cards(database, WHO, words=title, tag=tag, status=status, limit=0)

if not total:
    st.write(say("No recording fits this filter."))
    st.stop()

page = 1
rows = st.container()
if total > PAGE:
    page = st.pagination(-(-total // PAGE), key="page")

with rows:
    st.caption(common.say_many("{n} recording", "{n} recordings", total))
    common.live_rows(title=title, tag=tag, status=status, limit=PAGE, offset=PAGE * (page - 1))
