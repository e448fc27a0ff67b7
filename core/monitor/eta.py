"""When will it be done: learnt from what this machine has finished, per engine.

Wall time a second of sound, over the last tasks of the engine that did real work; before there are
any, a first guess that is called so.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select, true

from core.database.database import Database
from core.database.states import TASK_UNFINISHED, JobState, TaskStatus
from core.database.tables import Job, Recording, Task
from core.speech.language import AUTO

LAST_TASKS = 20
FIRST_GUESS = 0.5
"""Seconds of work a second of sound, before anything was measured."""
OVERHEAD_S = 2.0
"""Even the shortest recording passes through four jobs."""
UNKNOWN_LENGTH_S = 600.0
TELLING_PROGRESS = 20
"""Percent from which a task's own progress says more than history."""


@dataclass(frozen=True)
class Forecast:
    """Seconds until a task is done, and whether that was measured here."""

    seconds: int
    measured: bool


class Forecasts:
    """Forecasts made at one moment; what was measured is read once."""

    def __init__(self, database: Database, now: float) -> None:
        self._database = database
        self._now = now
        self._paces: dict[str, float | None] = {}

    def of(self, task: Task, recording: Recording) -> Forecast | None:
        """How long this task still takes; None once it has ended."""
        if task.status not in TASK_UNFINISHED:
            return None
        measured = self._pace(task.engine)
        pace = FIRST_GUESS if measured is None else measured
        whole_s = OVERHEAD_S + pace * _sound_s(task, recording)
        if postponed_s := self._postponed(task):
            left_s = postponed_s + whole_s * (100 - task.progress) / 100
            return Forecast(round(left_s), measured is not None)
        if task.status == TaskStatus.QUEUED:
            return Forecast(round(whole_s + pace * self._sound_ahead(task)), measured is not None)
        elapsed_s = self._now - (task.started_at or self._now)
        if task.progress >= TELLING_PROGRESS:
            return Forecast(round(elapsed_s * (100 - task.progress) / task.progress), measured=True)
        return Forecast(round(max(whole_s - elapsed_s, 1.0)), measured is not None)

    def _pace(self, engine: str) -> float | None:
        if engine not in self._paces:
            self._paces[engine] = self._measured(engine)
        return self._paces[engine]

    def _measured(self, engine: str) -> float | None:
        """Seconds of work a second of sound, over the last tasks that did any."""
        real = (
            select(Task.completed_at - Task.started_at, Recording.duration_s)
            .join(Recording, Recording.id == Task.recording_id)
            .where(
                Task.engine == engine if engine != AUTO else true(),
                Task.status == TaskStatus.COMPLETED,
                Task.completed_at > Task.started_at,
                Task.excerpt.is_(None),
            )
            .order_by(Task.completed_at.desc())
        )
        with self._database.read() as session:
            done = session.execute(real.limit(LAST_TASKS)).all()
        sound_s = sum(duration_s or 0.0 for _, duration_s in done)
        worked_s = sum(took_s or 0.0 for took_s, _ in done) - OVERHEAD_S * len(done)
        return max(worked_s, 0.0) / sound_s if sound_s else None

    def _postponed(self, task: Task) -> float:
        """Seconds until a task whose work is postponed is tried again; 0 of others."""
        ready = select(func.max(Job.run_at)).where(Job.task_id == task.id, Job.state == JobState.READY)
        with self._database.read() as session:
            return max(0.0, (session.scalar(ready) or 0.0) - self._now)

    def _sound_ahead(self, task: Task) -> float:
        """Seconds of sound in tasks of the same engine that came earlier and are not done."""
        earlier = (
            select(func.sum(Recording.duration_s * (100 - Task.progress) / 100))
            .join(Task, Task.recording_id == Recording.id)
            .where(Task.engine == task.engine, Task.status.in_(TASK_UNFINISHED))
            .where(Task.created_at < task.created_at, Task.excerpt.is_(None))
        )
        with self._database.read() as session:
            return float(session.scalar(earlier) or 0.0)


def _sound_s(task: Task, recording: Recording) -> float:
    """Seconds of sound that a task is about."""
    if task.excerpt is not None:
        return float(task.excerpt["end_s"]) - float(task.excerpt["start_s"])
    return recording.duration_s or UNKNOWN_LENGTH_S
