"""Backups: a consistent copy of records, index and media, made while everything runs, and the way back.

A backup is a folder: `blobs` with media by their hash, which later backups into the same folder do not copy
again, and a `snapshot-…` with the records (`records.sqlite` by SQLite's backup API, or `records.dump` by
pg_dump), the index, objects and files of batches. `backup.json` is written last and names the snapshot, so an
interrupted backup leaves the one before it as it was.

The records are copied first: what is deleted later is then missing in the copy, and what comes later is not
known to it; nothing that was paid for can be lost. What lies in a bucket is not copied: it is there already.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import URL, create_engine, inspect, make_url, select
from sqlalchemy.orm import Session

from core.database.tables import Recording
from core.errors import BadRequest, Code, Conflict
from core.search import lance
from core.settings import Settings
from core.storage.blobs import no_space

MANIFEST = "backup.json"
FOLDERS = ("objects", "batches")
"""Of home, besides media and index; what is not named can be made anew: models, caches, logs."""
MEDIA, INDEX = "blobs", "lancedb"
SQLITE, DUMP = "records.sqlite", "records.dump"
PIECE_BYTES = 1024**2
TOOL_TIMEOUT_S = 24 * 3600.0

Progress = Callable[[int, int], object]
"""Called with bytes done and bytes in all."""


@dataclass(frozen=True)
class Backup:
    """What a folder holds: when it was made (Unix seconds), and the names of its snapshot and records."""

    made_at: float
    snapshot: str
    records: str
    media: int
    """How many files of media it has."""
    missing: tuple[str, ...] = ()
    """Hashes of media that records speak of and nobody has: deleted meanwhile, or lost before."""
    elsewhere: tuple[str, ...] = ()
    """Settings whose places are not in it."""


def make(settings: Settings, folder: Path, progress: Progress = lambda *_: None) -> Backup:
    """Copy what this installation keeps into `folder`, which is empty, new, or holds an earlier backup.

    Raises BadRequest for another folder or without records, NoSpace, and Conflict if a program that it needs
    is missing or fails.
    """
    _require_ours(folder)
    if not _has_records(settings):
        raise BadRequest(Code.BACKUP_NOTHING, place=_named(settings))
    made_at = time.time()
    snapshot = folder / f"snapshot-{datetime.fromtimestamp(made_at, UTC):%Y%m%dT%H%M%S%f}Z"
    snapshot.mkdir(parents=True, mode=0o700)
    records = _copy_records(settings, snapshot)
    if index := _index_folder(settings):
        with lance.locked(index):
            _copy_folder(index, snapshot / INDEX)
    for each in FOLDERS:
        _copy_folder(settings.home / each, snapshot / each)
    media_names = _media(settings, snapshot / records)
    missing = _copy_media(settings.home / MEDIA, folder / MEDIA, media_names, progress)
    in_bucket = bool(settings.bucket)
    backup = Backup(
        made_at,
        snapshot.name,
        records,
        media=len(media_names) - len(missing),
        missing=() if in_bucket else tuple(sorted(missing)),
        elsewhere=(*["STORAGE_URL"] * in_bucket, *["LANCEDB_URI"] * (index is None)),
    )
    os.sync()
    arriving = folder / f".{MANIFEST}"
    arriving.write_text(json.dumps(asdict(backup), indent=2) + "\n")
    arriving.replace(folder / MANIFEST)
    _forget_earlier(folder, snapshot.name, media_names)
    return backup


def restore(settings: Settings, folder: Path, progress: Progress = lambda *_: None) -> Backup:
    """Put a backup back into an installation that has nothing yet. It may be run again after an interruption.

    Raises BadRequest if there is no complete backup, Conflict if something is here or the backup is damaged.
    """
    backup = read(folder)
    if _has_records(settings):
        raise Conflict(Code.RESTORE_NOT_EMPTY, place=_named(settings))
    snapshot, home = folder / backup.snapshot, settings.home
    media_names = {path.name for path in (folder / MEDIA).glob("??/*")}
    _copy_media(folder / MEDIA, home / MEDIA, media_names, progress)
    if index := _index_folder(settings):
        shutil.rmtree(index, ignore_errors=True)
        _copy_folder(snapshot / INDEX, index)
    for each in FOLDERS:
        _copy_folder(snapshot / each, home / each)
    _restore_records(settings, snapshot / backup.records)
    os.sync()
    return backup


def read(folder: Path) -> Backup:
    """What is in a backup. Raises BadRequest if nothing is, or nothing whole."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        backup = Backup(
            **{**manifest, "missing": tuple(manifest["missing"]), "elsewhere": tuple(manifest["elsewhere"])}
        )
    except (OSError, ValueError, TypeError, KeyError):
        raise BadRequest(Code.BACKUP_NONE, folder=folder) from None
    if not (folder / backup.snapshot / backup.records).is_file():
        raise BadRequest(Code.BACKUP_NONE, folder=folder)
    return backup


def _require_ours(folder: Path) -> None:
    """That nothing else than a backup, perhaps an interrupted one, is in the folder."""
    if not folder.exists() or (folder / MANIFEST).exists():
        return
    if any(each.name != MEDIA and not each.name.startswith("snapshot-") for each in folder.iterdir()):
        raise BadRequest(Code.BACKUP_FOLDER, folder=folder)


