"""One worker process on one queue, and on those beside it: `python -m jobs.worker gpu`.

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
from collections.abc import Sequence

import dramatiq

from core import logs
from core.database.failures import FAILURES, unavailable
from core.database.states import RequestedAction
from core.queue import workers
from core.queue.queues import served_by
from jobs import actors, installation
from jobs.broker import INTERACTIVE
from jobs.entry import explained
from jobs.pulse import Pulse
from jobs.stop import StopRequest

log = logging.getLogger("stenogram.jobs")

POLL_MS = 2000
"""So often an idle thread looks whether it is to end; a message wakes it at once."""
LOOK_S = 1.0
ASK_S = 3.0
"""So often it is asked what a person wants of this worker."""
STOP_MS = 25_000

AT_ONCE = {"gpu": 4}
"""Jobs in one process at the same time: there they share one model, which takes their segments together,
and a short recording does not wait for a long one. Elsewhere one; more processes are better there."""


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


def threads_for(queues: Sequence[str]) -> dict[frozenset[str], int]:
    """How many threads each group of queues has for itself, so that none waits for another's long work.

    Workers that talk to others also do what people wait for; one for `quick` alone never lets it wait.
    """
    served = dict.fromkeys(each for queue in queues for each in served_by(queue))
    return {
        frozenset({queue, INTERACTIVE} if queue == "io" else {queue}): AT_ONCE.get(queue, 1)
        for queue in served
    }


class ConsumerThreads:
    """The threads of this process, as dramatiq runs them: a worker of its own for each group of queues."""

    def __init__(self, broker: dramatiq.Broker, queues: Sequence[str]) -> None:
        self._workers = [
            _dramatiq_worker(broker, group, threads) for group, threads in threads_for(queues).items()
        ]

    def pause(self) -> None:
        """Take nothing new."""
        for worker in self._workers:
            worker.pause()

    def resume(self) -> None:
        """Go on."""
        for worker in self._workers:
            worker.resume()

    def stop(self) -> None:
        """End within `STOP_MS` altogether."""
        for worker in self._workers:
            for consumer in worker.consumers.values():
                consumer.stop()  # now, so that it does not wait once more in the broker
        stopping = [threading.Thread(target=worker.stop, args=(STOP_MS,)) for worker in self._workers]
        for each in stopping:
            each.start()
        for each in stopping:
            each.join()


def _dramatiq_worker(broker: dramatiq.Broker, queues: frozenset[str], threads: int) -> dramatiq.Worker:
    worker = dramatiq.Worker(broker, queues=set(queues), worker_threads=threads, worker_timeout=POLL_MS)
    worker.queue_prefetch = threads  # a message is fetched when there is a hand for it
    worker.start()
    return worker


class Control:
    """What a person requested of this worker: to drain, to restart, to go on."""

    def __init__(self, hands: ConsumerThreads) -> None:
        self._hands = hands
        self._drained = False
        self._asked_at = 0.0

    def restart(self) -> bool:
        """Whether to end, so that the runner starts a fresh one. Takes nothing new while draining."""
        if time.monotonic() < self._asked_at + ASK_S:
            return False
        self._asked_at = time.monotonic()
        try:
            requested = workers.requested_action(installation.application().database, actors.worker_name())
        except FAILURES as error:
            log.warning("nobody can say what is wanted of this worker: %s", unavailable(error))
            return False
        if (requested == RequestedAction.DRAIN) != self._drained:
            self._drained = requested == RequestedAction.DRAIN
            (self._hands.pause if self._drained else self._hands.resume)()
        return requested == RequestedAction.RESTART


def main(queues: list[str]) -> None:
    """Serve until asked to stop, orphaned, or due for renewal."""
    os.environ.setdefault(installation.WORKER_VARIABLE, "1")
    logs.install()
    pulse = Pulse()
    stop, served, parent = StopRequest(), Served(), os.getppid()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    broker = installation.broker()
    broker.add_middleware(served)
    actors.register(broker, installation.application)
    hands = ConsumerThreads(broker, queues)
    control = Control(hands)
    renew_after = installation.application().settings.worker_restart_after
    while not stop.wait(LOOK_S) and served.count < renew_after and os.getppid() == parent:
        pulse.beat()
        if actors.process_is_broken.is_set() or control.restart():
            break
    hands.stop()
    gc.freeze()  # as in the runner: leave quickly


if __name__ == "__main__":
    with explained():
        main(sys.argv[1:])
