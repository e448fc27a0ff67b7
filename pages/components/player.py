"""The player: sound, and the words that follow it."""

from __future__ import annotations

import functools
from pathlib import Path

import streamlit as st

from core.database.states import TaskStatus
from core.i18n import catalogue
from core.library import views
from core.library.views import Paragraph, Reading
from core.monitor import monitor
from jobs.installation import application
from pages.components import decisions
from pages.components.common import SPEAKERS, WHO, gettext, language, live, may_change, translate_error

HERE = Path(__file__).parent
HTML = """
<div class="player">
  <div class="bar">
    <video class="media" preload="metadata" playsinline></video>
    <div class="controls">
      <button class="play" type="button"></button>
      <input class="seek" type="range" min="0" step="0.1" value="0">
      <span class="time"></span>
      <button class="rate" type="button">1×</button>
    </div>
    <p class="note" role="status"></p>
  </div>
  <div class="text"></div>
</div>
"""

_player = st.components.v2.component(
    "stenogram_player",
    html=HTML,
    css=(HERE / "player.css").read_text(),
    js=(HERE / "player.js").read_text(),
)


def live_reading(recording_id: str, start_s: float) -> None:
    """Sound and transcript of a recording, with the player at a second; grows while work goes on."""
    app = application()
    read = functools.partial(views.reading, app.database, app.transcripts, WHO, recording_id)
    live(lambda: _draw(read(), start_s), moving=views.card(app.database, WHO, recording_id).active)


def _draw(reading: Reading, start_s: float) -> bool:
    with st.container():  # the player keeps its place, and so its sound, when the state goes
        _state(reading)
    _show(reading, start_s)
    return reading.card.active


def _state(reading: Reading) -> None:
    """Where the work stands, unless it is done and something was heard."""
    task = reading.card.task
    if task and reading.card.active:
        st.progress(task.progress, gettext(monitor.KINDS.get(task.stage, "Waiting")))
        decisions.show_of(task.transcript_id)
        if may_change() and st.button(gettext("Cancel"), key="cancel"):
            application().tasks.cancel(WHO, task.id)
            st.rerun()
    elif task and task.status in {TaskStatus.FAILED, TaskStatus.CANCELLED}:
        reason = translate_error(task.error) if task.error else ""
        st.warning(reason, title=gettext(monitor.STATUSES[task.status]), icon=":material/block:")
        if may_change() and st.button(gettext("Try again"), key="retry"):
            application().tasks.retry(WHO, task.id)
            st.rerun()
    elif reading.complete and not reading.paragraphs:
        st.info(gettext("No speech was found in this recording."))


def _show(reading: Reading, start_s: float) -> None:
    recording = reading.card.recording
    ticket = application().keys.ticket(recording.id)
    _player(
        key="player",
        data={
            "recording": recording.id,
            "src": f"/sound/{recording.id}?ticket={ticket}",
            "duration": recording.duration_s or 0,
            "start": start_s,
            "version": [language(), len(reading.paragraphs), sum(len(p.words) for p in reading.paragraphs)],
            "paragraphs": [_as_data(paragraph) for paragraph in reading.paragraphs],
            "labels": {
                "play": gettext("Play or pause"),
                "seek": gettext("Position"),
                "rate": gettext("Speed"),
                "keys": gettext("Space: play or pause. Arrows: 5 seconds back or forth."),
                "broken": gettext("This sound cannot be played here."),
            },
        },
    )


def _as_data(paragraph: Paragraph) -> dict[str, object]:
    return {
        "start": paragraph.start_s,
        "speaker": catalogue.gettext(SPEAKERS.get(paragraph.speaker, paragraph.speaker), language())
        if paragraph.speaker
        else "",
        "words": [[word.text, word.start_s, word.end_s] for word in paragraph.words],
    }
