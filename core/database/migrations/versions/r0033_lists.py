"""Lists of many recordings and tasks: which task is the newest of its recording, and indexes to list by."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0033"
down_revision = "0032"

SHOWN = sa.text("deleted_at IS NULL")
WARNED = sa.text("json_array_length(warnings) > 0")


def upgrade() -> None:
    """The newest task of a recording is the one that was created last."""
    op.create_index("tasks_of_recording", "tasks", ["recording_id", "created_at"])
    op.create_index("tasks_by_state", "tasks", ["status", "created_at", "id", "recording_id"])
    op.create_index("tasks_by_time", "tasks", ["created_at", "id", "recording_id"])
    op.create_index("tasks_of_owner", "tasks", ["owner", "created_at", "id", "recording_id"])
    op.create_index("tasks_by_end", "tasks", ["completed_at"])
    for name in ("recording_id", "status", "created_at", "owner"):
        op.drop_index(f"ix_tasks_{name}", "tasks")
    op.add_column("tasks", sa.Column("is_newest", sa.Boolean(), nullable=False, server_default=sa.true()))
    tasks = sa.table("tasks", *map(sa.column, ("id", "recording_id", "created_at", "is_newest")))
    later = tasks.alias()
    same_time = (later.c.created_at == tasks.c.created_at) & (later.c.id < tasks.c.id)
    superseded = sa.exists().where(
        later.c.recording_id == tasks.c.recording_id, (later.c.created_at > tasks.c.created_at) | same_time
    )
    op.execute(tasks.update().where(superseded).values(is_newest=sa.false()))
    newest: dict[str, Any] = {
        "sqlite_where": sa.text("is_newest = 1"),
        "postgresql_where": sa.text("is_newest"),
    }
    op.create_index("tasks_newest", "tasks", ["status", "recording_id"], **newest)
    shown: dict[str, Any] = {"sqlite_where": SHOWN, "postgresql_where": SHOWN}
    op.create_index("recordings_shown", "recordings", ["created_at", "id"], **shown)
    summed = ["transcript_id", "language", "embedding_status", "duration_s"]
    op.create_index("recordings_summed", "recordings", summed, **shown)
    op.create_index("recordings_by_length", "recordings", ["duration_s"], **shown)
    op.create_index("recordings_by_size", "recordings", ["size_bytes"], **shown)
    warned: dict[str, Any] = {"sqlite_where": WARNED, "postgresql_where": WARNED}
    op.create_index("transcripts_warned", "transcripts", ["id"], **warned)
