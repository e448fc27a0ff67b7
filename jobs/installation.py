"""The one installation that this process serves: the only singleton, held by the doors.

Built with the first use from the environment; tests and tools put one of their own in its place.
"""

from __future__ import annotations

import functools
import os
import threading
from dataclasses import dataclass

from dramatiq.brokers.redis import RedisBroker

from core.application import Application
from core.settings import load
from jobs.broker import BrokerNotifier, make_broker

WORKER_VARIABLE = "STENOGRAM_WORKER"
"""Set in worker processes, which wait longer for a broker that is away."""


@dataclass
class _Held:
    application: Application | None = None


_held = _Held()
_building = threading.Lock()


@functools.cache
def broker() -> RedisBroker:
    """The broker that the environment names."""
    return make_broker(load(), patient=bool(os.environ.get(WORKER_VARIABLE)))


notifier = BrokerNotifier(broker)


def application() -> Application:
    """The installation of this process."""
    with _building:
        if _held.application is None:
            _held.application = Application(load(), notifier=notifier.job, picture_notifier=notifier.picture)
        return _held.application


def serve(other: Application | None) -> None:
    """Serve another installation from now on; None: the one that the environment names, built anew."""
    _held.application = other
