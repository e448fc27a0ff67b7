"""Monitor: what runs, what waits, what failed, and what to do about it."""

import streamlit as st

from pages import _monitor as monitor
from pages._parts import say

st.title(say("Monitor"), anchor=False)

monitor.show(monitor.view())
