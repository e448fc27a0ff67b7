"""Every chore of an installation, by its name; when each is due is in `core.queue.periodic`."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.application import Application
from core.clients import retention, webhooks
from core.queue import history
from core.search import passages


def tend(app: Application, name: str, worker: str) -> None:
    """Do one chore, unless somebody else is at it."""
    periodic_tasks: dict[str, Callable[[], object]] = {
        "batches": app.batches.tick,
        "covers": app.covers.tick,
        "models": app.downloads.tick,
        "objects": app.objects.sweep,
        "orders": lambda: app.remote.sweep(app.engines),
        "payments": app.ledger.sweep,
        "callbacks": lambda: webhooks.deliver(app),
        "retention": lambda: retention.sweep(app),
        "index": lambda: _index(app),
        "history": lambda: history.forget(app.database, time.time()),
        "store": lambda: retention.sweep_store(app),
    }
    app.periodic_tasks.do(name, worker, periodic_tasks[name])


def _index(app: Application) -> None:
    app.index_store.maintain()
    passages.sweep(app.database, app.index_store)
