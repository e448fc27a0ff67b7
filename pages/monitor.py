"""Monitor: what runs, what waits, what failed, and what to do about it."""

import streamlit as st

from pages.components import live, monitor_views
from pages.components.common import gettext

st.title(gettext("Monitor"), anchor=False)

if alarms := live.alarms():
    st.query_params["view"] = alarms
monitor_views.show(monitor_views.view())
