"""Shared with you: what a link is for."""

import streamlit as st

from core.errors import StenogramError
from core.library import kept_moments, views
from jobs.installation import application
from pages.components import common
from pages.components.common import current_principal, gettext, plain, translate_error
from pages.components.player import live_reading

app, visitor = application(), current_principal()
try:
    if visitor.moment:
        kept = app.kept_moments.get(visitor, visitor.moment)
        st.title(plain(kept.moment.title), anchor=False)
        st.markdown(f"> {plain(kept.moment.text)}")
        st.caption(plain(kept_moments.source(kept, common.language())))
        if kept.has_sound:
            st.audio(app.kept_moments.clip(visitor, visitor.moment, "m4a"), format="audio/mp4")
    elif visitor.only:
        card = views.card(app.database, visitor, visitor.only)
        st.title(plain(card.recording.title), anchor=False)
        st.caption(common.facts(common.duration(card.recording.duration_s), common.dated(card.recording)))
        live_reading(visitor.only, common.seconds(st.query_params.get("t")))
    else:
        st.title(gettext("Shared with you"), anchor=False)
        st.write(gettext("This address lacks its link. Open it as it was sent to you."))
except StenogramError as error:
    st.error(translate_error(error))
