"""Uploads that may be interrupted and go on where they stopped, over days and restarts.

What has arrived is a growing file; its length is the only truth about progress. When it is complete it
moves into the store, and the recording's task is made.

Written by ourselves: tuspyserver (4.4) knows neither owners nor their shares, keeps its facts in files
beside the database, and goes on without its lock where the disk is full.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sqlalchemy import delete, func, select, update

from core.database.database import Database
from core.database.owned import get_owned
from core.database.tables import Resumable, new_id
from core.errors import Code, Conflict, NotFound
from core.principal import Principal
from core.storage.blobs import Blob, Store, writing

OPEN_AT_ONCE = 20
"""Unfinished uploads of one owner; each may be as large as files may be."""
VISITOR_AT_ONCE = 500
"""The same of one visitor of the pages, where files wait until somebody says what is to become of them."""
PAGES_AT_ONCE = 2000
"""The same of all visitors of the pages together."""
DEFERRED = "deferred"
"""Said of an upload whose length is not known yet: it is being recorded."""
HELD = "held"
"""Said of an upload of the pages that makes no task when it is complete, but waits for one."""
ABANDONED_S = 60.0
"""An upload of the pages that nobody has sent to for so long gives way where there are too many; a connection
that is silent for half as long is cut."""
KEPT_S = 24 * 3600.0
KEPT_ELSEWHERE_S = 7 * KEPT_S


@dataclass(frozen=True)
class HeldFile:
    """A file that has arrived whole from a page and waits there."""

    id: str
    name: str
    size: int
    path: Path

    def open_path(self) -> AbstractContextManager[Path]:
        """It as a file of this disk."""
        return nullcontext(self.path)


class ResumableUploads:
    """Unfinished uploads, in a folder on the same disk as the store."""

    def __init__(self, folder: Path, database: Database, store: Store) -> None:
        self._folder = folder
        self._database = database
        self._store = store
        self._claimed: set[str] = set()
        self._claiming = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def begin(
        self, principal: Principal, size_bytes: int | None, facts: dict[str, str], visitor: str = ""
    ) -> Resumable:
        """An upload of this size begins; `visitor` tells those apart who share an owner.

        None: nobody knows its size yet, `fix_length` says it; until then it may grow as files may.
        Raises TooLarge, NoSpace, or Conflict if there are too many.
        """
        principal.must_write()
        self._store.admit(size_bytes or 1)
        if size_bytes is None:
            size_bytes, facts = self._store.max_bytes, {**facts, DEFERRED: "1"}
        if visitor:
            self._make_room(principal, visitor)
        row = Resumable(
            id=new_id(),
            owner=principal.owner,
            visitor=visitor,
            size_bytes=size_bytes,
            facts=json.dumps(facts),
        )
        open_ = select(func.count()).where(Resumable.owner == principal.owner, Resumable.task_id.is_(None))
        with self._database.write() as session:
            most = VISITOR_AT_ONCE if visitor else OPEN_AT_ONCE
            if (session.scalar(open_.where(Resumable.visitor == visitor)) or 0) >= most:
                raise Conflict(Code.TOO_MANY_UPLOADS, most=most)
            if (session.scalar(open_) or 0) >= PAGES_AT_ONCE:
                raise Conflict(Code.TOO_MANY_UPLOADS, most=PAGES_AT_ONCE)
            session.add(row)
        with writing(self._folder):
            self.path(row).touch()
        return row

    def _make_room(self, principal: Principal, visitor: str) -> None:
        """Forget uploads that were left: this visit's at its limit, any of this owner's at theirs."""
        open_ = select(Resumable).where(Resumable.owner == principal.owner, Resumable.task_id.is_(None))
        with self._database.read() as session:
            rows = list(session.scalars(open_))
        own_rows = [row for row in rows if row.visitor == visitor]
        for some, most in ((own_rows, VISITOR_AT_ONCE), (rows, PAGES_AT_ONCE)):
            if len(some) >= most:
                self._forget_abandoned(some, len(some) - most + 1)

    def _forget_abandoned(self, rows: Sequence[Resumable], most: int) -> None:
        """Of these uploads so many that nobody goes on with, longest left first."""
        before = time.time() - ABANDONED_S
        written = {row.id: self._written_at(row) for row in rows}
        left = [row for row in rows if row.id not in self._claimed and written[row.id] < before]
        for row in sorted(left, key=lambda row: written[row.id])[:most]:
            self.forget(row)

    def _written_at(self, row: Resumable) -> float:
        """When bytes last arrived, in seconds since 1970."""
        try:
            return max(row.created_at, self.path(row).stat().st_mtime)
        except FileNotFoundError:
            return row.created_at

    def get(self, principal: Principal, upload_id: str) -> Resumable:
        """One upload. Raises NotFound for what is not theirs or was forgotten."""
        with self._database.read() as session:
            return get_owned(session, Resumable, principal, upload_id)

    @contextmanager
    def claim(self, upload_id: str) -> Iterator[bool]:
        """Be the only one that writes or finishes this upload; False if somebody is at it already."""
        with self._claiming:
            claimed = upload_id not in self._claimed
            self._claimed.add(upload_id)
        try:
            yield claimed
        finally:
            if claimed:
                self._claimed.discard(upload_id)

    def is_deferred(self, row: Resumable) -> bool:
        """Whether nobody has said its length yet."""
        return DEFERRED in self.facts(row)

    def fix_length(self, row: Resumable, size_bytes: int) -> Resumable:
        """Say the length of an upload that began without one, by who has claimed it.

        Raises Conflict where it has another one already, or more has arrived.
        """
        facts = self.facts(row)
        if facts.pop(DEFERRED, "") == "" and size_bytes != row.size_bytes:
            raise Conflict(Code.UPLOAD_TOO_LONG, size=row.size_bytes)
        if size_bytes < self.offset(row):
            raise Conflict(Code.UPLOAD_TOO_LONG, size=size_bytes)
        self._store.admit(size_bytes, self.offset(row))
        with self._database.write() as session:
            known = session.get(Resumable, row.id)
            if known is None:
                raise NotFound  # stopped at this moment
            known.size_bytes, known.facts = size_bytes, json.dumps(facts)
            return known

    def offset(self, row: Resumable) -> int:
        """How many bytes have arrived. Raises NotFound if they are gone."""
        if row.task_id:
            return row.size_bytes
        try:
            return self.path(row).stat().st_size
        except FileNotFoundError as error:  # stopped, lost, or just become a task
            with self._database.read() as session:
                now = session.get(Resumable, row.id)
            if now is not None and now.task_id:
                return row.size_bytes
            raise NotFound from error

    @contextmanager
    def appending(self, row: Resumable, offset: int, expected_bytes: int = 0) -> Iterator[IO[bytes]]:
        """The file to append to, by who has claimed it.

        Raises Conflict if the upload stands elsewhere than at `offset`, or if more is sent than was
        announced, at once where `expected_bytes` says so. All that came in such a call is dropped: what is
        longer than its length is no upload of that length.
        """
        if row.task_id or offset != self.offset(row):
            raise Conflict(Code.UPLOAD_OFFSET_DIFFERS, offset=self.offset(row))
        if offset + expected_bytes > row.size_bytes:
            raise Conflict(Code.UPLOAD_TOO_LONG, size=row.size_bytes)
        try:
            file = self.path(row).open("r+b", buffering=0)  # never makes it anew if it was stopped just now
        except FileNotFoundError as error:
            raise NotFound from error
        with file:
            file.seek(offset)
            try:
                yield file
            except Conflict:
                file.truncate(offset)
                raise

    def append(self, row: Resumable, file: IO[bytes], piece: bytes) -> None:
        """Take some bytes. Raises TooLarge beyond what was announced, NoSpace on a full disk."""
        if file.tell() + len(piece) > row.size_bytes:
            raise Conflict(Code.UPLOAD_TOO_LONG, size=row.size_bytes)
        rest = memoryview(piece)
        with writing(self._folder, len(piece)):
            while rest:
                rest = rest[file.write(rest) :]

    def held(self, principal: Principal, ids: Sequence[str]) -> list[HeldFile]:
        """Those of these uploads of a page that wait, complete, in this order."""
        statement = select(Resumable).where(Resumable.id.in_(ids), Resumable.owner == principal.owner)
        with self._database.read() as session:
            rows = {row.id: row for row in session.scalars(statement.where(Resumable.task_id.is_(None)))}
        waiting = [rows[id_] for id_ in ids if id_ in rows]
        return [
            HeldFile(row.id, self.facts(row).get("filename", ""), row.size_bytes, self.path(row))
            for row in waiting
            if self.path(row).exists() and self.path(row).stat().st_size == row.size_bytes
        ]

    def sync(self, file: IO[bytes]) -> None:
        """What has arrived survives a power cut from here on."""
        with writing(self._folder):
            os.fsync(file.fileno())

    def facts(self, row: Resumable) -> dict[str, str]:
        """What was said about the file when the upload began."""
        facts: dict[str, str] = json.loads(row.facts)
        return facts

    def store(self, row: Resumable) -> Blob:
        """The bytes of a complete upload in the store. They stay here too until `link_task` or `forget`."""
        finished = self._finished_path(row)
        try:
            finished.unlink(missing_ok=True)
            try:
                finished.hardlink_to(self.path(row))
            except FileNotFoundError:
                raise
            except OSError:  # a disk without such links: then they are moved
                finished = self.path(row)
            return self._store.adopt(finished)
        except FileNotFoundError as error:  # stopped just now
            raise NotFound from error

    def link_task(self, row: Resumable, task_id: str) -> None:
        """The upload is complete and is this task now."""
        with self._database.write() as session:
            session.execute(update(Resumable).where(Resumable.id == row.id).values(task_id=task_id))
        self.path(row).unlink(missing_ok=True)

    def forget(self, row: Resumable) -> None:
        """Stop an upload and delete what has arrived; safe to repeat."""
        with self._database.write() as session:
            session.execute(delete(Resumable).where(Resumable.id == row.id))
        self.path(row).unlink(missing_ok=True)
        self._finished_path(row).unlink(missing_ok=True)

    def sweep(self) -> int:
        """Forget what nobody went on with for a day; says how many.

        What is not here may be growing on another machine that serves the pages, for a week at most.
        """
        old, oldest = time.time() - KEPT_S, time.time() - KEPT_ELSEWHERE_S
        with self._database.read() as session:
            rows = list(session.scalars(select(Resumable).where(Resumable.created_at < old)))
        stale = [
            row
            for row in rows
            if (self._written_at(row) < old if self.path(row).exists() else row.created_at < oldest)
        ]
        for row in stale:
            self.forget(row)
        return len(stale)

    def path(self, row: Resumable) -> Path:
        """Where its bytes are gathered."""
        return self._folder / row.id

    def _finished_path(self, row: Resumable) -> Path:
        """A second name of the bytes, on their way into the store."""
        return self._folder / f"{row.id}.finished"
