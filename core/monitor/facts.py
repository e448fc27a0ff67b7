"""What goes on, for programs: the facts that the monitor shows, read by the same functions.

Times are ISO 8601 with offset, lengths are seconds, money is a decimal string in US dollars.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from core.billing import plain
from core.database.database import Database
from core.database.states import JobKind
from core.database.tables import Json, PeriodicTask, Worker, utc
from core.i18n import catalogue
from core.monitor import alarms, decisions, failures, health, monitor
from core.monitor.alarms import Alarm, AlarmKind
from core.monitor.decisions import Decision
from core.monitor.failures import Group
from core.monitor.health import Coverage, HealthSources
from core.monitor.monitor import Delayed, MonitorSnapshot, Running
from core.orders.batch_view import BatchSummary
from core.principal import Principal
from core.queue import history
from core.queue.history import Timing
from core.queue.periodic import EVERY_S, PeriodicTasks
from core.queue.queues import QUEUES


@dataclass(frozen=True)
class RunningFact:
    """A job that a worker has in hand. `speed`: seconds of speech a second of work."""

    job_id: str
    task_id: str
    recording_id: str
    title: str
    kind: str
    progress: int
    speed: float | None
    left_s: float | None
    worker: str
    attempt: int
    started_at: datetime | None


@dataclass(frozen=True)
class QueueFact:
    """What waits in a queue, and how much sound that is."""

    queue: str
    jobs: int
    oldest_s: float
    audio_s: float
    paused: bool
    postponed: int
    """Jobs that are tried again later."""


@dataclass(frozen=True)
class DelayedFact:
    """A job that is tried again later, and why."""

    job_id: str
    task_id: str
    recording_id: str
    title: str
    kind: str
    next_try_at: datetime
    error: str | None


@dataclass(frozen=True)
class DecisionFact:
    """Parts of a recording that may have been bought already; a person says whether they are ordered again.

    `since`: when they were ordered; `cost_usd`: what they cost once more.
    """

    recording_id: str
    title: str
    provider: str
    parts: int
    audio_s: float
    since: datetime
    cost_usd: str
    question: str


@dataclass(frozen=True)
class FailureFact:
    """Jobs of one kind that failed for one reason, and what usually helps."""

    kind: str
    jobs: int
    since: datetime
    error: str | None
    fix: str | None
    titles: tuple[str, ...]
    """Of some of the recordings."""


@dataclass(frozen=True)
class WorkerFact:
    """A worker process that is alive. `wish`: "", drain or restart."""

    name: str
    queue: str
    version: str
    started_at: datetime
    seen_at: datetime
    memory_bytes: int
    gpu_memory_bytes: int
    gpu_load: float | None
    wish: str
    job_ids: list[str]


@dataclass(frozen=True)
class RoutineFact:
    """What is done again and again: how often, when last, how it went."""

    name: str
    every_s: float | None
    last_at: datetime | None
    took_s: float | None
    at_work: bool
    error: str | None


@dataclass(frozen=True)
class BatchFact:
    """A job of a provider with many texts."""

    batch_id: str
    name: str
    state: str
    texts: int
    good: int
    failed: int
    age_s: float
    next_check_s: float | None
    usually_within_s: float | None
    cost_usd: str
    saved_usd: str | None
    late: bool
    error: str | None


@dataclass(frozen=True)
class KindFact:
    """How jobs of one kind went within the period."""

    kind: str
    queue: str
    done: int
    failed: int
    cancelled: int
    run_p50_s: float
    run_p95_s: float
    wait_p50_s: float
    wait_p95_s: float
    speed: float | None


@dataclass(frozen=True)
class PastFact:
    """What ended within a period, and hours of sound transcribed an hour."""

    period: str
    audio_h_per_h: float
    kinds: list[KindFact]


@dataclass(frozen=True)
class PartFact:
    """One part of the installation; without a `needed` one nothing can be accepted."""

    name: str
    ok: bool
    needed: bool
    detail: str


@dataclass(frozen=True)
class AlarmFact:
    """What a person should know of: what happened, since when, what is tried already, what to do."""

    kind: AlarmKind
    queue: str
    n: int
    since: datetime | None
    says: str
    tried: str
    fix: str


@dataclass(frozen=True)
class Facts:
    """Everything that the monitor shows, at one moment."""

    at: datetime
    status: str
    all_done_in_s: float | None
    alarms: list[AlarmFact]
    running: list[RunningFact]
    queues: list[QueueFact]
    delayed: list[DelayedFact]
    decisions: list[DecisionFact]
    failures: list[FailureFact]
    batches: list[BatchFact]
    texts_waiting_for_a_batch: int
    workers: list[WorkerFact]
    routines: list[RoutineFact]
    past: PastFact
    parts: list[PartFact]
    searchable: Coverage


class FactSources(HealthSources, Protocol):
    """What the monitor reads."""

    periodic_tasks: PeriodicTasks


def look(
    sources: FactSources,
    principal: Principal,
    ping: Callable[[], None],
    *,
    period: str = "day",
    language: str = "en",
) -> Facts:
    """All of it, as `principal` may see it; sentences in their language. `period`: one of history.PERIODS."""
    now, state = monitor.now(sources.database, principal), health.check(sources, ping)
    return Facts(
        at=utc(time.time()),
        status=state.status,
        all_done_in_s=now.done_in_s,
        alarms=[_alarm(one, language) for one in alarms.look(sources, principal)],
        running=[_running(one) for one in now.running],
        queues=_queues(now),
        delayed=[_delayed(one, language) for one in now.delayed],
        decisions=[_decision(one, language) for one in decisions.waiting(sources.database, principal)],
        failures=[_failure(one, language) for one in failures.groups(sources.database, principal)],
        batches=[_batch(one, language) for one in sources.batches.view.list()],
        texts_waiting_for_a_batch=sources.batches.view.queue().texts,
        workers=_workers(now),
        routines=[_routine(one) for one in sources.periodic_tasks.all()],
        past=_past(sources.database, period),
        parts=[
            PartFact(part.name, part.ok, part.needed, catalogue.translate_error(part.says, language))
            for part in state.parts
        ],
        searchable=health.coverage(sources.database, principal),
    )


def _alarm(alarm: Alarm, language: str) -> AlarmFact:
    explanation = alarms.sentences(alarm, language)
    return AlarmFact(
        alarm.kind,
        alarm.queue,
        alarm.n,
        _optional(alarm.since),
        explanation.says,
        explanation.tried,
        explanation.fix,
    )


def _running(one: Running) -> RunningFact:
    job = one.job
    return RunningFact(
        job_id=job.id,
        task_id=one.task.id,
        recording_id=one.recording.id,
        title=one.recording.title,
        kind=job.kind,
        progress=one.task.progress,
        speed=one.speed,
        left_s=one.left_s,
        worker=job.worker,
        attempt=job.crash_count,
        started_at=_optional(job.started_at),
    )


def _queues(now: MonitorSnapshot) -> list[QueueFact]:
    waiting = {one.queue: one for one in now.waiting}
    later = {queue: one.jobs for queue, one in now.postponed.items()}
    return [
        QueueFact(queue, one.jobs, max(0.0, one.age_s), one.audio_s, queue in now.paused, later.get(queue, 0))
        if (one := waiting.get(queue))
        else QueueFact(queue, 0, 0.0, 0.0, queue in now.paused, later.get(queue, 0))
        for queue in QUEUES
    ]


def _delayed(one: Delayed, language: str) -> DelayedFact:
    return DelayedFact(
        job_id=one.job.id,
        task_id=one.task.id,
        recording_id=one.recording.id,
        title=one.recording.title,
        kind=one.job.kind,
        next_try_at=utc(one.job.run_at),
        error=_sentence(one.job.error, language),
    )


def _decision(one: Decision, language: str) -> DecisionFact:
    return DecisionFact(
        recording_id=one.recording.id,
        title=one.recording.title,
        provider=one.provider,
        parts=len(one.orders),
        audio_s=one.audio_s,
        since=utc(one.since),
        cost_usd=plain(one.usd),
        question=catalogue.translate_error(one.question, language),
    )


def _failure(group: Group, language: str) -> FailureFact:
    return FailureFact(
        kind=group.kind,
        jobs=group.jobs,
        since=utc(group.since),
        error=_sentence(group.error, language),
        fix=_sentence(group.fix, language),
        titles=group.titles,
    )


def _workers(now: MonitorSnapshot) -> list[WorkerFact]:
    busy: dict[str | None, list[str]] = defaultdict(list)
    for one in now.running:
        busy[one.job.worker].append(one.job.id)
    return [_worker(worker, busy[worker.name]) for worker in now.workers]


def _worker(worker: Worker, job_ids: list[str]) -> WorkerFact:
    return WorkerFact(
        name=worker.name,
        queue=worker.queue,
        version=worker.version,
        started_at=utc(worker.started_at),
        seen_at=utc(worker.seen_at),
        memory_bytes=worker.rss_bytes,
        gpu_memory_bytes=worker.gpu_bytes,
        gpu_load=worker.gpu_load,
        wish=worker.requested_action,
        job_ids=job_ids,
    )


def _routine(periodic_task: PeriodicTask) -> RoutineFact:
    return RoutineFact(
        name=periodic_task.name,
        every_s=EVERY_S.get(periodic_task.name),
        last_at=_optional(periodic_task.ended_at),
        took_s=periodic_task.took_s,
        at_work=bool(periodic_task.worker),
        error=periodic_task.error,
    )


def _batch(batch: BatchSummary, language: str) -> BatchFact:
    return BatchFact(
        batch_id=batch.id,
        name=batch.name,
        state=batch.state,
        texts=batch.texts,
        good=batch.good,
        failed=batch.failed,
        age_s=batch.age_s,
        next_check_s=batch.next_check_s,
        usually_within_s=batch.expected.high_s if batch.expected else None,
        cost_usd=plain(batch.usd),
        saved_usd=None if batch.saved_usd is None else plain(batch.saved_usd),
        late=batch.late,
        error=_sentence(batch.error or batch.alarm, language),
    )


def _past(database: Database, period: str) -> PastFact:
    past = history.past(database, period, time.time())
    return PastFact(period, past.audio_h_per_h, [_kind(timing) for timing in past.timings])


def _kind(timing: Timing) -> KindFact:
    return KindFact(
        kind=timing.kind,
        queue=timing.queue,
        done=timing.done,
        failed=timing.failed,
        cancelled=timing.cancelled,
        run_p50_s=timing.run_p50_s,
        run_p95_s=timing.run_p95_s,
        wait_p50_s=timing.wait_p50_s,
        wait_p95_s=timing.wait_p95_s,
        speed=timing.speed if timing.kind == JobKind.TRANSCRIBE else None,
    )


def _sentence(error: Json | None, language: str) -> str | None:
    return catalogue.translate_error(error, language) if error else None


def _optional(unix: float | None) -> datetime | None:
    return None if unix is None else utc(unix)
