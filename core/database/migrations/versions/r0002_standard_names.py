"""Tables and columns get the words of the field; modes of embedding and of prices are `sync` and `batch`."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = {
    "facts": "key_values",
    "chores": "periodic_tasks",
    "batch_texts": "embedding_requests",
    "replays": "idempotency_keys",
}
COLUMNS = (
    ("recordings", "meaning", "embedding_status"),
    ("passages", "meaning", "embedding_status"),
    ("passages", "lane", "embedding_mode"),
    ("tasks", "lane", "embedding_mode"),
    ("payments", "lane", "mode"),
    ("jobs", "rung_at", "notified_at"),
    ("jobs", "starts", "crash_count"),
    ("jobs", "tries", "attempts"),
    ("workers", "wish", "requested_action"),
    ("batches", "wish", "requested_action"),
    ("covers", "wish", "options"),
    ("embedding_requests", "tries", "attempts"),
    ("callbacks", "tries", "attempts"),
)
INDEXES = (
    ("passages_by_meaning", "passages_by_embedding_status", "passages", ["embedding_status", "recording_id"]),
    ("batch_texts_waiting", "embedding_requests_waiting", "embedding_requests", ["model", "state", "since"]),
    (
        "ix_batch_texts_recording_id",
        "ix_embedding_requests_recording_id",
        "embedding_requests",
        ["recording_id"],
    ),
    ("ix_batch_texts_batch_id", "ix_embedding_requests_batch_id", "embedding_requests", ["batch_id"]),
    ("ix_replays_task_id", "ix_idempotency_keys_task_id", "idempotency_keys", ["task_id"]),
)
"""Old name, new name, table, columns: SQLite cannot rename an index, so they are made anew."""
SYNC = (
    ("passages", "embedding_mode"),
    ("tasks", "embedding_mode"),
    ("payments", "mode"),
    ("batches", "requested_action"),
)
"""Columns that said "now" where it is "sync"."""


def upgrade() -> None:
    """Rename; no row is lost or changes its meaning."""
    for old, *_ in INDEXES:
        op.execute(f"DROP INDEX {old}")
    for old, new in TABLES.items():
        op.rename_table(old, new)
    for table, old, new in COLUMNS:
        op.alter_column(table, old, new_column_name=new)
    for _, name, table, columns in INDEXES:
        op.create_index(name, table, columns)
    for table, column in SYNC:
        rows = sa.table(table, sa.column(column))
        op.execute(rows.update().where(rows.c[column] == "now").values({column: "sync"}))
    op.execute("UPDATE tasks SET embedding_mode = 'sync' WHERE embedding_mode = ''")
