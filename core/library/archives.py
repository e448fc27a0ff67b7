"""Recordings in a ZIP archive, each as a file of its own: read when it is wanted, within limits."""

from __future__ import annotations

import io
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from core.errors import Code, Rejected, TooLarge
from core.storage.blobs import SUFFIXES, clean_name

MOST_FILES = 500
_COPY_BYTES = 1 << 20

DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, ValueError, OSError)
"""What `zipfile` raises for an archive that it cannot read: OSError at a seek outside of it, ValueError at a
name or a date that is none; it has no class of its own for them."""


class Member(io.RawIOBase):
    """One recording of an archive. It is unpacked while it is read, never beyond the size it states."""

    def __init__(self, archive: IO[bytes], info: zipfile.ZipInfo) -> None:
        super().__init__()
        self.name = clean_name(PurePosixPath(info.filename).name)
        self.size = info.file_size
        self._archive = archive
        self._info = info
        self._open: IO[bytes] | None = None

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes. Raises Rejected where the archive is damaged."""
        try:
            if self._open is None:
                self._open = zipfile.ZipFile(self._archive).open(self._info)  # noqa: SIM115 - ends with us
            return self._open.read(size)
        except DAMAGED as error:
            raise Rejected(Code.ARCHIVE_DAMAGED, name=self.name) from error

    @contextmanager
    def open_path(self) -> Iterator[Path]:
        """It as a file of this disk for a while."""
        with tempfile.NamedTemporaryFile(prefix="stenogram-") as copy:
            shutil.copyfileobj(Member(self._archive, self._info), copy, _COPY_BYTES)
            copy.flush()
            yield Path(copy.name)


def is_archive(file: IO[bytes], name: str) -> bool:
    """Whether it is called a ZIP archive and looks like one."""
    file.seek(0)
    marked = file.read(4) in {b"PK\x03\x04", b"PK\x05\x06"}
    file.seek(0)
    return marked and name.lower().endswith(".zip")


def members(file: IO[bytes], name: str, most_bytes: int) -> list[Member]:
    """The recordings in an archive by their endings, in its order.

    Archives in it, hidden files and what is no media by its name are left out. Raises Rejected for one that
    is damaged, encrypted or without recordings, TooLarge beyond MOST_FILES or `most_bytes` unpacked.
    """
    try:
        listed = zipfile.ZipFile(file).infolist()
    except DAMAGED as error:
        raise Rejected(Code.ARCHIVE_DAMAGED, name=name) from error
    infos = [info for info in listed if _is_recording(info)]
    if not infos:
        raise Rejected(Code.ARCHIVE_EMPTY, name=name)
    if any(info.flag_bits & 1 for info in infos):
        raise Rejected(Code.ARCHIVE_ENCRYPTED, name=name)
    if len(infos) > MOST_FILES:
        raise TooLarge(Code.ARCHIVE_TOO_MANY, name=name, most=MOST_FILES)
    if sum(info.file_size for info in infos) > most_bytes:
        raise TooLarge(Code.ARCHIVE_TOO_LARGE, name=name, limit=f"{most_bytes / 1e9:.3g} GB")
    return [Member(file, info) for info in infos]


def _is_recording(info: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(info.filename)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts if part != "..")
    return not info.is_dir() and not hidden and path.suffix.lower() in SUFFIXES
