"""Costs: what will it cost, now or in a batch."""

import streamlit as st

from core import costs
from core.errors import StenogramError
from pages import _prices as prices
from pages._parts import explain, note, say

st.title(say("Costs"), anchor=False)

st.subheader(say("Search by meaning: now or in a batch?"), anchor=False)
with st.container(horizontal=True):
    documents = st.number_input(say("Documents"), min_value=1, value=1000, step=100, key="documents")
    tokens = st.number_input(say("Tokens a document"), min_value=1, value=1000, step=100, key="tokens")
book = costs.shipped()
try:
    vectors = costs.vectors(costs.work_of_documents(documents, tokens), book, on=prices.today())
except StenogramError as error:
    st.error(explain(error))
    st.stop()
with st.container(horizontal=True, wrap=False, gap="medium"):
    st.metric(say("Now"), prices.usd(vectors.sync_usd))
    st.metric(say("In a batch"), prices.usd(vectors.batch_usd))
    st.metric(say("Saved"), prices.usd(vectors.saved_usd))
st.caption(note(vectors.advice))

st.subheader(say("Transcription: which way?"), anchor=False)
hours = st.number_input(say("Hours of sound"), min_value=1, value=100, step=10, key="hours")
able, others = prices.engines(hours)
st.dataframe(able, hide_index=True, column_config=prices.columns())
with st.expander(say("Not available from here")):
    st.dataframe(others, hide_index=True, column_config=prices.columns())
with st.expander(say("Prices and their sources")):
    st.dataframe(prices.sources(book), hide_index=True, column_config=prices.columns())
