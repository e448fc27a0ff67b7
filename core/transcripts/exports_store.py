"""What is kept in the object store, and for how long: nothing there outlives what it belongs to.

Names say whose an object is: `media/<sha256>` (`mirror.py`), `covers/<recording>/<cover>`,
`exports/<recording>/<transcript>.<format>`, `orders/<order>.<what>` (engines elsewhere).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from sqlalchemy import Select, select

from core.database.database import Database
from core.database.recycle_bin import WITH_BIN
from core.database.states import OrderState
from core.database.tables import Cover, Order, Recording, new_id
from core.errors import Code, Conflict, NotFound, Unavailable
from core.i18n import catalogue
from core.storage.object_store import ObjectStore
from core.transcripts import export, warnings
from core.transcripts.transcripts import Transcripts

US, MARK = "installation", "installation"
"""The fact that names this installation, and the object that says whose the store is."""
STALE_S = 3600.0
"""What is younger may still be waiting for its row."""
ENDED = (OrderState.DONE, OrderState.FAILED, OrderState.CANCELLED)
AT_ONCE = 200
"""Recordings whose missing exports are made in one round."""
ASKED = 500
"""Objects whose rows are looked for in one question."""


class ExportStore:
    """The object store of one installation, beside the bytes of recordings."""

    def __init__(self, storage: ObjectStore, database: Database, transcripts: Transcripts) -> None:
        self._storage = storage
        self._database = database
        self._transcripts = transcripts

    def export(self, recording: Recording, transcript_id: str) -> None:
        """Have a transcript in the store in every format, worded in its own language.

        One that cannot be kept now comes with a sweep.
        """
        if not self._storage.can_share:
            return
        segments = self._transcripts.segments(transcript_id, recording.id)
        transcript = self._transcripts.get(transcript_id)
        language = catalogue.language(transcript.language)
        notes = warnings.answers(transcript, language)
        with suppress(Unavailable):
            for kind in export.FORMATS:
                content = export.file(segments, recording.filename, kind, language, warnings=notes).content
                self._storage.put(_export_name(recording.id, transcript_id, kind), content)

    def clear(self, recording_id: str) -> None:
        """A recording is gone, and its rows with it: so are its pictures and exports."""
        for folder in ("covers", "exports"):
            self._storage.clear(f"{folder}/{recording_id}/")

    def sweep(self, stale_s: float = STALE_S) -> int:
        """Delete what was left because the store was away, and add what it lacks; says how many of both.

        Raise Conflict, and touch nothing, where another installation keeps its objects.
        """
        self._claim()
        return sum(self._sweep(folder, stale_s) for folder in BELONGS) + self._complete()

    def _claim(self) -> None:
        """Only what we know to be ours may be judged by our records: these may be new, or a bucket shared."""
        us = self._database.set_if_absent(US, new_id())
        try:
            owner = self._storage.get(MARK).decode()
        except NotFound:
            self._storage.put(MARK, us.encode())
            return
        if owner != us:
            raise Conflict(Code.STORAGE_SHARED)

    def _sweep(self, folder: str, stale_s: float) -> int:
        old = [name for name, age_s in self._storage.list(f"{folder}/") if age_s > stale_s]
        blocks = [old[start : start + ASKED] for start in range(0, len(old), ASKED)]
        left = [name for block in blocks for name in self._orphans(folder, block)]
        for name in left:
            self._storage.remove(name)
        return len(left)

    def _orphans(self, folder: str, names: Sequence[str]) -> list[str]:
        key, rows = BELONGS[folder]
        keys = {name: key(name.split("/")) for name in names}
        with self._database.read() as session:
            known_keys = set(session.scalars(rows(list(keys.values()))))
        return [name for name in names if keys[name] not in known_keys]

    def _complete(self) -> int:
        if not self._storage.can_share:
            return 0
        stored_names = {name for name, _ in self._storage.list("exports/")}
        done = select(Recording).where(Recording.transcript_id.is_not(None)).order_by(Recording.created_at)
        with self._database.read() as session:
            rows = list(session.scalars(done))
        lacking = [row for row in rows if not _exports(row) <= stored_names][:AT_ONCE]
        for row in lacking:
            self.export(row, row.transcript_id or "")
        return len(lacking)


def _last(parts: list[str]) -> str:
    return parts[-1]


def _order_id(parts: list[str]) -> str:
    return parts[-1].partition(".")[0]


def _exported(parts: list[str]) -> str:
    return f"{parts[1]}/{parts[-1].partition('.')[0].partition('_')[0]}"


def _media(keys: list[str]) -> Select[str]:
    return select(Recording.sha256).where(Recording.sha256.in_(keys)).execution_options(**WITH_BIN)


def _covers(keys: list[str]) -> Select[str]:
    return select(Cover.id).where(Cover.id.in_(keys))


def _exports_of(keys: list[str]) -> Select[str]:
    recordings = [key.partition("/")[0] for key in keys]
    return select(Recording.id + "/" + Recording.transcript_id).where(Recording.id.in_(recordings))


def _orders(keys: list[str]) -> Select[str]:
    return select(Order.id).where(Order.id.in_(keys), Order.state.not_in(ENDED))


BELONGS: dict[str, tuple[Callable[[list[str]], str], Callable[[list[str]], Select[Any]]]] = {
    "media": (_last, _media),
    "covers": (_last, _covers),
    "exports": (_exported, _exports_of),
    "orders": (_order_id, _orders),
}
"""What an object belongs to, read from the parts of its name, and how to find which of these are there."""


def _export_name(recording_id: str, transcript_id: str, kind: str) -> str:
    return f"exports/{recording_id}/{transcript_id}{export.FORMATS[kind][0]}"


def _exports(row: Recording) -> set[str]:
    return {_export_name(row.id, row.transcript_id or "", kind) for kind in export.FORMATS}
