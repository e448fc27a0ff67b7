"""Signs of life from the main loop of a worker, or of the web server, to the runner, through a pipe.

That a process exists says nothing: it may be stopped, deadlocked, or hold the interpreter for ever. A pipe
needs neither the database nor the disk, so a worker is not taken for hung because one of those is away.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress

VARIABLE = "STENOGRAM_PULSE_FD"
"""Holds the number of the pipe's writing end in a process that a runner has started."""
READ_BYTES = 65536
BEAT_S = 1.0


class Pulse:
    """The end of the process. Started by hand, without a runner, it does nothing."""

    def __init__(self) -> None:
        number = os.environ.pop(VARIABLE, "")
        self._fd = int(number) if number else None
        if self._fd is not None:
            os.set_inheritable(self._fd, False)  # what it starts must not speak for it
            os.set_blocking(self._fd, False)

    def beat(self) -> None:
        """Say that the main loop goes on; never waits for a runner that does not listen."""
        if self._fd is not None:
            with suppress(BlockingIOError, BrokenPipeError):
                os.write(self._fd, b".")


async def beat_forever() -> None:
    """Signs of life from an event loop, as long as it turns."""
    pulse = Pulse()
    while True:
        pulse.beat()
        await asyncio.sleep(BEAT_S)


class PulseListener:
    """The runner's end, of one process."""

    def __init__(self) -> None:
        self._fd, self.writing_fd = os.pipe()
        os.set_blocking(self._fd, False)
        self._heard_at: float | None = None

    @property
    def last_beat_at(self) -> float | None:
        """When it last gave a sign of life, by `time.monotonic`; None before the first."""
        with suppress(BlockingIOError):
            if os.read(self._fd, READ_BYTES):
                self._heard_at = time.monotonic()
        return self._heard_at

    def started(self) -> None:
        """The process has its end now; ours of it is closed, so that it ends with the process."""
        os.close(self.writing_fd)

    def close(self) -> None:
        """The process is gone."""
        os.close(self._fd)
