"""Every table of this installation.

Times are Unix seconds, money is a decimal string, states are words. SQLite by default, PostgreSQL by
address; what turns an older database into this shape is in `migrations`.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, UniqueConstraint, extract, func, select
from sqlalchemy.engine.default import DefaultExecutionContext
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.database.columns import EnumText
from core.database.states import (
    STORED,
    BatchAction,
    BatchState,
    EmbeddingMode,
    EmbeddingRequestState,
    EmbeddingStatus,
    JobKind,
    JobState,
    Measure,
    OrderFate,
    OrderState,
    PaymentState,
    PriceMode,
    RequestedAction,
    RunOutcome,
    TaskStatus,
)

Json = dict[str, Any]


def new_id() -> str:
    """128 random bits in hexadecimal: cannot be guessed, says nothing."""
    return secrets.token_hex(16)


def utc(unix: float) -> datetime:
    """A time as it is kept, for programs and charts."""
    return datetime.fromtimestamp(unix, UTC)


_TYPES: dict[Any, Any] = {Json: JSON, list[str]: JSON, float: Float(53), int: BigInteger}
_TYPES |= {enum: EnumText(enum) for enum in STORED}


class Row(DeclarativeBase):
    """A row of a table of this tool."""

    type_annotation_map = _TYPES


class Recording(Row):
    """A sound with an owner, a title and tags. The bytes live in the store under `sha256`."""

    __tablename__ = "recordings"
    __table_args__ = (UniqueConstraint("owner", "sha256"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    owner: Mapped[str]
    sha256: Mapped[str] = mapped_column(index=True)
    filename: Mapped[str]
    title: Mapped[str]
    tags: Mapped[list[str]] = mapped_column(default=list)
    language: Mapped[str]
    size_bytes: Mapped[int]
    duration_s: Mapped[float | None]
    channels: Mapped[int] = mapped_column(default=1)
    format: Mapped[str] = mapped_column(default="")
    created_at: Mapped[float] = mapped_column(default=time.time, index=True)
    transcript_id: Mapped[str | None]
    embedding_status: Mapped[EmbeddingStatus] = mapped_column(default=EmbeddingStatus.OFF)
    vectors_by: Mapped[float | None]


class Task(Row):
    """One request to transcribe a recording; what the API calls a task."""

    __tablename__ = "tasks"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    transcript_id: Mapped[str]
    owner: Mapped[str] = mapped_column(index=True)
    status: Mapped[TaskStatus] = mapped_column(default=TaskStatus.QUEUED, index=True)
    stage: Mapped[str] = mapped_column(default=TaskStatus.QUEUED.value)
    """A JobKind while one is at work, else as `status`."""
    progress: Mapped[int] = mapped_column(default=0)
    engine: Mapped[str]
    language: Mapped[str]
    embedding_mode: Mapped[EmbeddingMode] = mapped_column(default=EmbeddingMode.SYNC)
    created_at: Mapped[float] = mapped_column(default=time.time, index=True)
    started_at: Mapped[float | None]
    completed_at: Mapped[float | None]
    error: Mapped[Json | None]
    filename: Mapped[str] = mapped_column(default="")
    """Under which it was sent this time; empty: as the recording."""


def _database_time(context: DefaultExecutionContext) -> float:
    """Unix seconds by the clock that all machines share: other machines judge by it whether a job is due."""
    if context.dialect.name != "postgresql":
        return time.time()
    return float(context.root_connection.scalar(select(extract("epoch", func.clock_timestamp()))) or 0.0)


class Job(Row):
    """One piece of queued work of a task. States: ready, running, done, failed, cancelled, quarantined."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_waiting", "state", "run_at"),
        Index("jobs_by_state", "state", "created_at"),
    )

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    kind: Mapped[JobKind]
    queue: Mapped[str]
    state: Mapped[JobState] = mapped_column(default=JobState.READY)
    epoch: Mapped[int] = mapped_column(default=0)
    crash_count: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    worker: Mapped[str] = mapped_column(default="")
    lease_until: Mapped[float] = mapped_column(default=0.0)
    progressed_at: Mapped[float] = mapped_column(default=0.0)
    run_at: Mapped[float] = mapped_column(default=_database_time)
    notified_at: Mapped[float] = mapped_column(default=0.0)
    priority: Mapped[int] = mapped_column(default=0)
    """Higher runs sooner; the task's next job inherits it."""
    waited_s: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[float] = mapped_column(default=time.time, index=True)
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None] = mapped_column(index=True)
    error: Mapped[Json | None]
    traceback: Mapped[str | None]


