"""Costs: what will it cost, when is it ready, and what did it come to."""

import streamlit as st

from core.errors import StenogramError
from pages.components import charts, plan, plan_exports, prices, proof
from pages.components.common import explain, say

plan.settle()
with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
    st.title(say("Costs"), anchor=False, width="content")
    view = plan.choose("view", plan.VIEWS)

if view == "proof":
    proof.draw()
    st.stop()

if view == "prices":
    prices.draw()
    st.stop()

asked = plan.ask()
if asked is None:
    st.stop()

try:
    answer = plan.answered(asked)
except StenogramError as error:
    st.error(explain(error))
    st.stop()

plan_exports.told()
plan.result(answer)
plan.run(answer)

st.subheader(say("Every way"), anchor=False)
plan.ways(answer)

st.subheader(say("Price against time"), anchor=False)
charts.deadline(answer)

with st.expander(say("Search by meaning: now or in a batch?")):
    charts.lanes(answer)
with st.expander(say("What matters most")):
    charts.tornado(answer)
with st.expander(say("What it stands on")):
    plan.ground(answer)
with st.expander(say("Take it along")):
    plan_exports.export(answer, plan.SCENARIO)
