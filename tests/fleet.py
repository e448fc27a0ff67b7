"""Machines of one installation, as processes with homes of their own, and the servers that they share."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import redis

from core.settings import ROOT
from jobs.runner import broker_binary
from tests.tool import free_port, until


class Broker:
    """A Redis server on loopback that can be killed, paused and started anew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.client = redis.Redis(port=self.port)
        folder.mkdir()

    def start(self) -> None:
        """Start it, with what an earlier life has kept; wait until it answers."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        options += ["--appendonly", "yes", "--save", ""]
        self.process = subprocess.Popen([broker_binary(), *options], stdout=subprocess.DEVNULL)
        until(self._answers, 30, "the broker")

    def stop(self) -> None:
        """End it, orderly."""
        self.client.close()
        self.process.terminate()
        self.process.wait(30)

    def _answers(self) -> bool:
        try:
            return bool(self.client.ping())
        except redis.ConnectionError:
            return False


class Machine:
    """Workers alone, `python -m jobs.runner` with queues, on a home of their own."""

    def __init__(self, home: Path, shared: dict[str, str], *queues: str) -> None:
        self._home = home
        self._environment = {name.upper(): value for name, value in shared.items()}
        self._queues = queues
        home.mkdir(exist_ok=True)

    def start(self) -> None:
        """Start it; its workers come by themselves."""
        environment = {**os.environ, **self._environment, "STENOGRAM_HOME": str(self._home)}
        command = [sys.executable, "-m", "jobs.runner", *self._queues]
        with (self._home / "out").open("ab") as out:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)

    def stop(self) -> None:
        """Ctrl-C."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def family(self) -> list[psutil.Process]:
        """The runner and its descendants."""
        try:
            root = psutil.Process(self.process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def workers(self) -> list[psutil.Process]:
        """Its worker processes."""
        found = []
        for process in self.family():
            with suppress(psutil.Error):
                if "jobs.worker" in process.cmdline():
                    found.append(process)
        return found

    def kill(self) -> None:
        """As if its power was cut."""
        for process in self.family():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait(30)

    def restart_if_ended(self) -> None:
        """Start it anew if it has ended by itself, as whoever keeps services running does."""
        if self.process.poll() is not None:
            self.start()


@contextmanager
def running(*parts: Broker | Machine) -> Iterator[None]:
    """These run within the block, and end in the other order."""
    started: list[Broker | Machine] = []
    try:
        for part in parts:
            part.start()
            started.append(part)
        yield
    finally:
        for part in reversed(started):
            part.stop()


class Proxy:
    """Passes connections on to a port or socket of this machine, until they are held up, cut or refused."""

    def __init__(self, target: int | Path) -> None:
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._open: set[socket.socket] = set()
        self.refuses = False
        self.flows = threading.Event()
        """Clear: what is sent stays under way, in both directions."""
        self.flows.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """End every connection in the middle of whatever it carries."""
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            near, _ = self._listening.accept()
            if self.refuses:
                near.close()
                continue
            try:
                far = self._reached()
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for source, goal in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, goal), daemon=True).start()

    def _reached(self) -> socket.socket:
        if isinstance(self._target, int):
            return socket.create_connection(("127.0.0.1", self._target), timeout=10)
        far = socket.socket(socket.AF_UNIX)
        far.connect(str(self._target))
        return far

    def _carry(self, source: socket.socket, goal: socket.socket) -> None:
        self._open.add(source)
        try:
            while piece := source.recv(65536):
                self.flows.wait()
                goal.sendall(piece)
        except OSError:
            pass
        finally:
            self._open.discard(source)
            for one in (source, goal):
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            source.close()
