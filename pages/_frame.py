"""What stands around every page: order, titles, icons."""

import streamlit as st

st.set_page_config(page_title="Stenogram", layout="wide")
st.navigation([st.Page("dashboard.py", title="Stenogram", default=True)]).run()
