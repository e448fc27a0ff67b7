"""Who speaks in a recording, for the player: names, shares, samples, proposals; and what people change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from core.errors import StenogramError
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library.recording_speakers import RecordingSpeaker, SpeakersView
from core.transcripts.export.channels import channel_name
from core.transcripts.speaker_edits import LABEL
from jobs.installation import application
from pages.components.common import (
    current_principal,
    duration,
    gettext,
    language,
    may_administer,
    may_change,
    ngettext,
    number,
    translate_error,
)

COLOURS = 8
REAL_TIMES = 15
"""So many seconds of sound a second of work (benchmarks/README.md)."""
MEASURES = ("speaking_s", "longest_turn_s", "interruptions")
"""The columns of the chart; each bar is a share of the longest in its column."""
MAYBE = {"probable": N_("Probably {name}?"), "possible": N_("Perhaps {name}?")}


def people(speakers: Sequence[RecordingSpeaker]) -> list[dict[str, Any]]:
    """A row a speaker."""
    most = {name: max((getattr(one, name) for one in speakers), default=0) or 1 for name in MEASURES}
    percents = catalogue.whole_percents([one.share for one in speakers])
    return [_person(n, one, percents[n], most) for n, one in enumerate(speakers)]


def _person(n: int, one: RecordingSpeaker, percent: int, most: Mapping[str, float]) -> dict[str, Any]:
    facts = [
        ngettext("{n} turn", "{n} turns", one.turns),
        gettext("{n} words a minute", n=number(one.words_per_min)),
    ]
    figures = (duration(one.speaking_s), duration(one.longest_turn_s), number(one.interruptions))
    bars = [round(100 * getattr(one, name) / most[name]) for name in MEASURES]
    maybe = gettext(MAYBE[one.maybe.certainty], name=one.maybe.name) if one.maybe else ""
    return {
        "label": one.label,
        "name": one.name,
        "shown": one.name or channel_name(one.label, language()),
        "colour": n % COLOURS,
        "percent": percent,
        "talk": f"{duration(one.speaking_s)}\u00a0· {catalogue.percent(percent / 100, language())}",
        "about": "\u00a0· ".join(facts),
        "measures": list(zip(bars, figures, strict=True)),
        "samples": [[sample.start_s, sample.end_s] for sample in one.samples],
        "movable": one.label.startswith(LABEL),
        "maybe": maybe,
    }


def labels() -> dict[str, str | list[str]]:
    """What the player says of speakers."""
    return {
        "name": gettext("Speaker's name"),
        "sample": gettext("Hear the voice"),
        "merge": gettext("The same as…"),
        "yes": gettext("Yes"),
        "no": gettext("No"),
        "statistics": gettext("Who speaks how"),
        "measures": [gettext("Talk time"), gettext("Longest turn"), gettext("Interruptions")],
        "what": gettext("What somebody else says"),
        "here": gettext("These words"),
        "words": gettext("The marked words"),
        "onwards": gettext("Everything of this speaker from here on"),
        "to": gettext("is said by"),
        "new": gettext("Somebody new"),
        "close": gettext("Cancel"),
        "together": gettext("Several speak at once here"),
    }


def change(recording_id: str, edit: Mapping[str, Any]) -> None:
    """Do what somebody wanted in the player, and draw anew."""
    service, label = application().recording_speakers, str(edit.get("label", ""))
    try:
        match edit["what"]:
            case "rename":
                service.rename(current_principal(), recording_id, label, str(edit["name"]))
            case "merge":
                service.merge(current_principal(), recording_id, label, str(edit["target"]))
            case "move":
                end_s = None if edit["end"] is None else float(edit["end"])
                service.move(
                    current_principal(), recording_id, label, str(edit["target"]), float(edit["start"]), end_s
                )
            case "accept":
                service.accept(current_principal(), recording_id, label)
            case "reject":
                service.reject(current_principal(), recording_id, label)
    except StenogramError as error:
        st.session_state["player-error"] = translate_error(error)
    st.rerun()


def notes(recording_id: str, view: SpeakersView, *, active: bool) -> None:
    """Why nobody is told apart, the offer to look, and the question whether voices are to be remembered."""
    if message := st.session_state.pop("player-error", ""):
        st.error(message)
    if view.error and not active:
        st.caption(translate_error(view.error))
    if may_administer() and any(one.name for one in view.speakers) and not application().voices.asked:
        _offer_voices()
    if may_change() and not active and not view.speakers:
        _offer(recording_id)


def _offer(recording_id: str) -> None:
    recording = application().recordings.get(current_principal(), recording_id)
    if not recording.transcript_id:
        return
    took_s = max(5.0, (recording.duration_s or 0) / REAL_TIMES)
    offered = gettext("It costs nothing but time: about {time}.", time=duration(took_s))
    if st.button(gettext("Find the speakers"), icon=":material/group:", help=offered, key="find-speakers"):
        application().recording_speakers.find(current_principal(), recording_id)
        st.rerun()


def _offer_voices() -> None:
    with st.container(border=True, key="ask-voices"):
        st.write(
            gettext(
                "Shall these voices be known again in other recordings? They stay on this installation, and "
                "the settings forget them at any time."
            )
        )
        with st.container(horizontal=True):
            if st.button(gettext("Remember voices"), key="voices-yes", type="primary"):
                application().voices.turn(current_principal(), on=True)
                st.rerun()
            if st.button(gettext("No"), key="voices-no"):
                application().voices.turn(current_principal(), on=False)
                st.rerun()