class Transcript(Row):
    """What one engine heard in one sound. `key` is what makes it reusable: content, engine, options."""

    __tablename__ = "transcripts"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(unique=True)
    sha256: Mapped[str] = mapped_column(index=True)
    engine: Mapped[str]
    engine_version: Mapped[str]
    language: Mapped[str]
    split_channels: Mapped[bool] = mapped_column(default=False)
    subtitles: Mapped[bool] = mapped_column(default=False)
    speakers: Mapped[str] = mapped_column(default="")
    """How many speakers to find: "" none, `auto`, a number, or a range such as `2-4`."""
    planned: Mapped[bool] = mapped_column(default=False)
    complete: Mapped[bool] = mapped_column(default=False)
    duration_s: Mapped[float | None]
    processing_s: Mapped[float] = mapped_column(default=0.0)
    created_at: Mapped[float] = mapped_column(default=time.time)


class Segment(Row):
    """A stretch of speech given to an engine. `text` is NULL until it was transcribed."""

    __tablename__ = "segments"

    transcript_id: Mapped[str] = mapped_column(
        ForeignKey("transcripts.id", ondelete="CASCADE"), primary_key=True
    )
    n: Mapped[int] = mapped_column(primary_key=True)
    channel: Mapped[str] = mapped_column(default="mono")
    start_s: Mapped[float]
    end_s: Mapped[float]
    text: Mapped[str | None]
    words: Mapped[list[Any] | None] = mapped_column(JSON)


class Diarization(Row):
    """Who speaks when in a transcript: [start_s, end_s, speaker] in order of time."""

    __tablename__ = "diarizations"

    transcript_id: Mapped[str] = mapped_column(
        ForeignKey("transcripts.id", ondelete="CASCADE"), primary_key=True
    )
    turns: Mapped[list[Any]] = mapped_column(JSON)
    error: Mapped[Json | None]
    """Why nobody could be found, where that is so."""
    created_at: Mapped[float] = mapped_column(default=time.time)


