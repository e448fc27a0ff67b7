"""Large files: sent by the browser itself in pieces, so that a broken connection costs only one."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from core.clients.keys import UPLOAD
from core.library.recordings import TranscriptionOptions
from core.library.views import Outcome
from jobs.installation import application
from pages.components.common import PAGE_BYTES, WHO, gettext, language, size

HERE = Path(__file__).parent
ADDRESS = "/api/v1/uploads"
HTML = """
<div class="sender">
  <input class="pick" type="file" multiple hidden>
  <button class="choose" type="button"></button>
  <div class="list"></div>
</div>
"""

_sender = st.components.v2.component(
    "stenogram_sender",
    html=HTML,
    css=(HERE / "uploader.css").read_text(),
    js=(HERE / "uploader.js").read_text(),
)


def draw(options: TranscriptionOptions) -> None:
    """Choose large files; they go on their way at once, as the page says now."""
    app = application()
    most = app.settings.upload_max_bytes
    with st.expander(gettext("Files over {size}", size=size(PAGE_BYTES)), icon=":material/cloud_upload:"):
        st.caption(
            gettext("Up to {size} each. They are sent in pieces and go on after a break.", size=size(most))
        )
        told = _sender(
            key="sender",
            data={
                "address": ADDRESS,
                "ticket": app.keys.ticket(UPLOAD),
                "most": most,
                "language": language(),
                "order": _order(options),
                "labels": _labels(),
            },
            on_sent_change=lambda: None,
        )
    if told.sent:
        _take(str(told.sent))


def _order(options: TranscriptionOptions) -> dict[str, str]:
    known = {
        "language": options.language,
        "engine": options.engine,
        "lane": options.embedding_mode.lane if options.embedding_mode else "",
        "deadline_h": str(options.deadline_h or ""),
        "title": options.title,
        "tags": ",".join(options.tags),
        "split_channels": "true" if options.split_channels else "",
        "subtitles": "true" if options.subtitles else "",
    }
    return {name: value for name, value in known.items() if value}


def _take(task_id: str) -> None:
    """A file has arrived: it stands with the others that were sent."""
    recording_id = application().recordings.task(WHO, task_id).recording_id
    outcomes = st.session_state.get("outcomes", [])
    if recording_id not in {outcome.recording_id for outcome in outcomes}:
        st.session_state["outcomes"] = [*outcomes, Outcome("", recording_id)]
        st.rerun()


def _labels() -> dict[str, str]:
    return {
        "choose": gettext("Choose and send large files"),
        "waiting": gettext("The connection is lost; it goes on by itself."),
        "refused": gettext("It was refused."),
        "large": gettext("It is larger than the limit."),
        "done": gettext("Sent"),
        "stop": gettext("Stop"),
        "stopped": gettext("Stopped"),
        "queued": gettext("Waiting"),
    }
