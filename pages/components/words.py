"""Words in all texts: places in their context to choose from, and the entries of the glossary."""

from __future__ import annotations

import re
from collections.abc import Sequence

import streamlit as st

from core.database.tables import GlossaryEntry, Recording
from core.errors import StenogramError
from core.i18n.catalogue import clock
from core.library.archive_text import LONGEST, TextPlace
from jobs.installation import application
from pages.components import common
from pages.components.common import (
    current_principal,
    gettext,
    icon_button,
    line,
    plain,
    tight,
    translate_error,
)

SHOWN = 100
"""Places at a time; the next ones come when these are done."""
PLAYED_S = 4.0
DONE, PLAYING = "words-done", "words-playing"


def replacing() -> None:
    """Find words, choose places, have them read otherwise, take that back."""
    with st.form("find-words", border=False):
        left, beside = st.columns(2)
        text = left.text_input(gettext("What is written"), max_chars=LONGEST, key="words-wanted")
        right = beside.text_input(gettext("What it should be"), max_chars=LONGEST, key="words-right")
        whole = st.checkbox(gettext("Whole words only"), value=True, key="words-whole")
        st.form_submit_button(gettext("Find"), type="primary", icon=":material/search:")
    _done()
    if not text.strip():
        st.caption(gettext("Every place in all recordings is shown in its context before anything changes."))
        return
    try:
        places = application().archive_text.find(current_principal(), [text], whole_words=whole)
    except StenogramError as error:
        st.error(translate_error(error))
        return
    places = [place for place in places if place.found != " ".join(right.split())]
    if not places:
        st.info(gettext("Nobody says that, or it is written so already."))
        return
    chosen = _choose(places)
    if said := _vectors(chosen):
        st.caption(said)
    label = gettext("Replace in {n} places", n=len(chosen))
    if st.button(label, type="primary", disabled=not (chosen and right.strip()), key="words-replace"):
        st.session_state[DONE] = application().archive_text.replace(current_principal(), chosen, right)
        st.rerun()


def _vectors(places: Sequence[TextPlace]) -> str:
    """What new vectors of these places cost; empty where they cost nothing."""
    usd = application().correction_cost.of_places(places)
    if usd is None:
        return gettext("Nobody knows what the new vectors of these passages cost.")
    if not usd:
        return ""
    return gettext("New vectors of these passages, at most: {usd}", usd=common.price(usd))


def _done() -> None:
    """What was replaced last, and the way back."""
    done = st.session_state.get(DONE)
    if done is None:
        return
    with st.container(border=True, key="words-undo-box"):
        facts = gettext("Replaced in {n} places of {recordings} recordings.", n=done.places,
                        recordings=len(done.recordings))  # fmt: skip
        st.write(facts)
        if done.skipped:
            st.caption(gettext("Places that had changed meanwhile and were left: {n}.", n=done.skipped))
        if done.places and st.button(gettext("Undo"), icon=":material/undo:", key="words-undo"):
            back = application().archive_text.undo(current_principal(), done.action_id)
            st.session_state.pop(DONE)
            if back.left:
                st.toast(gettext("Corrected since, and left: {n} recordings.", n=len(back.left)))
            st.rerun()


def _choose(places: Sequence[TextPlace]) -> list[TextPlace]:
    """The first places, each with its context, a box to tick and a button that plays it; those ticked."""
    st.write(gettext("Places found: {n}", n=len(places)))
    chosen, title = [], ""
    for n, place in enumerate(places[:SHOWN]):
        if place.recording_id != title:
            title = place.recording_id
            st.markdown(f"**{plain(place.title)}**")
        key = f"{place.recording_id}-{place.version}-{place.at}"
        with line(gap="small", key=f"place-{n}"):
            before = plain(place.before) + " " * place.before.endswith(" ")
            after = " " * place.after.startswith(" ") + plain(place.after)
            if after.rstrip().endswith((".", "!", "?", "…")):
                after += " "  # two signs of which one reads as a slip
            context = f"…{before}**{plain(place.found)}**{after}…"
            label = f"{clock(place.play_s)} {context}"
            if st.checkbox(label, value=True, key=f"choose-{key}", width="stretch"):
                chosen.append(place)
            if icon_button(gettext("Play"), "play_arrow", f"play-{key}"):
                st.session_state[PLAYING] = key
        if st.session_state.get(PLAYING) == key:
            _play(place)
    if len(places) > SHOWN:
        st.caption(gettext("The first {n} are shown; the others come when these are done.", n=SHOWN))
    return chosen


def _play(place: TextPlace) -> None:
    ticket = common.sound_ticket(place.recording_id)
    start_s = max(0.0, place.play_s - 1)
    source = f"/sound/{place.recording_id}?ticket={ticket}#t={start_s:.1f},{start_s + PLAYED_S:.1f}"
    st.html(f'<audio controls autoplay src="{source}"></audio>')


def glossary() -> None:
    """Entries to add, change and take out."""
    st.caption(
        gettext(
            "Names, products and abbreviations as they are written. Their misheard forms are proposed as "
            "corrections in recordings, and Whisper and Groq are told the right ones before they listen."
        )
    )
    _entry(None)
    entries = application().glossary.all(current_principal())
    if not entries:
        st.write(gettext("The glossary is empty."))
    for entry in entries:
        with st.expander(
            plain(entry.right) + (f" ← {plain(', '.join(entry.misheard))}" if entry.misheard else "")
        ):
            _entry(entry)


def _entry(entry: GlossaryEntry | None) -> None:
    """The form of an entry, or of a new one."""
    name = entry.id if entry else "new"
    with st.form(f"entry-{name}", border=entry is None, clear_on_submit=entry is None):
        first, second, third = st.columns([2, 3, 2], vertical_alignment="bottom")
        right = first.text_input(gettext("Right form"), entry.right if entry else "", max_chars=LONGEST)
        forms = second.text_input(
            gettext("Misheard as, split by commas"), ", ".join(entry.misheard if entry else [])
        )
        codes = third.text_input(
            gettext("Languages"),
            ", ".join(entry.languages if entry else []),
            help=gettext("Languages, as codes split by commas; empty: all"),
        )
        with st.container(horizontal=True):
            saved = st.form_submit_button(gettext("Save") if entry else gettext("Add"), type="primary")
            gone = entry is not None and st.form_submit_button(gettext("Take out"))
    try:
        if entry is not None and gone:
            application().glossary.forget(current_principal(), entry.id)
            st.rerun()
        if saved:
            languages = re.findall("[a-z]{2,3}", codes.lower())
            application().glossary.save(
                current_principal(), right, forms.split(","), languages, entry.id if entry else ""
            )
            st.rerun()
    except StenogramError as error:
        st.error(translate_error(error))


def proposals(recording: Recording) -> None:
    """What the glossary would correct in a recording, to be done at once."""
    proposals = application().glossary.proposals(current_principal(), recording)
    if not proposals:
        return
    with line(border=True, key="proposals"):
        with tight():
            st.write(gettext("The glossary writes these words differently:"))
            for right, places in proposals.items():
                misspelled = ", ".join(dict.fromkeys(place.found for place in places))
                st.caption(plain(f"{misspelled} → {right} × {len(places)}"))
        if st.button(gettext("Correct them"), key="proposals-apply"):
            application().glossary.apply(current_principal(), recording)
            st.rerun()
