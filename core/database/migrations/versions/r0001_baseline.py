"""The tables as they were when Alembic came; also what makes them of older ones.

Until then steps by name stood in a table `migrations`. What a database of those days lacks is added here,
so one that had all of them is only stamped.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

METADATA = sa.MetaData()
ADDED = {
    ("tasks", "filename"): "VARCHAR NOT NULL DEFAULT ''",
    ("payments", "ended_at"): "DOUBLE PRECISION",
    ("jobs", "priority"): "BIGINT NOT NULL DEFAULT 0",
    ("jobs", "waited_s"): "DOUBLE PRECISION NOT NULL DEFAULT 0",
    ("workers", "gpu_bytes"): "BIGINT NOT NULL DEFAULT 0",
    ("workers", "gpu_load"): "DOUBLE PRECISION",
    ("workers", "version"): "VARCHAR NOT NULL DEFAULT ''",
    ("workers", "wish"): "VARCHAR NOT NULL DEFAULT ''",
    ("transcripts", "subtitles"): "BOOLEAN NOT NULL DEFAULT FALSE",
    ("recordings", "vectors_by"): "DOUBLE PRECISION",
}
"""Columns that came to tables after they were first made."""


def upgrade() -> None:
    """Make what is not there."""
    connection = op.get_bind()
    METADATA.create_all(connection)
    there = sa.inspect(connection)
    for (table, column), kind in ADDED.items():
        if column not in {each["name"] for each in there.get_columns(table)}:
            op.execute(f"ALTER TABLE {table} ADD COLUMN {column} {kind}")
    for known in METADATA.tables.values():
        for index in known.indexes:
            index.create(connection, checkfirst=True)
    op.execute("DROP TABLE IF EXISTS migrations")


sa.Table(
    "actions",
    METADATA,
    sa.Column("id", sa.String(), primary_key=True),
    sa.Column("at", sa.Float(53), nullable=False),
    sa.Column("who", sa.String(), nullable=False),
    sa.Column("what", sa.String(), nullable=False),
    sa.Column("about", sa.JSON(), nullable=False),
    sa.Column("count", sa.BigInteger(), nullable=False),
    sa.Index("ix_actions_at", "at"),
)
sa.Table(
    "batch_texts",
    METADATA,
    sa.Column("hash", sa.String(), primary_key=True),
    sa.Column("custom_id", sa.String(), nullable=False),
    sa.Column("model", sa.String(), nullable=False),
    sa.Column("recording_id", sa.String(), nullable=False),
    sa.Column("state", sa.String(), nullable=False),
    sa.Column("batch_id", sa.String()),
    sa.Column("tries", sa.BigInteger(), nullable=False),
    sa.Column("tokens", sa.BigInteger(), nullable=False),
    sa.Column("since", sa.Float(53), nullable=False),
    sa.Column("error", sa.String()),
    sa.Index("batch_texts_waiting", "model", "state", "since"),
    sa.Index("ix_batch_texts_batch_id", "batch_id"),
    sa.Index("ix_batch_texts_recording_id", "recording_id"),
)
sa.Table(
    "batches",
    METADATA,
    sa.Column("id", sa.String(), primary_key=True),
    sa.Column("model", sa.String(), nullable=False),
    sa.Column("display_name", sa.String(), nullable=False),
    sa.Column("state", sa.String(), nullable=False),
    sa.Column("epoch", sa.BigInteger(), nullable=False),
    sa.Column("wish", sa.String(), nullable=False),
    sa.Column("texts", sa.BigInteger(), nullable=False),
    sa.Column("tokens", sa.BigInteger(), nullable=False),
    sa.Column("usd", sa.String(), nullable=False),
    sa.Column("file", sa.String()),
    sa.Column("name", sa.String()),
    sa.Column("remote_state", sa.String(), nullable=False),
    sa.Column("result", sa.String()),
    sa.Column("lines", sa.BigInteger()),
    sa.Column("sha256", sa.String()),
    sa.Column("good", sa.BigInteger(), nullable=False),
    sa.Column("bad", sa.BigInteger(), nullable=False),
    sa.Column("paid_tokens", sa.BigInteger(), nullable=False),
    sa.Column("paid_usd", sa.String()),
    sa.Column("created_at", sa.Float(53), nullable=False),
    sa.Column("uploaded_at", sa.Float(53)),
    sa.Column("submit_at", sa.Float(53)),
    sa.Column("submitted_at", sa.Float(53)),
    sa.Column("ended_at", sa.Float(53)),
    sa.Column("finished_at", sa.Float(53)),
    sa.Column("deadline_at", sa.Float(53)),
    sa.Column("next_at", sa.Float(53), nullable=False),
    sa.Column("polls", sa.BigInteger(), nullable=False),
    sa.Column("error", sa.JSON()),
    sa.Column("alarm", sa.JSON()),
    sa.UniqueConstraint("display_name"),
    sa.Index("ix_batches_name", "name"),
    sa.Index("ix_batches_next_at", "next_at"),
    sa.Index("ix_batches_state", "state"),
)
sa.Table(
    "breakers",
    METADATA,
    sa.Column("provider", sa.String(), primary_key=True),
    sa.Column("fingerprint", sa.String(), nullable=False),
    sa.Column("failures", sa.BigInteger(), nullable=False),
    sa.Column("refused", sa.Boolean(), nullable=False),
    sa.Column("open_until", sa.Float(53), nullable=False),
    sa.Column("error", sa.JSON()),
    sa.Column("tested_at", sa.Float(53)),
    sa.Column("latency_s", sa.Float(53)),
)
sa.Table(
    "budgets",
    METADATA,
    sa.Column("month", sa.String(), primary_key=True),
    sa.Column("spent", sa.BigInteger(), nullable=False),
    sa.Column("reserved", sa.BigInteger(), nullable=False),
)
sa.Table(
    "caps",
    METADATA,
    sa.Column("scope", sa.String(), primary_key=True),
    sa.Column("usd", sa.String(), nullable=False),
)
sa.Table(
    "chores",
    METADATA,
    sa.Column("name", sa.String(), primary_key=True),
    sa.Column("next_at", sa.Float(53), nullable=False),
    sa.Column("worker", sa.String(), nullable=False),
    sa.Column("began_at", sa.Float(53)),
    sa.Column("ended_at", sa.Float(53)),
    sa.Column("took_s", sa.Float(53)),
    sa.Column("error", sa.String()),
)
sa.Table(
    "facts",
    METADATA,
    sa.Column("name", sa.String(), primary_key=True),
    sa.Column("value", sa.String(), nullable=False),
)
sa.Table(
    "keys",
    METADATA,
    sa.Column("id", sa.String(), primary_key=True),
    sa.Column("name", sa.String(), nullable=False),
    sa.Column("digest", sa.String(), nullable=False),
    sa.Column("admin", sa.Boolean(), nullable=False),
    sa.Column("language", sa.String(), nullable=False),
    sa.Column("created_at", sa.Float(53), nullable=False),
    sa.Column("last_used_at", sa.Float(53)),
    sa.Column("revoked_at", sa.Float(53)),
)
sa.Table(
    "orders",
    METADATA,
    sa.Column("id", sa.String(), primary_key=True),
    sa.Column("transcript_id", sa.String(), nullable=False),
    sa.Column("n", sa.BigInteger(), nullable=False),
    sa.Column("recording_id", sa.String(), nullable=False),
    sa.Column("owner", sa.String(), nullable=False),
    sa.Column("engine", sa.String(), nullable=False),
    sa.Column("state", sa.String(), nullable=False),
    sa.Column("fate", sa.String(), nullable=False),
    sa.Column("remote_id", sa.String()),
    sa.Column("duration_s", sa.Float(53), nullable=False),
    sa.Column("usd", sa.String(), nullable=False),
    sa.Column("submissions", sa.BigInteger(), nullable=False),
    sa.Column("doubts", sa.BigInteger(), nullable=False),
    sa.Column("breaks", sa.BigInteger(), nullable=False),
    sa.Column("patience", sa.BigInteger(), nullable=False),
    sa.Column("created_at", sa.Float(53), nullable=False),
    sa.Column("submit_at", sa.Float(53)),
    sa.Column("submitted_at", sa.Float(53)),
    sa.Column("working_at", sa.Float(53)),
    sa.Column("finished_at", sa.Float(53)),
    sa.Column("next_at", sa.Float(53), nullable=False),
    sa.Column("error", sa.JSON()),
    sa.UniqueConstraint("transcript_id", "n"),
    sa.Index("ix_orders_state", "state"),
)
sa.Table(
    "own_figures",
    METADATA,
    sa.Column("name", sa.String(), primary_key=True),
    sa.Column("value", sa.String(), nullable=False),
    sa.Column("set_at", sa.Float(53), nullable=False),
)
sa.Table(
    "own_limits",
    METADATA,
    sa.Column("provider", sa.String(), primary_key=True),
    sa.Column("model", sa.String(), primary_key=True),
    sa.Column("mode", sa.String(), primary_key=True),
    sa.Column("tier", sa.String()),
    sa.Column("rpm", sa.BigInteger()),
    sa.Column("tpm", sa.BigInteger()),
    sa.Column("enqueued_tokens", sa.BigInteger()),
    sa.Column("at_once", sa.BigInteger()),
    sa.Column("set_at", sa.Float(53), nullable=False),
)
sa.Table(
    "own_prices",
    METADATA,
    sa.Column("provider", sa.String(), primary_key=True),
    sa.Column("model", sa.String(), primary_key=True),
    sa.Column("mode", sa.String(), primary_key=True),
    sa.Column("unit", sa.String(), nullable=False),
    sa.Column("price", sa.String(), nullable=False),
    sa.Column("currency", sa.String(), nullable=False),
    sa.Column("minimum_s", sa.String(), nullable=False),
    sa.Column("set_at", sa.Float(53), nullable=False),
)
sa.Table(
    "payments",
    METADATA,
    sa.Column("id", sa.String(), primary_key=True),
    sa.Column("call_id", sa.String(), nullable=False),
    sa.Column("at", sa.Float(53), nullable=False),
    sa.Column("month", sa.String(), nullable=False),
    sa.Column("provider", sa.String(), nullable=False),
    sa.Column("model", sa.String(), nullable=False),
    sa.Column("lane", sa.String(), nullable=False),
    sa.Column("recording_id", sa.String(), nullable=False),
    sa.Column("owner", sa.String(), nullable=False),
    sa.Column("state", sa.String(), nullable=False),
    sa.Column("tokens_estimated", sa.BigInteger(), nullable=False),
    sa.Column("usd_estimated", sa.String(), nullable=False),
    sa.Column("tokens", sa.BigInteger(), nullable=False),
    sa.Column("usd", sa.String(), nullable=False),
    sa.Column("ended_at", sa.Float(53)),
    sa.Index("ix_payments_at", "at"),
    sa.Index("ix_payments_call_id", "call_id"),
    sa.Index("ix_payments_recording_id", "recording_id"),
)
sa.Table(
    "plans",
    METADATA,
    sa.Column("id", sa.String(), primary_key=True),
    sa.Column("at", sa.Float(53), nullable=False),
    sa.Column("route", sa.String(), nullable=False),
    sa.Column("usd", sa.String(), nullable=False),
    sa.Column("tokens", sa.BigInteger(), nullable=False),
    sa.Column("p50_s", sa.Float(53)),
    sa.Column("p90_s", sa.Float(53)),
    sa.Column("recordings", sa.JSON(), nullable=False),
    sa.Column("facts", sa.JSON()),
    sa.Index("ix_plans_at", "at"),
)
sa.Table(
    "recordings",
    METADATA,
    sa.Column("id", sa.String(), primary_key=True),
    sa.Column("owner", sa.String(), nullable=False),
    sa.Column("sha256", sa.String(), nullable=False),
    sa.Column("filename", sa.String(), nullable=False),
    sa.Column("title", sa.String(), nullable=False),
    sa.Column("tags", sa.JSON(), nullable=False),
    sa.Column("language", sa.String(), nullable=False),
    sa.Column("size_bytes", sa.BigInteger(), nullable=False),
    sa.Column("duration_s", sa.Float(53)),
    sa.Column("channels", sa.BigInteger(), nullable=False),
    sa.Column("format", sa.String(), nullable=False),
    sa.Column("created_at", sa.Float(53), nullable=False),
    sa.Column("transcript_id", sa.String()),
    sa.Column("meaning", sa.String(), nullable=False),
    sa.Column("vectors_by", sa.Float(53)),
    sa.UniqueConstraint("owner", "sha256"),
    sa.Index("ix_recordings_created_at", "created_at"),
    sa.Index("ix_recordings_sha256", "sha256"),
)
sa.Table(
    "resumables",
    METADATA,
    sa.Column("id", sa.String(), primary_key=True),
    sa.Column("owner", sa.String(), nullable=False),
    sa.Column("size_bytes", sa.BigInteger(), nullable=False),
    sa.Column("facts", sa.String(), nullable=False),
    sa.Column("created_at", sa.Float(53), nullable=False),
    sa.Column("task_id", sa.String()),
    sa.Index("ix_resumables_owner", "owner"),
)
sa.Table(
    "runs",
    METADATA,
    sa.Column("id", sa.String(), primary_key=True),
    sa.Column("job_id", sa.String(), nullable=False),
    sa.Column("task_id", sa.String(), nullable=False),
    sa.Column("recording_id", sa.String(), nullable=False),
    sa.Column("kind", sa.String(), nullable=False),
    sa.Column("queue", sa.String(), nullable=False),
    sa.Column("outcome", sa.String(), nullable=False),
    sa.Column("worker", sa.String(), nullable=False),
    sa.Column("waited_s", sa.Float(53), nullable=False),
    sa.Column("started_at", sa.Float(53), nullable=False),
    sa.Column("ended_at", sa.Float(53), nullable=False),
    sa.Column("error", sa.JSON()),
    sa.Index("ix_runs_ended_at", "ended_at"),
    sa.Index("ix_runs_task_id", "task_id"),
)
sa.Table(
    "tallies",
    METADATA,
    sa.Column("span_s", sa.BigInteger(), primary_key=True),
    sa.Column("measure", sa.String(), primary_key=True),
    sa.Column("at", sa.BigInteger(), primary_key=True),
    sa.Column("kind", sa.String(), primary_key=True),
    sa.Column("queue", sa.String(), primary_key=True),
    sa.Column("outcome", sa.String(), primary_key=True),
    sa.Column("step", sa.BigInteger(), primary_key=True),
    sa.Column("n", sa.BigInteger(), nullable=False),
    sa.Column("total_s", sa.Float(53), nullable=False),
    sa.Column("audio_s", sa.Float(53), nullable=False),
)
sa.Table(
    "transcripts",
    METADATA,
    sa.Column("id", sa.String(), primary_key=True),
    sa.Column("key", sa.String(), nullable=False),
    sa.Column("sha256", sa.String(), nullable=False),
    sa.Column("engine", sa.String(), nullable=False),
    sa.Column("engine_version", sa.String(), nullable=False),
    sa.Column("language", sa.String(), nullable=False),
    sa.Column("split_channels", sa.Boolean(), nullable=False),
    sa.Column("subtitles", sa.Boolean(), nullable=False),
    sa.Column("planned", sa.Boolean(), nullable=False),
    sa.Column("complete", sa.Boolean(), nullable=False),
    sa.Column("duration_s", sa.Float(53)),
    sa.Column("processing_s", sa.Float(53), nullable=False),
    sa.Column("created_at", sa.Float(53), nullable=False),
    sa.UniqueConstraint("key"),
    sa.Index("ix_transcripts_sha256", "sha256"),
)
sa.Table(
    "workers",
    METADATA,
    sa.Column("name", sa.String(), primary_key=True),
    sa.Column("queue", sa.String(), nullable=False),
    sa.Column("host", sa.String(), nullable=False),
    sa.Column("pid", sa.BigInteger(), nullable=False),
    sa.Column("started_at", sa.Float(53), nullable=False),
    sa.Column("seen_at", sa.Float(53), nullable=False),
    sa.Column("rss_bytes", sa.BigInteger(), nullable=False),
    sa.Column("gpu_bytes", sa.BigInteger(), nullable=False),
    sa.Column("gpu_load", sa.Float(53)),
    sa.Column("version", sa.String(), nullable=False),
    sa.Column("wish", sa.String(), nullable=False),
)
sa.Table(
    "covers",
    METADATA,
    sa.Column("id", sa.String(), primary_key=True),
    sa.Column(
        "recording_id", sa.String(), sa.ForeignKey("recordings.id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("series", sa.String(), nullable=False),
    sa.Column("wish", sa.JSON(), nullable=False),
    sa.Column("state", sa.String(), nullable=False),
    sa.Column("remote_id", sa.String()),
    sa.Column("breaks", sa.BigInteger(), nullable=False),
    sa.Column("object", sa.String()),
    sa.Column("created_at", sa.Float(53), nullable=False),
    sa.Column("submitted_at", sa.Float(53)),
    sa.Column("next_at", sa.Float(53), nullable=False),
    sa.Column("finished_at", sa.Float(53)),
    sa.Column("error", sa.JSON()),
    sa.Index("ix_covers_recording_id", "recording_id"),
    sa.Index("ix_covers_series", "series"),
    sa.Index("ix_covers_state", "state"),
)
sa.Table(
    "passages",
    METADATA,
    sa.Column("id", sa.String(), primary_key=True),
    sa.Column(
        "recording_id", sa.String(), sa.ForeignKey("recordings.id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("n", sa.BigInteger(), nullable=False),
    sa.Column("start_s", sa.Float(53), nullable=False),
    sa.Column("end_s", sa.Float(53), nullable=False),
    sa.Column("speaker", sa.String(), nullable=False),
    sa.Column("language", sa.String(), nullable=False),
    sa.Column("text", sa.String(), nullable=False),
    sa.Column("meaning", sa.String(), nullable=False),
    sa.Column("lane", sa.String(), nullable=False),
    sa.Column("text_hash", sa.String(), nullable=False),
    sa.Index("ix_passages_recording_id", "recording_id"),
    sa.Index("ix_passages_text_hash", "text_hash"),
    sa.Index("passages_by_meaning", "meaning", "recording_id"),
)
sa.Table(
    "segments",
    METADATA,
    sa.Column(
        "transcript_id", sa.String(), sa.ForeignKey("transcripts.id", ondelete="CASCADE"), primary_key=True
    ),
    sa.Column("n", sa.BigInteger(), primary_key=True),
    sa.Column("channel", sa.String(), nullable=False),
    sa.Column("start_s", sa.Float(53), nullable=False),
    sa.Column("end_s", sa.Float(53), nullable=False),
    sa.Column("text", sa.String()),
    sa.Column("words", sa.JSON()),
)
sa.Table(
    "tasks",
    METADATA,
    sa.Column("id", sa.String(), primary_key=True),
    sa.Column(
        "recording_id", sa.String(), sa.ForeignKey("recordings.id", ondelete="CASCADE"), nullable=False
    ),
    sa.Column("transcript_id", sa.String(), nullable=False),
    sa.Column("owner", sa.String(), nullable=False),
    sa.Column("status", sa.String(), nullable=False),
    sa.Column("stage", sa.String(), nullable=False),
    sa.Column("progress", sa.BigInteger(), nullable=False),
    sa.Column("engine", sa.String(), nullable=False),
    sa.Column("language", sa.String(), nullable=False),
    sa.Column("lane", sa.String(), nullable=False),
    sa.Column("created_at", sa.Float(53), nullable=False),
    sa.Column("started_at", sa.Float(53)),
    sa.Column("completed_at", sa.Float(53)),
    sa.Column("error", sa.JSON()),
    sa.Column("filename", sa.String(), nullable=False),
    sa.Index("ix_tasks_created_at", "created_at"),
    sa.Index("ix_tasks_owner", "owner"),
    sa.Index("ix_tasks_recording_id", "recording_id"),
    sa.Index("ix_tasks_status", "status"),
)
sa.Table(
    "callbacks",
    METADATA,
    sa.Column("task_id", sa.String(), sa.ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("url", sa.String(), nullable=False),
    sa.Column("tries", sa.BigInteger(), nullable=False),
    sa.Column("next_at", sa.Float(53), nullable=False),
    sa.Column("done_at", sa.Float(53)),
    sa.Column("error", sa.String()),
)
sa.Table(
    "jobs",
    METADATA,
    sa.Column("id", sa.String(), primary_key=True),
    sa.Column("task_id", sa.String(), sa.ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False),
    sa.Column("kind", sa.String(), nullable=False),
    sa.Column("queue", sa.String(), nullable=False),
    sa.Column("state", sa.String(), nullable=False),
    sa.Column("epoch", sa.BigInteger(), nullable=False),
    sa.Column("starts", sa.BigInteger(), nullable=False),
    sa.Column("tries", sa.BigInteger(), nullable=False),
    sa.Column("worker", sa.String(), nullable=False),
    sa.Column("lease_until", sa.Float(53), nullable=False),
    sa.Column("progressed_at", sa.Float(53), nullable=False),
    sa.Column("run_at", sa.Float(53), nullable=False),
    sa.Column("rung_at", sa.Float(53), nullable=False),
    sa.Column("priority", sa.BigInteger(), nullable=False),
    sa.Column("waited_s", sa.Float(53), nullable=False),
    sa.Column("created_at", sa.Float(53), nullable=False),
    sa.Column("started_at", sa.Float(53)),
    sa.Column("finished_at", sa.Float(53)),
    sa.Column("error", sa.JSON()),
    sa.Column("traceback", sa.String()),
    sa.Index("ix_jobs_created_at", "created_at"),
    sa.Index("ix_jobs_finished_at", "finished_at"),
    sa.Index("ix_jobs_task_id", "task_id"),
    sa.Index("jobs_by_state", "state", "created_at"),
    sa.Index("jobs_waiting", "state", "run_at"),
)
sa.Table(
    "replays",
    METADATA,
    sa.Column("owner", sa.String(), primary_key=True),
    sa.Column("name", sa.String(), primary_key=True),
    sa.Column("body", sa.String(), nullable=False),
    sa.Column("task_id", sa.String(), sa.ForeignKey("tasks.id", ondelete="CASCADE"), nullable=False),
    sa.Column("created_at", sa.Float(53), nullable=False),
    sa.Index("ix_replays_task_id", "task_id"),
)
