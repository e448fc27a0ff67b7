"""Several recordings at once on the pages: chosen in a table, tagged, exported, transcribed again, deleted."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.database.tables import Recording
from core.errors import StenogramError
from core.library import bulk, views
from core.library.recordings import TranscriptionOptions
from core.monitor import monitor
from core.principal import Principal
from jobs.installation import application
from pages.components import common, recycle_bin, sharing, transcription_form
from pages.components.common import current_principal, gettext, ngettext, plain, translate_error

ROWS = 20_000
"""So many recordings are in a table, the newest."""
FOLDERS = 30


def folders(chosen: str) -> None:
    """Tags as folders, with how many recordings are in each; the one that is open is left out."""
    counts = views.tags(application().database, current_principal())
    most = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:FOLDERS]
    with st.container(horizontal=True, gap="xsmall", key="folders"):
        if chosen:
            st.page_link("library.py", label=gettext("All recordings"), icon=":material/arrow_back:")
        for tag, count in most:
            if tag != chosen:
                st.page_link(
                    "library.py",
                    label=f"{plain(tag)} ({common.number(count)})",
                    query_params={"tag": tag},
                    icon=":material/folder:",
                )


def table(words: str, tag: str, status: str) -> list[str]:
    """Recordings as a table whose columns sort; the ids of the rows that are chosen."""
    rows = views.listed(
        application().database, current_principal(), words=words, tag=tag, status=status, limit=ROWS
    )
    if not rows:
        st.write(gettext("No recording fits this filter."))
        return []
    frame = pd.DataFrame(rows)
    shown = pd.DataFrame(
        {
            gettext("Title"): frame["title"],
            gettext("State"): frame["status"].map(common.translated(monitor.STATUSES)),
            gettext("Length, min"): frame["duration_s"].astype(float) / 60,
            gettext("Recorded"): [common.wall_clock(row.dated_at, row.recorded_kind) for row in rows],
            gettext("Language"): frame["language"].map(lambda code: common.language_names([code])),
            gettext("Size, MB"): frame["size_bytes"] / 1e6,
            gettext("Tags"): frame["tags"],
        }
    )
    config = {
        gettext("Length, min"): st.column_config.NumberColumn(format="localized", step=0.1),
        gettext("Size, MB"): st.column_config.NumberColumn(format="localized", step=0.1),
        gettext("Recorded"): st.column_config.DatetimeColumn(format=f"{common.date_format()}, HH:mm"),
        gettext("Tags"): st.column_config.ListColumn(),
    }
    table_state = common.table(
        shown,
        column_config=config,
        on_select="rerun",
        selection_mode="multi-row",
        key="library-table",
    )
    ids = [rows[n].id for n in table_state["selection"]["rows"] if n < len(rows)]
    if len(ids) == 1:
        name = plain(rows[table_state["selection"]["rows"][0]].title)
        st.page_link("recording.py", label=f"**{name}**", query_params={"id": ids[0]})
    return ids


def table_view(words: str, tag: str, status: str) -> None:
    """The table, and what can be done with the rows that are chosen."""
    ids = table(words, tag, status)
    if common.may_change():
        with st.popover(gettext("Several at once"), icon=":material/checklist:", key="several"):
            actions(ids)


def choose(recordings: Sequence[Recording]) -> list[str]:
    """Some of the recordings of a list."""
    by_id = {recording.id: recording for recording in recordings}
    return st.multiselect(
        gettext("Which recordings"),
        list(by_id),
        format_func=lambda id_: by_id[id_].title,
        placeholder=gettext("Choose recordings"),
        key="several-ids",
    )


def several(recordings: Sequence[Recording]) -> None:
    """What can be done with some recordings of a list at once."""
    if len(recordings) < 2 or not common.may_change():
        return
    with st.popover(gettext("Several at once"), icon=":material/checklist:", key="several"):
        actions(choose(recordings))


def actions(ids: Sequence[str]) -> None:
    """Tag, export, transcribe again or delete these."""
    ids = list(ids)[: bulk.MOST]
    # always there: what is drawn only sometimes makes the browser build all below it anew, with what was typed
    st.caption(ngettext("{n} recording", "{n} recordings", len(ids)))
    tags = common.tags()
    if st.button(gettext("Add the tags"), disabled=not (ids and tags), key="several-tag"):
        application().bulk.tag(current_principal(), ids, tags)
        st.rerun()
    sharing.several(ids)
    _export(ids)
    _again(ids)
    st.caption(recycle_bin.warning())
    label = f":red[{gettext('Delete')}]" if ids else gettext("Delete")
    if st.button(label, disabled=not ids, key="several-delete"):
        recycle_bin.delete(list(application().recordings.named(current_principal(), ids).values()))
        st.rerun()


def _export(ids: Sequence[str]) -> None:
    """Their transcripts in some formats as one archive."""
    names = common.translated(views.FORMATS)
    kinds = st.multiselect(
        gettext("Export as"),
        list(names),
        ["docx"],
        format_func=names.__getitem__,
        placeholder=gettext("Choose formats"),
        key="several-formats",
    )
    make = functools.partial(_archive, current_principal(), ids, kinds, common.language())
    st.download_button(
        gettext("Download as ZIP"),
        make,
        "transcripts.zip",
        mime="application/zip",
        on_click="ignore",
        disabled=not (ids and kinds),
        icon=":material/download:",
        key="several-zip",
    )


def _archive(asker: Principal, ids: Sequence[str], kinds: Sequence[str], language: str) -> bytes:
    with application().bulk.archive(asker, ids, kinds, language) as made:
        return made.read()


def _again(ids: Sequence[str]) -> None:
    """Another transcript of each, at a price that is told first."""
    if not st.checkbox(gettext("Transcribe again"), disabled=not ids, key="several-again") or not ids:
        return
    rows = application().bulk.with_sound(current_principal(), ids)
    language, engine, ready = common.engine("several", "auto")
    options = TranscriptionOptions(language=language, engine=engine, keep_corrections=True)
    if ready:
        st.caption(transcription_form.costs([row.duration_s for row in rows], options))
    label = ngettext("Transcribe {n} again", "Transcribe {n} again", len(rows))
    if st.button(label, type="primary", disabled=not (ready and rows), key="several-transcribe"):
        try:
            application().bulk.transcribe(current_principal(), ids, options)
            st.rerun()
        except StenogramError as error:
            st.error(translate_error(error))
