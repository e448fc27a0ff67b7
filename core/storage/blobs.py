"""Recordings come in: bytes kept under their own hash, and file names made fit to be shown.

A finished upload survives a power cut: file to disk, rename, folder to disk. The same bytes twice
are one file, and no name that a person gave is ever part of a path.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path, PurePath

from core.errors import BadRequest, Code, Conflict, NoSpace, NotFound, TooLarge, Unavailable, UnreadableMedia

_AUDIO = {
    ".mp3",
    ".wav",
    ".m4a",
    ".m4b",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".wma",
    ".aac",
    ".amr",
    ".aiff",
    ".caf",
    ".mka", ".weba", ".mp2", ".ac3", ".au", ".snd", ".wv", ".tta", ".ape", ".aif", ".w64", ".dss", ".gsm",
    ".vox", ".ul", ".ulaw", ".al", ".alaw", ".g722", ".g729", ".sln",
}  # fmt: skip
_VIDEO = {
    ".mp4", ".mov", ".mkv", ".webm", ".avi", ".3gp", ".3g2", ".m4v", ".mpg", ".mpeg", ".flv", ".ts", ".mts",
    ".m2ts", ".wmv", ".asf",
}  # fmt: skip
_TRANSCRIPTS = {".srt", ".vtt"}
SUFFIXES = frozenset(_AUDIO | _VIDEO | _TRANSCRIPTS)
"""Endings taken from a server folder; what is inside decides later. Text and JSON lie about there anyway."""

DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""Numbers of the system errors that mean: no room to write this."""

DISK_UNWRITABLE = frozenset({errno.EROFS, errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESTALE})
"""The disk was made read-only, as Linux does once it finds an error, or it is broken or gone."""

_PARTIAL = ".incoming-"
_CHECK_EVERY_BYTES = 16 * 1024**2
_HASH = re.compile(r"[0-9a-f]{64}")
_ZERO_WIDTH_JOINERS = "\u200c\u200d"
_LONGEST_NAME = 255


@dataclass(frozen=True)
class Blob:
    """Stored bytes: their SHA-256 in hex, and how many."""

    sha256: str
    size_bytes: int


class Store:
    """Bytes in a folder, each file under its SHA-256: `<folder>/ab/ab12…`.

    `max_bytes` limits one upload; `reserve_bytes` of the disk are left to records and index.
    """

    def __init__(self, folder: Path, max_bytes: int, *, reserve_bytes: int = 256 * 1024**2) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.reserve_bytes = reserve_bytes
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def incoming(self, expected_bytes: int = 0) -> Iterator[Upload]:
        """An upload to write to and to finish; leaving without finishing removes every trace.

        `expected_bytes`, where known, is judged at once. Raises TooLarge or NoSpace.
        """
        self.admit(expected_bytes)
        with writing(self.folder):
            descriptor, name = tempfile.mkstemp(dir=self.folder, prefix=_PARTIAL)
        try:
            with FileIO(descriptor, "wb") as file:
                yield Upload(self, file, Path(name))
        finally:
            with suppress(OSError):  # a disk that cannot be written keeps it until it is swept
                Path(name).unlink(missing_ok=True)

    def admit(self, size_bytes: int, written_bytes: int = 0) -> None:
        """Would an upload of this size be taken, with so much of it written? Raises TooLarge or NoSpace."""
        if size_bytes > self.max_bytes:
            raise TooLarge(limit=human_bytes(self.max_bytes))
        needed = self.reserve_bytes + max(0, size_bytes - written_bytes)
        if shutil.disk_usage(self.folder).free < needed:
            raise no_space(self.folder, needed)

    def path(self, sha256: str) -> Path:
        """Where these bytes lie. Raises NotFound."""
        place = self.place(sha256)
        if not place.is_file():
            raise NotFound(Code.STORED_FILE_GONE)
        return place

    def holds(self, sha256: str) -> bool:
        """Whether these bytes are kept."""
        return self.place(sha256).is_file()

    def place(self, sha256: str) -> Path:
        """Where these bytes lie or would lie. Raises NotFound for what is no hash."""
        if not _HASH.fullmatch(sha256):
            raise NotFound
        return self.folder / sha256[:2] / sha256

    def adopt(self, path: Path) -> Blob:
        """Take over a finished file of this disk: hashed, durable, and gone from where it was.

        Raises UnreadableMedia if it is empty.
        """
        with path.open("rb", buffering=0) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if not (size_bytes := file.tell()):
                raise UnreadableMedia(Code.FILE_EMPTY)
            os.fsync(file.fileno())
        self.keep(path, self.place(digest))
        return Blob(digest, size_bytes)

    def keep(self, path: Path, place: Path) -> None:
        """Move a synced file into place, even over an equal one: looking first would race with removal."""
        with writing(self.folder):
            place.parent.mkdir(exist_ok=True)
            path.replace(place)
            _sync_folder(place.parent)
            _sync_folder(self.folder)

    def remove(self, sha256: str) -> None:
        """Delete these bytes; safe to repeat."""
        self.place(sha256).unlink(missing_ok=True)

    def kept(self, older_than_s: float) -> Iterator[str]:
        """The hashes of all bytes that have been here for so long."""
        old = time.time() - older_than_s
        for file in self.folder.glob("??/*"):
            if _HASH.fullmatch(file.name) and file.stat().st_mtime <= old:
                yield file.name

    def sweep(self, older_than_s: float) -> int:
        """Delete unfinished uploads that nobody has written to for so long; says how many."""
        stale_before = time.time() - older_than_s
        stale = [file for file in self.folder.glob(f"{_PARTIAL}*") if file.stat().st_mtime <= stale_before]
        for file in stale:
            file.unlink(missing_ok=True)
        return len(stale)


