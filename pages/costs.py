"""Costs: sync or batch, by which way, what it comes to, and what it came to."""

import streamlit as st

from core.errors import StenogramError
from pages.components import charts, compared, figures, plan, plan_exports, prices, proof, recommended, sheet
from pages.components.common import gettext, translate_error

plan.settle()
figures.style()
with st.container(key="costs-head"):
    st.title(gettext("Costs"), anchor=False)
    view = plan.choose("view", plan.VIEWS)
    workload = plan.ask() if view in ("plan", "sheet") else None
plan.carry()

if view == "proof":
    proof.draw()
    st.stop()

if view == "prices":
    prices.draw()
    st.stop()

if workload is None:
    st.stop()

try:
    answer = plan.answered(workload)
    both = answer.compared(st.session_state["who"])
except StenogramError as error:
    st.error(translate_error(error))
    st.stop()

plan_exports.show_prices_of_link()
if view == "sheet":
    sheet.draw(answer, both)
    st.stop()

compared.side_by_side(answer, both)
compared.assumption_controls(answer)
plan.run(answer)

if answer.work.audio_s:
    st.header(gettext("The ways that matter"), anchor=False)
    recommended.that_matter(answer)
recommended.all_of_them(answer)

st.header(gettext("Price against time"), anchor=False)
charts.price_and_time(answer)

compared.four_scenarios(answer)

with st.expander(gettext("What this is based on")):
    charts.tornado(answer)
    plan.assumptions_and_sources(answer)
with st.expander(gettext("Save or share")):
    plan_exports.export(answer, plan.SCENARIO)
