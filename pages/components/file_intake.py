"""Files that were dropped on a page: unpacked, taken in, and what became of each."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.typing import UploadedFile

from core.errors import StenogramError
from core.library import archives, views
from core.library.archives import Member
from core.library.recordings import TranscriptionOptions
from core.library.views import Outcome
from core.storage.resumable import HeldFile
from jobs.installation import application
from pages.components.common import current_principal, gettext, live, plain, rows, size, translate_error

PAGE_BYTES = 200e6
"""What the page's uploader takes: it holds files in memory."""


def dropped(key: str) -> list[UploadedFile | Member]:
    """Files that were dropped here to be priced, or chosen; of an archive the recordings in it."""
    label = gettext("Sound, video or transcripts (SRT, VTT), up to {size} each", size=size(PAGE_BYTES))
    hint = gettext("JSON and text with time codes such as [00:01:05] are taken for transcripts, too.")
    with _dropping():
        files = st.file_uploader(label, accept_multiple_files=True, help=hint, key=key)
    return [one for file in files for one in _unpacked(file)]


def dropped_one(key: str) -> UploadedFile | None:
    """One file that was dropped here or chosen."""
    with _dropping():
        return st.file_uploader(gettext("Sound or video, up to {size}", size=size(PAGE_BYTES)), key=key)


@contextmanager
def _dropping() -> Iterator[None]:
    """The widget's own words are English only, so ours cover them."""
    texts = {"choose": gettext("Choose files"), "drop": gettext("or drop them here")}
    variables = "".join(f"--{name}: {json.dumps(text, ensure_ascii=False)};" for name, text in texts.items())
    with st.container(key="drop"):
        st.html(f"<style>:root {{{variables}}}</style>")
        yield


def _unpacked(file: UploadedFile) -> Sequence[UploadedFile | Member]:
    """The recordings of an archive, or why there are none; any other file is itself."""
    if not archives.is_archive(file, file.name):
        return [file]
    try:
        return archives.members(file, file.name, application().settings.upload_max_bytes)
    except StenogramError as error:
        st.error(translate_error(error), icon=":material/block:")
        return []


def outcomes(found: Sequence[Outcome]) -> None:
    """What became of each file that was sent."""
    for outcome in found:
        if outcome.error:
            st.error(translate_error(outcome.error), title=plain(outcome.filename), icon=":material/block:")
    ids = dict.fromkeys(outcome.recording_id for outcome in found if outcome.recording_id)
    find = functools.partial(views.chosen, application().database, current_principal(), list(ids))
    live(lambda: rows(find()), moving=any(card.active for card in find()))


def take(files: Sequence[Any], options: TranscriptionOptions) -> list[Outcome]:
    """Take files in, one after the other, with a bar that says how far."""
    bar = st.progress(0.0)
    found = []
    group_id = application().task_groups.begin(current_principal())
    options = replace(options, group_id=group_id)
    for n, file in enumerate(files):
        bar.progress(
            n / len(files),
            gettext("{n} of {total}: {name}", n=n + 1, total=len(files), name=plain(file.name)),
        )
        app = application()
        if isinstance(file, Path):
            found.append(
                views.take_path(app.intake, current_principal(), file, options, app.settings.folders)
            )
        elif isinstance(file, HeldFile):
            found.append(
                views.accept_held(app.intake, app.resumable_uploads, current_principal(), file, options)
            )
        else:
            found.append(views.accept_file(app.intake, current_principal(), file, file.name, options))
    bar.empty()
    application().task_groups.close(group_id)
    return found
