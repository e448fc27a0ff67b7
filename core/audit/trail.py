"""Events of the audit trail: recorded, found, forgotten when their time is over."""

from __future__ import annotations

import csv
import hashlib
import io
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from sqlalchemy import Select, delete, select, tuple_
from sqlalchemy.orm import Session

from core.database.clock_jumps import is_settled
from core.database.database import Database
from core.database.states import AuditAction, AuditSubject
from core.database.tables import AuditEvent, Key, KeyValue, Person, utc
from core.database.upsert import insert_if_absent, upsert
from core.errors import AdminsOnly
from core.principal import PAGES, SYSTEM, Principal
from core.spreadsheets import without_formulas

DAY_S = 24 * 3600.0
LEAST_DAYS = 30
"""The database keeps events for so long, whatever a setting or a program says."""
KEPT_FROM = "audit kept from"
"""The name under which the triggers of the table look up what may be deleted."""
REFUSED_EVERY_S = 60.0
"""The same refusal of the same person is recorded once in so long."""
SEEN_EVERY_S = DAY_S
"""Who has no session, such as a program, is seen to open the same thing once in so long."""
AT_ONCE = 5000
REMEMBERED = 10_000
"""Digests that this process knows to be recorded."""
COLUMNS = ("at", "who", "door", "action", "subject", "object_id", "operation", "usd")
MOST_ROWS = 1_000_000
"""Of one export."""

_known: WeakKeyDictionary[Database, dict[str, None]] = WeakKeyDictionary()


@dataclass(frozen=True)
class EventFilter:
    """Which events are wanted; what is empty does not matter. Times are Unix seconds."""

    who: str = ""
    action: AuditAction | None = None
    object_id: str = ""
    since: float | None = None
    until: float | None = None


def record(
    session: Session,
    principal: Principal,
    action: AuditAction,
    subject: AuditSubject,
    object_id: str,
    operation: str,
    usd: str | None = None,
) -> None:
    """Write an event in this transaction."""
    session.add(_event(principal, action, subject, object_id, operation, usd))


def record_once(
    database: Database,
    principal: Principal,
    action: AuditAction,
    subject: AuditSubject,
    object_id: str,
    operation: str,
) -> None:
    """Write an event in a transaction of its own, unless it is there: once a session and object.

    Who has no session, once a day; refusals once a minute.
    """
    event = _event(principal, action, subject, object_id, operation)
    every_s = REFUSED_EVERY_S if action == AuditAction.REFUSED else SEEN_EVERY_S
    has_session = principal.session and action != AuditAction.REFUSED
    when = principal.session if has_session else str(event.at // every_s)
    parts = (when, event.who, event.door, action, object_id, operation if not has_session else "")
    event.once = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
    known = _known.setdefault(database, {})
    if event.once in known:
        return
    with database.write() as session:
        insert_if_absent(session, event)
    if len(known) >= REMEMBERED:
        known.clear()
    known[event.once] = None


class AuditTrail:
    """What happened, for admins; those who see everything may read it, too."""

    def __init__(self, database: Database, clock: Callable[[], float], *, keep_days: int) -> None:
        self._database = database
        self._now = clock
        self._keep_days = keep_days

    def find(
        self, principal: Principal, wanted: EventFilter, limit: int = 100, before: str = ""
    ) -> tuple[list[AuditEvent], str]:
        """A page of events, newest first, and where the next one begins: "" behind the last.

        `before` is what an earlier page said. Raises AdminsOnly.
        """
        if not principal.admin:
            raise AdminsOnly
        with self._database.read() as session:
            rows = list(session.scalars(_wanted(wanted, before).limit(limit + 1)))
        return rows[:limit], f"{rows[limit - 1].at!r}-{rows[limit - 1].id}" if len(rows) > limit else ""

    def people(self, principal: Principal) -> dict[str, str]:
        """Who may stand in events: persons, and keys by their ids with their names. Raises AdminsOnly."""
        if not principal.admin:
            raise AdminsOnly
        with self._database.read() as session:
            names = session.scalars(select(Person.name).distinct().order_by(Person.name)).all()
            keys = session.execute(select(Key.id, Key.name).order_by(Key.created_at)).all()
        return {
            PAGES: "",
            SYSTEM.owner: "",
            **dict.fromkeys(names, ""),
            **{row.id: row.name for row in keys},
        }

    def export(self, principal: Principal, wanted: EventFilter) -> bytes:
        """A table (CSV, UTF-8) of all events that are wanted; that is an event, too. Raises AdminsOnly."""
        out = io.StringIO()
        write = csv.writer(out).writerow
        write(COLUMNS)
        for row in self._all(principal, wanted):
            cells = (utc(row.at).isoformat(), *(str(getattr(row, name) or "") for name in COLUMNS[1:]))
            write(without_formulas(cell) for cell in cells)
        with self._database.write() as session:
            record(
                session, principal, AuditAction.EXPORTED, AuditSubject.INSTALLATION, "audit", "audit.export"
            )
        return ("\ufeff" + out.getvalue()).encode()

    def sweep(self) -> int:
        """Delete events whose time is over; says how many. Nothing is old by a clock that was just set."""
        now = self._now()
        if not is_settled(self._database, now):
            return 0
        kept_from = now - max(self._keep_days, LEAST_DAYS) * DAY_S
        old = select(AuditEvent.id).where(AuditEvent.at < kept_from).order_by(AuditEvent.at).limit(AT_ONCE)
        with self._database.write() as session:
            ids = session.scalars(old).all()
            if ids:
                upsert(session, KeyValue(name=KEPT_FROM, value=repr(kept_from)))
                session.execute(delete(AuditEvent).where(AuditEvent.id.in_(ids)))
        return len(ids)

    def _all(self, principal: Principal, wanted: EventFilter) -> Iterator[AuditEvent]:
        before, count = "", 0
        while count < MOST_ROWS:
            rows, before = self.find(principal, wanted, AT_ONCE, before)
            yield from rows
            count += len(rows)
            if not before:
                return


def _wanted(wanted: EventFilter, before: str) -> Select[AuditEvent]:
    found = select(AuditEvent).order_by(AuditEvent.at.desc(), AuditEvent.id.desc())
    if wanted.who:
        found = found.where(AuditEvent.who == wanted.who)
    if wanted.action:
        found = found.where(AuditEvent.action == wanted.action)
    if wanted.object_id:
        found = found.where(AuditEvent.object_id == wanted.object_id)
    if wanted.since is not None:
        found = found.where(AuditEvent.at >= wanted.since)
    if wanted.until is not None:
        found = found.where(AuditEvent.at < wanted.until)
    if before:
        at, _, id_ = before.partition("-")
        found = found.where(tuple_(AuditEvent.at, AuditEvent.id) < tuple_(float(at), int(id_)))
    return found


def _event(
    principal: Principal,
    action: AuditAction,
    subject: AuditSubject,
    object_id: str,
    operation: str,
    usd: str | None = None,
) -> AuditEvent:
    return AuditEvent(
        at=time.time(),
        who=principal.actor,
        door=principal.door,
        action=action,
        subject=subject,
        object_id=object_id,
        operation=operation,
        usd=usd,
    )
