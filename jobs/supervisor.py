"""What the runner does for the work of its workers, all of it in SQL.

Renews the leases of workers that live, gives back the jobs of those that died, and wakes jobs that
nobody heard of. A database that is away is waited for; nothing is lost meanwhile.
"""

from __future__ import annotations

import functools
import logging
import os
import platform
import signal
import socket
import threading
import time
import tomllib
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

import psutil

from core.application import Application
from core.database.failures import FAILURES, is_mistake, unavailable
from core.database.tables import Worker
from core.errors import Unavailable
from core.queue import workers
from core.queue.periodic import RECONCILE
from core.settings import ROOT
from jobs import gpu
from jobs.broker import BrokerNotifier

RECONCILE_S = 2.0
PERIODIC_S = 3.0
RENEW_S = 5.0
NOTE_S = 15.0
SILENT_S = 900.0
"""A running job without any progress for so long is taken for hung; its worker is killed."""
HUNG_S = 120.0
"""A process whose main loop, which turns every second, is silent for so long is killed. Reading a large
library holds the interpreter for seconds, on a busy machine for tens of them."""
START_S = 600.0
"""The same before its first sign of life: it reads its libraries until then."""

SHARE_S = 5.0
"""So often a machine looks whether others wait for uploads that it alone has."""
CACHE_S = 3600.0
"""So often a machine tidies what it has fetched."""

log = logging.getLogger("stenogram.runner")


class WorkerProcess(Protocol):
    """A worker process as its parent knows it."""

    name: str
    started_at: float
    """By `time.monotonic`."""

    @property
    def pid(self) -> int:
        """Of the process that runs now."""

    @property
    def last_beat_at(self) -> float | None:
        """When its main loop last gave a sign of life, by `time.monotonic`; None before the first."""


class Supervisor:
    """Of the workers of one machine and of their jobs."""

    def __init__(self, app: Application, notifier: BrokerNotifier) -> None:
        self._app = app
        self._notifier = notifier
        self._is_cache = app.object_store.can_share
        """What the home of this machine holds of recordings is elsewhere too, or on its way there."""
        self._beside: dict[str, threading.Thread] = {}
        self._due = {"reconcile": 0.0, "periodic": 0.0, "renew": 0.0, "note": 0.0, "share": 0.0, "cache": 0.0}

    def recover(self) -> None:
        """Free the jobs held by workers of this machine that are gone: nobody else will sooner."""
        host = socket.gethostname()
        for holder in self._app.job_queue.holders() | self._app.periodic_tasks.holders():
            machine, _, pid = holder.partition("/")
            if machine == host and not psutil.pid_exists(int(pid)):
                self._release(holder)
        self._forget_ended()
        self._app.periodic_tasks.look_again()

    def reap(self, pid: int) -> None:
        """Give back the jobs of a worker that has just died."""
        self._guarded(self._release, worker_name(pid))
        self._guarded(workers.forget, self._app.database, [worker_name(pid)])

    def leave(self) -> None:
        """All workers of this machine have ended, as they were told: nobody need look for them."""
        self._guarded(self._forget_ended)

    def _forget_ended(self) -> None:
        workers_here = workers.on(self._app.database, socket.gethostname())
        workers.forget(
            self._app.database, [one.name for one in workers_here if not psutil.pid_exists(one.pid)]
        )

    def poll(self, alive: Sequence[WorkerProcess], web: Sequence[WorkerProcess] = ()) -> None:
        """Renew leases and wake the unheard, each when it is due, by whatever clock; end what hangs."""
        self._guarded(self._app.clock_watch.look)
        if self._is_due("renew", RENEW_S):
            self._end_hung([*alive, *web])
            self._guarded(self._renew, alive)
        if self._is_due("reconcile", RECONCILE_S):
            self._guarded(self._tick)
        if self._is_cache and self._is_due("share", SHARE_S):
            self._do_beside("share", self._app.upload_sharing.run)
        if self._is_cache and self._is_due("cache", CACHE_S):
            self._do_beside("cache", self._app.retention.sweep_cache)

    def _release(self, worker: str) -> None:
        """A worker died: what it held is free again."""
        self._app.job_queue.release(worker)
        self._app.periodic_tasks.release(worker)

    def first_key(self) -> str | None:
        """The admin key of a fresh installation; shown once."""
        return self._app.keys.make_first()

    def _is_due(self, task_name: str, every_s: float) -> bool:
        if time.monotonic() < self._due[task_name]:
            return False
        self._due[task_name] = time.monotonic() + every_s
        return True

    def _renew(self, alive: Sequence[WorkerProcess]) -> None:
        self._app.job_queue.renew([worker_name(child.pid) for child in alive])
        cards = gpu.look()
        now = self._app.database.now()
        beats = [(child, child.last_beat_at) for child in alive]
        workers.note(self._app.database, [_seen(child, at, cards, now) for child, at in beats if at])
        stuck = self._app.job_queue.stuck([worker_name(child.pid) for child in alive], SILENT_S)
        for child in alive:
            if worker_name(child.pid) in stuck:
                log.warning("%s shows no progress; killing it", child.name)
                os.kill(child.pid, signal.SIGKILL)

    def _end_hung(self, alive: Sequence[WorkerProcess]) -> None:
        """Kill processes whose main loop stands still; the runner finds them dead and starts fresh ones."""
        for child in alive:
            last_beat_at = child.last_beat_at
            silent_s = time.monotonic() - (last_beat_at or child.started_at)
            if silent_s > (HUNG_S if last_beat_at else START_S):
                log.warning("%s has given no sign of life for %.0f s; killing it", child.name, silent_s)
                with suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)

    def _tick(self) -> None:
        began = time.monotonic()
        self._app.job_queue.reconcile()
        if self._is_due("note", NOTE_S):
            self._app.periodic_tasks.noted(RECONCILE, time.monotonic() - began)
        if self._is_due("periodic", PERIODIC_S):
            for name in self._app.periodic_tasks.due():
                self._notifier.periodic_task(name)

    def _do_beside(self, name: str, care: Callable[[], object]) -> None:
        """In a thread, for it waits for the object store; unless it still does."""
        earlier = self._beside.get(name)
        if earlier is None or not earlier.is_alive():
            self._beside[name] = threading.Thread(target=self._try, args=(name, care), daemon=True)
            self._beside[name].start()

    def _try(self, name: str, care: Callable[[], object]) -> None:
        try:
            self._guarded(care)
        except Unavailable as error:
            log.warning("%s is done later: %s", name, error)

    def _guarded(self, care: Callable[..., object], *arguments: object) -> None:
        try:
            care(*arguments)
        except FAILURES as error:
            if is_mistake(error):
                raise
            log.warning("%s", unavailable(error))


def worker_name(pid: int) -> str:
    """A worker as its jobs name it."""
    return f"{socket.gethostname()}/{pid}"


def _seen(child: WorkerProcess, last_beat_at: float, cards: gpu.Cards, now: float) -> Worker:
    """As its own main loop last beat, not as its process is there; by `time.monotonic`."""
    return Worker(
        name=worker_name(child.pid),
        queue=child.name.rpartition("-")[0],
        host=socket.gethostname(),
        pid=child.pid,
        started_at=now - (time.monotonic() - child.started_at),
        seen_at=now - (time.monotonic() - last_beat_at),
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
