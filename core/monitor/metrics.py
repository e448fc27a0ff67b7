"""What this installation tells Prometheus: read from SQL when asked, so that every process may answer."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from core.billing.ledger import Ledger
from core.database.database import Database
from core.database.states import JobKind, Measure, RunOutcome
from core.database.tables import Batch
from core.monitor import failures, monitor
from core.monitor.alarms import SILENT_S
from core.orders.batches import Batches
from core.orders.transcript_purchases import RemoteTranscription
from core.principal import EVERYONE
from core.queue import history, workers
from core.queue.history import STEPS, Total, step_limit_s
from core.queue.jobs import JobQueue
from core.queue.queues import QUEUES

HIGHEST_STEP = 96
"""About 46 hours."""
BOUNDS = tuple(range(STEPS, HIGHEST_STEP + 1, STEPS))
"""One bucket an octave is enough for a graph."""


class MetricSources(Protocol):
    """What metrics are read from."""

    database: Database
    ledger: Ledger
    job_queue: JobQueue
    batches: Batches
    remote_transcription: RemoteTranscription


def text(sources: MetricSources) -> bytes:
    """Everything in the text format of Prometheus."""
    registry = CollectorRegistry()
    registry.register(_Installation(sources))
    return generate_latest(registry)


class _Installation(Collector):
    def __init__(self, sources: MetricSources) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Metric]:
        """Every family, each read once."""
        yield from _queues(self._sources)
        totals = history.totals(self._sources.database)
        yield from _jobs(totals)
        yield from _speed(self._sources, totals)
        yield from _money(self._sources)
        yield from _workers(self._sources)


def _queues(sources: MetricSources) -> Iterator[Metric]:
    depth = GaugeMetricFamily("stenogram_queue_jobs", "Jobs that wait.", labels=["queue"])
    age = GaugeMetricFamily("stenogram_queue_age_seconds", "How long the oldest job waits.", labels=["queue"])
    sound = GaugeMetricFamily("stenogram_queue_audio_seconds", "Sound that waits.", labels=["queue"])
    paused = GaugeMetricFamily("stenogram_queue_paused", "Whether a person paused it.", labels=["queue"])
    now = monitor.now(sources.database, EVERYONE)
    waiting = {one.queue: one for one in now.waiting}
    for queue in QUEUES:
        one = waiting.get(queue)
        depth.add_metric([queue], one.jobs if one else 0)
        age.add_metric([queue], max(0.0, one.age_s) if one else 0)
        sound.add_metric([queue], one.audio_s if one else 0)
        paused.add_metric([queue], queue in now.paused)
    running = GaugeMetricFamily(
        "stenogram_jobs_running", "Jobs that a worker has in hand.", value=len(now.running)
    )
    held_count = len(sources.remote_transcription.orders.held())
    held_orders = GaugeMetricFamily(
        "stenogram_orders_held", "Orders that wait for a person's word.", value=held_count
    )
    stuck = sum(silent for _, silent in sources.job_queue.running(SILENT_S).values())
    silent = GaugeMetricFamily(
        "stenogram_jobs_silent", "Running jobs without any progress for 15 minutes.", value=stuck
    )
    failed = GaugeMetricFamily(
        "stenogram_recordings_failed",
        "Recordings whose newest work failed.",
        value=failures.count(sources.database, EVERYONE),
    )
    yield from (depth, age, sound, paused, running, held_orders, silent, failed)


def _jobs(totals: Sequence[Total]) -> Iterator[Metric]:
    labels = ["kind", "queue"]
    ended = CounterMetricFamily("stenogram_jobs_ended", "Attempts by outcome.", labels=[*labels, "outcome"])
    counts: dict[tuple[str, str, str], int] = {}
    steps: dict[str, dict[tuple[str, str], list[tuple[int, int, float]]]] = {
        Measure.RUN: {},
        Measure.WAIT: {},
    }
    for total in totals:
        which = (total.kind, total.queue)
        if total.measure == Measure.ENDED:
            counts[*which, total.outcome] = counts.get((*which, total.outcome), 0) + total.n
        else:
            steps[total.measure].setdefault(which, []).append((total.step, total.n, total.total_s))
    for outcome, n in counts.items():
        ended.add_metric(outcome, n)
    yield ended
    for measure, says in (
        (Measure.RUN, "How long finished jobs ran."),
        (Measure.WAIT, "How long they had waited."),
    ):
        family = HistogramMetricFamily(f"stenogram_job_{measure}_seconds", says, labels=labels)
        for which, values in steps[measure].items():
            family.add_metric(which, _buckets(values), sum(total_s for _, _, total_s in values))
        yield family


def _buckets(steps: Iterable[tuple[int, int, float]]) -> list[tuple[str, float]]:
    """Counts up to each bound."""
    bounds = list(steps)
    below = [
        (f"{step_limit_s(bound):g}", float(sum(n for step, n, _ in bounds if step <= bound)))
        for bound in BOUNDS
    ]
    return [*below, ("+Inf", float(sum(n for _, n, _ in bounds)))]


def _speed(sources: MetricSources, totals: Sequence[Total]) -> Iterator[Metric]:
    audio = CounterMetricFamily("stenogram_audio_seconds", "Sound that was transcribed.")
    heard_s = sum(
        total.audio_s
        for total in totals
        if (total.kind, total.outcome, total.measure) == (JobKind.TRANSCRIBE, RunOutcome.DONE, Measure.ENDED)
    )
    audio.add_metric([], heard_s)
    yield audio
    speed = GaugeMetricFamily(
        "stenogram_speed_ratio", "Seconds of sound that a worker transcribes a second.", labels=["queue"]
    )
    with sources.database.read() as session:
        for queue, ratio in history.speeds(session, time.time() - history.DAY).items():
            speed.add_metric([queue], ratio)
    yield speed


def _money(sources: MetricSources) -> Iterator[Metric]:
    month = sources.ledger.month()
    yield GaugeMetricFamily("stenogram_month_spent_usd", "Spent this month.", value=float(month.spent))
    yield GaugeMetricFamily(
        "stenogram_month_reserved_usd", "Promised to calls under way.", value=float(month.reserved)
    )
    batches = GaugeMetricFamily("stenogram_batches", "Batches by state.", labels=["state"])
    with sources.database.read() as session:
        for state, n in session.execute(select(Batch.state, func.count()).group_by(Batch.state)):
            batches.add_metric([state], n)
    yield batches
    late = sources.batches.view.late()
    yield GaugeMetricFamily(
        "stenogram_batches_late", "Batches under way longer than BATCH_DEADLINE_H.", value=len(late)
    )


def _workers(sources: MetricSources) -> Iterator[Metric]:
    alive = GaugeMetricFamily("stenogram_workers", "Workers alive.", labels=["queue"])
    memory = GaugeMetricFamily(
        "stenogram_worker_memory_bytes", "Memory of a worker.", labels=["worker", "queue"]
    )
    hung = GaugeMetricFamily("stenogram_workers_silent", "Workers without a sign of life.", labels=["queue"])
    quiet = workers.silent(sources.database)
    living = workers.alive(sources.database)
    for queue in QUEUES:
        alive.add_metric([queue], len(workers.serving(living, queue)))
        hung.add_metric([queue], len(workers.serving(quiet, queue)))
    for worker in living:
        memory.add_metric([worker.name, worker.queue], worker.rss_bytes)
    yield from (alive, memory, hung)
