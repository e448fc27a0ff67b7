"""Overview: what is new, what needs somebody, what is going on, and what was said."""

import streamlit as st

from core.library import views
from jobs.installation import application
from pages.components import common, embedder, overview, saved_searches, start, tour
from pages.components.common import current_principal, gettext

totals = views.totals(application().database, current_principal())

st.title("Stenogram", anchor=False)

if not totals.recordings:
    st.write(gettext("Upload recordings: they become text that you can search by meaning."))
    overview.needs()
    start.draw(empty=True)
    tour.offer()
    st.stop()

with st.form("ask", border=False), st.container(horizontal=True, vertical_alignment="bottom", wrap=False):
    question = st.text_input(
        gettext("Search"),
        placeholder=gettext("What was said?"),
        label_visibility="collapsed",
        icon=":material/search:",
        key="q",
    )
    submitted = st.form_submit_button(gettext("Search"), type="primary")

if submitted and question.strip():
    st.switch_page("search.py", query_params={"q": question})

overview.needs()
saved_searches.news()
overview.news()
overview.totals(totals)
embedder.banner()
start.draw(empty=False)
overview.under_way()

st.header(gettext("Recent recordings"), anchor=False)
common.live_rows(limit=8)
st.page_link(
    "library.py", label=gettext("All recordings"), icon=":material/arrow_forward:", icon_position="right"
)
tour.offer()
