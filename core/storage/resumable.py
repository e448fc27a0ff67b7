"""Uploads that may be interrupted and go on where they stopped, over days and restarts.

What has arrived is a growing file; its length is the only truth about progress. When it is complete it
moves into the store, and the recording's task is made.

Written by ourselves: tuspyserver (4.4) knows neither owners nor their shares, keeps its facts in files
beside the database, and goes on without its lock where the disk is full.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from sqlalchemy import delete, func, select, update

from core.database.database import Database
from core.database.tables import Resumable, new_id
from core.errors import Code, Conflict, NotFound
from core.principal import Principal
from core.storage.blobs import Store, writing

OPEN_AT_ONCE = 20
"""Unfinished uploads one owner may have; each may fill the disk up to the limit of a file."""
KEPT_S = 24 * 3600.0


class ResumableUploads:
    """Unfinished uploads, in a folder on the same disk as the store."""

    def __init__(self, folder: Path, database: Database, store: Store) -> None:
        self._folder = folder
        self._database = database
        self._store = store
        self._busy: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, who: Principal, size_bytes: int, facts: dict[str, str]) -> Resumable:
        """An upload of this size begins. Raises TooLarge, NoSpace, or Conflict if there are too many."""
        self._store.admit(size_bytes)
        row = Resumable(id=new_id(), owner=who.owner, size_bytes=size_bytes, facts=json.dumps(facts))
        with self._database.write() as session:
            mine = select(func.count()).where(Resumable.owner == who.owner, Resumable.task_id.is_(None))
            if (session.scalar(mine) or 0) >= OPEN_AT_ONCE:
                raise Conflict(Code.TOO_MANY_UPLOADS, most=OPEN_AT_ONCE)
            session.add(row)
        with writing(self._folder):
            self.path(row).touch()
        return row

    def get(self, who: Principal, upload_id: str) -> Resumable:
        """One upload. Raises NotFound for what is not theirs or was forgotten."""
        with self._database.read() as session:
            row = session.get(Resumable, upload_id)
        if row is None or not (who.admin or row.owner == who.owner):
            raise NotFound
        return row

    def offset(self, row: Resumable) -> int:
        """How many bytes have arrived."""
        if row.task_id:
            return row.size_bytes
        try:
            return self.path(row).stat().st_size
        except FileNotFoundError as error:  # we died just when it was complete; it has to be sent again
            raise NotFound from error

    @contextmanager
    def appending(self, row: Resumable, offset: int) -> Iterator[IO[bytes]]:
        """The file to append to. Raises Conflict if somebody else does, or it stopped elsewhere."""
        if row.id in self._busy:
            raise Conflict(Code.UPLOAD_IN_USE)
        if row.task_id or offset != self.offset(row):
            raise Conflict(Code.UPLOAD_OFFSET_DIFFERS, offset=self.offset(row))
        self._busy.add(row.id)
        try:
            with self.path(row).open("ab", buffering=0) as file:
                yield file
        finally:
            self._busy.discard(row.id)

    def append(self, row: Resumable, file: IO[bytes], piece: bytes) -> None:
        """Take some bytes. Raises TooLarge beyond what was announced, NoSpace on a full disk."""
        if file.tell() + len(piece) > row.size_bytes:
            raise Conflict(Code.UPLOAD_TOO_LONG, size=row.size_bytes)
        rest = memoryview(piece)
        with writing(self._folder, len(piece)):
            while rest:
                rest = rest[file.write(rest) :]

    def sync(self, file: IO[bytes]) -> None:
        """What has arrived survives a power cut from here on."""
        with writing(self._folder):
            os.fsync(file.fileno())

    def facts(self, row: Resumable) -> dict[str, str]:
        """What was said about the file when the upload began."""
        known: dict[str, str] = json.loads(row.facts)
        return known

    def link_task(self, row: Resumable, task_id: str) -> None:
        """The upload is complete and is this task now."""
        with self._database.write() as session:
            session.execute(update(Resumable).where(Resumable.id == row.id).values(task_id=task_id))

    def forget(self, row: Resumable) -> None:
        """Stop an upload and delete what has arrived; safe to repeat."""
        with self._database.write() as session:
            session.execute(delete(Resumable).where(Resumable.id == row.id))
        self.path(row).unlink(missing_ok=True)

    def sweep(self) -> int:
        """Forget what nobody went on with for a day; says how many."""
        old = time.time() - KEPT_S
        with self._database.read() as session:
            rows = list(session.scalars(select(Resumable).where(Resumable.created_at < old)))
        stale = [row for row in rows if not self.path(row).exists() or self.path(row).stat().st_mtime < old]
        for row in stale:
            self.forget(row)
        return len(stale)

    def path(self, row: Resumable) -> Path:
        """Where its bytes are gathered."""
        return self._folder / row.id
