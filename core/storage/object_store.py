"""An object store for what providers fetch and what they make: a folder, or S3. The only home of obstore.

Any S3 will do: AWS, Yandex Object Storage, MinIO. Links are signed, so that a provider reads or
writes one object for a while and never holds a key. Nothing is retried here.
"""

from __future__ import annotations

import functools
import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from core import heartbeat
from core.errors import OBJECT_STORE, Code, NotFound, ProviderBusy, ProviderRefused, Rejected
from core.settings import Settings

if TYPE_CHECKING:
    from obstore.store import LocalStore, S3Store

DEADLINE_S = 120
"""Longest request; what is large goes in parts, each a request of its own."""
PART_BYTES = 5 * 1024**2
"""S3 takes no smaller parts. With `PARTS_AT_ONCE` and the deadline, the slowest line has 90 kB/s."""
PARTS_AT_ONCE = 2
LONGEST_LINK_S = 7 * 24 * 3600.0
"""Signature version 4 allows no more."""


@dataclass(frozen=True)
class StoredObject:
    """An object of a bucket; `version` differs once its content does."""

    name: str
    size_bytes: int
    version: str


class ObjectStore:
    """Objects by name, in a folder of this machine or in a bucket."""

    def __init__(self, settings: Settings, bucket: str = "") -> None:
        """That of the installation, or another `bucket` (`s3://bucket/prefix`) by the same keys."""
        self._settings = settings
        self._bucket = bucket or settings.bucket
        self.can_share = bool(self._bucket)
        self.title = self._bucket or str(settings.home / "objects")

    def put(self, name: str, content: bytes | Path) -> None:
        """Keep bytes or a file, in parts if it is large; an object of the same name is replaced.

        Each part is a sign of life (`core/heartbeat.py`): on a slow line the whole takes hours.
        """
        import obstore  # noqa: PLC0415 - pages import this module

        size_bytes = content.stat().st_size if isinstance(content, Path) else len(content)
        if size_bytes <= PART_BYTES:
            with _translated():
                obstore.put(self._store, name, content)
            return
        parts = _parts(content, heartbeat.bound_beat())
        with _translated():
            obstore.put(self._store, name, parts, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)

    def pieces(self, name: str) -> Iterator[bytes]:
        """The object, part by part, each a request of its own and a sign of life. Raise NotFound."""
        import obstore  # noqa: PLC0415

        with _translated():
            head = obstore.head(self._store, name)
        for start in range(0, head["size"], PART_BYTES):
            end = min(start + PART_BYTES, head["size"])
            with _translated():
                part = obstore.get(
                    self._store, name, options={"range": (start, end), "if_match": head["e_tag"]}
                )
                content = bytes(part.bytes())
            heartbeat.beat()
            yield content

    def get(self, name: str) -> bytes:
        """The object. Raise NotFound."""
        import obstore  # noqa: PLC0415

        with _translated():
            return bytes(obstore.get(self._store, name).bytes())

    def has(self, name: str) -> bool:
        """Whether there is such an object."""
        import obstore  # noqa: PLC0415

        try:
            with _translated():
                obstore.head(self._store, name)
        except NotFound:
            return False
        return True

    def remove(self, name: str) -> None:
        """Delete an object; safe to repeat."""
        import obstore  # noqa: PLC0415

        try:
            with _translated():
                obstore.delete(self._store, name)
        except NotFound:
            return

    def list(self, prefix: str) -> list[tuple[str, float]]:
        """Names that begin with these folders, and how many seconds ago each object was written."""
        import obstore  # noqa: PLC0415

        now = time.time()
        with _translated():
            entries = [one for page in obstore.list(self._store, prefix) for one in page]
        return [(one["path"], now - one["last_modified"].timestamp()) for one in entries]

    def objects(self) -> Iterator[StoredObject]:
        """Everything there, in order of its name."""
        import obstore  # noqa: PLC0415

        with _translated():
            for page in obstore.list(self._store):
                for one in page:
                    yield StoredObject(one["path"], one["size"], one["e_tag"] or str(one["last_modified"]))

    def move(self, name: str, to: str) -> None:
        """Give an object another name. Raise NotFound."""
        import obstore  # noqa: PLC0415

        with _translated():
            obstore.rename(self._store, name, to)

    def clear(self, prefix: str) -> None:
        """Delete all objects whose names begin so."""
        for name, _ in self.list(prefix):
            self.remove(name)

    def link(self, name: str, valid_s: float, method: str = "GET") -> str:
        """An address under which anybody may read this object (or write it, with PUT) for a while."""
        import obstore  # noqa: PLC0415

        if not self.can_share:
            raise Rejected(Code.STORAGE_WITHOUT_LINKS)
        http_method: Any = method
        with _translated():
            lasting = timedelta(seconds=min(valid_s, LONGEST_LINK_S))
            return obstore.sign(self._signing, http_method, name, lasting)

    def test(self) -> float:
        """Write, read and delete a tiny object; seconds that took."""
        began = time.monotonic()
        self.put("test", b"stenogram")
        if self.get("test") != b"stenogram":
            raise ProviderBusy(OBJECT_STORE, "it gave back something else")
        self.remove("test")
        return time.monotonic() - began

    @functools.cached_property
    def _store(self) -> S3Store | LocalStore:
        from obstore.store import LocalStore  # noqa: PLC0415

        if self.can_share:
            return self._signing
        return LocalStore(self._settings.home / "objects", mkdir=True)

    @functools.cached_property
    def _signing(self) -> S3Store:
        from obstore.store import S3Store  # noqa: PLC0415

        bucket, prefix = _place(self._bucket)
        app = self._settings
        options: dict[str, Any] = {
            "access_key_id": app.s3_access_key.get_secret_value(),
            "secret_access_key": app.s3_secret_key.get_secret_value(),
            "endpoint": app.s3_endpoint_url,
            "region": app.s3_region or "us-east-1",
        }
        return S3Store(
            bucket,
            prefix=prefix or None,
            virtual_hosted_style_request=not app.s3_endpoint_url,
            client_options={"timeout": f"{DEADLINE_S}s", "connect_timeout": "10s", "allow_http": True},
            retry_config={"max_retries": 0, "retry_timeout": timedelta(seconds=DEADLINE_S)},
            **{name: value for name, value in options.items() if value},
        )


def _parts(content: bytes | Path, beat: Callable[[], None]) -> Iterator[bytes]:
    """The parts of an upload, in order; what `beat` raises ends the upload."""
    with content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as file:
        while part := file.read(PART_BYTES):
            beat()
            yield part


def _place(url: str) -> tuple[str, str]:
    """`s3://bucket/prefix` → bucket and prefix."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise Rejected(Code.STORAGE_URL_INVALID)
    return parts.netloc, parts.path.strip("/")


@contextmanager
def _translated() -> Iterator[None]:
    """The store's errors as ours; their own words may hold addresses and names, and are not repeated."""
    from obstore.exceptions import (  # noqa: PLC0415
        BaseError,
        NotFoundError,
        PermissionDeniedError,
        UnauthenticatedError,
    )

    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise NotFound from error
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise ProviderRefused(OBJECT_STORE, "S3_ACCESS_KEY") from error
    except BaseError as error:
        raise ProviderBusy(OBJECT_STORE, type(error).__name__) from error
