"""My keys: with which programs act as whoever has signed in."""

import streamlit as st

from jobs.installation import application
from pages.components import api_keys, common
from pages.components.common import gettext

common.changers_only()
st.title(gettext("My keys"), anchor=False)
if application().settings.requires_sign_in:
    st.caption(gettext("With such a key a program brings and sees recordings as you do: /docs says how."))
    api_keys.own()
else:
    st.write(gettext("Nobody signs in here. Keys of programs are made in the settings."))
    st.page_link("settings.py", label=gettext("Settings"), icon=":material/settings:")
