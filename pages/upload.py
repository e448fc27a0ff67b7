"""Upload: what shall be transcribed, and how."""

from dataclasses import replace

import streamlit as st

from core import application
from core.library import views
from pages import _meaning, _order, _sender
from pages import _parts as parts
from pages._parts import say

app = application.current()
round_ = st.session_state.setdefault("round", 0)

parts.admins_only()
st.title(say("Upload"), anchor=False)

with st.container():  # what is sent below goes on when this grows
    _meaning.banner()
    if sent := st.session_state.get("outcomes"):
        parts.outcomes(sent)
        st.space("small")
        st.subheader(say("Upload more"), anchor=False)

dropped = parts.dropped(f"files-{round_}")
folder = ""
if app.settings.folders:
    folders = {"": say("No folder"), **{str(path): str(path) for path in app.settings.folders}}
    folder = st.selectbox(
        say("Or a folder of the server"), folders, format_func=folders.__getitem__, key=f"folder-{round_}"
    )
files = [*dropped, *(views.in_folder(app, folder) if folder else [])]

language, engine, ready = parts.engine("upload", parts.language())

with st.expander(say("More")):
    options = _order.more(one=len(files) < 2)

options, many = replace(options, language=language, engine=engine), 0
with st.container():
    if ready:
        options, many = _order.draw(files, options)

label = say("Go on") if files else say("Transcribe")
if many:
    label = parts.say_many("Transcribe {n} file", "Transcribe {n} files", many)
if st.button(label, type="primary", disabled=not (files and ready), key="transcribe"):
    st.session_state["outcomes"] = parts.take(files, options)
    st.session_state["round"] += 1
    st.rerun()

if ready:
    _sender.draw(options)
