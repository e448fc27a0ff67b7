"""Settings: what this installation can do, and who may use it."""

import streamlit as st

from jobs.installation import application
from pages.components import common, embedder, providers
from pages.components.common import facts, gettext, translate_fact

app = application()
common.admins_only()
st.title(gettext("Settings"), anchor=False)

st.subheader(gettext("Engines"), anchor=False)
for engine in app.engines.values():
    readiness = engine.readiness()
    with common.tight():
        with common.line():
            st.markdown(translate_fact(engine.title), width="stretch")
            st.badge(**common.readiness(readiness))
        st.caption(facts(common.language_names(engine.languages), translate_fact(readiness.reason)))

st.subheader(gettext("Search by meaning"), anchor=False)
embedder.active()
embedder.banner()

if app.model_downloads.all():
    st.subheader(gettext("Models to download"), anchor=False)
    providers.models()

st.subheader(gettext("Providers"), anchor=False)
providers.draw()

st.subheader(gettext("API keys"), anchor=False)
for key in app.keys.all():
    with common.tight():
        with common.line():
            st.text(key.name, width="stretch")
            if key.revoked_at:
                st.badge(gettext("Revoked"), color="gray")
            else:
                with st.popover(gettext("Revoke"), type="tertiary", key=f"ask-{key.id}"):
                    st.write(gettext("Programs with this key are refused from then on."))
                    if st.button(gettext("Revoke for good"), type="primary", key=f"revoke-{key.id}"):
                        app.keys.revoke(key.id)
                        st.rerun()
        st.caption(common.about_key(key))

with st.form("key", clear_on_submit=True):
    name = st.text_input(gettext("Name of a new key"), max_chars=60)
    admin = st.checkbox(gettext("May see and change everything"))
    if st.form_submit_button(gettext("Create key")) and name.strip():
        st.session_state["made"] = app.keys.make(name.strip(), admin=admin, language=common.language())
        st.rerun()
if made := st.session_state.pop("made", ""):
    st.success(gettext("Keep this key now: it cannot be shown again."))
    st.code(made, language=None)

st.subheader(gettext("This installation"), anchor=False)
st.dataframe(common.installation(), hide_index=True)
