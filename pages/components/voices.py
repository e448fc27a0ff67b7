"""People whose voices are known again: a card each, and whether they are remembered at all."""

from __future__ import annotations

import streamlit as st

from core.errors import StenogramError
from core.transcripts.voices import KnownVoice
from jobs.installation import application
from pages.components import common, speakers
from pages.components.common import (
    current_principal,
    duration,
    facts,
    gettext,
    ngettext,
    plain,
    translate_error,
)

SHOWN = 5
"""So many recordings of a person are named."""


def setting() -> None:
    """Say whether voices are remembered, and where that is changed."""
    st.subheader(gettext("Voices"), anchor=False)
    remembered = application().voices.on
    st.write(gettext("Voices are remembered.") if remembered else gettext("Voices are not remembered."))
    st.page_link("voices.py", label=gettext("Voices"), icon=":material/record_voice_over:")


def find_all() -> None:
    """Offer to look for the speakers of recordings that were made before; say first what it takes."""
    service = application().recording_speakers
    rest = service.unsearched(current_principal())
    if not rest:
        return
    many = ngettext("{n} recording has no speakers yet.", "{n} recordings have no speakers yet.", len(rest))
    cost = gettext(
        "It costs nothing but time: about {time}.",
        time=duration(max(5.0, sum(rest.values()) / speakers.REAL_TIMES)),
    )
    st.write(f"{many} {cost}")
    if st.button(gettext("Find the speakers"), icon=":material/group:", key="find-all"):
        for recording_id in rest:
            service.find(current_principal(), recording_id)
        st.rerun()


def card(voice: KnownVoice) -> None:
    """Somebody's name, where they were heard, and what may be changed."""
    with st.container(border=True, key=f"voice-{voice.voice_id}"):
        with common.line():
            st.markdown(f"**{plain(voice.name)}**", width="stretch")
            if common.may_change():
                with (
                    st.popover(gettext("Rename"), type="tertiary", key=f"rename-{voice.voice_id}"),
                    st.form(f"name-{voice.voice_id}", border=False),
                ):
                    name = st.text_input(gettext("Name"), voice.name, max_chars=100)
                    st.caption(gettext("With the name of somebody else who is known, the two become one."))
                    if st.form_submit_button(gettext("Save"), type="primary") and name.strip():
                        try:
                            application().recording_speakers.rename_voice(
                                current_principal(), voice.voice_id, name
                            )
                        except StenogramError as error:
                            st.error(translate_error(error))
                            st.stop()
                        st.rerun()
                if st.button(gettext("Forget"), type="tertiary", key=f"forget-{voice.voice_id}"):
                    application().voices.forget(current_principal(), voice.voice_id)
                    st.rerun()
        st.caption(
            facts(
                ngettext("{n} recording", "{n} recordings", len({id_ for id_, *_ in voice.heard_in})),
                gettext("{time} of speech", time=duration(voice.speaking_s)),
            )
        )
        for recording_id, title, label in voice.heard_in[:SHOWN]:
            samples = application().recording_speakers.samples(current_principal(), recording_id, label)
            at = {"t": f"{samples[0].start_s:.1f}"} if samples else {}
            st.page_link(
                "recording.py",
                label=plain(title),
                icon=":material/play_arrow:",
                query_params={"id": recording_id, **at},
                help=gettext("Hear the voice"),
            )


def forget_all() -> None:
    """Offer to remember nobody any more."""
    st.space("small")
    with st.popover(gettext("Stop remembering voices")):
        st.write(gettext("Every voice is forgotten. Names in recordings stay."))
        if st.button(f":red[{gettext('Forget all voices')}]", key="off"):
            application().voices.turn(common.current_principal(), on=False)
            st.rerun()
