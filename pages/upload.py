"""Upload: what shall be transcribed, and how."""

from dataclasses import replace

import streamlit as st

from core.library import views
from jobs.installation import application
from pages.components import common, embedder, transcription_form, uploader
from pages.components.common import gettext

app = application()
round_ = st.session_state.setdefault("round", 0)

common.admins_only()
st.title(gettext("Upload"), anchor=False)

with st.container():  # what is sent below goes on when this grows
    embedder.banner()
    if sent := st.session_state.get("outcomes"):
        common.outcomes(sent)
        st.space("small")
        st.subheader(gettext("Upload more"), anchor=False)

dropped = common.dropped(f"files-{round_}")
folder = ""
if app.settings.folders:
    folders = {"": gettext("No folder"), **{str(path): str(path) for path in app.settings.folders}}
    folder = st.selectbox(
        gettext("Or a folder of the server"), folders, format_func=folders.__getitem__, key=f"folder-{round_}"
    )
files = [*dropped, *(views.in_folder(folder, app.settings.folders) if folder else [])]

language, engine, ready = common.engine("upload", common.language())

with st.expander(gettext("More")):
    options = transcription_form.more(one=len(files) < 2)

options, many = replace(options, language=language, engine=engine), 0
with st.container():
    if ready:
        options, many = transcription_form.draw(files, options)

label = gettext("Go on") if files else gettext("Transcribe")
if many:
    label = common.ngettext("Transcribe {n} file", "Transcribe {n} files", many)
if st.button(label, type="primary", disabled=not (files and ready), key="transcribe"):
    st.session_state["outcomes"] = common.take(files, options)
    st.session_state["round"] += 1
    st.rerun()

if ready:
    uploader.draw(options)
