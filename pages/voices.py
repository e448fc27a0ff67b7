"""Voices: people who are known again in other recordings."""

import streamlit as st

from jobs.installation import application
from pages.components import common, voices
from pages.components.common import current_principal, gettext

app = application()
known_voices = app.voices.all(current_principal())

st.title(gettext("Voices"), anchor=False)
st.caption(
    gettext(
        "A voice that somebody named is proposed in new recordings, and is a name there only once it was "
        "confirmed. What is kept of it are 192 numbers a recording, on this installation; they go with the "
        "recording, and no sound can be made of them."
    )
)
if common.may_change():
    voices.find_all()
if not app.voices.on:
    st.write(gettext("Voices are not remembered."))
    if common.may_administer() and st.button(gettext("Remember voices"), type="primary", key="on"):
        app.voices.turn(common.current_principal(), on=True)
        st.rerun()
    st.stop()
if not known_voices:
    st.write(
        gettext("Nobody is known yet: name the speakers of a recording who speak for at least 10 seconds.")
    )

for voice in known_voices:
    voices.card(voice)
if common.may_administer():
    voices.forget_all()
