"""What failed or is put off, by reason: how often, what usually helps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, Select, and_, case, func, or_, select
from sqlalchemy.orm import aliased

from core.database.database import Database
from core.database.owned import visible_to
from core.database.states import JOB_BROKEN, JobState
from core.database.tables import Job, Json, Recording, Task
from core.errors import Code, find_code
from core.i18n.messages import N_
from core.principal import Principal

DEAD = JOB_BROKEN
AGAIN_LATER = N_("This usually passes by itself. Try again in some minutes.")
RAISE = N_("Raise the cap (Costs, What it came to), or wait for the next month.")
FIXES = {
    Code.PROVIDER_REFUSED: N_("Set {setting} in the file .env, restart, and try again."),
    Code.CAP_REACHED: RAISE,
    Code.KEY_CAP_REACHED: RAISE,
    Code.PROVIDER_BUSY: AGAIN_LATER,
    Code.PROVIDER_RESTING: AGAIN_LATER,
    Code.ORDER_HELD: N_("Only a person can tell: it is asked on the monitor, under “Right now”."),
    Code.NO_SPACE: N_("Free some space on the disk; then try again."),
    Code.STORED_FILE_GONE: N_(
        "Upload the recording again, or restore the backup; trying again will not help."
    ),
    Code.UNREADABLE_MEDIA: N_("The file itself is at fault: convert it or send it again."),
    Code.NO_SOUND: N_("There is nothing to hear in this file; trying again will not help."),
    Code.CRASHED_REPEATEDLY: N_(
        "Usually memory ran out: give the machine more, or lower WORKERS_GPU; then try again."
    ),
    Code.UNEXPECTED: N_("A fault of the tool: the page of the job shows where. Trying again may help."),
}
"""What usually helps, by the code of the error, whose facts fill the sentence."""


@dataclass(frozen=True)
class Group:
    """Jobs of one kind that failed for one reason."""

    code: str
    """Of the error; "" for none."""
    kind: str
    jobs: int
    since: float
    error: Json
    """As the newest of them had it."""
    titles: tuple[str, ...]
    """Of some of the recordings."""
    failed: int = 0
    """How many of the jobs failed; the others are put off."""

    @property
    def fix(self) -> Json | None:
        """What usually helps."""
        code = find_code(self.code)
        template = FIXES.get(code) if code else None
        return {"message": template, "facts": self.error.get("facts", {})} if template else None


SHOWN = 50
EXAMPLES = 3


def groups(database: Database, principal: Principal) -> list[Group]:
    """By reason and kind of work, the most frequent first."""
    code = _code()
    alike = [code, Job.kind]
    newest = func.row_number().over(partition_by=alike, order_by=Job.created_at.desc())
    numbered = select(
        code.label("code"),
        Job.kind,
        func.count().over(partition_by=alike).label("jobs"),
        func.count().filter(Job.state.in_(DEAD)).over(partition_by=alike).label("failed"),
        func.min(Job.created_at).over(partition_by=alike).label("since"),
        newest.label("n"),
        Job.error,
        Recording.title,
    )
    rows = _broken(numbered, principal).subquery()
    some = select(rows).where(rows.c.n <= EXAMPLES).order_by(rows.c.jobs.desc(), rows.c.code, rows.c.n)
    by_reason: dict[tuple[str, str], Group] = {}
    with database.read() as session:
        for code_, kind, jobs, failed, since, _, error, title in session.execute(
            some.limit(SHOWN * EXAMPLES)
        ):
            group = by_reason.get((code_, kind)) or Group(code_, kind, jobs, since, error or {}, (), failed)
            by_reason[code_, kind] = replace(group, titles=(*group.titles, title))
    return list(by_reason.values())


def count(database: Database, principal: Principal) -> int:
    """How many recordings have work that failed and was not done again since."""
    failed = _broken(select(func.count(Recording.id.distinct())), principal).where(Job.state.in_(DEAD))
    with database.read() as session:
        return session.scalar(failed) or 0


def tasks(database: Database, principal: Principal, code: str, kind: str) -> list[str]:
    """Tasks whose job of this kind failed for this reason."""
    with database.read() as session:
        return list(session.scalars(_members(select(Task.id), principal, code, kind)))


def codes(database: Database) -> list[Code]:
    """Of every error that any job keeps."""
    distinct = select(Job.error["code"].as_string()).where(_kept()).distinct()
    with database.read() as session:
        return [code for name in session.scalars(distinct) if name and (code := find_code(name))]


def is_one_of(codes: Sequence[Code]) -> ColumnElement[bool]:
    """The job's error has one of these codes."""
    return and_(_kept(), Job.error["code"].as_string().in_(codes))


def _kept() -> ColumnElement[bool]:
    return Job.state.in_((*DEAD, JobState.READY))


def _members(statement: Select, principal: Principal, code: str, kind: str) -> Select:  # type: ignore[type-arg]
    return _broken(statement, principal).where(_code() == code, Job.kind == kind)


def _code() -> ColumnElement[str]:
    """Of a job's error. One outage is one reason, before and after a provider is left alone."""
    code = func.coalesce(Job.error["code"].as_string(), "")
    return case((code == Code.PROVIDER_RESTING, Code.PROVIDER_BUSY), else_=code)


def _broken(statement: Select, principal: Principal) -> Select:  # type: ignore[type-arg]
    """Only of the newest task of a recording: what was done again since is no failure any more."""
    other = aliased(Task)
    newer = select(other.id).where(
        other.recording_id == Task.recording_id, other.created_at > Task.created_at
    )
    has_reason = Job.error["code"].as_string().is_not(None)
    defer = and_(Job.state == JobState.READY, Job.run_at > time.time(), has_reason)
    joined = statement.select_from(Job).join(Task, Task.id == Job.task_id)
    joined = joined.join(Recording, Recording.id == Task.recording_id)
    broken = or_(Job.state.in_(DEAD), defer)
    return visible_to(joined.where(broken, ~newer.correlate(Task).exists()), principal, Task)
