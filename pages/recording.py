"""Recording: what was said in it."""

import streamlit as st

from core.errors import StenogramError
from core.library import views
from jobs.installation import application
from pages.components import (
    common,
    covers,
    moments,
    origin,
    recording_actions,
    recycle_bin,
    retranscription,
    share_links,
    sharing,
    transcription_form,
)
from pages.components.common import current_principal, gettext, plain, translate_error
from pages.components.player import attaching, live_reading

app = application()
try:
    card = views.card(app.database, current_principal(), st.query_params.get("id", ""))
except StenogramError as error:
    st.title(translate_error(error), anchor=False)
    st.page_link("library.py", label=gettext("All recordings"), icon=":material/arrow_back:")
    st.stop()
recording = card.recording
transcript = app.transcripts.get(recording.transcript_id) if recording.transcript_id else None

st.title(plain(recording.title), anchor=False)
st.caption(common.facts(common.about(card), transcription_form.way(transcript)))

with st.container(horizontal=True, gap="xsmall", key="actions"):
    recording_actions.download(recording)
    sharing.popover(recording)
    if common.may_change():
        share_links.popover(recording.id)
        recording_actions.edit(recording)
        transcription_form.anew(card, transcript)
        if covers.offered(recording):
            with st.popover(gettext("Picture"), icon=":material/image:"):
                covers.form(recording)
        recycle_bin.popover(recording)
        if recording.transcript_id:
            moments.keep_selected(recording)
            moments.link_to_kept()

origin.draw(recording)
attaching(recording)
covers.waiting_for_batch(recording)
covers.pictures(recording)
retranscription.dialog(recording)
live_reading(recording.id, common.seconds(st.query_params.get("t")))
