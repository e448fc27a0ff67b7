"""Queues that were paused: their jobs wait, whoever is woken for them."""

from __future__ import annotations

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.database.tables import KeyValue
from core.database.upsert import upsert
from core.i18n.messages import N_

QUEUES = {
    "gpu": N_("Speech recognition"),
    "cpu": N_("Reading files"),
    "io": N_("Providers, vectors and routines"),
    "index": N_("Search index"),
}
"""What each queue is for."""
ALSO = {"io": ("index",)}
"""Queues that a worker of another one serves beside its own, in threads of their own."""
PAUSED = "paused "
"""A paused queue is a fact with this before its name."""


def served_by(queue: str) -> tuple[str, ...]:
    """Every queue that workers of this one serve."""
    return queue, *ALSO.get(queue, ())


def paused(session: Session) -> set[str]:
    """Queues that are paused now."""
    names = session.scalars(select(KeyValue.name).where(KeyValue.name.startswith(PAUSED)))
    return {name.removeprefix(PAUSED) for name in names}


def is_paused(session: Session, queue: str) -> bool:
    """Whether nothing may be begun in this queue."""
    return session.get(KeyValue, PAUSED + queue) is not None


def pause(session: Session, queue: str) -> None:
    """Begin nothing more in this queue; what runs goes on."""
    upsert(session, KeyValue(name=PAUSED + queue, value="paused"))


def resume(session: Session, queue: str) -> None:
    """Let its jobs run again."""
    session.execute(delete(KeyValue).where(KeyValue.name == PAUSED + queue))
