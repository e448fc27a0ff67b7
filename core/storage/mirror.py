"""Recordings' bytes on this machine, with a copy in the object store where there is one.

Work reads files of this disk; a machine that lacks one, or has lost its disk, fetches the copy.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from core.errors import OBJECT_STORE, ProviderBusy, ProviderResting
from core.storage.blobs import Store
from core.storage.object_store import ObjectStore

AGAIN_S = 60.0
IN_USE_S = 3600.0
"""A file that was asked for so lately may still be read."""


class MirroredBlobStore(Store):
    """A store whose files have copies elsewhere. Without an object store it is like any other."""

    def __init__(self, folder: Path, max_bytes: int, storage: ObjectStore) -> None:
        super().__init__(folder, max_bytes)
        self._storage = storage

    def path(self, sha256: str) -> Path:
        """Where these bytes lie; fetched if only their copy is there. Raises NotFound."""
        if self._storage.can_share:
            try:
                os.utime(self.place(sha256))  # `evict` goes by the last use
            except FileNotFoundError:
                self._fetch(sha256)
        return super().path(sha256)

    def evict(self, max_bytes: int) -> int:
        """Delete what was used longest ago until the rest fits into `max_bytes`; says how many files.

        Never a file whose only copy is here, and none that was used within the last hour.
        """
        if not self._storage.can_share:
            return 0
        files = sorted((file.stat().st_mtime, file) for file in self.folder.glob("??/*"))
        excess, evicted = sum(file.stat().st_size for _, file in files) - max_bytes, 0
        for used_at, file in files:
            if excess <= 0 or used_at > time.time() - IN_USE_S:
                break
            if self._storage.has(_name(file.name)):
                excess -= file.stat().st_size
                self.remove(file.name)
                evicted += 1
        return evicted

    def holds(self, sha256: str) -> bool:
        """Whether these bytes are kept, here or elsewhere. Raises what the object store raises."""
        return super().holds(sha256) or (self._storage.can_share and self._storage.has(_name(sha256)))

    def copy(self, sha256: str) -> None:
        """Have a copy elsewhere, once.

        Raise ProviderResting while that is not possible, which burns no attempt, and NotFound where there is
        neither a copy nor a file to make it of.
        """
        if not self._storage.can_share:
            return
        try:
            if not self._storage.has(_name(sha256)):
                self._storage.put(_name(sha256), super().path(sha256))
        except ProviderBusy as error:
            raise ProviderResting(OBJECT_STORE, str(error.facts["detail"]), AGAIN_S) from error

    def drop_copy(self, sha256: str) -> None:
        """Delete the copy; safe to repeat."""
        if self._storage.can_share:
            self._storage.remove(_name(sha256))

    def _fetch(self, sha256: str) -> None:
        """Bytes are kept under the hash that they have, so those of a damaged copy are swept away."""
        with self.incoming() as upload:
            for piece in self._storage.pieces(_name(sha256)):
                upload.write(piece)
            if upload.finish().sha256 != sha256:
                raise ProviderBusy(OBJECT_STORE, "a damaged copy")


def _name(sha256: str) -> str:
    return f"media/{sha256}"
