"""What failed or is put off, by reason: how often, what usually helps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import aliased

from core.billing.ledger import CAP, KEY_CAP
from core.database.database import Database
from core.database.states import JOB_BROKEN, JobState
from core.database.tables import Job, Json, Recording, Task
from core.errors import NoSound, NoSpace, ProviderBusy, ProviderRefused, ProviderResting, UnreadableMedia
from core.i18n.messages import N_
from core.library.recordings import mine
from core.orders.transcript_orders import HELD
from core.principal import Principal

DEAD = JOB_BROKEN
AGAIN_LATER = N_("This usually passes by itself. Try again in some minutes.")
RAISE = N_("Raise the cap (Costs, What it came to), or wait for the next month.")
FIXES = {
    ProviderRefused.message: N_("Set {setting} in the file .env, restart, and try again."),
    CAP: RAISE,
    KEY_CAP: RAISE,
    ProviderBusy.message: AGAIN_LATER,
    ProviderResting.message: AGAIN_LATER,
    HELD: N_("Only a person can tell: it is asked on the monitor, under “Right now”."),
    NoSpace.message: N_("Free some space on the disk; then try again."),
    UnreadableMedia.message: N_("The file itself is at fault: convert it or send it again."),
    NoSound.message: N_("There is nothing to hear in this file; trying again will not help."),
    "The work stopped its worker {times} times in a row and was set aside.": N_(
        "Usually memory ran out: give the machine more, or lower WORKERS_GPU; then try again."
    ),
    "Unexpected: {what}.": N_("A fault of the tool: the page of the job shows where. Trying again may help."),
}
"""What usually helps, by the template of the error; its facts fill the sentence."""


@dataclass(frozen=True)
class Group:
    """Jobs of one kind that failed for one reason."""

    message: str
    kind: str
    jobs: int
    since: float
    error: Json
    """As the newest of them had it."""
    titles: tuple[str, ...]
    """Of some of the recordings."""

    @property
    def fix(self) -> Json | None:
        """What usually helps."""
        template = FIXES.get(self.message)
        return {"message": template, "facts": self.error.get("facts", {})} if template else None


SHOWN = 50
EXAMPLES = 3


def groups(database: Database, who: Principal) -> list[Group]:
    """By reason and kind of work, the most frequent first."""
    reason = func.coalesce(Job.error["message"].as_string(), "")
    alike = [reason, Job.kind]
    newest = func.row_number().over(partition_by=alike, order_by=Job.created_at.desc())
    numbered = select(
        reason.label("reason"),
        Job.kind,
        func.count().over(partition_by=alike).label("jobs"),
        func.min(Job.created_at).over(partition_by=alike).label("since"),
        newest.label("n"),
        Job.error,
        Recording.title,
    )
    rows = _broken(numbered, who).subquery()
    some = select(rows).where(rows.c.n <= EXAMPLES).order_by(rows.c.jobs.desc(), rows.c.reason, rows.c.n)
    found: dict[tuple[str, str], Group] = {}
    with database.read() as session:
        for message, kind, jobs, since, _, error, title in session.execute(some.limit(SHOWN * EXAMPLES)):
            group = found.get((message, kind)) or Group(message, kind, jobs, since, error or {}, ())
            found[message, kind] = replace(group, titles=(*group.titles, title))
    return list(found.values())


def tasks(database: Database, who: Principal, message: str, kind: str) -> list[str]:
    """Tasks whose job of this kind failed for this reason."""
    with database.read() as session:
        return list(session.scalars(_members(select(Task.id), who, message, kind)))


def reasons(database: Database) -> list[str]:
    """Every template that any job keeps as its error."""
    distinct = select(Job.error["message"].as_string()).where(_kept()).distinct()
    with database.read() as session:
        return [message for message in session.scalars(distinct) if message]


def is_reason(messages: Sequence[str]) -> ColumnElement[bool]:
    """The job's error is one of these."""
    return and_(_kept(), Job.error["message"].as_string().in_(messages))


def _kept() -> ColumnElement[bool]:
    return Job.state.in_((*DEAD, JobState.READY))


def _members(statement: Select, who: Principal, message: str, kind: str) -> Select:  # type: ignore[type-arg]
    same = func.coalesce(Job.error["message"].as_string(), "") == message
    return _broken(statement, who).where(same, Job.kind == kind)


def _broken(statement: Select, who: Principal) -> Select:  # type: ignore[type-arg]
    """Only of the newest task of a recording: what was done again since is no failure any more."""
    other = aliased(Task)
    newer = select(other.id).where(
        other.recording_id == Task.recording_id, other.created_at > Task.created_at
    )
    has_reason = Job.error["message"].as_string().is_not(None)
    put_off = and_(Job.state == JobState.READY, Job.run_at > time.time(), has_reason)
    joined = statement.select_from(Job).join(Task, Task.id == Job.task_id)
    joined = joined.join(Recording, Recording.id == Task.recording_id)
    broken = or_(Job.state.in_(DEAD), put_off)
    return mine(joined.where(broken, ~newer.correlate(Task).exists()), who, Task)
