"""Recordings' bytes on this machine, with a copy in the object store where there is one.

Work reads files of this disk; a machine that lacks one, or has lost its disk, fetches the copy.
"""

from __future__ import annotations

from pathlib import Path

from core.errors import OBJECT_STORE, ProviderBusy, ProviderResting
from core.storage.blobs import Store
from core.storage.object_store import ObjectStore

AGAIN_S = 60.0


class MirroredBlobStore(Store):
    """A store whose files have copies elsewhere. Without an object store it is like any other."""

    def __init__(self, folder: Path, max_bytes: int, storage: ObjectStore) -> None:
        super().__init__(folder, max_bytes)
        self._storage = storage

    def path(self, sha256: str) -> Path:
        """Where these bytes lie; fetched if only their copy is there. Raises NotFound."""
        if self._storage.can_share and not self.place(sha256).is_file():
            self._fetch(sha256)
        return super().path(sha256)

    def copy(self, sha256: str) -> None:
        """Have a copy elsewhere, once. ProviderResting while that is not possible: it burns no attempt."""
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
