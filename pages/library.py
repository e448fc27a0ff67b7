"""Library: which recordings are here."""

import streamlit as st

from core import journey, library, monitor
from pages import _parts as parts
from pages._parts import WHO, say

PAGE = 20
records = journey.current().records
tags = library.tags(records, WHO)

st.title(say("Library"), anchor=False)

if not library.totals(records, WHO).recordings:
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
    status = st.selectbox(
        say("State"),
        ["", *monitor.STATUSES],
        format_func=lambda name: say(monitor.STATUSES[name]) if name else say("Any state"),
        label_visibility="collapsed",
    )
    tag = st.selectbox(
        say("Tag"),
        ["", *tags],
        format_func=lambda name: name or say("Any tag"),
        label_visibility="collapsed",
        disabled=not tags,
    )

total, _ = library.cards(records, WHO, words=title, tag=tag, status=status, limit=0)

if not total:
    st.write(say("No recording fits this filter."))
    st.stop()

page = 1
rows = st.container()
if total > PAGE:
    page = st.pagination(-(-total // PAGE), key="page")

with rows:
    st.caption(parts.say_many("{n} recording", "{n} recordings", total))
    parts.live_rows(title=title, tag=tag, status=status, limit=PAGE, offset=PAGE * (page - 1))
