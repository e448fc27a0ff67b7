"""What players are given: the bytes themselves where every browser plays and seeks them, else a copy.

A copy is made once, when somebody first wants to hear it, and kept while there is room for it.
"""

from __future__ import annotations

import fcntl
import functools
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from core.errors import NotFound
from core.media import decode

MOST_BYTES = 10 * 1000**3
"""Of all copies together; those that nobody has heard for longest go first."""
TYPES = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "mov": "video/mp4",
    "matroska": "video/webm",
    "mp4": "video/mp4",
    "webm": "video/webm",
}
"""Media types by the format of the bytes or of the copy; players look at the bytes anyway."""
_LOCK = ".lock"


class Playback:
    """Copies for players, a file for each content under its hash and its format."""

    def __init__(self, folder: Path, place: Callable[[str], Path], most_bytes: int = MOST_BYTES) -> None:
        self._folder = folder
        self._place = place
        self._most_bytes = most_bytes
        self._plays = functools.lru_cache(maxsize=10_000)(self._ask)

    def file(self, sha256: str, media_format: str) -> tuple[Path, str]:
        """What to play of these bytes, and its media type.

        Raises NotFound where they are gone, and what decoding raises where no copy can be made.
        """
        if self._plays(sha256, media_format):
            return self._place(sha256), TYPES.get(media_format, "application/octet-stream")
        copy = self._kept(sha256) or self._make(sha256, media_format)
        with suppress(FileNotFoundError):
            os.utime(copy)
        return copy, TYPES[copy.suffix.removeprefix(".")]

    def drop(self, sha256: str) -> None:
        """The bytes are gone: so is their copy."""
        for copy in self._folder.glob(f"{sha256}.*"):
            copy.unlink(missing_ok=True)

    def _ask(self, sha256: str, media_format: str) -> bool:
        return decode.probe(self._place(sha256), media_format).plays

    def _kept(self, sha256: str) -> Path | None:
        return next((copy for copy in self._folder.glob(f"{sha256}.*") if copy.suffix != _LOCK), None)

    def _make(self, sha256: str, media_format: str) -> Path:
        """One process makes it, the others wait for it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        with (
            self._exclusive(sha256),
            tempfile.TemporaryDirectory(prefix=".making-", dir=self._folder) as scratch,
        ):
            if cached := self._kept(sha256):
                return cached
            copy, extension = decode.playable(self._place(sha256), Path(scratch), media_format)
            self._make_room(copy.stat().st_size)
            cached = copy.replace(self._folder / f"{sha256}.{extension}")
        try:
            self._place(sha256)
        except NotFound:  # deleted meanwhile, when there was no copy to drop yet
            cached.unlink(missing_ok=True)
            raise
        return cached

    @contextmanager
    def _exclusive(self, sha256: str) -> Iterator[None]:
        with (self._folder / f"{sha256}{_LOCK}").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                yield
            finally:
                Path(lock.name).unlink(missing_ok=True)

    def _make_room(self, needed_bytes: int) -> None:
        """Drop the copies that were heard longest ago."""
        copies = [copy for copy in self._folder.iterdir() if copy.is_file() and copy.suffix != _LOCK]
        with suppress(FileNotFoundError):
            copies.sort(key=lambda copy: copy.stat().st_mtime, reverse=True)
            used_bytes = needed_bytes
            for copy in copies:
                used_bytes += copy.stat().st_size
                if used_bytes > self._most_bytes:
                    copy.unlink(missing_ok=True)
