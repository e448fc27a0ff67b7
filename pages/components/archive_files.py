"""The files of a plan: dropped or in a folder of the server, read by their headers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import streamlit as st

from core.errors import StenogramError
from core.i18n import catalogue
from core.planning import plans
from core.planning.plans import Archive, Candidate, Found
from jobs.installation import application
from pages.components import common, file_intake
from pages.components.common import duration, facts, gettext, ngettext, translate_error

SHOW_EVERY = 25
"""Files between two movements of a bar."""


def ask() -> list[Candidate]:
    """Files that were dropped, and those of a folder once somebody says so."""
    app = application()
    candidates = plans.dropped(file_intake.dropped("plan-files"))
    if not app.settings.folders:
        return candidates
    with st.container(horizontal=True, vertical_alignment="bottom"):
        folder = st.text_input(
            gettext("Or a folder of the server"),
            str(app.settings.folders[0]),
            key="plan-folder",
            help=gettext("One that IMPORT_ROOTS allows. Its files are read where they are, and left there."),
        )
        if st.button(gettext("Read the folder"), key="read-folder"):
            st.session_state["plan-reading"] = folder
            _read_again()
    if folder and st.session_state.get("plan-reading") == folder:
        try:
            candidates += plans.in_folder(folder, app.settings.folders)
        except StenogramError as error:
            st.error(translate_error(error))
    return candidates


def amount(candidates: Sequence[Candidate]) -> dict[str, Any] | None:
    """What of these files is to be priced; None while there is nothing."""
    archive = looked(candidates)
    if archive is None or not archive.found:
        st.caption(gettext("Only headers are read; nothing is uploaded or sent anywhere yet."))
        return None
    return _described(archive)


def looked(candidates: Sequence[Candidate]) -> Archive | None:
    """What is known of these files, read once; None if that was cancelled."""
    names = [(candidate.name, candidate.size_bytes) for candidate in candidates]
    if st.session_state.get("plan-names") == names:
        archive: Archive | None = st.session_state["plan-archive"]
        if archive is None:
            st.button(gettext("Read them after all"), key="read-again", on_click=_read_again)
        return archive
    place = st.empty()
    with place.container():
        bar = st.progress(0.0)
        if len(candidates) > SHOW_EVERY:
            st.button(gettext("Cancel"), key="cancel-reading", on_click=_stop, args=(names,))
        archive = Archive()
        for n, found in enumerate(plans.look(candidates, application().database)):
            archive.found.append(found)
            if n % SHOW_EVERY == 0:
                bar.progress(n / len(candidates), gettext("{n} of {total} files", n=n, total=len(candidates)))
    place.empty()
    st.session_state.update({"plan-names": names, "plan-archive": archive, "plan-speech": None})
    return archive


def none_readable() -> bool:
    """Whether every file that was looked at last was refused."""
    archive: Archive | None = st.session_state.get("plan-archive")
    if archive is None or not archive.found:
        return False
    return len(archive.left_out("refused")) == len(archive.found)


def _read_again() -> None:
    st.session_state.pop("plan-names", None)


def _stop(names: object) -> None:
    st.session_state.update({"plan-names": names, "plan-archive": None})


def _described(archive: Archive) -> dict[str, Any] | None:
    """What was found in words; None if nothing is left to price."""
    unknown_s = float(application().estimates.book().assume("recording_s").value)
    lengths_s = archive.durations_s(unknown_s)
    st.caption(
        facts(
            ngettext("{n} new file", "{n} new files", len(archive.fresh)),
            duration(sum(lengths_s)),
            _counted(archive.left_out("known"), "{n} file is here already", "{n} files are here already"),
            _counted(archive.left_out("repeated"), "{n} repeated file", "{n} repeated files"),
            ngettext("{n} length is estimated", "{n} lengths are estimated", archive.estimated)
            if archive.estimated
            else "",
        )
    )
    refused = archive.left_out("refused")
    if refused:
        with st.expander(ngettext("{n} file cannot be read", "{n} files cannot be read", len(refused))):
            for each in refused[:50]:
                st.caption(
                    f"{common.plain(each.candidate.name)}: {translate_error(each.error) if each.error else ''}"
                )
    if not archive.fresh:
        if sent := st.session_state.get("plan-outcomes"):
            file_intake.outcomes(sent)
        else:
            st.info(gettext("Nothing here is new."))
        return None
    return {"durations_s": lengths_s, **_speech(archive, sum(lengths_s))}


def _counted(files: Sequence[Found], one: str, many: str) -> str:
    return ngettext(one, many, len(files)) if files else ""


def _speech(archive: Archive, sound_s: float) -> dict[str, Any]:
    """Seconds of speech, if somebody wants them measured: only speech is paid for as text."""
    share: float | None = st.session_state.get("plan-speech")
    if share is None:
        if not st.button(gettext("Measure how much is speech"), key="speech", type="tertiary"):
            return {}
        share = _listened(archive)
        st.session_state["plan-speech"] = share
    st.caption(gettext("{share} of it is speech.", share=catalogue.percent(share, common.language())))
    return {"speech_s": min(sound_s, sound_s * share)}


def _listened(archive: Archive) -> float:
    bar, total = st.progress(0.0), len(plans.sample(archive.fresh))
    spoken_s = sound_s = 0.0
    for n, (spoken, sound) in enumerate(plans.measure_speech(archive.fresh)):
        spoken_s, sound_s = spoken_s + spoken, sound_s + sound
        bar.progress((n + 1) / total)
    bar.empty()
    return spoken_s / sound_s if sound_s else 1.0
