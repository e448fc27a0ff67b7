"""Every chore of an installation, by its name; when each is due is in `core.queue.periodic`."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.application import Journey
from core.clients import retention, webhooks
from core.queue import history
from core.search import passages


def tend(here: Journey, name: str, worker: str) -> None:
    """Do one chore, unless somebody else is at it."""
    chores: dict[str, Callable[[], object]] = {
        "batches": here.batches.tick,
        "covers": here.covers.tick,
        "models": here.downloads.tick,
        "objects": here.objects.sweep,
        "orders": lambda: here.remote.sweep(here.engines),
        "payments": here.ledger.sweep,
        "callbacks": lambda: webhooks.deliver(here),
        "retention": lambda: retention.sweep(here),
        "index": lambda: _index(here),
        "history": lambda: history.forget(here.records, time.time()),
        "store": lambda: retention.sweep_store(here),
    }
    here.chores.do(name, worker, chores[name])


def _index(here: Journey) -> None:
    here.index_store.maintain()
    passages.sweep(here.records, here.index_store)
