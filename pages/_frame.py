"""What stands around every page: order, titles, icons, language."""

from pathlib import Path
from typing import Literal

import streamlit as st

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

say = common.say
changing: Literal["visible", "hidden"] = "visible" if common.may_change() else "hidden"
st.navigation(
    [
        st.Page("dashboard.py", title=say("Overview"), icon=":material/home:", default=True),
        st.Page("upload.py", title=say("Upload"), icon=":material/upload:", visibility=changing),
        st.Page("library.py", title=say("Library"), icon=":material/library_music:"),
        st.Page("search.py", title=say("Search"), icon=":material/search:"),
        st.Page("monitor.py", title=say("Monitor"), icon=":material/monitoring:"),
        st.Page("costs.py", title=say("Costs"), icon=":material/payments:"),
        st.Page("settings.py", title=say("Settings"), icon=":material/settings:", visibility=changing),
        st.Page("recording.py", title=say("Recording"), visibility="hidden"),
        st.Page("job.py", title=say("Job"), visibility="hidden"),
    ]
).run()
