"""Costs: what will it cost, when is it ready, and what did it come to."""

import streamlit as st

from core.errors import StenogramError
from pages.components import charts, plan, plan_exports, prices, proof
from pages.components.common import gettext, translate_error

plan.settle()
with st.container(horizontal=True, vertical_alignment="bottom", horizontal_alignment="distribute"):
    st.title(gettext("Costs"), anchor=False, width="content")
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
    st.error(translate_error(error))
    st.stop()

plan_exports.show_prices_of_link()
plan.result(answer)
plan.run(answer)

st.subheader(gettext("Every way"), anchor=False)
plan.ways(answer)

st.subheader(gettext("Price against time"), anchor=False)
charts.deadline(answer)

with st.expander(gettext("Search by meaning: now or in a batch?")):
    charts.lanes(answer)
with st.expander(gettext("What matters most")):
    charts.tornado(answer)
with st.expander(gettext("What it stands on")):
    plan.ground(answer)
with st.expander(gettext("Take it along")):
    plan_exports.export(answer, plan.SCENARIO)
