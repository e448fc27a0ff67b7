"""One worker process on one queue: `python -m jobs.worker gpu`.

Ends by itself after WORKER_RESTART_AFTER jobs, and with its parent; the runner starts a fresh one.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time

import dramatiq

from core import logs
from core.database.failures import FAILURES, unavailable
from core.database.states import RequestedAction
from core.queue import workers
from jobs import actors, installation
from jobs.broker import INTERACTIVE
from jobs.entry import explained
from jobs.pulse import Pulse

log = logging.getLogger("stenogram.jobs")

POLL_MS = 200
ASK_S = 1.0
STOP_MS = 25_000

AT_ONCE = {"gpu": 4}
"""Jobs in one process at the same time: there they share one model, which takes their segments together,
and a short recording does not wait for a long one. Elsewhere one; more processes are better there."""

LONG_LIVED = 20
"""So many times as long lives the process of the GPU: a fresh one has to load the model."""


class Served(dramatiq.Middleware):
    """Counts the jobs of this process; periodic tasks, which come every few seconds, do not count."""

    count = 0

    def after_process_message(
        self,
        broker: dramatiq.Broker,  # noqa: ARG002 - dramatiq names it
        message: dramatiq.MessageProxy,
        **_: object,
    ) -> None:
        """Called by dramatiq after each message."""
        self.count += message.actor_name != actors.PERIODIC


class Control:
    """What a person requested of this worker: to drain, to restart, to go on."""

    def __init__(self, worker: dramatiq.Worker) -> None:
        self._worker = worker
        self._drained = False
        self._asked_at = 0.0

    def restart(self) -> bool:
        """Whether to end, so that the runner starts a fresh one. Takes nothing new while draining."""
        if time.monotonic() < self._asked_at + ASK_S:
            return False
        self._asked_at = time.monotonic()
        try:
            wanted = workers.requested_action(installation.application().database, actors.WORKER)
        except FAILURES as error:
            log.warning("nobody can say what is wanted of this worker: %s", unavailable(error))
            return False
        if (wanted == RequestedAction.DRAIN) != self._drained:
            self._drained = wanted == RequestedAction.DRAIN
            (self._worker.pause if self._drained else self._worker.resume)()
        return wanted == RequestedAction.RESTART


def also_quick(queues: list[str]) -> set[str]:
    """Workers that talk to others also do what people wait for; one for `quick` alone never lets it wait."""
    return {*queues, INTERACTIVE} if "io" in queues else set(queues)


def main(queues: list[str]) -> None:
    """Serve until asked to stop, orphaned, or due for renewal."""
    os.environ.setdefault(installation.WORKER_VARIABLE, "1")
    logs.install()
    pulse = Pulse()
    stop, served, parent = threading.Event(), Served(), os.getppid()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    broker = installation.broker()
    broker.add_middleware(served)
    actors.register(broker, installation.application)
    threads = max(AT_ONCE.get(queue, 1) for queue in queues)
    worker = dramatiq.Worker(
        broker, queues=also_quick(queues), worker_threads=threads, worker_timeout=POLL_MS
    )
    worker.queue_prefetch = threads  # a message is fetched when there is a hand for it
    worker.start()
    control = Control(worker)
    renew_after = installation.application().settings.worker_restart_after * (
        LONG_LIVED if "gpu" in queues else 1
    )
    while not stop.wait(0.2) and served.count < renew_after and os.getppid() == parent:
        pulse.beat()
        if actors.process_is_broken.is_set() or control.restart():
            break
    worker.stop(timeout=STOP_MS)
    gc.freeze()  # as in the runner: leave quickly


if __name__ == "__main__":
    with explained():
        main(sys.argv[1:])
