"""Monitor: what runs, what waits, what failed."""

import streamlit as st

from pages._parts import say
from pages._work import live_work

st.title(say("Monitor"), anchor=False)

live_work()
