"""What a person should know of before anything else, the worst first. Read from SQL alone.

Each alarm says what happened, since when, what is tried already, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from core.database.database import Database
from core.database.tables import Json
from core.i18n import catalogue
from core.i18n.messages import N_
from core.monitor import decisions, failures
from core.orders.batches import Batches
from core.principal import Principal
from core.queue import queues, workers
from core.queue.jobs import JobQueue
from core.queue.queues import QUEUES
from core.search import refill

STALLED_S = 120.0
"""A job that may run is done sooner where anybody works; longer is all right while its queue is at work."""
SILENT_S = 900.0
"""A running job without any progress for so long has a worker that hangs."""


class AlarmKind(StrEnum):
    """What happened, the worst first."""

    NO_WORKER = "no_worker"
    QUEUE_STALLED = "queue_stalled"
    WORKER_SILENT = "worker_silent"
    JOB_SILENT = "job_silent"
    INDEX_INCOMPLETE = "index_incomplete"
    BATCH_LATE = "batch_late"
    DECISION = "decision"
    FAILED = "failed"
    PAUSED = "paused"


SAYS: Mapping[AlarmKind, tuple[str, str]] = {
    AlarmKind.NO_WORKER: (
        N_("No worker is alive for this work: {queue}."),
        N_("No worker is alive for this work: {queue}."),
    ),
    AlarmKind.QUEUE_STALLED: (
        N_("{queue}: {n} job waits, and nobody takes it."),
        N_("{queue}: {n} jobs wait, and nobody takes them."),
    ),
    AlarmKind.WORKER_SILENT: (
        N_("{queue}: {n} worker gives no sign of life."),
        N_("{queue}: {n} workers give no sign of life."),
    ),
    AlarmKind.JOB_SILENT: (
        N_("{n} running job shows no progress."),
        N_("{n} running jobs show no progress."),
    ),
    AlarmKind.INDEX_INCOMPLETE: (
        N_("The search index lacks {n} passage."),
        N_("The search index lacks {n} passages."),
    ),
    AlarmKind.BATCH_LATE: (N_("{n} batch is late."), N_("{n} batches are late.")),
    AlarmKind.DECISION: (N_("{n} decision waits for you."), N_("{n} decisions wait for you.")),
    AlarmKind.FAILED: (N_("{n} recording failed."), N_("{n} recordings failed.")),
    AlarmKind.PAUSED: (N_("{queue}: paused by hand."), N_("{queue}: paused by hand.")),
}
"""What happened: of one, of many."""

TRIED: Mapping[AlarmKind, str] = {
    AlarmKind.NO_WORKER: N_("What comes is kept and waits; nothing is lost."),
    AlarmKind.QUEUE_STALLED: N_("Workers are woken for it every few seconds."),
    AlarmKind.WORKER_SILENT: N_(
        "After two minutes of silence it is ended, and a fresh one takes over what it had in hand."
    ),
    AlarmKind.JOB_SILENT: N_("Its worker is ended, and the job begins anew where it stopped."),
    AlarmKind.INDEX_INCOMPLETE: N_(
        "It is filled again from what was transcribed; nothing is paid for a second time."
    ),
    AlarmKind.BATCH_LATE: N_(
        "The provider is asked again and again; its texts are found by words meanwhile."
    ),
}
"""What the tool does by itself."""

FIXES: Mapping[AlarmKind, str] = {
    AlarmKind.NO_WORKER: N_(
        "Start the tool with make run, or make worker on the machine that does this work."
    ),
    AlarmKind.QUEUE_STALLED: N_(
        "Look at the workers: one that takes nothing new can be let go on or restarted."
    ),
    AlarmKind.WORKER_SILENT: N_(
        "If it stays silent, its machine is away or the tool has stopped there: start it."
    ),
    AlarmKind.JOB_SILENT: N_("If it happens again with the same recording, look at the job's log lines."),
    AlarmKind.INDEX_INCOMPLETE: N_(
        "Wait, or run make reindex. If it was moved on purpose, give its new place in LANCEDB_URI."
    ),
    AlarmKind.BATCH_LATE: N_(
        "Wait, or finish it now: what is ready is taken, the rest is made at once at the full price."
    ),
    AlarmKind.DECISION: N_("Each says what happened, what it costs, and what follows."),
    AlarmKind.FAILED: N_("Grouped by reason, each with what usually helps."),
    AlarmKind.PAUSED: N_("Its jobs wait until somebody resumes it."),
}
"""What a person can do."""

VIEWS: Mapping[AlarmKind, str] = {
    AlarmKind.NO_WORKER: "workers",
    AlarmKind.QUEUE_STALLED: "workers",
    AlarmKind.WORKER_SILENT: "workers",
    AlarmKind.JOB_SILENT: "now",
    AlarmKind.INDEX_INCOMPLETE: "health",
    AlarmKind.BATCH_LATE: "batches",
    AlarmKind.DECISION: "now",
    AlarmKind.FAILED: "failures",
    AlarmKind.PAUSED: "workers",
}
"""The view of the monitor where it is dealt with."""


@dataclass(frozen=True)
class Alarm:
    """Something that needs a person, or will if it goes on."""

    kind: AlarmKind
    n: int
    queue: str = ""
    since: float | None = None
    """Unix seconds; None while nobody knows."""
    error: Json | None = None
    """The reason, where there is one: a sentence with its facts."""


@dataclass(frozen=True)
class Explanation:
    """An alarm in sentences."""

    says: str
    tried: str
    fix: str


def sentences(alarm: Alarm, language: str) -> Explanation:
    """What happened and, where it is known, why; what is tried already; what to do."""
    queue = catalogue.gettext(QUEUES.get(alarm.queue, alarm.queue), language)
    says = catalogue.ngettext(*SAYS[alarm.kind], alarm.n, language, queue=queue)
    if alarm.error:
        says += " " + catalogue.translate_error(alarm.error, language)
    tried = TRIED.get(alarm.kind, "")
    return Explanation(
        says,
        catalogue.gettext(tried, language) if tried else "",
        catalogue.gettext(FIXES[alarm.kind], language),
    )


class AlarmSources(Protocol):
    """What alarms are read from."""

    database: Database
    job_queue: JobQueue
    batches: Batches


def look(sources: AlarmSources, principal: Principal) -> list[Alarm]:
    """All that is wrong now, the worst first; empty where all is well."""
    waiting = sources.job_queue.waiting(sources.job_queue.now())
    alarms = [
        *_workers(sources.database, waiting),
        *_work(sources, waiting),
        *_index(sources.database),
        *_orders(sources, principal),
    ]
    order = list(AlarmKind)
    return sorted(alarms, key=lambda alarm: (order.index(alarm.kind), alarm.since or 0.0))


Waiting = Mapping[str, tuple[int, float]]
"""By queue: how many jobs wait, and how long the oldest does, in seconds."""


def _workers(database: Database, waiting: Waiting) -> Iterator[Alarm]:
    """Where nothing waits and none was lost, workers may still be reading their libraries after a start."""
    alive, silent = workers.alive(database), workers.silent(database)
    for queue in QUEUES:
        last_seen = [worker.seen_at for worker in workers.serving(silent, queue)]
        missed = last_seen or waiting.get(queue, (0, 0.0))[1] > workers.ALIVE_S
        is_served = bool(workers.serving(alive, queue))
        if not is_served and missed:
            yield Alarm(AlarmKind.NO_WORKER, 0, queue, max(last_seen, default=None))
        elif is_served and last_seen:
            yield Alarm(AlarmKind.WORKER_SILENT, len(last_seen), queue, min(last_seen))
    with database.read() as session:
        paused = queues.paused(session)
    yield from (Alarm(AlarmKind.PAUSED, 1, queue) for queue in sorted(paused))


def _work(sources: AlarmSources, waiting: Waiting) -> Iterator[Alarm]:
    now, running = sources.job_queue.now(), sources.job_queue.running(SILENT_S)
    for queue, (jobs, oldest_s) in sorted(waiting.items()):
        if oldest_s > STALLED_S and queue not in running:
            yield Alarm(AlarmKind.QUEUE_STALLED, jobs, queue, now - oldest_s)
    if silent := sum(n for _, n in running.values()):
        yield Alarm(AlarmKind.JOB_SILENT, silent, since=now - SILENT_S)


def _index(database: Database) -> Iterator[Alarm]:
    if lacks := refill.lacking(database):
        yield Alarm(AlarmKind.INDEX_INCOMPLETE, lacks["total"] - lacks["done"])


def _orders(sources: AlarmSources, principal: Principal) -> Iterator[Alarm]:
    if late := sources.batches.view.late():
        yield Alarm(AlarmKind.BATCH_LATE, len(late), since=min(late))
    questions, held_batches = decisions.waiting(sources.database, principal), sources.batches.view.held()
    if waiting := len(questions) + len(held_batches):
        since = min((one.since for one in questions), default=None)
        yield Alarm(AlarmKind.DECISION, waiting, since=since)
    if failed := failures.count(sources.database, principal):
        groups = failures.groups(sources.database, principal)
        newest = next((group for group in groups if group.failed), None)
        yield Alarm(
            AlarmKind.FAILED,
            failed,
            since=newest.since if newest else None,
            error=(newest.error or None) if newest else None,
        )
