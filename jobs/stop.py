"""How a signal handler tells the main loop to end."""

from __future__ import annotations

import math
import os
import select

NUDGES = 4096
"""Taken at once; one look around answers them all."""


class StopRequest:
    """Set once, by a signal handler or any thread; waited for by others.

    Not a `threading.Event`: a handler runs in the main thread, between any two of its steps. If that thread
    is inside `Event.wait` then, `set` waits for a lock that the thread itself holds, for ever.
    """

    def __init__(self) -> None:
        self._readable_fd, self._writable_fd = os.pipe()
        self._is_set = False

    def set(self) -> None:
        """Ask to end; wakes everybody who waits."""
        if not self._is_set:
            self._is_set = True
            os.write(self._writable_fd, b"!")

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it was asked for, at the latest after so many seconds (None: when it is)."""
        if not self._is_set:
            poller = select.poll()  # select(2) knows no numbers above 1023
            poller.register(self._readable_fd, select.POLLIN)
            if poller.poll(None if timeout_s is None else math.ceil(timeout_s * 1000)) and not self._is_set:
                os.read(self._readable_fd, NUDGES)
        return self._is_set

    def wake(self) -> None:
        """Have who waits look around before their time."""
        if not self._is_set:
            os.write(self._writable_fd, b".")

    def close(self) -> None:
        """Give back what the system keeps for it."""
        os.close(self._readable_fd)
        os.close(self._writable_fd)