class Upload:
    """Bytes on their way in, counted and hashed as they pass. Made by `Store.incoming`."""

    def __init__(self, store: Store, file: FileIO, path: Path) -> None:
        self.size_bytes = 0
        self._store = store
        self._file = file
        self._path = path
        self._hash = hashlib.sha256()
        self._checked_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Take some bytes. Raises TooLarge with the first byte over the limit, NoSpace on a full disk."""
        size_bytes = self.size_bytes + len(chunk)
        if size_bytes > self._store.max_bytes or size_bytes - self._checked_bytes > _CHECK_EVERY_BYTES:
            self._store.admit(size_bytes, self.size_bytes)
            self._checked_bytes = size_bytes
        rest = memoryview(chunk)
        with writing(self._store.folder, len(chunk)):
            while rest:
                rest = rest[self._file.write(rest) :]
        self._hash.update(chunk)
        self.size_bytes = size_bytes

    def finish(self) -> Blob:
        """Keep the bytes for good: once this returns they survive a power cut.

        Raises UnreadableMedia when there were none.
        """
        if not self.size_bytes:
            raise UnreadableMedia(Code.FILE_EMPTY)
        blob = Blob(self._hash.hexdigest(), self.size_bytes)
        with writing(self._store.folder):
            os.fsync(self._file.fileno())
        self._store.keep(self._path, self._store.place(blob.sha256))
        return blob


def _sync_folder(folder: Path) -> None:
    """A rename is on disk only when its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(folder: Path, needed_bytes: int = 0) -> Iterator[None]:
    """Whatever is written to disk inside: what a disk fails with becomes an error of ours, all else stays."""
    try:
        yield
    except OSError as error:
        disk_error = of_disk(error, folder, needed_bytes)
        if disk_error is None:
            raise
        raise disk_error from error


def of_disk(error: OSError, folder: Path, needed_bytes: int = 0) -> Unavailable | None:
    """What an error of the disk means for whoever asked; None for errors that say nothing of a disk."""
    if error.errno in DISK_FULL:
        return no_space(folder, needed_bytes)
    if error.errno in DISK_UNWRITABLE:
        return Unavailable(Code.DISK_UNWRITABLE, what=errno.errorcode[error.errno or 0])
    return None


def no_space(folder: Path, needed_bytes: int) -> NoSpace:
    """The error for a full disk, with its facts in units for people."""
    free = shutil.disk_usage(folder).free
    return NoSpace(free=human_bytes(free), needed=human_bytes(needed_bytes))


def human_bytes(size_bytes: int) -> str:
    """A size as people read it, in the decimal units of every other size: 2147483648 → "2.1 GB"."""
    size = float(size_bytes)
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 999.5:
            digits = 1 if unit != "bytes" and size < 99.95 else 0
            return f"{round(size, digits):g} {unit}"
        size /= 1000
    return f"{round(size, 1):g} TB"


