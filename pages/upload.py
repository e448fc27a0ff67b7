"""Upload: what shall be transcribed, and how."""

from dataclasses import replace

import streamlit as st

from core.library import views
from jobs.installation import application
from pages.components import common, embedder, file_intake, sharing, transcription_form, uploader, ways
from pages.components.common import gettext
from pages.components.transcription_form import ChosenOptions

app = application()

common.changers_only()
st.title(gettext("Upload"), anchor=False)

if draw := ways.choose():
    draw()
    st.stop()

with st.container():  # what is sent below goes on when this grows
    embedder.banner()
    if sent := st.session_state.get("outcomes"):
        file_intake.outcomes(sent)
        st.space("small")
        st.header(gettext("Upload more"), anchor=False)

zone = st.container(key="zone")
dropped = uploader.dropped()
folder = uploader.folder()
files = [
    *(file for each in dropped for file in each.recordings),
    *(views.in_folder(folder, app.settings.folders) if folder else []),
]

language, engine, ready = common.engine("upload", app.settings.spoken_language)

with st.expander(gettext("More")):
    options = transcription_form.more(one=len(files) < 2)
    options = replace(options, everybody=sharing.of_new("upload-sharing"))

form = ChosenOptions(replace(options, language=language, engine=engine))
ready = ready and transcription_form.possible(form.options)
with st.container():
    if ready:
        form = transcription_form.draw(files, form.options)

label = transcription_form.label(form, bool(files and ready))
if st.button(label, type="primary", disabled=not form.many + form.brought, key="transcribe"):
    outcomes = file_intake.take(files, form.options)
    uploader.taken(dropped, outcomes)
    st.session_state["outcomes"] = outcomes
    st.rerun()

with zone:
    uploader.draw(dropped, form.about)
