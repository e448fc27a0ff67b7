"""Signs of life from deep inside long work: every part of a long transfer calls `beat`.

A worker whose job shows no progress for long is taken for hung and killed (`jobs/care.py`). Whoever runs
a job says with `reported_to` what a sign of life does; whoever transfers knows nothing of jobs. Outside of a
job `beat` does nothing.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

EVERY_S = 5.0
"""Signs that follow sooner are dropped: each is a write to the database."""


class _Listener:
    """Calls `notify` at most every `EVERY_S` seconds."""

    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._heard_at = time.monotonic()

    def beat(self) -> None:
        now = time.monotonic()
        if now - self._heard_at >= EVERY_S:
            self._heard_at = now
            self._notify()


_listener: ContextVar[_Listener | None] = ContextVar("heartbeat", default=None)


@contextmanager
def reported_to(notify: Callable[[], None]) -> Iterator[None]:
    """Within the block, signs of life of this thread call `notify`; what it raises ends the transfer."""
    token = _listener.set(_Listener(notify))
    try:
        yield
    finally:
        _listener.reset(token)


def beat() -> None:
    """Say that long work goes on. Raises what the listener raises (Withdrawn: it was cancelled)."""
    listener = _listener.get()
    if listener is not None:
        listener.beat()


def bound_beat() -> Callable[[], None]:
    """`beat` for another thread: it tells whoever listens to this one."""
    listener = _listener.get()
    return beat if listener is None else listener.beat


class BeatingFile(io.FileIO):
    """A file that gives a sign of life with every part that is read or written."""

    def read(self, size: int | None = -1, /) -> bytes:  # never None: it blocks
        """As of any file."""
        beat()
        return super().read(-1 if size is None else size) or b""

    def write(self, content: object, /) -> int:  # never None: it blocks
        """The whole content, as one write of a buffered file."""
        beat()
        rest = memoryview(content)  # type: ignore[arg-type]  # any buffer
        total = len(rest)
        while rest:
            rest = rest[super().write(rest) or 0 :]
        return total
