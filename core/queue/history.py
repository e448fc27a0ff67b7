"""What has ended: every attempt, and sums of them that stay cheap to read however many there were.

A sum is kept for each minute, hour and day, with a histogram of how long work ran and waited: four
steps an octave, so a percentile is off by 9 % at most. Writing one is part of the write that ends a job.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, delete, func, select, text
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.recycle_bin import WITH_BIN
from core.database.states import JobKind, JobState, Measure, RunOutcome
from core.database.tables import Job, Recording, Run, Tally, Task, new_id

MINUTE, HOUR, DAY = 60, 3600, 86_400
KEPT_S = {MINUTE: 2 * DAY, HOUR: 60 * DAY}
"""How long sums of a span are kept; those of days stay."""
RUNS_KEPT_S = 90 * DAY
LEAST_S = 0.01
STEPS = 4
"""An octave."""
ADD = text(
    "INSERT INTO tallies (span_s, measure, at, kind, queue, outcome, step, n, total_s, audio_s)"
    " VALUES (:span_s, :measure, :at, :kind, :queue, :outcome, :step, 1, :total_s, :audio_s)"
    " ON CONFLICT (span_s, measure, at, kind, queue, outcome, step) DO UPDATE SET n = tallies.n + 1,"
    " total_s = tallies.total_s + excluded.total_s, audio_s = tallies.audio_s + excluded.audio_s"
)


def note(session: Session, job: Job, outcome: RunOutcome, now: float, *, ran: bool = True) -> None:
    """Remember how an attempt ended, within the write that ends it. `ran`: a worker had it in hand."""
    task = session.get_one(Task, job.task_id)
    recording = session.get_one(Recording, task.recording_id, execution_options=WITH_BIN)
    began = job.started_at if ran and job.started_at is not None else now
    if ran:
        session.add(_run(job, recording.id, outcome, began, now))
    add(session, job, outcome, now, now - began, recording.duration_s or 0.0, _running_beside(session, job))


def _running_beside(session: Session, job: Job) -> int:
    """Jobs that the worker of this one has in hand, this one included."""
    others = select(func.count()).where(
        Job.worker == job.worker, Job.state == JobState.RUNNING, Job.id != job.id
    )
    return 1 + (session.scalar(others) or 0)


def _run(job: Job, recording_id: str, outcome: RunOutcome, began: float, now: float) -> Run:
    return Run(
        id=new_id(),
        job_id=job.id,
        task_id=job.task_id,
        recording_id=recording_id,
        kind=job.kind,
        queue=job.queue,
        outcome=outcome,
        worker=job.worker,
        waited_s=job.waited_s,
        started_at=began,
        ended_at=now,
        error=job.error if outcome not in {RunOutcome.DONE, RunOutcome.CANCELLED} else None,
    )


def add(
    session: Session,
    job: Job,
    outcome: RunOutcome,
    now: float,
    ran_s: float,
    audio_s: float,
    abreast: int = 1,
) -> None:
    """Count an end in the sums of its minute, hour and day; of a shared worker's time, its share."""
    measures = [(Measure.ENDED, 0, ran_s / abreast, audio_s)]
    if outcome == RunOutcome.DONE:
        waited_s = job.waited_s
        measures += [(Measure.RUN, step(ran_s), ran_s, 0.0), (Measure.WAIT, step(waited_s), waited_s, 0.0)]
    session.execute(
        ADD,
        [
            {
                "span_s": span_s,
                "measure": measure,
                "at": int(now) // span_s * span_s,
                "kind": job.kind,
                "queue": job.queue,
                "outcome": outcome,
                "step": number,
                "total_s": total_s,
                "audio_s": heard_s,
            }
            for span_s in (MINUTE, HOUR, DAY)
            for measure, number, total_s, heard_s in measures
        ],
    )


def step(seconds: float) -> int:
    """The step of the histogram that holds this; its upper end is `step_limit_s(step)`."""
    return max(0, math.ceil(STEPS * math.log2(max(seconds, LEAST_S) / LEAST_S) - 1e-9))


def step_limit_s(step: int) -> float:
    """The longest time that a step holds, in seconds."""
    return float(LEAST_S * 2 ** (step / STEPS))


