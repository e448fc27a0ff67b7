"""The player: sound, and the words that follow it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import streamlit as st

from core.database.states import TaskStatus
from core.database.tables import Recording
from core.errors import StenogramError
from core.i18n import catalogue
from core.library import views
from core.library.recording_speakers import SpeakersView
from core.library.recording_text import TextView
from core.library.views import Paragraph, Reading
from core.monitor import monitor
from core.transcripts import export, importing, warnings
from jobs.installation import application
from pages.components import common, decisions, speakers, text_edits, triggers
from pages.components.common import (
    current_principal,
    gettext,
    language,
    line,
    live,
    may_change,
    note_opened,
    plain,
    translate_error,
)
from pages.components.file_intake import dropped_one

HERE = Path(__file__).parent
HTML = """
<div class="player">
  <div class="bar">
    <video class="media" preload="metadata" playsinline></video>
    <canvas class="wave" hidden></canvas>
    <div class="controls">
      <button class="play" type="button"></button>
      <input class="seek" type="range" min="0" step="0.1" value="0">
      <span class="time"></span>
      <button class="rate" type="button">1×</button>
    </div>
    <p class="note" role="status"></p>
    <div class="tools" role="toolbar"></div>
    <div class="doubts" hidden></div>
    <div class="finder" role="search" hidden></div>
  </div>
  <div class="people"></div>
  <div class="text"></div>
  <dialog class="move"></dialog>
</div>
"""

_player = st.components.v2.component(
    "stenogram_player",
    html=HTML,
    css=(HERE / "player.css").read_text(),
    js="".join((HERE / f"{name}.js").read_text() for name in ("speakers", "text", "player")),
)


def live_reading(recording_id: str, start_s: float | None) -> None:
    """Sound and transcript of a recording, with the player at a second; grows while work goes on."""
    app = application()
    note_opened(recording_id)
    read = functools.partial(views.reading, app.database, app.transcripts, current_principal(), recording_id)
    with st.container(key="live-reading"):
        live(
            lambda: _draw(read(), start_s),
            moving=views.card(app.database, current_principal(), recording_id).active,
        )


def attaching(recording: Recording) -> None:
    """Say that a recording has no sound, and take it in; nothing where it has some."""
    if recording.format not in importing.FORMATS:
        return
    st.info(gettext("This is a transcript without its sound."), icon=":material/volume_off:")
    if not may_change():
        return
    with st.expander(gettext("Attach the sound"), icon=":material/attach_file:"):
        file = dropped_one("sound")
        if st.button(gettext("Attach"), type="primary", disabled=not file, key="attach") and file:
            try:
                application().intake.attach_file(current_principal(), recording.id, file, file.name)
                st.rerun()
            except StenogramError as error:
                st.error(translate_error(error))


def _draw(reading: Reading, start_s: float | None) -> bool:
    view = application().recording_speakers.view(current_principal(), reading.card.recording.id)
    with st.container():  # the player keeps its place, and so its sound, when the state goes
        _state(reading)
        speakers.notes(reading.card.recording.id, view, active=reading.card.active)
        corrected = text_edits.notes(reading.card.recording)
    _show(reading, view, corrected, start_s)
    return reading.card.active


def _state(reading: Reading) -> None:
    """Where the work stands, unless it is done and something was heard."""
    task = reading.card.task
    if task and reading.card.active:
        with line():
            st.progress(task.progress, gettext(monitor.KINDS.get(task.stage, "Waiting")))
            if may_change() and st.button(gettext("Cancel"), key="cancel"):
                application().tasks.cancel(current_principal(), task.id)
                st.rerun()
        decisions.show_of(task.transcript_id)
    elif task and task.status in {TaskStatus.FAILED, TaskStatus.CANCELLED}:
        reason = translate_error(task.error) if task.error else ""
        st.warning(reason, title=gettext(monitor.STATUSES[task.status]), icon=":material/block:")
        if may_change() and st.button(gettext("Try again"), key="retry"):
            application().tasks.retry(current_principal(), task.id)
            st.rerun()
    elif reading.complete and not reading.paragraphs:
        st.info(gettext("No speech was found in this recording."))
    for warning in warnings.of(reading.transcript):
        st.warning(plain(warning.sentence(language())), icon=":material/info:")


def _show(reading: Reading, view: SpeakersView, corrected: TextView, start_s: float | None) -> None:
    recording = reading.card.recording
    ticket = common.sound_ticket(recording.id)
    main = reading.transcript.language if reading.transcript else ""
    people = speakers.people(view.speakers)
    colours = {one["label"]: one["colour"] for one in people}
    _player(
        key="player",
        data={
            "recording": recording.id,
            "src": "" if recording.format in importing.FORMATS else f"/sound/{recording.id}?ticket={ticket}",
            "duration": recording.duration_s or 0,
            "start": start_s,
            "version": [
                language(),
                sum(len(p.words) for p in reading.paragraphs),
                [(p.start_s, p.label, p.speaker, p.doubtful) for p in reading.paragraphs],
                [piece.version for p in reading.paragraphs for piece in p.pieces],
            ],
            "paragraphs": [_as_data(paragraph, colours, main) for paragraph in reading.paragraphs],
            "people": people,
            "change": may_change(),
            "answered": st.session_state.get(text_edits.ANSWERED, ""),
            "undo": corrected.can_undo,
            "redo": corrected.can_redo,
            "peaks": application().recordings.peaks(recording.sha256),
            "labels": {
                "play": gettext("Play or pause"),
                "seek": gettext("Position"),
                "rate": gettext("Speed"),
                "keys": gettext("Space: play or pause. Arrows: 5 seconds back or forth."),
                **text_edits.labels(corrected),
                "broken": gettext("This sound cannot be played here."),
                **speakers.labels(),
            },
        },
        on_edit_change=triggers.kept("player", "edit", recording.id),
    )
    if (edit := triggers.take("player", "edit", recording.id)) and may_change():
        text_edits.change(recording.id, edit)


def _as_data(paragraph: Paragraph, colours: Mapping[str, int], main: str) -> dict[str, object]:
    """A paragraph for the player; its language is named where it is not the recording's main one."""
    other = paragraph.language if paragraph.language != main else ""
    return {
        "language": catalogue.language_name(other, language()) if other else "",
        "code": paragraph.language,
        "doubtful": gettext("Perhaps not understood") if paragraph.doubtful else "",
        "start": paragraph.start_s,
        "end": paragraph.end_s,
        "label": paragraph.label if paragraph.label in colours else "",
        "colour": colours.get(paragraph.label, ""),
        "speaker": export.channel_name(paragraph.speaker, language()) if paragraph.speaker else "",
        "overlapped": paragraph.overlapped,
        "words": [text_edits.as_data(word) for word in paragraph.words],
        "pieces": [[piece.n, piece.version] for piece in paragraph.pieces],
    }
