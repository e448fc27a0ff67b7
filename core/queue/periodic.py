"""What is done again and again: when it is due, who is at it, how it went."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import ColumnElement, and_, or_, select, update

from core.database.database import Database
from core.database.failures import persistently
from core.database.tables import PeriodicTask, Worker
from core.database.upsert import insert_if_absent
from core.i18n.messages import N_
from core.queue.idle import IDLE_S, NEEDED, idle
from core.queue.jobs import changed
from core.queue.workers import ALIVE_S

EVERY_S = {
    "batches": 3.0,  # collect, order, ask about, fetch: one short round
    "callbacks": 5.0,  # tell programs that their tasks have ended
    "notifications": 5.0,  # tell people what is done and what is wrong
    "covers": 5.0,  # look whether pictures are ready
    "models": 5.0,  # bring models that were asked for
    "sources": 5.0,  # look at what is watched, fetch, take in
    "results": 10.0,  # write results where they are wanted
    "orders": 30.0,  # stop elsewhere what nobody waits for
    "payments": 600.0,  # book what was promised to calls that broke off
    "retention": 600.0,  # forget what programs left here
    "bin": 3600.0,  # delete for good what was in the bin long enough
    "index": 60.0,  # merge small writes, rebuild what grew
    "history": 3600.0,  # drop what is older than it is kept
    "objects": 3600.0,  # sweep the object store, add what it lacks
    "store": 3600.0,  # sweep away uploads that never finished
}

RECONCILE = "reconcile"
"""Waking what waits unheard and taking back what lost its worker: done by runners, every 2 seconds."""
TITLES = {
    RECONCILE: N_("Wake waiting work, take back lost work"),
    "batches": N_("Collect, order and fetch batches"),
    "callbacks": N_("Tell programs that their tasks have ended"),
    "notifications": N_("Tell people what is done and what is wrong"),
    "covers": N_("Order and fetch pictures"),
    "models": N_("Bring models that were asked for"),
    "sources": N_("Fetch links, look at what is watched"),
    "results": N_("Write results to folders and buckets"),
    "orders": N_("Stop orders that nobody waits for"),
    "payments": N_("Book paid calls that broke off"),
    "retention": N_("Forget what programs left here"),
    "bin": N_("Empty the bin of what is old"),
    "index": N_("Tidy the search index"),
    "history": N_("Drop old history"),
    "objects": N_("Sweep the object store, add what it lacks"),
    "store": N_("Sweep away unfinished uploads"),
}
"""What each chore does, for people."""


FAILED_AS = {
    **dict.fromkeys(("Shutdown", "SystemExit", "KeyboardInterrupt"), N_("its worker was stopped")),
    "TimeLimitExceeded": N_("it took too long"),
    **dict.fromkeys(("OperationalError", "DBAPIError", "TimeoutError"), N_("the database did not answer")),
    "NoSpace": N_("the disk is full"),
    "Unavailable": N_("something that it needs did not answer"),
    **dict.fromkeys(("ProviderBusy", "ProviderResting"), N_("the provider is busy")),
    "ProviderRefused": N_("the provider refused"),
    "OutcomeUnknown": N_("the provider's answer was lost"),
}
"""What ended one, by its error, for people."""


class PeriodicTasks:
    """The timetable of this installation."""

    def __init__(self, database: Database, clock: Callable[[], float] | None = None) -> None:
        self._database = database
        self.now = clock or database.now
        with database.write() as session:
            for name in (RECONCILE, *EVERY_S):
                insert_if_absent(session, PeriodicTask(name=name))

    def all(self) -> list[PeriodicTask]:
        """Every chore with its last outcome."""
        with self._database.read() as session:
            return list(session.scalars(select(PeriodicTask).order_by(PeriodicTask.name)))

    def due(self) -> list[str]:
        """Chores to wake now; each is said to be due once per period.

        Those that have nothing to do are due when they have, and rarely, unless somebody expedites them.
        """
        now = self.now()
        with self._database.read() as session:
            due = select(PeriodicTask).where(PeriodicTask.next_at <= now, PeriodicTask.name.in_(EVERY_S))
            found = {row.name: row.next_at for row in session.scalars(due)}
            without = idle(session) if found else set()
        late = [
            name
            for name, next_at in found.items()
            if name not in without or next_at <= max(0.0, now - IDLE_S)
        ]
        return [name for name in late if self._postpone(name, now)] if late else []

    def _postpone(self, name: str, now: float) -> bool:
        due = update(PeriodicTask).where(PeriodicTask.name == name, PeriodicTask.next_at <= now)
        with self._database.write() as session:
            return changed(session, due.values(next_at=now + EVERY_S[name]))

    def expedite(self, name: str) -> None:
        """Make a chore due now, whether or not it has something to do."""
        with self._database.write() as session:
            session.execute(update(PeriodicTask).where(PeriodicTask.name == name).values(next_at=0.0))

    def look_again(self) -> None:
        """Make all due that are not woken while they have nothing to do: settings may have changed."""
        with self._database.write() as session:
            session.execute(update(PeriodicTask).where(PeriodicTask.name.in_(NEEDED)).values(next_at=0.0))

    def do(self, name: str, worker: str, step: Callable[[], object]) -> None:
        """Do it unless somebody is at it; keep when, how long and what went wrong."""
        began = self.now()
        free = update(PeriodicTask).where(
            PeriodicTask.name == name, or_(PeriodicTask.worker == "", _is_orphaned(began))
        )
        with self._database.write() as session:
            if not changed(session, free.values(worker=worker, began_at=began)):
                return
        error: str | None = None
        try:
            step()
        except BaseException as broken:
            error = type(broken).__name__
            raise
        finally:
            ended = persistently(self.now)  # by the clock of the database
            outcome = {"worker": "", "ended_at": ended, "took_s": ended - began, "error": error}
            persistently(lambda: self._end(name, worker, began, outcome))

    def _end(self, name: str, worker: str, began: float, outcome: dict[str, object]) -> None:
        ours = (PeriodicTask.name == name, PeriodicTask.worker == worker, PeriodicTask.began_at == began)
        with self._database.write() as session:
            session.execute(update(PeriodicTask).where(*ours).values(outcome))

    def noted(self, name: str, took_s: float) -> None:
        """Somebody did it by themselves; keep when and how long."""
        now = self.now()
        outcome = {"began_at": now - took_s, "ended_at": now, "took_s": took_s, "error": None}
        with self._database.write() as session:
            session.execute(update(PeriodicTask).where(PeriodicTask.name == name).values(outcome))

    def holders(self) -> set[str]:
        """Workers that are at a chore, dead or alive."""
        return {periodic_task.worker for periodic_task in self.all() if periodic_task.worker}

    def release(self, worker: str) -> None:
        """A worker died in the middle of a chore: somebody else may do it."""
        with self._database.write() as session:
            session.execute(
                update(PeriodicTask)
                .where(PeriodicTask.worker == worker)
                .values(worker="", error="its worker died")
            )


def _is_orphaned(now: float) -> ColumnElement[bool]:
    """Nobody has lately seen the process that is at a chore; one born later has only its name."""
    alive = select(Worker.name).where(Worker.name == PeriodicTask.worker, Worker.seen_at > now - ALIVE_S)
    return and_(
        PeriodicTask.began_at < now - ALIVE_S,
        ~alive.where(Worker.started_at <= PeriodicTask.began_at).exists(),
    )
