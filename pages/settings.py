"""Settings: what this installation can do, and who may use it."""

import streamlit as st

from jobs.installation import application
from pages.components import (
    api_keys,
    common,
    destinations,
    embedder,
    figures,
    notifications,
    providers,
    voices,
)
from pages.components.common import gettext
from pages.components.figures import Column

app = application()
common.admins_only()
st.title(gettext("Settings"), anchor=False)
figures.style()

st.header(gettext("Engines"), anchor=False)
providers.engines()

st.header(gettext("Search by meaning"), anchor=False)
embedder.active()
embedder.banner()

if app.model_downloads.all():
    st.header(gettext("Models to download"), anchor=False)
    providers.models()

st.header(gettext("Providers"), anchor=False)
providers.draw()
voices.setting()

st.header(gettext("API keys"), anchor=False)
api_keys.draw()

st.header(gettext("Results and calls"), anchor=False)
destinations.draw()
destinations.deliveries()

st.header(gettext("Notifications"), anchor=False)
notifications.draw()

st.header(gettext("This installation"), anchor=False)
st.page_link("audit.py", label=gettext("Audit trail: who did what here"), icon=":material/policy:")
figures.table(
    [Column("what", gettext("What")), Column("value", gettext("Value"), text=True)],
    ({"what": what, "value": value} for what, value in common.installation().items()),
)