def forget(database: Database, now: float) -> None:
    """Drop what is older than it is kept."""
    with database.write() as session:
        session.execute(delete(Run).where(Run.ended_at < now - RUNS_KEPT_S))
        for span_s, kept_s in KEPT_S.items():
            session.execute(delete(Tally).where(Tally.span_s == span_s, Tally.at < now - kept_s))


@dataclass(frozen=True)
class Period:
    """A stretch of the past, and the spans it is cut into."""

    seconds: int
    span_s: int
    coarse_s: int
    """From which sums percentiles are made."""


PERIODS = {
    "hour": Period(HOUR, MINUTE, MINUTE),
    "day": Period(DAY, HOUR, HOUR),
    "week": Period(7 * DAY, HOUR, DAY),
    "month": Period(30 * DAY, DAY, DAY),
}


@dataclass(frozen=True)
class Slot:
    """What ended in one span, of one kind with one outcome."""

    at: int
    kind: str
    queue: str
    outcome: str
    jobs: int
    audio_s: float


@dataclass(frozen=True)
class Timing:
    """How long jobs of one kind ran and waited, seconds; and how many there were."""

    kind: str
    queue: str
    done: int
    failed: int
    cancelled: int
    run_p50_s: float
    run_p95_s: float
    wait_p50_s: float
    wait_p95_s: float
    audio_s: float
    work_s: float

    @property
    def speed(self) -> float | None:
        """Seconds of sound a second of work."""
        return self.audio_s / self.work_s if self.work_s else None


@dataclass(frozen=True)
class PeriodHistory:
    """One period: a slot for each span, kind and outcome that occurred, and timings by kind."""

    period: Period
    slots: list[Slot]
    timings: list[Timing]

    @property
    def audio_h_per_h(self) -> float:
        """Hours of sound transcribed an hour, over the whole period."""
        heard_s = sum(t.audio_s for t in self.timings if t.kind == JobKind.TRANSCRIBE)
        return heard_s / self.period.seconds


def past(database: Database, name: str, now: float, queue: str = "", kind: str = "") -> PeriodHistory:
    """What ended within one of PERIODS before `now`."""
    period = PERIODS[name]
    where = [Tally.queue == queue] if queue else []
    where += [Tally.kind == kind] if kind else []
    by = (Tally.at, Tally.kind, Tally.queue, Tally.outcome)
    slots = select(*by, Tally.n, Tally.audio_s).where(*where, *_within(period, period.span_s, now))
    with database.read() as session:
        found = [
            Slot(*row)
            for row in session.execute(slots.where(Tally.measure == Measure.ENDED).order_by(Tally.at))
        ]
        coarse = [*where, *_within(period, period.coarse_s, now)]
        return PeriodHistory(period, found, _timings(found, _steps(session, coarse)))


