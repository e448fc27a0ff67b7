"""What the browser itself does on every page: keys, the menu's badge, word that all work is done."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from jobs.installation import application
from pages.components import tour
from pages.components.common import (
    LANGUAGE,
    LANGUAGE_COOKIE,
    gettext,
    language,
    may_administer,
    may_change,
)
from pages.components.live import principal

HERE = Path(__file__).parent
HTML = """
<div class="frame">
  <button class="bell" type="button" hidden></button>
  <button class="help" type="button" hidden></button>
  <dialog class="keys"></dialog>
  <div class="tour" role="dialog" popover="manual"></div>
</div>
"""
CHOSEN = "language chosen"
CHANGING = {"upload", "words"}
"""Pages that only those see who may change something."""
ADMINS = {"settings"}
"""Pages that only admins see."""
SEEN_COOKIE = "stenogram_seen"
"""When this browser had a page of ours open last, unix seconds (`frame.js`)."""

_frame = st.components.v2.component(
    "stenogram_frame",
    html=HTML,
    css=(HERE / "frame.css").read_text(),
    js=(HERE / "frame.js").read_text(),
)


def draw() -> None:
    """Below the menu: what keys do, and an offer to tell when all is done."""
    _frame(
        key="frame",
        data={
            "language": language(),
            "chosen": st.session_state.get(CHOSEN, ""),
            "cookie": LANGUAGE_COOKIE,
            "signed_in": bool(principal().session),
            "seen": SEEN_COOKIE,
            "ticket": application().keys.board_ticket(principal()),
            "pages": {key: path for key, path, _ in _pages()},
            "keys": [
                ["/", gettext("Search")],
                *([f"g {key}", title] for key, _, title in _pages()),
                [gettext("Space"), gettext("Play or pause")],
                ["← →", gettext("5 seconds back or forth")],
                ["J K L", gettext("10 seconds back, play or pause, 10 seconds forth")],
                ["[ ]", gettext("Slower, faster")],
                ["E", gettext("Correct what was said here")],
                ["R", gettext("Have another engine listen to the chosen words")],
                ["W", gettext("Name who speaks; Enter goes to the next")],
                ["N ⇧N", gettext("The next doubtful place, or the one before")],
                ["S F", gettext("Skip silence, follow the sound")],
                ["Ctrl-F", gettext("Find in this text")],
                ["Ctrl-Z", gettext("Undo the last change")],
                ["?", gettext("This list")],
            ],
            "tour": tour.data(),
            "labels": {
                "keys": gettext("Keyboard shortcuts"),
                "close": gettext("Close"),
                "bell": gettext("Tell me when all is done"),
                "done": gettext("All {all} done.", all="{all}"),
                "partly": gettext(
                    "{good} of {all} done, {failed} failed.", good="{good}", all="{all}", failed="{failed}"
                ),
            },
        },
    )


def remember_language() -> None:
    """Somebody touched the switch: the browser is told to keep it."""
    st.session_state[CHOSEN] = st.session_state[LANGUAGE]


def _pages() -> list[tuple[str, str, str]]:
    """Key, path and title of each page of the menu."""
    known = [
        ("o", "", gettext("Overview")),
        ("u", "upload", gettext("Upload")),
        ("l", "library", gettext("Library")),
        ("s", "search", gettext("Search")),
        ("k", "moments", gettext("Moments")),
        ("v", "voices", gettext("Voices")),
        ("w", "words", gettext("Words and names")),
        ("m", "monitor", gettext("Monitor")),
        ("c", "costs", gettext("Costs")),
        ("t", "settings", gettext("Settings")),
    ]
    hidden = ADMINS if may_change() else CHANGING | ADMINS
    return [each for each in known if may_administer() or each[1] not in hidden]
