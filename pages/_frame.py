"""What stands around every page: order, titles, icons, language."""

from pathlib import Path
from typing import Literal

import streamlit as st

from core.database.failures import FAILURES, is_mistake, unavailable
from core.i18n import catalogue
from pages.components import address, common, frame, sign_in

HERE = Path(__file__).parent
ICON = HERE / "_icon.svg"

st.set_page_config(page_title="Stenogram", page_icon=ICON, layout="centered")
st.logo(ICON, size="large")

common.settle_language()
address.begin()
st.sidebar.segmented_control(
    "Language",
    list(catalogue.LANGUAGES),
    required=True,
    format_func=catalogue.LANGUAGES.__getitem__,
    key=common.LANGUAGE,
    label_visibility="collapsed",
    on_change=frame.remember_language,
)

gettext = common.gettext
visitor = sign_in.settle()
if visitor.only or visitor.moment:
    title = gettext("Shared with you")
    first = st.Page("shared.py", title=title, url_path="link", default=True)  # stands at / alone
    st.navigation([first, st.Page("shared.py", title=title, url_path="shared")], position="hidden").run()
    st.stop()
Shown = Literal["visible", "hidden"]
changing: Shown = "hidden" if visitor.read_only else "visible"
signed_in: Shown = "visible" if common.identity() and not visitor.read_only else "hidden"
administering: Shown = "visible" if visitor.may_administer else "hidden"
page = st.navigation(
    [
        st.Page("dashboard.py", title=gettext("Overview"), icon=":material/home:", default=True),
        st.Page("upload.py", title=gettext("Upload"), icon=":material/upload:", visibility=changing),
        st.Page("library.py", title=gettext("Library"), icon=":material/library_music:"),
        st.Page("search.py", title=gettext("Search"), icon=":material/search:"),
        st.Page("moments.py", title=gettext("Moments"), icon=":material/bookmark:"),
        st.Page("voices.py", title=gettext("Voices"), icon=":material/record_voice_over:"),
        st.Page(
            "words.py", title=gettext("Words and names"), icon=":material/spellcheck:", visibility=changing
        ),
        st.Page("monitor.py", title=gettext("Monitor"), icon=":material/monitoring:"),
        st.Page("costs.py", title=gettext("Costs"), icon=":material/payments:"),
        st.Page(
            "settings.py", title=gettext("Settings"), icon=":material/settings:", visibility=administering
        ),
        st.Page("keys.py", title=gettext("My keys"), icon=":material/key:", visibility=signed_in),
        st.Page("recording.py", title=gettext("Recording"), visibility="hidden"),
        st.Page("shared.py", title=gettext("Shared with you"), visibility="hidden"),
        st.Page("audit.py", title=gettext("Audit trail"), visibility="hidden"),
        st.Page("job.py", title=gettext("Job"), visibility="hidden"),
    ]
)
with st.sidebar:
    frame.draw()
    sign_in.account()
try:
    with address.ending():
        page.run()
except FAILURES as error:
    if is_mistake(error):
        raise
    st.error(common.translate_error(unavailable(error)))
