"""Recording: what was said in it."""

import functools

import streamlit as st

from core.errors import StenogramError
from core.library import views
from core.transcripts import export
from jobs.installation import application
from pages.components import common, covers, transcription_form
from pages.components.common import WHO, gettext, plain, translate_error
from pages.components.player import live_reading

app = application()
try:
    card = views.card(app.database, WHO, st.query_params.get("id", ""))
except StenogramError as error:
    st.title(translate_error(error), anchor=False)
    st.page_link("library.py", label=gettext("All recordings"), icon=":material/arrow_back:")
    st.stop()
recording = card.recording
heard = app.transcripts.get(recording.transcript_id) if recording.transcript_id else None

st.title(plain(recording.title), anchor=False)
st.caption(common.facts(common.about(card), transcription_form.way(heard)))

with st.container(horizontal=True, gap="xsmall", key="actions"):
    with st.popover(gettext("Download"), icon=":material/download:", disabled=not recording.transcript_id):
        for kind, name in views.FORMATS.items():
            make = functools.partial(
                views.exported, app.recordings, app.transcripts, WHO, recording.id, kind, common.language()
            )
            file = export.name(recording.filename, kind)
            st.download_button(gettext(name), make, file, on_click="ignore", type="tertiary", key=kind)
    if common.may_change():
        with st.popover(gettext("Edit"), icon=":material/edit:"), st.form("edit", border=False):
            title = st.text_input(gettext("Title"), recording.title, max_chars=200)
            tags = common.tags(recording.tags)
            if st.form_submit_button(gettext("Save"), type="primary"):
                app.recordings.rename(WHO, recording.id, title, tags)
                st.rerun()
        again = st.popover(gettext("Transcribe again"), icon=":material/refresh:", disabled=card.active)
        with again, st.container(width=420):
            transcription_form.again(recording, heard)
        with st.popover(gettext("Picture"), icon=":material/image:"):
            covers.form(recording)
        with st.popover(gettext("Delete"), icon=":material/delete:"):
            st.write(gettext("The recording, its transcript and its place in the search go for good."))
            if st.button(
                f":red[{gettext('Delete for good')}]", icon=":material/delete_forever:", key="delete"
            ):
                app.deletion.delete_recording(WHO, recording.id)
                st.session_state["deleted"] = recording.title
                st.switch_page("library.py")

covers.waiting_for_batch(recording)
covers.pictures(recording)
live_reading(recording.id, common.seconds(st.query_params.get("t")))
