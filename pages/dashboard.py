"""Overview: what is going on, and what was said."""

import streamlit as st

from core.i18n import catalogue
from core.library import views
from jobs.installation import application
from pages.components import common, embedder
from pages.components.common import WHO, duration, gettext

app = application()
totals = views.totals(app.database, WHO)

st.title("Stenogram", anchor=False)

if not totals.recordings:
    st.write(gettext("Upload recordings: they become text that you can search by meaning."))
    st.page_link("upload.py", label=gettext("Upload the first recording"), icon=":material/upload:")
    st.stop()

with st.form("ask", border=False), st.container(horizontal=True, vertical_alignment="bottom", wrap=False):
    question = st.text_input(
        gettext("Search"),
        placeholder=gettext("What was said?"),
        label_visibility="collapsed",
        icon=":material/search:",
    )
    asked = st.form_submit_button(gettext("Search"), type="primary")

if asked and question.strip():
    st.switch_page("search.py", query_params={"q": question})

with st.container(horizontal=True, wrap=False, gap="medium"):
    st.metric(gettext("Recordings"), common.number(totals.recordings))
    st.metric(gettext("Searchable"), duration(totals.words_s))
    st.metric(gettext("By meaning"), duration(totals.meaning_s))
with st.container(horizontal=True, wrap=False, gap="medium"):
    month = app.ledger.month()
    st.metric(gettext("Spent this month"), catalogue.money(float(month.spent)))
    st.metric(gettext("Saved this month"), catalogue.money(float(app.ledger.saved(month.month))))
embedder.banner()

st.subheader(gettext("Recent recordings"), anchor=False)
common.live_rows(limit=8)
st.page_link(
    "library.py", label=gettext("All recordings"), icon=":material/arrow_forward:", icon_position="right"
)