# Records


def _copy_records(settings: Settings, snapshot: Path) -> str:
    url = make_url(settings.sqlalchemy_url)
    if url.get_backend_name() == "postgresql":
        _run("pg_dump", url, "--format=custom", "--no-owner", f"--file={snapshot / DUMP}")
        return DUMP
    with (
        closing(sqlite3.connect(str(url.database))) as live,
        closing(sqlite3.connect(snapshot / SQLITE)) as copy,
    ):
        live.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")
    return SQLITE


def _restore_records(settings: Settings, records: Path) -> None:
    url = make_url(settings.sqlalchemy_url)
    records_name = DUMP if url.get_backend_name() == "postgresql" else SQLITE
    if records.name != records_name:
        raise Conflict(Code.BACKUP_OTHER_DATABASE, found=records.name, wanted=records_name)
    if records.name == DUMP:
        _run("pg_restore", url, "--no-owner", "--exit-on-error", "--single-transaction", str(records))
        return
    place = Path(str(url.database))
    arriving = place.with_name(f".{place.name}-restored")
    shutil.copyfile(records, arriving)
    arriving.replace(place)


def _run(program: str, url: URL, *arguments: str) -> None:
    """A program of PostgreSQL; the password goes by the environment, where other users do not see it."""
    url_without_password = url.set(drivername="postgresql", password=None).render_as_string()
    environment = {**os.environ, **({"PGPASSWORD": str(url.password)} if url.password else {})}
    command = [program, f"--dbname={url_without_password}", *arguments]
    try:
        subprocess.run(  # noqa: S603 - the program is named here, the address is the operator's
            command, env=environment, check=True, capture_output=True, timeout=TOOL_TIMEOUT_S
        )
    except FileNotFoundError:
        raise Conflict(Code.PROGRAM_MISSING, program=program) from None
    except subprocess.CalledProcessError as error:
        detail = error.stderr.decode(errors="replace").strip().splitlines()[-1:] or [""]
        raise Conflict(Code.PROGRAM_FAILED, program=program, detail=detail[0]) from error


def _has_records(settings: Settings) -> bool:
    url = make_url(settings.sqlalchemy_url)
    if url.get_backend_name() == "sqlite":
        return Path(str(url.database)).exists()
    engine = create_engine(url)
    try:
        return inspect(engine).has_table("alembic_version")
    finally:
        engine.dispose()


def _named(settings: Settings) -> str:
    """Where the records are, without a password."""
    return make_url(settings.database_url).render_as_string() if settings.database_url else str(settings.home)


def _media(settings: Settings, records: Path) -> set[str]:
    """Hashes of the media that the copied records speak of; those of a dump are asked of the database."""
    copied = records.name == SQLITE
    engine = create_engine(f"sqlite:///{records}" if copied else settings.sqlalchemy_url)
    try:
        with Session(engine) as session:
            return {sha256 for sha256 in session.scalars(select(Recording.sha256).distinct()) if sha256}
    finally:
        engine.dispose()


# Files


def _index_folder(settings: Settings) -> Path | None:
    """Where the index lies, unless that is a bucket."""
    return None if "://" in settings.index else Path(settings.index)


def _copy_folder(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)


def _copy_media(source: Path, target: Path, media_names: set[str], progress: Progress) -> set[str]:
    """Copy those that are not there yet; those that cannot be found."""
    sizes = {sha256: size for sha256 in media_names if (size := _size(_place(source, sha256))) is not None}
    fresh = {sha256: size for sha256, size in sizes.items() if _size(_place(target, sha256)) != size}
    target.mkdir(parents=True, exist_ok=True)
    total, done = sum(fresh.values()), 0
    if shutil.disk_usage(target).free < total:
        raise no_space(target, total)
    missing = set()
    for sha256, size in sorted(fresh.items()):
        if not _copy_one(_place(source, sha256), _place(target, sha256), sha256):
            missing.add(sha256)
        done += size
        progress(done, total)
    return media_names - sizes.keys() | missing


def _copy_one(source: Path, target: Path, sha256: str) -> bool:
    """Whether it was there to be copied. Raises Conflict if its bytes are not those of its name."""
    target.parent.mkdir(parents=True, exist_ok=True)
    arriving = target.with_name(f".{target.name}-arriving")
    digest = hashlib.sha256()
    try:
        with source.open("rb") as original, arriving.open("wb") as copy:
            while piece := original.read(PIECE_BYTES):
                digest.update(piece)
                copy.write(piece)
    except FileNotFoundError:
        arriving.unlink(missing_ok=True)
        return False
    if digest.hexdigest() != sha256:
        arriving.unlink()
        raise Conflict(Code.BACKUP_DAMAGED, file=source)
    arriving.replace(target)
    return True


def _place(folder: Path, sha256: str) -> Path:
    return folder / sha256[:2] / sha256


def _size(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_size
    return None


def _forget_earlier(folder: Path, snapshot: str, media_names: set[str]) -> None:
    """Snapshots before this one, and media that it does not speak of."""
    for each in folder.glob("snapshot-*"):
        if each.name != snapshot:
            shutil.rmtree(each)
    for path in (folder / MEDIA).glob("??/*"):
        if path.name not in media_names:
            path.unlink()
