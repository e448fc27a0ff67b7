"""The microphone: sound goes to the server every two seconds, so that a tab that dies loses no more than that."""

from __future__ import annotations

import json
from pathlib import Path

import streamlit as st

from core.storage.resumable import HELD
from jobs.installation import application
from pages.components import triggers, uploader
from pages.components.common import current_principal, gettext, language

HERE = Path(__file__).parent
HTML = """
<div class="recorder">
  <label class="naming"><span></span><input class="name" type="text" maxlength="150"></label>
  <div class="bar">
    <button class="start" type="button"></button>
    <button class="pause" type="button" hidden></button>
    <button class="end" type="button" hidden></button>
    <span class="time" hidden>0:00</span>
    <meter class="level" min="0" max="1" value="0" hidden></meter>
  </div>
  <p class="state" role="status"></p>
  <div class="left" hidden>
    <span></span><button class="take" type="button"></button><button class="drop" type="button"></button>
  </div>
</div>
"""

_recorder = st.components.v2.component(
    "stenogram_recorder",
    html=HTML,
    css=(HERE / "recorder.css").read_text(),
    js=(HERE / "recorder.js").read_text(),
)


def draw() -> None:
    """Record; what was recorded then waits beside the files of this visit."""
    _recorder(
        key="recorder",
        data={
            "address": uploader.ADDRESS,
            "ticket": application().keys.upload_ticket(current_principal(), uploader.visitor()),
            "held": HELD,
            "most": application().settings.upload_max_bytes,
            "language": language(),
            "labels": _labels(),
        },
        on_recorded_change=triggers.kept("recorder", "recorded"),
    )


def arrived() -> bool:
    """Whether something was just recorded, said once."""
    recorded = triggers.take("recorder", "recorded")
    if recorded:
        uploader.keep(json.loads(recorded)["ids"])
    return bool(recorded)


def _labels() -> dict[str, str]:
    return {
        "name": gettext("Name of the recording"),
        "usual": gettext("Recording of {when}", when="{when}"),
        "start": gettext("Record"),
        "pause": gettext("Pause"),
        "resume": gettext("Go on"),
        "end": gettext("Finish"),
        "level": gettext("Level of the microphone"),
        "ready": gettext("Sound goes to the server as you speak. Nothing is transcribed before you say so."),
        "recording": gettext("Recording. What was said is on the server."),
        "paused": gettext("Paused"),
        "behind": gettext("The connection is lost. Recording goes on, and is sent once it is back."),
        "silent": gettext("Nothing is heard. Is the right microphone chosen, and not muted?"),
        "refused": gettext("The browser gives no microphone. Allow it beside the address, then try again."),
        "missing": gettext("No microphone was found."),
        "insecure": gettext("Browsers give a microphone to https:// and localhost only."),
        "failed": gettext("It was refused."),
        "left": gettext("A recording was broken off here: {name}", name="{name}"),
        "take": gettext("Take what there is"),
        "drop": gettext("Discard it"),
        "finishing": gettext("The rest is being sent…"),
    }
