"""Forks a child of `core.media.sandbox` whenever `tests.decoders` asks; ends when nobody can ask any more."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress

from core.media import sandbox


def serve() -> None:
    control = socket.socket(fileno=0)
    while descriptors := socket.recv_fds(control, 1, 3)[1]:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if os.fork() == 0:
            watch(*descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


def watch(line: int, out: int, fate: int) -> None:
    """Fork the child, say its number, and how it ended."""
    child = os.fork()
    if child == 0:
        os.dup2(line, 0)
        os.dup2(out, 1)
        for descriptor in (line, out, fate):
            os.close(descriptor)
        sandbox._main()
        os._exit(0)
    os.close(line)
    os.close(out)
    os.write(fate, b"%010d" % child)
    os.write(fate, b"%010d" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve()
