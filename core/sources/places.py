"""Folders of the server and parts of buckets: what is there, read and moved."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Protocol, TypeVar

from core.errors import BadRequest, Code, Conflict, NotFound
from core.settings import Settings
from core.storage.blobs import SUFFIXES, ServerFile, folder_files
from core.storage.object_store import ObjectStore

NOT_UTF8 = "bytes:"
"""Begins addresses of files whose names are not UTF-8."""
RENAMES = 1000
"""So many names are tried where one is taken already."""


@dataclass(frozen=True)
class Entry:
    """A file as it is listed."""

    address: str
    """Its path below the place, with slashes."""
    version: str
    size_bytes: int


Named = TypeVar("Named", Path, PurePosixPath)


def shown(address: str) -> PurePosixPath:
    """A path as people read it; old archives have names in the code page of Russian Windows."""
    if not address.startswith(NOT_UTF8):
        return PurePosixPath(address)
    raw = bytes.fromhex(address.removeprefix(NOT_UTF8))
    return PurePosixPath(raw.decode("cp1251", "replace"))


def _address(path: PurePath) -> str:
    """A path as a database keeps it: what is no UTF-8 as hexadecimal bytes."""
    try:
        path.as_posix().encode()
    except UnicodeEncodeError:
        return NOT_UTF8 + os.fsencode(path).hex()
    return path.as_posix()


def below(root: Path, address: str) -> Path:
    """The file of an address."""
    if address.startswith(NOT_UTF8):
        return root / os.fsdecode(bytes.fromhex(address.removeprefix(NOT_UTF8)))
    return root / address


class Place(Protocol):
    """Where files lie."""

    settles: bool
    """Whether files grow there; what a bucket lists is whole."""

    def list(self) -> Iterator[Entry]:
        """Its media files, in order. Raises BadRequest where it may not be read."""

    def open(self, address: str) -> IO[bytes]:
        """A file of it. Raises NotFound; Conflict, at its end, where it changed meanwhile."""

    def move(self, address: str, folder: str) -> None:
        """Move a file into a folder of the place, below which it keeps its path. Raises NotFound."""


class FolderPlace:
    """A folder of the server, inside of those that may be read; links are never followed."""

    settles = True

    def __init__(self, root: Path, allowed: tuple[Path, ...]) -> None:
        self.root = root.expanduser().resolve()
        self._allowed = allowed

    def list(self) -> Iterator[Entry]:
        """Its media files, without hidden ones, as which programs copy."""
        for path in folder_files(self.root, self._allowed):
            with suppress(OSError):  # it went away
                status, address = path.lstat(), path.relative_to(self.root)
                if not any(part.startswith(".") for part in address.parts):
                    yield Entry(_address(address), f"{status.st_size}-{status.st_mtime_ns}", status.st_size)

    def open(self, address: str) -> IO[bytes]:
        """A file of it."""
        return ServerFile(below(self.root, address), self._allowed)

    def move(self, address: str, folder: str) -> None:
        """By renaming, never over another file. Raises Conflict where the disk refuses."""
        file = below(self.root, address)
        ServerFile(file, self._allowed).close()  # no link on the way
        for target in _names(below(self.root / folder, address)):
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                if not target.parent.resolve().is_relative_to(self.root):
                    raise BadRequest(Code.FOLDER_NOT_ALLOWED)
                target.hardlink_to(file)
                file.unlink()
                return
            except FileExistsError:
                continue
            except FileNotFoundError as error:
                raise NotFound(Code.FILE_GONE) from error
            except OSError as error:
                reason = os.strerror(error.errno or 0)
                raise Conflict(Code.DISK_UNWRITABLE, what=reason) from error


class BucketPlace:
    """What of a bucket begins with a prefix."""

    settles = False

    def __init__(self, address: str, settings: Settings) -> None:
        allowed = settings.readable_buckets
        if not any(address == place or address.startswith(f"{place}/") for place in allowed):
            raise BadRequest(Code.BUCKET_NOT_ALLOWED)
        self._store = ObjectStore(settings, address)

    def list(self) -> Iterator[Entry]:
        """Its media."""
        for one in self._store.objects():
            if PurePosixPath(one.name).suffix.lower() in SUFFIXES:
                yield Entry(one.name, one.version, one.size_bytes)

    def open(self, address: str) -> IO[bytes]:
        """An object, read in parts."""
        return io.BufferedReader(_Parts(self._store.pieces(address)))

    def move(self, address: str, folder: str) -> None:
        """By giving it another name."""
        for target in _names(PurePosixPath(folder) / address):
            if not self._store.has(str(target)):
                self._store.move(address, str(target))
                return


class _Parts(io.RawIOBase):
    """Parts of an object, as a file that is read once."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """The next bytes."""
        if not self._rest:
            self._rest = memoryview(next(self._parts, b""))
        n = min(len(buffer), len(self._rest))
        buffer[:n] = self._rest[:n]
        self._rest = self._rest[n:]
        return n


def _names(path: Named) -> Iterator[Named]:
    yield path
    for n in range(2, RENAMES):
        yield path.with_name(f"{path.stem} ({n}){path.suffix}")
