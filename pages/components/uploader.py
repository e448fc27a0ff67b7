"""The drop zone: files of any size, sent by the browser itself in pieces, so that a broken connection costs one piece."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import streamlit as st

from core.errors import StenogramError
from core.library import archives
from core.library.archives import Member
from core.library.views import Outcome
from core.storage.resumable import HELD, HeldFile
from jobs.installation import application
from pages.components import triggers
from pages.components.common import current_principal, gettext, language, ngettext, size, translate_error

HERE = Path(__file__).parent
ADDRESS = "/api/v1/uploads"
IDS = "held files"
"""Uploads that this visit has made, in order."""
ROUND = "round"
"""Counts what was sent: a field with another key is a new one."""
HTML = """
<div class="sender">
  <div class="zone">
    <input class="pick" type="file" multiple hidden>
    <button class="choose" type="button"></button>
    <span class="drop"></span>
    <span class="hint"></span>
  </div>
  <div class="all" hidden><progress class="bar"></progress><div class="state" role="status"></div></div>
  <ul class="list"></ul>
</div>
"""

_sender = st.components.v2.component(
    "stenogram_sender",
    html=HTML,
    css=(HERE / "uploader.css").read_text(),
    js=(HERE / "uploader.js").read_text(),
)


@dataclass(frozen=True)
class Row:
    """One file of the list below the zone."""

    id: str
    """Empty for what came out of an archive or a folder, and cannot be taken out alone."""
    name: str
    facts: str = ""
    wrong: bool = False


@dataclass(frozen=True)
class Dropped:
    """A file that has arrived, and the recordings in it: itself, or those of an archive, or none and why."""

    file: HeldFile
    recordings: Sequence[HeldFile | Member]
    error: str = ""


def dropped() -> list[Dropped]:
    """The files that have arrived and wait."""
    while ids := triggers.take("sender", "sent"):
        keep(json.loads(ids))
    while removed := triggers.take("sender", "removed"):
        _remove(removed.partition(" ")[0])
    held_files = application().resumable_uploads.held(current_principal(), st.session_state.get(IDS, []))
    return [_unpacked(file) for file in held_files]


def folder() -> str:
    """A folder of the server whose files are to be taken; empty: none, or none may be read."""
    allowed = application().settings.folders
    if not allowed:
        return ""
    folders = {"": gettext("No folder"), **{str(path): str(path) for path in allowed}}
    key = f"folder-{st.session_state.setdefault(ROUND, 0)}"
    label = gettext("Or a folder of the server")
    return str(st.selectbox(label, folders, format_func=folders.__getitem__, key=key))


def draw(files: Sequence[Dropped], about: Mapping[tuple[str, int], list[tuple[str, bool]]]) -> None:
    """The zone, and the list of what is in it; `about` says by name and size what is known of each."""
    app = application()
    most = app.settings.upload_max_bytes
    _sender(
        key="sender",
        data={
            "address": ADDRESS,
            "ticket": app.keys.upload_ticket(current_principal(), visitor()),
            "most": most,
            "held": HELD,
            "language": language(),
            "rows": [asdict(row) for each in files for row in _rows(each, about)],
            "labels": _labels(most),
        },
        on_sent_change=triggers.kept("sender", "sent"),
        on_removed_change=triggers.kept("sender", "removed"),
    )


def taken(files: Sequence[Dropped], outcomes: Sequence[Outcome]) -> None:
    """What was taken in leaves the list, and the folder is chosen no more; what was refused stays."""
    st.session_state[ROUND] = st.session_state.get(ROUND, 0) + 1
    refused = {outcome.filename for outcome in outcomes if outcome.error}
    for each in files:
        if not refused & {recording.name for recording in each.recordings}:
            _remove(each.file.id)


def _unpacked(file: HeldFile) -> Dropped:
    with file.path.open("rb") as content:
        if not archives.is_archive(content, file.name):
            return Dropped(file, [file])
    try:
        most = application().settings.upload_max_bytes
        return Dropped(file, archives.members(file.path.open("rb"), file.name, most))
    except StenogramError as error:
        return Dropped(file, [], translate_error(error).replace("\\", ""))


def _rows(each: Dropped, about: Mapping[tuple[str, int], list[tuple[str, bool]]]) -> list[Row]:
    if list(each.recordings) == [each.file]:
        return [Row(each.file.id, each.file.name, *_next(about, each.file))]
    n = len(each.recordings)
    facts = each.error or ngettext("{n} recording", "{n} recordings", n)
    inner = [Row("", file.name, *_next(about, file)) for file in each.recordings]
    return [Row(each.file.id, each.file.name, facts, bool(each.error)), *inner]


def _next(
    about: Mapping[tuple[str, int], list[tuple[str, bool]]], file: HeldFile | Member
) -> tuple[str, bool]:
    """What is known of a file; of two with one name and size each in its turn."""
    details = about.get((file.name, file.size))
    return details.pop(0) if details else (size(file.size), False)


def keep(ids: Sequence[str]) -> None:
    """Files have arrived."""
    st.session_state[IDS] = list(dict.fromkeys([*st.session_state.get(IDS, []), *ids]))


def _remove(id_: str) -> None:
    """Somebody does not want a file after all, or it has become a recording."""
    uploads = application().resumable_uploads
    stored_ids = st.session_state.get(IDS, [])
    if id_ not in stored_ids:
        return
    st.session_state[IDS] = [other for other in stored_ids if other != id_]
    if uploads.held(current_principal(), [id_]):
        uploads.forget(uploads.get(current_principal(), id_))


def visitor() -> str:
    """A number for this visit, so that what one visitor leaves unfinished is in nobody else's way."""
    return str(st.session_state.setdefault("visitor", secrets.token_hex(8)))


def _labels(most: int) -> dict[str, str]:
    return {
        "choose": gettext("Choose files"),
        "drop": gettext("or drop them here"),
        "hint": gettext(
            "Sound, video, transcripts (SRT, VTT), ZIP archives; up to {size} each", size=size(most)
        ),
        "all": gettext("{n} of {all} sent, {percent}", n="{n}", all="{all}", percent="{percent}"),
        "waiting": gettext("The connection is lost; it goes on by itself."),
        "refused": gettext("It was refused."),
        "large": gettext("It is larger than the limit."),
        "done": gettext("Sent"),
        "remove": gettext("Remove {name}", name="{name}"),
        "again": gettext("Try again"),
        "queued": gettext("Waiting"),
    }
