"""The ways in which recordings come, beside files that people drop: one is shown at a time."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from core.i18n.messages import N_
from pages.components import address, common, links, recorder, sources

FILES = "files"
WAYS = {FILES: N_("Files"), "record": N_("Microphone"), "link": N_("Link"), "watched": N_("Sources")}
ICONS = {FILES: "draft", "record": "mic", "link": "link", "watched": "sync"}
DRAWN: dict[str, Callable[[], None]] = {
    "record": recorder.draw,
    "link": links.draw,
    "watched": sources.draw,
}


def choose() -> Callable[[], None] | None:
    """Ask how recordings come; what draws that way, None for files."""
    shown = common.translated(WAYS)
    if recorder.arrived():
        st.session_state["way"] = FILES  # what was recorded waits there, and goes the same road
    labels = {way: f":material/{ICONS[way]}: {label}" for way, label in shown.items()}
    return DRAWN.get(address.segments("way", common.gettext("How it comes"), labels, usual=FILES))
