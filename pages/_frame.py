"""What stands around every page: order, titles, icons, language."""

from pathlib import Path
from typing import Literal

import streamlit as st

from core.database.failures import FAILURES, is_mistake, unavailable
from core.i18n import catalogue
from pages.components import common

HERE = Path(__file__).parent
ICON = HERE / "_icon.svg"

st.set_page_config(page_title="Stenogram", page_icon=ICON, layout="centered")
st.logo(ICON, size="large")
st.html(HERE / "_frame.css")

common.settle_language()
st.sidebar.segmented_control(
    "Language",
    list(catalogue.LANGUAGES),
    required=True,
    format_func=catalogue.LANGUAGES.__getitem__,
    key=common.LANGUAGE,
    label_visibility="collapsed",
)

gettext = common.gettext
changing: Literal["visible", "hidden"] = "visible" if common.may_change() else "hidden"
page = st.navigation(
    [
        st.Page("dashboard.py", title=gettext("Overview"), icon=":material/home:", default=True),
        st.Page("upload.py", title=gettext("Upload"), icon=":material/upload:", visibility=changing),
        st.Page("library.py", title=gettext("Library"), icon=":material/library_music:"),
        st.Page("search.py", title=gettext("Search"), icon=":material/search:"),
        st.Page("monitor.py", title=gettext("Monitor"), icon=":material/monitoring:"),
        st.Page("costs.py", title=gettext("Costs"), icon=":material/payments:"),
        st.Page("settings.py", title=gettext("Settings"), icon=":material/settings:", visibility=changing),
        st.Page("recording.py", title=gettext("Recording"), visibility="hidden"),
        st.Page("job.py", title=gettext("Job"), visibility="hidden"),
    ]
)
try:
    page.run()
except FAILURES as error:
    if is_mistake(error):
        raise
    st.error(common.translate_error(unavailable(error)))
