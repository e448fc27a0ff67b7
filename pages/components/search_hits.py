"""What a search found: moments under the title of their recording, and why each was found."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import streamlit as st

from core.i18n import catalogue
from core.i18n.messages import N_
from core.library.moments import Moments
from core.library.views import Group, Hit
from pages.components.common import facts, gettext, ngettext, plain, speaker, tight

WHY = {"meaning": N_("by meaning"), "words": N_("by words"), "both": N_("by meaning and words")}
HOW = {
    "layout": N_("other keyboard layout"),
    "sound": N_("as it sounds"),
    "fuzzy": N_("misspelt"),
    "any": N_("some of the words"),
    "substring": N_("part of a word"),
}


def found_count(moments: Moments) -> None:
    """How many moments in how many recordings, or what to do where there is none."""
    if not moments.total:
        st.write(gettext("Nothing was found. Try other words."))
        return
    if not any(each.answer for each in moments.results):
        return  # what is only near is no number of hits
    answers = moments.counted
    recordings = len({each.recording_id for each in answers})
    st.caption(
        facts(
            ngettext("{n} moment", "{n} moments", len(answers)),
            ngettext("in {n} recording", "in {n} recordings", recordings),
        )
    )


def draw(
    groups: Sequence[Group],
    key: str = "group",
    question: str = "",
    beside: Callable[[Group, Hit, str], None] | None = None,
    above: Callable[[Group], None] | None = None,
) -> None:
    """Moments under the title of their recording; a click on the time plays there.

    What was `question` travels in the links where it is kept which answers are opened; `beside` draws what else
    can be done with a hit, under a key, and `above` what stands over those of a recording.
    """
    places = itertools.count(1)
    for group in groups:
        with st.container(border=True, key=f"{key}-{group.recording_id}"):
            st.page_link(
                "recording.py",
                label=f"**{plain(group.title)}**",
                query_params={"id": group.recording_id},
                help="",
            )
            if above:
                above(group)
            for n, hit in enumerate(group.hits):
                with st.container(
                    horizontal=True, wrap=False, gap="small", key=f"hit-{key}-{group.recording_id}-{n}"
                ):
                    st.page_link(
                        "recording.py",
                        label=catalogue.clock(hit.play_s),
                        icon=":material/play_arrow:",
                        query_params={
                            "id": group.recording_id,
                            "t": f"{hit.play_s:.1f}",
                            **({"asked": question, "place": str(next(places))} if question else {}),
                        },
                        help=gettext("Play from here"),
                    )
                    with tight():
                        st.markdown("".join(_marked(piece, marked) for piece, marked in hit.pieces))
                        st.caption(facts(speaker(hit.speaker), _reason(hit), _also(hit)))
                    if beside:
                        beside(group, hit, f"{key}-{group.recording_id}-{n}")


def _reason(hit: Hit) -> str:
    """Why it was found, and how loosely its words were read."""
    return f"{gettext(WHY[hit.why])} ({gettext(HOW[hit.how])})" if hit.how in HOW else gettext(WHY[hit.why])


def _also(hit: Hit) -> str:
    many = ngettext("also in {n} recording", "also in {n} recordings", len(hit.also_in))
    return many if hit.also_in else ""


def _marked(piece: str, marked: bool) -> str:
    """Blanks stay outside: Markdown marks no text that begins or ends with one."""
    text = plain(piece)
    before, after = " " * piece[:1].isspace(), " " * piece[-1:].isspace()
    return f"{before}:primary-background[{text}]{after}" if marked and text else f"{before}{text}{after}"