class SpeakerName(Row):
    """What people call a speaker of their recording."""

    __tablename__ = "speaker_names"

    recording_id: Mapped[str] = mapped_column(
        ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True
    )
    label: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class PassageRow(Row):
    """A stretch of transcript that is searched."""

    __tablename__ = "passages"
    __table_args__ = (Index("passages_by_embedding_status", "embedding_status", "recording_id"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    n: Mapped[int]
    start_s: Mapped[float]
    end_s: Mapped[float]
    speaker: Mapped[str]
    language: Mapped[str]
    text: Mapped[str]
    embedding_status: Mapped[EmbeddingStatus] = mapped_column(default=EmbeddingStatus.OFF)
    embedding_mode: Mapped[EmbeddingMode] = mapped_column(default=EmbeddingMode.SYNC)
    text_hash: Mapped[str] = mapped_column(default="", index=True)


class Payment(Row):
    """One paid call's share for one recording. States: reserved, settled, released, disputed."""

    __tablename__ = "payments"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    call_id: Mapped[str] = mapped_column(index=True)
    at: Mapped[float] = mapped_column(index=True)
    month: Mapped[str]
    provider: Mapped[str]
    model: Mapped[str]
    mode: Mapped[PriceMode]
    recording_id: Mapped[str] = mapped_column(index=True)
    owner: Mapped[str]
    state: Mapped[PaymentState] = mapped_column(default=PaymentState.RESERVED)
    tokens_estimated: Mapped[int]
    usd_estimated: Mapped[str]
    tokens: Mapped[int] = mapped_column(default=0)
    """Or seconds of sound, where those are sold."""
    usd: Mapped[str] = mapped_column(default="0")
    ended_at: Mapped[float | None]


class Budget(Row):
    """What a month has cost, and what is promised to calls under way; billionths of a dollar.

    One row for everybody, under the month; one for each owner, under "month owner".
    """

    __tablename__ = "budgets"

    month: Mapped[str] = mapped_column(primary_key=True)
    spent: Mapped[int] = mapped_column(default=0)
    reserved: Mapped[int] = mapped_column(default=0)


class Key(Row):
    """An API key: only its digest is kept."""

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    digest: Mapped[str]
    admin: Mapped[bool] = mapped_column(default=False)
    language: Mapped[str] = mapped_column(default="en")
    created_at: Mapped[float] = mapped_column(default=time.time)
    last_used_at: Mapped[float | None]
    revoked_at: Mapped[float | None]


class KeyValue(Row):
    """A named value that outlives a restart: the active embedder, the pepper of keys, applied migrations."""

    __tablename__ = "key_values"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class PeriodicTask(Row):
    """Something done again and again: when next, how it went last."""

    __tablename__ = "periodic_tasks"

    name: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[float] = mapped_column(default=0.0)
    worker: Mapped[str] = mapped_column(default="")
    began_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    took_s: Mapped[float | None]
    error: Mapped[str | None]


class Worker(Row):
    """A worker process as its runner last saw it."""

    __tablename__ = "workers"

    name: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[float]
    seen_at: Mapped[float]
    """When its main loop last gave a sign of life; that its process exists is not one."""
    rss_bytes: Mapped[int] = mapped_column(default=0)
    gpu_bytes: Mapped[int] = mapped_column(default=0)
    gpu_load: Mapped[float | None]
    version: Mapped[str] = mapped_column(default="")
    requested_action: Mapped[RequestedAction] = mapped_column(default=RequestedAction.NONE)
    """What a person wants of it: "", drain (take nothing new), or restart."""


class Batch(Row):
    """One provider job of many texts, from before it is asked for until its vectors are kept.

    States: planned, uploaded, submitting, submitted, ended, saved; for good: complete, split, failed,
    expired, cancelled; held ones wait for a person. `requested_action` is what is wanted of it: "", cancel,
    now (cancel, and give the rest to the other lane), or late (the same for what is due by now).
    """

    __tablename__ = "batches"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    model: Mapped[str]
    display_name: Mapped[str] = mapped_column(unique=True)
    state: Mapped[BatchState] = mapped_column(default=BatchState.PLANNED, index=True)
    attempt_count: Mapped[int] = mapped_column("epoch", default=0)
    requested_action: Mapped[BatchAction] = mapped_column(default=BatchAction.NONE)
    texts: Mapped[int]
    tokens: Mapped[int]
    usd: Mapped[str]
    file: Mapped[str | None]
    name: Mapped[str | None] = mapped_column(index=True)
    remote_state: Mapped[str] = mapped_column(default="")
    result: Mapped[str | None]
    lines: Mapped[int | None]
    sha256: Mapped[str | None]
    good: Mapped[int] = mapped_column(default=0)
    bad: Mapped[int] = mapped_column(default=0)
    paid_tokens: Mapped[int] = mapped_column(default=0)
    paid_usd: Mapped[str | None]
    created_at: Mapped[float]
    uploaded_at: Mapped[float | None]
    intended_at: Mapped[float | None] = mapped_column("submit_at")
    submitted_at: Mapped[float | None]
    ended_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    deadline_at: Mapped[float | None]
    next_at: Mapped[float] = mapped_column(index=True)
    poll_count: Mapped[int] = mapped_column("polls", default=0)
    error: Mapped[Json | None]
    alarm: Mapped[Json | None]


class EmbeddingRequestRow(Row):
    """A text on its way to a vector by batch; at most one batch has it. States: waiting, sent, failed."""

    __tablename__ = "embedding_requests"
    __table_args__ = (Index("embedding_requests_waiting", "model", "state", "since"),)

    hash: Mapped[str] = mapped_column(primary_key=True)
    custom_id: Mapped[str]
    model: Mapped[str]
    recording_id: Mapped[str] = mapped_column(index=True)
    state: Mapped[EmbeddingRequestState] = mapped_column(default=EmbeddingRequestState.WAITING)
    batch_id: Mapped[str | None] = mapped_column(index=True)
    attempts: Mapped[int] = mapped_column(default=0)
    tokens: Mapped[int]
    since: Mapped[float]
    error: Mapped[str | None]


class Order(Row):
    """A segment's transcript ordered at a provider, from before it is asked for until it is kept.

    States: planned, submitting, submitted; for good: done, failed, cancelled; held ones wait for a
    person. `fate` is what the provider said last. `unknown_outcome_count` counts
    replies that were lost, `failure_count` runs that failed there, `timeout_count` those of them that ran
    out of time.
    """

    __tablename__ = "orders"
    __table_args__ = (UniqueConstraint("transcript_id", "n"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    transcript_id: Mapped[str]
    n: Mapped[int]
    recording_id: Mapped[str]
    owner: Mapped[str]
    engine: Mapped[str]
    state: Mapped[OrderState] = mapped_column(default=OrderState.PLANNED, index=True)
    fate: Mapped[OrderFate] = mapped_column(default=OrderFate.UNKNOWN)
    remote_id: Mapped[str | None]
    duration_s: Mapped[float]
    usd: Mapped[str] = mapped_column(default="0")
    attempt_count: Mapped[int] = mapped_column("submissions", default=0)
    unknown_outcome_count: Mapped[int] = mapped_column("doubts", default=0)
    failure_count: Mapped[int] = mapped_column("breaks", default=0)
    timeout_count: Mapped[int] = mapped_column("patience", default=0)
    created_at: Mapped[float]
    intended_at: Mapped[float | None] = mapped_column("submit_at")
    submitted_at: Mapped[float | None]
    working_at: Mapped[float | None]
    finished_at: Mapped[float | None]
    next_at: Mapped[float] = mapped_column(default=0.0)
    error: Mapped[Json | None]


class Breaker(Row):
    """How a provider answered lately. While `open_until` is ahead nobody asks it."""

    __tablename__ = "breakers"

    provider: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str] = mapped_column(default="")
    failures: Mapped[int] = mapped_column(default=0)
    refused: Mapped[bool] = mapped_column(default=False)
    open_until: Mapped[float] = mapped_column(default=0.0)
    error: Mapped[Json | None]
    tested_at: Mapped[float | None]
    latency_s: Mapped[float | None]


class Cover(Row):
    """A picture for a recording, ordered at an image endpoint. States as those of an order."""

    __tablename__ = "covers"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    recording_id: Mapped[str] = mapped_column(ForeignKey("recordings.id", ondelete="CASCADE"), index=True)
    series: Mapped[str] = mapped_column(index=True)
    options: Mapped[Json] = mapped_column(JSON)
    state: Mapped[OrderState] = mapped_column(default=OrderState.PLANNED, index=True)
    remote_id: Mapped[str | None]
    failure_count: Mapped[int] = mapped_column("breaks", default=0)
    object: Mapped[str | None]
    created_at: Mapped[float] = mapped_column(default=time.time)
    submitted_at: Mapped[float | None]
    next_at: Mapped[float] = mapped_column(default=0.0)
    finished_at: Mapped[float | None]
    error: Mapped[Json | None]


class Run(Row):
    """One attempt at a job; stays when the job is gone.

    Outcomes: done, failed, cancelled, quarantined; not for good: later, stopped, died.
    """

    __tablename__ = "runs"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    job_id: Mapped[str]
    task_id: Mapped[str] = mapped_column(index=True)
    recording_id: Mapped[str]
    kind: Mapped[JobKind]
    queue: Mapped[str]
    outcome: Mapped[RunOutcome]
    worker: Mapped[str]
    waited_s: Mapped[float]
    started_at: Mapped[float]
    ended_at: Mapped[float] = mapped_column(index=True)
    error: Mapped[Json | None]


class Tally(Row):
    """How many jobs ended within a span of time, by outcome; and how long they took, as histograms.

    `measure` is ended (step 0), run or wait; `step` is a step of the histogram, `total_s` the sum of it.
    """

    __tablename__ = "tallies"

    span_s: Mapped[int] = mapped_column(primary_key=True)
    measure: Mapped[Measure] = mapped_column(primary_key=True)
    at: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[JobKind] = mapped_column(primary_key=True)
    queue: Mapped[str] = mapped_column(primary_key=True)
    outcome: Mapped[RunOutcome] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    n: Mapped[int]
    total_s: Mapped[float]
    audio_s: Mapped[float]


class Action(Row):
    """What somebody did by hand: when, who, what, to what. `count` is how many things it met."""

    __tablename__ = "actions"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[float] = mapped_column(default=time.time, index=True)
    who: Mapped[str]
    what: Mapped[str]
    about: Mapped[list[str]] = mapped_column(default=list)
    count: Mapped[int] = mapped_column(default=1)


class OwnPrice(Row):
    """A price of yours, in place of the book's or beside it."""

    __tablename__ = "own_prices"

    provider: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    mode: Mapped[str] = mapped_column(primary_key=True)
    unit: Mapped[str]
    price: Mapped[str]
    currency: Mapped[str]
    minimum_s: Mapped[str] = mapped_column(default="0")
    set_at: Mapped[float] = mapped_column(default=time.time)


class OwnFigure(Row):
    """An assumption of yours: a rate, a tariff, a speed."""

    __tablename__ = "own_figures"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
    set_at: Mapped[float] = mapped_column(default=time.time)


class OwnLimit(Row):
    """Your tier at a provider, for one model or (empty) all; what is NULL is as the book says."""

    __tablename__ = "own_limits"

    provider: Mapped[str] = mapped_column(primary_key=True)
    model: Mapped[str] = mapped_column(primary_key=True)
    mode: Mapped[str] = mapped_column(primary_key=True)
    tier: Mapped[str | None]
    rpm: Mapped[int | None]
    tpm: Mapped[int | None]
    enqueued_tokens: Mapped[int | None]
    at_once: Mapped[int | None]
    set_at: Mapped[float] = mapped_column(default=time.time)


class Cap(Row):
    """The most a month may cost, USD: everything together, or one owner."""

    __tablename__ = "caps"

    scope: Mapped[str] = mapped_column(primary_key=True)
    usd: Mapped[str]


class Plan(Row):
    """A quote that was taken: what was promised of which recordings, so that it can be proved."""

    __tablename__ = "plans"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    at: Mapped[float] = mapped_column(default=time.time, index=True)
    route: Mapped[str]
    usd: Mapped[str]
    tokens: Mapped[int] = mapped_column(default=0)
    p50_s: Mapped[float | None]
    p90_s: Mapped[float | None]
    recordings: Mapped[list[Any]] = mapped_column(JSON)
    facts: Mapped[Json | None]


class IdempotencyKey(Row):
    """A request that was answered with a task, under the key its sender gave it."""

    __tablename__ = "idempotency_keys"

    owner: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    body: Mapped[str]
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), index=True)
    created_at: Mapped[float] = mapped_column(default=time.time)


class Callback(Row):
    """Somebody who wants to hear when a task ends. `attempts` counts calls that failed."""

    __tablename__ = "callbacks"

    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    url: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[float] = mapped_column(default=0.0)
    done_at: Mapped[float | None]
    error: Mapped[str | None]


class Resumable(Row):
    """An upload that may be interrupted and go on (tus). How much has arrived is the length of its file."""

    __tablename__ = "resumables"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    size_bytes: Mapped[int]
    facts: Mapped[str]
    created_at: Mapped[float] = mapped_column(default=time.time)
    task_id: Mapped[str | None]
