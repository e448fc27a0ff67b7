"""Search: where was it said."""

import functools

import streamlit as st

from core.errors import StenogramError
from core.library import moments as searching
from core.library import views
from jobs.installation import application
from pages.components import address, common, moments, saved_searches, search_filters
from pages.components.common import current_principal, gettext, language, translate_error

app = application()
totals = views.totals(app.database, current_principal())

st.title(gettext("Search"), anchor=False, help=gettext(common.OPERATORS))

if not totals.recordings:
    common.nothing_yet()
    st.stop()

question = address.text(
    "q", gettext("Search"), placeholder=gettext("What was said?"), icon=":material/search:", most=2000
)
with st.container(horizontal=True, vertical_alignment="center", key="filters"):
    modes = common.translated(common.MODES)
    mode = address.segments("mode", gettext("How to search"), modes, usual="hybrid")
    speaker = moments.speaker(app.passages.speakers(current_principal()))
    sort = address.choice("sort", gettext("Order"), common.translated(moments.SORTS), usual="best")
    search_filters.choose(question)
search_filters.active(question, mode)
st.caption(common.coverage(totals))

if saved := st.query_params.get("saved", ""):
    saved_searches.seen(saved)
if not (question.strip() or speaker):
    saved_searches.all_of_them()
    st.stop()
if not question.strip():
    question = f'speaker:"{speaker}"'

try:
    with st.spinner(gettext("Searching…")):
        find = functools.partial(searching.find, app.searcher, app.recordings, current_principal())
        result = find(question, mode=mode, limit=30, speaker=speaker, language=language(), sort=sort)
except StenogramError as error:
    st.error(translate_error(error))
    st.stop()

moments.results(result, question, mode)
