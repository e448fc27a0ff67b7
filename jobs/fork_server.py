"""Workers and the web server as forks of a process that has read their modules, whose memory they share.

The runner starts it before it opens anything or starts a thread, and that one does neither; so
what a fork brings along is modules and nothing else. LanceDB, which does not outlive a fork, is only imported
where it is used. Where the fork server has died programs are started the usual way.
"""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import NoReturn

import setproctitle

from core.settings import ROOT
from jobs import pulse

PR_SET_PDEATHSIG = 1
_MESSAGE_BYTES = 65536
_FIRST_FD = 3


def die_with_parent() -> None:
    """Have the system ask this process to end when its parent is gone (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


class Forked:
    """A process of the fork server, as far as `subprocess.Popen` is needed of it."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self.returncode: int | None = None
        self.pid = int(self._receive() or 0)
        if not self.pid:
            raise ConnectionError("the fork server is gone")

    def _receive(self) -> str:
        return self._line.recv(64).decode()

    def poll(self) -> int | None:
        """How it ended, None while it lives; killed where the fork server is gone, as nobody could say."""
        if self.returncode is None and self._has_ended(0):
            code = self._receive()
            self._line.close()
            if not code:
                with suppress(ProcessLookupError):
                    os.kill(self.pid, signal.SIGKILL)
            self.returncode = int(code or -signal.SIGKILL)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """As `poll`, once it has ended. Raises subprocess.TimeoutExpired."""
        if self.returncode is None and not self._has_ended(timeout):
            raise subprocess.TimeoutExpired("worker", timeout or 0)
        return self.poll() or 0

    def _has_ended(self, timeout_s: float | None) -> bool:
        """By `poll`, as `select` knows no descriptors above 1023."""
        waiting = select.poll()
        waiting.register(self._line, select.POLLIN)
        return bool(waiting.poll(None if timeout_s is None else 1000 * timeout_s))

    def terminate(self) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)


class ForkServer:
    """Forks this process at once; the fork then forks itself whenever a program is to run."""

    def __init__(self) -> None:
        self._line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        gc.collect()
        gc.freeze()  # collecting would write to pages that are shared
        gc.collect()  # what is frozen does not count when garbage is next looked for
        self.pid = os.fork()
        if not self.pid:
            _serve(theirs.detach())
        theirs.close()

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], output_fd: int, pulse_fd: int
    ) -> Forked:
        """Run `python -m module …` or `python file …`, which writes to `output_fd` and beats on `pulse_fd`.

        Raises OSError where the fork server is gone.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        order = json.dumps([command, environment]).encode()
        with theirs:
            socket.send_fds(self._line, [order], [theirs.fileno(), output_fd, pulse_fd])
        return Forked(ours)

    def stop(self) -> None:
        """Its workers have ended before."""
        self._line.close()
        with suppress(ChildProcessError):
            os.waitpid(self.pid, 0)


def _serve(line_fd: int) -> NoReturn:
    """Fork when asked, and say how it ended; until nobody can ask any more."""
    os.setsid()
    die_with_parent()
    logging.shutdown()  # or a program's own logging would close a number that is another file's by then
    os.closerange(_FIRST_FD, line_fd)
    os.closerange(line_fd + 1, os.sysconf("SC_OPEN_MAX"))
    setproctitle.setproctitle(f"{sys.executable} -m jobs.fork_server")
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    line = socket.socket(fileno=line_fd)
    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    children: dict[int, socket.socket] = {}
    while True:
        ready, _, _ = select.select([line, woken], [], [])
        if woken in ready:
            woken.recv(_MESSAGE_BYTES)
            _reap(children)
        if line in ready:
            message, fds, _, _ = socket.recv_fds(line, _MESSAGE_BYTES, 3)
            if not message:
                os._exit(0)
            pid = os.fork()
            if not pid:
                for inherited in (line, woken, wakes, *children.values()):
                    inherited.close()
                _run_child(json.loads(message), fds)
            children[pid] = socket.socket(fileno=fds[0])
            children[pid].send(str(pid).encode())
            for fd in fds[1:]:
                os.close(fd)


def _reap(children: dict[int, socket.socket]) -> None:
    """Say of children how they ended, and to the runner that there is news."""
    for pid in list(children):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            with suppress(OSError), children.pop(pid) as line:
                line.send(str(os.waitstatus_to_exitcode(status)).encode())
            os.kill(os.getppid(), signal.SIGCHLD)


def _run_child(order: tuple[list[str], dict[str, str]], fds: Sequence[int]) -> NoReturn:
    """The program itself, with a session, output and environment of its own."""
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        die_with_parent()
        os.chdir(ROOT)
        (command, environment), (line_fd, output_fd, pulse_fd) = order, fds
        os.close(line_fd)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output_fd, 1)
        os.dup2(output_fd, 2)
        os.environ.update(environment, **{pulse.VARIABLE: str(pulse_fd)})
        setproctitle.setproctitle(" ".join(command))
        _run(command[1:])
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - whatever it is, nobody else could say it
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(arguments: list[str]) -> None:
    """As Python does with its arguments."""
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")
