"""A tour of the pages, offered once a browser on the overview; the frame shows it (`frame.js`)."""

from __future__ import annotations

import streamlit as st

from pages.components import common
from pages.components.common import gettext

COOKIE = "stenogram_tour"
"""Written by the browser once the tour was begun or declined."""
ANSWERED, BEGUN = "tour answered", "tour begun"


def steps() -> list[tuple[str, str, str]]:
    """Path of a page, a title and what it is good for."""
    upload = (
        "upload",
        gettext("Upload recordings"),
        gettext(
            "Drop sound, video or archives here. You see the price and the time before anything is sent."
        ),
    )
    return [
        *([upload] if common.may_change() else []),
        (
            "library",
            gettext("Read and correct"),
            gettext("A recording opens as text beside its sound: click a word to hear it, press E to edit."),
        ),
        (
            "search",
            gettext("Find what was said"),
            gettext("Ask in your own words, in all recordings at once, and keep what you find as a moment."),
        ),
        (
            "costs",
            gettext("Know the price first"),
            gettext("Compare at once with by batch, and see later what it really came to."),
        ),
        (
            "monitor",
            gettext("See how the work goes"),
            gettext("The line on top says whether all is well. What failed stands below it, with a button."),
        ),
    ]


def data() -> dict[str, object]:
    """What the frame needs to show it."""
    return {
        "steps": steps(),
        "cookie": COOKIE,
        "answered": st.session_state.get(ANSWERED, False),
        "begun": st.session_state.get(BEGUN, 0),
        "labels": {
            "tour": gettext("Tour"),
            "again": gettext("Show the tour"),
            "place": gettext("{n} of {total}", n="{n}", total="{total}"),
            "back": gettext("Back"),
            "next": gettext("Next"),
            "done": gettext("Done"),
            "close": gettext("Close"),
        },
    }


def offer() -> None:
    """One quiet line, until somebody takes the tour or declines it."""
    if st.session_state.get(ANSWERED) or COOKIE in st.context.cookies:
        return
    with st.container(horizontal=True, vertical_alignment="center", gap="small", key="tour"):
        st.caption(gettext("New here? The tour has {n} steps.", n=len(steps())), width="content")
        st.button(gettext("Show the tour"), key="tour-begin", on_click=_answer, args=(True,))
        st.button(gettext("No, thanks"), key="tour-decline", type="tertiary", on_click=_answer)


def _answer(begin: bool = False) -> None:
    st.session_state[ANSWERED] = True
    if begin:
        st.session_state[BEGUN] = st.session_state.get(BEGUN, 0) + 1
