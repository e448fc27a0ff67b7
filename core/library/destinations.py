"""Results written to folders of the server and to buckets, in chosen formats, as they come and change.

A round writes what a place lacks: results that are new, or whose text or speakers were corrected since.
Nothing that was written is deleted from here.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol

from sqlalchemy import Select, delete, func, or_, select, update

from core.audit import about, audited, record
from core.database.database import Database
from core.database.owned import get_owned, owned_by
from core.database.states import Access, AuditAction, AuditSubject
from core.database.tables import Destination, EditRow, Recording, WrittenResult
from core.database.upsert import upsert
from core.errors import BadRequest, Code, Conflict, NotFound, StenogramError, Unavailable
from core.i18n import catalogue
from core.principal import PAGES, SYSTEM, Principal
from core.queue.jobs import as_json
from core.settings import Settings
from core.storage.blobs import writing
from core.storage.object_store import ObjectStore
from core.transcripts import export, warnings
from core.transcripts.transcripts import Transcripts

SLICE_S = 10.0
"""So long a round writes before others have their turn."""
AT_ONCE = 50
ID_LETTERS = 8
"""Of a recording's id at the end of its files' names, so that two of one title keep apart."""


class Writer(Protocol):
    """Where files go."""

    def write(self, name: str, content: bytes) -> None:
        """A file, whole or not at all; one of that name is replaced. Raises StenogramError."""


class FolderWriter:
    """A folder of the server inside of those that may be written to."""

    def __init__(self, address: str, allowed: Sequence[Path]) -> None:
        self.folder = Path(address).expanduser().resolve()
        if not any(self.folder.is_relative_to(place) for place in allowed):
            raise BadRequest(Code.EXPORT_NOT_ALLOWED)

    def write(self, name: str, content: bytes) -> None:
        """By a hidden part that is renamed once it is whole."""
        part = self.folder / f".{name}.part"
        try:
            with writing(self.folder, len(content)):
                self.folder.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
                with os.fdopen(descriptor, "wb") as file:
                    file.write(content)
                part.replace(self.folder / name)
        except OSError as error:
            raise Unavailable(Code.EXPORT_FAILED, detail=os.strerror(error.errno or 0)) from error


class BucketWriter:
    """A part of a bucket."""

    def __init__(self, address: str, settings: Settings) -> None:
        allowed = settings.writable_buckets
        if not any(address == place or address.startswith(f"{place}/") for place in allowed):
            raise BadRequest(Code.EXPORT_NOT_ALLOWED)
        self._store = ObjectStore(settings, address)

    def write(self, name: str, content: bytes) -> None:
        """An object."""
        try:
            self._store.put(name, content)
        except NotFound as error:
            raise Unavailable(Code.EXPORT_FAILED, detail="no such bucket") from error


@dataclass(frozen=True)
class DestinationView:
    """A place, and how many results it has."""

    destination: Destination
    written: int


class Destinations:
    """Where results are written to."""

    def __init__(
        self, settings: Settings, database: Database, transcripts: Transcripts, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._database = database
        self._transcripts = transcripts
        self._now = clock

    @audited(AuditAction.ADDED, AuditSubject.DESTINATION)
    def add(
        self, principal: Principal, address: str, formats: Sequence[str], *, with_past: bool = False
    ) -> Destination:
        """Write results to a place: those of a program, or those that everybody here sees.

        Raises AdminsOnly, BadRequest, Conflict if they are written there already.
        """
        principal.must_administer()
        chosen = [kind for kind in export.FORMATS if kind in formats]
        if not chosen or len(chosen) < len(set(formats)):
            raise BadRequest(Code.FORMAT_UNKNOWN, names=", ".join(export.FORMATS))
        address = address.strip().rstrip("/")
        writer = self._writer(address)
        if isinstance(writer, FolderWriter):
            address = str(writer.folder)
        now = self._now()
        row = Destination(
            owner=principal.common,
            address=address,
            formats=chosen,
            since=0.0 if with_past else now,
            created_at=now,
        )
        same = select(Destination.id).where(
            Destination.owner == principal.common, Destination.address == address
        )
        with self._database.write() as session:
            self._database.advisory_lock(session, address)
            if session.scalars(same).first():
                raise Conflict(Code.DESTINATION_EXISTS)
            session.add(row)
            about(row)
        return row

    def all(self, principal: Principal) -> list[DestinationView]:
        """Those of somebody, newest first."""
        written = select(func.count()).where(WrittenResult.destination_id == Destination.id)
        found = select(Destination, written.scalar_subquery()).order_by(Destination.created_at.desc())
        found = owned_by(found, principal, Destination)
        with self._database.read() as session:
            return [DestinationView(row, n) for row, n in session.execute(found)]

    @audited(AuditAction.CHANGED, AuditSubject.DESTINATION, "destination_id")
    def turn(self, principal: Principal, destination_id: str, *, paused: bool) -> None:
        """Pause it, or let it go on: what it lacks then is written. Raises NotFound."""
        principal.must_write()
        with self._database.write() as session:
            get_owned(session, Destination, principal, destination_id).paused = paused

    @audited(AuditAction.DELETED, AuditSubject.DESTINATION, "destination_id")
    def remove(self, principal: Principal, destination_id: str) -> None:
        """Write nothing there any more; its files stay. Raises NotFound."""
        principal.must_write()
        with self._database.write() as session:
            get_owned(session, Destination, principal, destination_id)
            session.execute(delete(Destination).where(Destination.id == destination_id))

    def tick(self) -> None:
        """Write what places lack."""
        until = time.monotonic() + SLICE_S
        with self._database.read() as session:
            places = list(session.scalars(select(Destination).where(Destination.paused.is_(False))))
        for place in places:
            self._fill(place, until)

    def _fill(self, place: Destination, until: float) -> None:
        error: StenogramError | None = None
        try:
            writer = self._writer(place.address)
            with self._database.read() as session:
                lacking = session.execute(_lacking(place).limit(AT_ONCE)).all()
            for recording, edits in lacking:
                if time.monotonic() > until:
                    return
                self._write(place, writer, recording, edits)
        except StenogramError as why:
            error = why
        if error or place.error:
            with self._database.write() as session:
                mine = update(Destination).where(Destination.id == place.id)
                session.execute(mine.values(error=as_json(error) if error else None))

    def _write(self, place: Destination, writer: Writer, recording: Recording, edits: int) -> None:
        transcript_id = recording.transcript_id or ""
        heard = self._transcripts.segments(transcript_id, recording.id)
        transcript = self._transcripts.get(transcript_id)
        language = catalogue.language(transcript.language)
        known = warnings.answers(transcript, language)
        stem = PurePath(export.name(recording.filename, "txt", recording.title)).stem
        name = f"{stem} {recording.id[:ID_LETTERS]}"
        for kind in place.formats:
            made = export.file(
                heard, recording.filename, kind, language, title=recording.title, warnings=known
            )
            writer.write(name + export.FORMATS[kind][0], made.content)
        with self._database.write() as session:
            row = WrittenResult(
                destination_id=place.id,
                recording_id=recording.id,
                transcript_id=transcript_id,
                edits=edits,
                name=name,
                written_at=self._now(),
            )
            if session.get(Recording, recording.id) and session.get(Destination, place.id):
                upsert(session, row)
                written = AuditAction.EXPORTED, AuditSubject.RECORDING, recording.id
                record(session, SYSTEM, *written, "destinations.write")

    def _writer(self, address: str) -> Writer:
        """Raises BadRequest where nothing may be written."""
        if address.startswith("s3://"):
            return BucketWriter(address, self._settings)
        return FolderWriter(address, self._settings.writable_folders)


def _lacking(place: Destination) -> Select[Recording, int]:
    """Recordings whose result a place has not, or not as it reads now, oldest first."""
    edits = (
        select(func.count())
        .where(EditRow.recording_id == Recording.id, EditRow.undone.is_(False))
        .correlate(Recording)
        .scalar_subquery()
    )
    here = WrittenResult.recording_id == Recording.id, WrittenResult.destination_id == place.id
    other = or_(
        WrittenResult.recording_id.is_(None),
        WrittenResult.transcript_id != Recording.transcript_id,
        WrittenResult.edits != edits,
    )
    mine = Recording.owner == place.owner
    mine = mine | (Recording.everybody != Access.NONE) if place.owner == PAGES else mine
    found = select(Recording, edits).outerjoin(WrittenResult, (here[0]) & (here[1]))
    return found.where(
        mine, Recording.created_at >= place.since, Recording.transcript_id.is_not(None), other
    ).order_by(Recording.created_at)