def clean_name(name: str) -> str:
    """A file name fit to be shown: one line, no path, nothing that hides or turns letters, ≤ 255 characters.

    For display only. A name of which nothing is left becomes "recording".
    """
    printable = "".join(filter(_is_shown, unicodedata.normalize("NFC", name)))
    parts = [part.strip() for part in re.split(r"[/\\]", printable)]
    last = next((part for part in reversed(parts) if part.strip(".")), "recording")
    suffix = PurePath(last).suffix[:16]
    return last if len(last) <= _LONGEST_NAME else last[: _LONGEST_NAME - len(suffix)] + suffix


def clean_text(text: str) -> str:
    """A title or tag fit to be shown: one line, nothing that hides or turns letters, no space around it."""
    spaced = re.sub(r"[\s\x1c-\x1f\x85\u2028\u2029]", " ", text)
    printable = unicodedata.normalize("NFC", "".join(filter(_is_shown, spaced)))
    return " ".join(printable.split()).strip(f" {_ZERO_WIDTH_JOINERS}")


def clean_tags(tags: Iterable[str]) -> set[str]:
    """Tags fit to be shown; those of which nothing is left are none."""
    return {clean for tag in tags if (clean := clean_text(tag))}


def _is_shown(letter: str) -> bool:
    """No control, direction override, half surrogate or line break; joiners hold emoji together."""
    return letter in _ZERO_WIDTH_JOINERS or unicodedata.category(letter) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def folder_files(root: Path, allowed: Sequence[Path]) -> Iterator[Path]:
    """Media files under a folder of this server, in order; links are never followed.

    Raises BadRequest unless the folder lies inside an allowed one. `allowed` is resolved already.
    """
    folder = root.expanduser().resolve()
    if not any(folder.is_relative_to(place) for place in allowed):
        raise BadRequest(Code.FOLDER_NOT_ALLOWED)
    if not folder.is_dir():
        raise BadRequest(Code.FOLDER_NOT_FOUND)
    return _media_under(folder)


class ServerFile(FileIO):
    """A file of a server folder while it is taken in: plain, inside, the same from first byte to last.

    Between the list and the reading anybody who may write there can put a link or a pipe in its place, or
    in that of a folder above it; so every step down from the allowed folder is opened without following.
    Raises BadRequest outside of the allowed folders, NotFound for what is gone or is no plain file.
    """

    def __init__(self, path: Path, allowed: Sequence[Path]) -> None:
        place = next((place for place in allowed if path.is_relative_to(place)), None)
        if place is None or ".." in path.parts:
            raise BadRequest(Code.FOLDER_NOT_ALLOWED)
        try:
            super().__init__(_opened_below(place, path.relative_to(place).parts), "rb")
        except OSError as error:  # also ELOOP, ENOTDIR: a link, or a file where a folder was
            raise NotFound(Code.FILE_GONE) from error
        self._first = self._state()
        if not stat.S_ISREG(os.fstat(self.fileno()).st_mode):
            self.close()
            raise NotFound(Code.FILE_GONE)

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file. Raises Conflict at the end of one that changed meanwhile, as while it is copied."""
        piece = super().read(-1 if size is None else size) or b""
        if not piece and self._state() != self._first:
            raise Conflict(Code.FILE_CHANGED)
        return piece

    def _state(self) -> tuple[int, int]:
        now = os.fstat(self.fileno())
        return now.st_size, now.st_mtime_ns


def _opened_below(place: Path, parts: Sequence[str]) -> int:
    """A descriptor of what lies there. Raises OSError for a link on the way; never waits for a pipe."""
    folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for n, part in enumerate(parts, 1):
        kind = os.O_NONBLOCK if n == len(parts) else os.O_DIRECTORY
        try:
            below = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=folder)
        finally:
            os.close(folder)
        folder = below
    return folder


def _media_under(folder: Path) -> Iterator[Path]:
    for app, folders, names in os.walk(folder):
        folders.sort()
        for path in (Path(app, name) for name in sorted(names)):
            if path.suffix.lower() in SUFFIXES and path.is_file() and not path.is_symlink():
                yield path
