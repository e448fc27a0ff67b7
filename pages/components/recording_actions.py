"""What can be done with a recording: taken away, renamed, dated."""

from __future__ import annotations

import datetime
import functools

import streamlit as st

from core.database.states import DateKind
from core.database.tables import Recording
from core.i18n import catalogue
from core.library import views
from core.library.recordings import recorded
from core.media.dates import Recorded
from core.transcripts import export
from jobs.installation import application
from pages.components import common
from pages.components.common import current_principal, gettext

FIRST_DAY = datetime.date(1900, 1, 1)
SAVED = "saved"
"""Counts what was saved: a popover with another key is another one, which is closed."""


def download(recording: Recording) -> None:
    """The recording as it came, and its transcript in every format."""
    app = application()
    with st.popover(gettext("Download"), icon=":material/download:"):
        original = f"/sound/{recording.id}?ticket={common.sound_ticket(recording.id)}&download=true"
        st.link_button(gettext("The recording as it came"), original, type="tertiary")
        for kind, name in views.FORMATS.items() if recording.transcript_id else ():
            make = functools.partial(
                views.exported,
                app.recordings,
                app.transcripts,
                current_principal(),
                recording.id,
                kind,
                common.language(),
            )
            file = export.name(recording.filename, kind, recording.title)
            st.download_button(gettext(name), make, file, on_click="ignore", type="tertiary", key=kind)


def edit(recording: Recording) -> None:
    """Title, tags, and when it was recorded."""
    saved = st.session_state.setdefault(SAVED, 0)
    place = st.popover(gettext("Edit"), icon=":material/edit:", key=f"edit-{saved}")
    with place, st.form(f"edit-form-{saved}", border=False):
        title = st.text_input(gettext("Title"), recording.title, max_chars=200)
        tags = common.tags(recording.tags)
        day, clock = _when(recording)
        if st.form_submit_button(gettext("Save"), type="primary"):
            application().recordings.rename(current_principal(), recording.id, title, tags)
            _date(recording, day, clock)
            st.session_state[SAVED] = saved + 1
            st.rerun()


def _when(recording: Recording) -> tuple[datetime.date | None, datetime.time | None]:
    """Ask for the day and the time, on the visitor's clock."""
    then, clock = _shown(recording)
    left, right = st.columns(2)
    day = left.date_input(
        gettext("Recorded on"),
        then,
        min_value=FIRST_DAY,
        max_value=datetime.datetime.now(_zone()).date() + datetime.timedelta(days=1),
        format=common.day_field(),
        help=gettext(
            "Taken from the file's name or its tags where they say it. Searches with before: and after: go by it."
        ),
    )
    at = right.time_input(gettext("At"), clock, step=60)
    brought = gettext("Brought {time}", time=common.moment(recording.created_at))
    st.caption(common.facts(brought, common.plain(recording.filename)))
    return day, at


def _date(recording: Recording, day: datetime.date | None, clock: datetime.time | None) -> None:
    """Keep what somebody changed; what they left alone stays as exact as it was."""
    if (day, clock) == _shown(recording):
        return
    if day is None:
        when = None
    elif clock is None:
        midnight = datetime.datetime.combine(day, datetime.time(), datetime.UTC)
        when = Recorded(midnight.timestamp(), DateKind.DAY)
    else:
        then = datetime.datetime.combine(day, clock, _zone())
        when = Recorded(then.timestamp(), DateKind.INSTANT)
    application().recordings.date(current_principal(), recording.id, when)


def _shown(recording: Recording) -> tuple[datetime.date | None, datetime.time | None]:
    """The day and the minute that are known; a time without a zone as it was written."""
    when = recorded(recording)
    if when is None:
        return None, None
    zone = _zone() if when.kind == DateKind.INSTANT else datetime.UTC
    then = datetime.datetime.fromtimestamp(when.at, zone)
    clock = None if when.kind == DateKind.DAY else then.time().replace(second=0, microsecond=0)
    return then.date(), clock


def _zone() -> datetime.tzinfo:
    return catalogue.zone_of(st.context.timezone)
