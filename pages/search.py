"""Search: where was it said."""

import functools

import streamlit as st

from core.errors import StenogramError
from core.library import moments, views
from jobs.installation import application
from pages.components import common
from pages.components.common import WHO, gettext, language, plain, translate_error

app = application()
totals = views.totals(app.database, WHO)

st.title(gettext("Search"), anchor=False)

question = st.text_input(
    gettext("Search"),
    placeholder=gettext("What was said?"),
    label_visibility="collapsed",
    icon=":material/search:",
    max_chars=2000,
    key="q",
    bind="query-params",
)
modes = common.translated(common.MODES)
mode = st.segmented_control(
    gettext("How to search"),
    list(modes),
    default="hybrid",
    required=True,
    format_func=modes.__getitem__,
    label_visibility="collapsed",
    key="mode",
)
st.caption(common.coverage(totals))

if not question.strip():
    st.stop()

try:
    with st.spinner(gettext("Searching…")):
        find = functools.partial(moments.find, app.searcher, app.recordings, WHO)
        found = find(question, mode=mode, limit=30, language=language())
except StenogramError as error:
    st.error(translate_error(error))
    st.stop()

answers = [result for result in found.results if result.answer]
nearest = [result for result in found.results if not result.answer]
if not found.total:
    st.write(gettext("Nothing was found. Try other words."))
if found.notice:
    st.info(plain(found.notice))
marked = " ".join([question, *(each.read for each in found.instead)])
common.groups(views.grouped(answers, marked))
if nearest:
    st.markdown(gettext("Less certain:") if answers else gettext("Nothing says that; nearest by meaning:"))
    common.groups(views.grouped(nearest, marked), key="nearest")