def _within(period: Period, span_s: int, now: float) -> list[ColumnElement[bool]]:
    return [Tally.span_s == span_s, Tally.at >= (int(now) - period.seconds) // span_s * span_s]


Steps = dict[tuple[str, str, str], list[tuple[int, int, float]]]
"""By kind, queue and measure: step, how many, and their sum in seconds."""


def _steps(session: Session, where: Sequence[ColumnElement[bool]]) -> Steps:
    summed = select(
        Tally.kind, Tally.queue, Tally.measure, Tally.step, func.sum(Tally.n), func.sum(Tally.total_s)
    )
    summed = summed.where(*where, Tally.measure.in_((Measure.RUN, Measure.WAIT)))
    summed = summed.group_by(Tally.kind, Tally.queue, Tally.measure, Tally.step).order_by(Tally.step)
    steps: Steps = {}
    for kind, queue, measure, n, count, total_s in session.execute(summed):
        steps.setdefault((kind, queue, measure), []).append((n, int(count), float(total_s)))
    return steps


def _timings(slots: Iterable[Slot], steps: Steps) -> list[Timing]:
    counts: dict[tuple[str, str], dict[str, int]] = {}
    audio: dict[tuple[str, str], float] = {}
    for slot in slots:
        which = (slot.kind, slot.queue)
        counted = counts.setdefault(which, {})
        counted[slot.outcome] = counted.get(slot.outcome, 0) + slot.jobs
        audio[which] = audio.get(which, 0.0) + slot.audio_s * (slot.outcome == RunOutcome.DONE)
    return [_timing(which, counted, audio[which], steps) for which, counted in sorted(counts.items())]


def _timing(which: tuple[str, str], counted: dict[str, int], audio_s: float, steps: Steps) -> Timing:
    run, wait = steps.get((*which, Measure.RUN), []), steps.get((*which, Measure.WAIT), [])
    return Timing(
        *which,
        done=counted.get(RunOutcome.DONE, 0),
        failed=counted.get(RunOutcome.FAILED, 0) + counted.get(RunOutcome.QUARANTINED, 0),
        cancelled=counted.get(RunOutcome.CANCELLED, 0),
        run_p50_s=percentile(run, 0.5),
        run_p95_s=percentile(run, 0.95),
        wait_p50_s=percentile(wait, 0.5),
        wait_p95_s=percentile(wait, 0.95),
        audio_s=audio_s,
        work_s=sum(total_s for _, _, total_s in run),
    )


def percentile(steps: Sequence[tuple[int, int, float]], share: float) -> float:
    """Where so large a share of a histogram is reached, seconds: the middle of that step; 0 if empty."""
    left = share * sum(n for _, n, _ in steps)
    for number, n, _ in steps:
        left -= n
        if left <= 0 and n:
            return step_limit_s(number) / 2 ** (0.5 / STEPS) if number else 0.0
    return 0.0


def speeds(session: Session, since: float) -> dict[str, float]:
    """Seconds of sound that one worker, with all in its hands, transcribed a second since then, by queue."""
    done = select(Tally.queue, func.sum(Tally.audio_s), func.sum(Tally.total_s)).where(
        Tally.span_s == DAY,
        Tally.measure == Measure.ENDED,
        Tally.at >= since - DAY,
        Tally.kind == JobKind.TRANSCRIBE,
    )
    rows = session.execute(done.where(Tally.outcome == RunOutcome.DONE).group_by(Tally.queue))
    return {queue: audio_s / work_s for queue, audio_s, work_s in rows if audio_s and work_s}


def usual_s(session: Session, since: float) -> dict[str, float]:
    """How long a job that was done since then took a worker on average, seconds, by queue."""
    done = select(Tally.queue, func.sum(Tally.total_s), func.sum(Tally.n)).where(
        Tally.span_s == HOUR,
        Tally.measure == Measure.ENDED,
        Tally.at >= since - HOUR,
        Tally.outcome == RunOutcome.DONE,
    )
    rows = session.execute(done.group_by(Tally.queue))
    return {queue: total_s / n for queue, total_s, n in rows if n and total_s}


def pace(session: Session, now: float) -> list[float]:
    """Seconds of sound that were transcribed in each minute of the last hour, the oldest first."""
    first = int(now) // MINUTE * MINUTE - HOUR + MINUTE
    done = select(Tally.at, func.sum(Tally.audio_s)).where(
        Tally.span_s == MINUTE,
        Tally.measure == Measure.ENDED,
        Tally.at >= first,
        Tally.kind == JobKind.TRANSCRIBE,
        Tally.outcome == RunOutcome.DONE,
    )
    audio_s = {row[0]: row[1] for row in session.execute(done.group_by(Tally.at))}
    return [float(audio_s.get(first + n * MINUTE, 0.0)) for n in range(HOUR // MINUTE)]


def attempts(database: Database, task_id: str) -> list[Run]:
    """Every attempt at the jobs of a task, oldest first."""
    with database.read() as session:
        return list(session.scalars(select(Run).where(Run.task_id == task_id).order_by(Run.started_at)))


@dataclass(frozen=True)
class Total:
    """A sum since the beginning."""

    kind: str
    queue: str
    outcome: str
    measure: str
    step: int
    n: int
    total_s: float
    audio_s: float


def totals(database: Database) -> list[Total]:
    """Everything that ever ended."""
    columns = (Tally.kind, Tally.queue, Tally.outcome, Tally.measure, Tally.step)
    summed = select(*columns, func.sum(Tally.n), func.sum(Tally.total_s), func.sum(Tally.audio_s))
    with database.read() as session:
        rows = session.execute(summed.where(Tally.span_s == DAY).group_by(*columns).order_by(*columns))
        return [Total(*row) for row in rows]
