"""Monitor: what runs, what waits, what failed, and what to do about it."""

import streamlit as st

from pages.components import monitor_views
from pages.components.common import gettext

st.title(gettext("Monitor"), anchor=False)

monitor_views.show(monitor_views.view())
