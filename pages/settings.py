"""Settings: what this installation can do, and who may use it."""

import streamlit as st

from core import application
from pages.components import common, embedder, providers
from pages.components.common import facts, reason, say

app = application.current()
common.admins_only()
st.title(say("Settings"), anchor=False)

st.subheader(say("Engines"), anchor=False)
for engine in app.engines.values():
    readiness = engine.readiness()
    with common.tight():
        with common.line():
            st.markdown(reason(engine.title), width="stretch")
            st.badge(**common.readiness(readiness))
        st.caption(facts(common.spoken(engine.languages), reason(readiness.reason)))

st.subheader(say("Search by meaning"), anchor=False)
embedder.active()
embedder.banner()

if app.downloads.all():
    st.subheader(say("Models to download"), anchor=False)
    providers.models()

st.subheader(say("Providers"), anchor=False)
providers.draw()

st.subheader(say("API keys"), anchor=False)
for key in app.keys.all():
    with common.tight():
        with common.line():
            st.text(key.name, width="stretch")
            if key.revoked_at:
                st.badge(say("Revoked"), color="gray")
            else:
                with st.popover(say("Revoke"), type="tertiary", key=f"ask-{key.id}"):
                    st.write(say("Programs with this key are refused from then on."))
                    if st.button(say("Revoke for good"), type="primary", key=f"revoke-{key.id}"):
                        app.keys.revoke(key.id)
                        st.rerun()
        st.caption(common.about_key(key))

with st.form("key", clear_on_submit=True):
    name = st.text_input(say("Name of a new key"), max_chars=60)
    admin = st.checkbox(say("May see and change everything"))
    if st.form_submit_button(say("Create key")) and name.strip():
        st.session_state["made"] = app.keys.make(name.strip(), admin=admin, language=common.language())
        st.rerun()
if made := st.session_state.pop("made", ""):
    st.success(say("Keep this key now: it cannot be shown again."))
    st.code(made, language=None)

st.subheader(say("This installation"), anchor=False)
st.dataframe(common.installation(), hide_index=True)
