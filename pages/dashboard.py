"""What is going on?"""

import streamlit as st

st.title("Stenogram")
