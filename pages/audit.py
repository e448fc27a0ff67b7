"""Audit trail: who did what here, for admins."""

import streamlit as st

from pages.components import audit_trail, common
from pages.components.common import gettext

common.admins_only()
st.title(gettext("Audit trail"), anchor=False)
st.page_link("settings.py", label=gettext("Settings"), icon=":material/arrow_back:")
audit_trail.draw()
