"""Jobs to look through: found by what they are, and one of them with all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from sqlalchemy import Select, func, or_, select

from core import logs
from core.billing.ledger import Ledger
from core.database.database import Database
from core.database.owned import visible_to
from core.database.states import JobState, RunOutcome
from core.database.tables import Job, Recording, Run, Task
from core.errors import Code, NotFound
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library.recordings import Recordings
from core.monitor import failures
from core.principal import Principal
from core.queue import history
from core.settings import Settings

STATES: Mapping[str, str] = {
    JobState.READY: N_("Waiting"),
    JobState.RUNNING: N_("In progress"),
    JobState.DONE: N_("Done"),
    JobState.FAILED: N_("Failed"),
    JobState.QUARANTINED: N_("Set aside"),
    JobState.CANCELLED: N_("Cancelled"),
}
"""Where a job stands, for people."""

OUTCOMES: Mapping[str, str] = {
    RunOutcome.DONE: N_("Done"),
    RunOutcome.FAILED: N_("Failed"),
    RunOutcome.CANCELLED: N_("Cancelled"),
    RunOutcome.QUARANTINED: N_("Set aside"),
    RunOutcome.LATER: N_("Put off"),
    RunOutcome.STOPPED: N_("Interrupted in order"),
    RunOutcome.DIED: N_("Its worker died"),
}
"""How an attempt ended, for people."""

PAGE = 50
COUNTED = 1000
"""More are not counted, only said to be more."""


@dataclass(frozen=True)
class Filter:
    """Which jobs; what is empty does not matter."""

    state: str = ""
    kind: str = ""
    engine: str = ""
    recording: str = ""
    """Part of a recording's title."""
    error: str = ""
    """Part of an error as somebody reads it in `language`."""
    since: float = 0.0
    language: str = "en"


@dataclass(frozen=True)
class Line:
    """One job in the list."""

    job: Job
    task: Task
    recording: Recording


@dataclass(frozen=True)
class Listed:
    """One page of the jobs that fit, newest first."""

    lines: list[Line]
    total: int
    """At most COUNTED."""

    @property
    def more(self) -> bool:
        """Whether there are more than were counted."""
        return self.total >= COUNTED


@dataclass(frozen=True)
class Stage:
    """One job of a task with its attempts."""

    job: Job
    attempts: list[Run]


@dataclass(frozen=True)
class Detail:
    """All that is known of a job. `log` is empty for those who are no admins, as is its traceback."""

    job: Job
    task: Task
    recording: Recording
    stages: list[Stage]
    usd: Decimal
    log: list[str]


def find(
    database: Database, principal: Principal, criteria: Filter, *, offset: int = 0, limit: int = PAGE
) -> Listed:
    """The jobs that fit, one page of them."""
    fitting = _fitting(database, principal, criteria)
    some = fitting.with_only_columns(Job.id).order_by(None).limit(COUNTED).subquery()
    with database.read() as session:
        total = session.scalar(select(func.count()).select_from(some)) or 0
        rows = session.execute(fitting.order_by(Job.created_at.desc()).limit(limit).offset(offset)).all()
    return Listed([Line(*row) for row in rows], total)


def tasks(database: Database, principal: Principal, criteria: Filter) -> list[str]:
    """The tasks of all jobs that fit, each once, however many there are."""
    fitting = _fitting(database, principal, criteria).with_only_columns(Job.task_id).order_by(None)
    with database.read() as session:
        return list(session.scalars(fitting.distinct()))


def engines(database: Database) -> list[str]:
    """Engines that any task was given to."""
    with database.read() as session:
        return sorted(session.scalars(select(Task.engine).distinct()))


class DetailSources(Protocol):
    """What one job is read from."""

    settings: Settings
    database: Database
    recordings: Recordings
    ledger: Ledger


def detail(sources: DetailSources, principal: Principal, job_id: str) -> Detail:
    """One job with its task's timeline; NotFound if it is not there or not theirs."""
    with sources.database.read() as session:
        job = session.get(Job, job_id)
    if job is None:
        raise NotFound
    task = sources.recordings.task(principal, job.task_id)
    recording = sources.recordings.get(principal, task.recording_id)
    log = logs.about(sources.settings.home / "run", job_id) if principal.admin else []
    usd = sources.ledger.of_recording(recording.id)
    return Detail(job, task, recording, _stages(sources.database, task.id), usd, log)


def _stages(database: Database, task_id: str) -> list[Stage]:
    attempts = history.attempts(database, task_id)
    with database.read() as session:
        jobs = session.scalars(select(Job).where(Job.task_id == task_id).order_by(Job.created_at))
        return [Stage(job, [run for run in attempts if run.job_id == job.id]) for job in jobs]


def _fitting(database: Database, principal: Principal, criteria: Filter) -> Select[Job, Task, Recording]:
    statement = select(Job, Task, Recording).join(Task, Task.id == Job.task_id)
    statement = visible_to(statement.join(Recording, Recording.id == Task.recording_id), principal, Task)
    for column, value in (
        (Job.state, criteria.state),
        (Job.kind, criteria.kind),
        (Task.engine, criteria.engine),
    ):
        statement = statement.where(column == value) if value else statement
    if criteria.recording:
        statement = statement.where(Task.recording_id.in_(_titled(database, criteria.recording)))
    if criteria.since:
        statement = statement.where(Job.created_at >= criteria.since)
    if criteria.error:
        statement = statement.where(failures.is_one_of(_codes(database, criteria)))
    return statement


def _titled(database: Database, part: str) -> list[str]:
    """Recordings with this in their title; databases know no capitals beyond English, so we name some."""
    forms = {part, part.lower(), part.upper(), part.capitalize()}
    some = select(Recording.id).where(
        or_(*(Recording.title.contains(form, autoescape=True) for form in forms))
    )
    with database.read() as session:
        return list(session.scalars(some.order_by(Recording.created_at.desc()).limit(COUNTED)))


def _codes(database: Database, criteria: Filter) -> Sequence[Code]:
    """Of errors whose sentence, in English or the language of whoever asks, has this part."""
    part = criteria.error.casefold()
    return [
        code
        for code in failures.codes(database)
        if part in catalogue.gettext(code.message, criteria.language).casefold()
        or part in code.message.casefold()
    ]
