"""Worker processes, as their runner last heard them."""

from __future__ import annotations

import socket
from collections.abc import Collection, Sequence

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import RequestedAction
from core.database.tables import KeyValue, Worker
from core.database.upsert import upsert
from core.queue import queues

ALIVE_S = 15.0
FORGET_S = 24 * 3600.0
DEVICE = "device of "


def note(database: Database, workers: Sequence[Worker]) -> None:
    """Remember when these were last heard (`seen_at`); forget those not seen for a day."""
    with database.write() as session:
        for worker in workers:
            upsert(session, worker)
        session.execute(delete(Worker).where(Worker.seen_at < database.now() - FORGET_S))


def record_device(database: Database, reason: str) -> None:
    """Remember what workers of this machine compute with, and why."""
    with database.write() as session:
        upsert(session, KeyValue(name=DEVICE + socket.gethostname(), value=reason))


def devices(database: Database) -> dict[str, str]:
    """What workers compute with, by host, as they last said."""
    with database.read() as session:
        rows = session.scalars(select(KeyValue).where(KeyValue.name.startswith(DEVICE)))
        return {fact.name.removeprefix(DEVICE): fact.value for fact in rows}


def alive(database: Database) -> list[Worker]:
    """Workers whose main loop was heard within ALIVE_S, by queue."""
    recent = select(Worker).where(Worker.seen_at > database.now() - ALIVE_S)
    with database.read() as session:
        return list(session.scalars(recent.order_by(Worker.queue, Worker.name)))


def silent(database: Database) -> list[Worker]:
    """Workers that neither ended nor were heard within ALIVE_S: hung, or their machine is away."""
    quiet = select(Worker).where(Worker.seen_at <= database.now() - ALIVE_S)
    with database.read() as session:
        return list(session.scalars(quiet.order_by(Worker.queue, Worker.name)))


def serving(workers: Collection[Worker], queue: str) -> list[Worker]:
    """Those of these workers that do the work of a queue."""
    return [worker for worker in workers if queue in queues.served_by(worker.queue)]


def forget(database: Database, names: Collection[str]) -> None:
    """These have ended: they are no workers any more."""
    with database.write() as session:
        session.execute(delete(Worker).where(Worker.name.in_(names)))


def on(database: Database, host: str) -> list[Worker]:
    """Workers of a machine, heard or not."""
    with database.read() as session:
        return list(session.scalars(select(Worker).where(Worker.host == host)))


def is_drained(session: Session, name: str) -> bool:
    """Whether this worker is to take nothing new."""
    worker = session.get(Worker, name)
    return worker is not None and bool(worker.requested_action)


def requested_action(database: Database, name: str) -> RequestedAction:
    """What a person wants of this worker: "", drain or restart."""
    with database.read() as session:
        worker = session.get(Worker, name)
        return worker.requested_action if worker else RequestedAction.NONE


def request(database: Database, name: str, action: RequestedAction) -> bool:
    """Tell a worker to drain, to restart, or ("") to go on; False if there is none of this name."""
    with database.write() as session:
        worker = session.get(Worker, name)
        if worker is not None:
            worker.requested_action = action
    return worker is not None
