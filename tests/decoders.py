"""Children of `core.media.decode` that are forked from one which has imported everything already.

Starting one costs 0.2 s of a core, nearly all of it imports, and most tests of recordings start some. What a
child does, and its cage, is `core.media.sandbox` in a process of its own as ever. How the tool starts it is
tested by `test_decode.py`, and by whatever starts the whole tool.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from core.media import decode


class Forked:
    """One of them, with as much of `subprocess.Popen` as is asked of it."""

    def __init__(self, line: int) -> None:
        out, theirs = os.pipe()
        self._fate, fate = os.pipe()
        _SERVER.fork(line, theirs, fate)
        self.stdout = os.fdopen(out, "rb")
        self.pid = int(os.read(self._fate, 10))
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """How it ended, if it has."""
        if self.returncode is None:
            ended = select.poll()
            ended.register(self._fate, select.POLLIN)
            if ended.poll(0):
                self._read_fate()
        return self.returncode

    def wait(self) -> int:
        """How it ended."""
        if self.returncode is None:
            self._read_fate()
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        """Whatever it is doing."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self.pid, signal.SIGKILL)

    def communicate(self) -> None:
        """Its end."""
        self.stdout.close()
        self.wait()

    def _read_fate(self) -> None:
        self.returncode = int(os.read(self._fate, 10))
        os.close(self._fate)


class Child(decode._Child):
    """Stands in for the child of `decode`."""

    def __init__(self) -> None:
        self.line, theirs = socket.socketpair()
        with theirs:
            self.process = Forked(theirs.fileno())


class _Server:
    """The process that all are forked from; it starts with the first and ends with us."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def fork(self, *descriptors: int) -> None:
        """A new child, which gets these. They are closed here."""
        with self._lock:
            if self._process is None:
                self._control, theirs = socket.socketpair()
                command = [sys.executable, "-B", "-P", "-s", "-m", "tests.decoder_server"]
                with theirs:
                    self._process = subprocess.Popen(command, stdin=theirs, env=decode._ENVIRONMENT)
            socket.send_fds(self._control, [b"."], descriptors)
        for descriptor in descriptors[1:]:
            os.close(descriptor)

    def end(self) -> None:
        """No more children."""
        if self._process is not None:
            self._control.close()
            self._process.wait(10)


_SERVER = _Server()
SPARE = decode._Spare()


def end() -> None:
    """After the last test."""
    _SERVER.end()


@contextmanager
def forked() -> Iterator[None]:
    """Within this block children are forked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decode, "_Child", Child)
        patch.setattr(decode, "_spare", SPARE)
        yield
