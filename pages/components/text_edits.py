"""Corrections of a text, for the player: what it says of them, and what people change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from core.database.tables import Recording
from core.errors import StenogramError
from core.i18n.catalogue import clock
from core.library.recording_text import Earlier, RecordingText, TextView
from core.speech.engine import Mark, Word
from core.transcripts.doubts import WORD_SURE
from core.transcripts.segments import TranscribedSegment
from jobs.installation import application
from pages.components import retranscription, speakers, words
from pages.components.common import (
    author,
    current_principal,
    gettext,
    may_change,
    moment,
    plain,
    price,
    table,
    translate_error,
)

DOUBTFUL, EDITED = 1, 2
LISTED = 200
ANSWERED = "player-answered"
"""The change that was made last: the player sends the next one then."""
AGAIN = "again"
"""What the player asks where another engine shall listen."""


def as_data(word: Word) -> list[object]:
    """A word for the player: its text, its seconds, and what is to be known of it, if anything is."""
    flags = DOUBTFUL * (word.confidence is not None and word.confidence < WORD_SURE)
    flags += EDITED * (word.mark != Mark.HEARD)
    return [word.text, word.start_s, word.end_s, *([flags] if flags else [])]


def labels(corrected: TextView) -> dict[str, str]:
    """What the player says of the text, and which step of somebody else it would undo."""
    last = corrected.last
    other = last if last and last.who not in {"", current_principal().owner} else None
    return {
        "undo": gettext(
            "Undo the last change, made by {who} {time}",
            current_principal=author(other.who),
            time=moment(other.at.timestamp()),
        )
        if other
        else gettext("Undo the last change"),
        "undo_of": other.action_id if other else "",
        "redo": gettext("Do it again"),
        "edit": gettext("Correct"),
        "again": gettext("Listen once more"),
        "again_help": gettext("Have another engine listen to the chosen words"),
        "text": gettext("What was said here"),
        "typing": gettext(
            "Enter saves, Esc leaves it. Ctrl-Enter cuts here, Backspace at the start joins, Alt with up or down "
            "moves words before or after the caret, Ctrl-Space plays."
        ),
        "save": gettext("Save"),
        "cancel": gettext("Cancel"),
        "cut": gettext("Cut here"),
        "join": gettext("Join with the one before"),
        "up": gettext("Move the words before the caret up"),
        "down": gettext("Move the words after the caret down"),
        "find": gettext("Find in this text"),
        "nothing": gettext("Not found"),
        "skip": gettext("Skip silence"),
        "follow": gettext("Follow the sound"),
        "copy": gettext("Copy the text"),
        "copy_times": gettext("Copy with times"),
        "copied": gettext("Copied."),
        "print": gettext("Print"),
        "doubts": gettext("Doubtful places that were looked at"),
        "doubts_left": gettext("Doubtful places left: {n}", n="{n}"),
        "doubt_next": gettext("The next doubtful place"),
        "doubt_before": gettext("The doubtful place before"),
    }


def change(recording_id: str, edit: Mapping[str, Any]) -> None:
    """Do what somebody wanted in the player, and draw anew."""
    st.session_state[ANSWERED] = edit.get("id")
    what = str(edit.get("what", ""))
    step = STEPS.get(what)
    if what == AGAIN:
        retranscription.ask(recording_id, edit)
        st.rerun()
    if step is None:
        speakers.change(recording_id, edit)
        return
    try:
        step(application().recording_text, recording_id, edit)
    except StenogramError as error:
        st.session_state["player-error"] = translate_error(error)
    st.rerun()


def notes(recording: Recording) -> TextView:
    """What was corrected, and what was in an earlier transcript."""
    if not recording.transcript_id:
        return TextView([], can_undo=False, can_redo=False, earlier=None)
    view = application().recording_text.view(current_principal(), recording.id)
    if view.earlier and may_change():
        _offer(recording.id, view.earlier)
    if may_change():
        words.proposals(recording)
    if view.changes:
        with st.expander(f"{gettext('Corrections')}: {len(view.changes)}", icon=":material/edit_note:"):
            rows = [
                {
                    gettext("Time"): clock(one.start_s),
                    gettext("Was heard"): one.heard,
                    gettext("Reads now"): one.now,
                    gettext("By"): author(one.who),
                    gettext("When"): one.at,
                }
                for one in view.changes[:LISTED]
            ]
            table(rows)
            if usd := application().correction_cost.so_far(recording):
                st.caption(gettext("New vectors of corrected passages so far: {usd}", usd=price(usd)))
    return view


def _offer(recording_id: str, earlier: Earlier) -> None:
    """Corrections of an earlier transcript wait for a word."""
    with st.container(border=True, key="earlier"):
        st.write(
            gettext(
                "An earlier transcript was corrected. In this one {fit} of {all} corrections fit.",
                fit=earlier.fitting,
                all=earlier.fitting + len(earlier.left),
            )
        )
        for one in earlier.left[:LISTED]:
            st.caption(plain(f"{clock(one.start_s)}\u00a0· {one.heard or '…'} → {one.now or '…'}"))
        with st.container(horizontal=True):
            for label, apply in ((gettext("Take them over"), True), (gettext("Leave them"), False)):
                if st.button(label, key=f"earlier-{apply}", type="primary" if apply else "secondary"):
                    application().recording_text.take_over(current_principal(), recording_id, apply=apply)
                    st.rerun()


def _text(service: RecordingText, id_: str, edit: Mapping[str, Any]) -> None:
    service.rewrite(current_principal(), id_, int(edit["n"]), _versions(edit), str(edit["text"]))


def _split(service: RecordingText, id_: str, edit: Mapping[str, Any]) -> None:
    segments = _saved(service, id_, edit)
    n, word = _located(segments, int(edit["n"]), int(edit["word"]))
    service.split(current_principal(), id_, n, segments[n].version, word)


def _join(service: RecordingText, id_: str, edit: Mapping[str, Any]) -> None:
    segments, n = _saved(service, id_, edit), int(edit["n"])
    count = min(len(edit["versions"]), len(segments) - n)
    service.join(current_principal(), id_, n, [one.version for one in segments[n - 1 : n + count]])


def _words(service: RecordingText, id_: str, edit: Mapping[str, Any]) -> None:
    """Words before the caret go up, words behind it down: `words` more or fewer than 0."""
    segments, n, words = _saved(service, id_, edit), int(edit["n"]), int(edit["words"])
    at = n if words > 0 else int(edit["next"][0][0])
    service.move(current_principal(), id_, at, [one.version for one in segments[at - 1 : at + 1]], words)


def _saved(service: RecordingText, id_: str, edit: Mapping[str, Any]) -> Sequence[TranscribedSegment]:
    """All utterances, after what was typed before they are cut otherwise."""
    if edit["changed"]:
        _text(service, id_, edit)
    return service.utterances(current_principal(), id_)


def _located(segments: Sequence[TranscribedSegment], n: int, word: int) -> tuple[int, int]:
    """The utterance, and the number in it, of a word that is counted from the start of utterance `n`."""
    while n < len(segments) - 1 and word >= len(segments[n].text.split()):
        word -= len(segments[n].text.split())
        n += 1
    return n, word


def _versions(edit: Mapping[str, Any]) -> list[str]:
    return [str(version) for version in edit["versions"]]


STEPS: Mapping[str, Callable[[RecordingText, str, Mapping[str, Any]], object]] = {
    "text": _text,
    "split": _split,
    "join": _join,
    "words": _words,
    "undo": lambda service, id_, edit: service.undo(current_principal(), id_, str(edit.get("of", ""))),
    "redo": lambda service, id_, _edit: service.redo(current_principal(), id_),
}
"""What the player may ask for, besides what is said of speakers."""
