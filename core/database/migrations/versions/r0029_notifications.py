"""Tasks that were asked for together, and what people are to be told of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    """Earlier tasks are of no group."""
    op.create_table(
        "task_groups",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("closed_at", sa.Float(53)),
        sa.Column("notified_at", sa.Float(53)),
    )
    op.create_index("ix_task_groups_notified_at", "task_groups", ["notified_at"])
    op.create_table(
        "notifications",
        sa.Column("event", sa.String(), primary_key=True),
        sa.Column("channel", sa.String(), primary_key=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.Float(53), nullable=False),
        sa.Column("done_at", sa.Float(53)),
        sa.Column("error", sa.String()),
    )
    op.create_index("ix_notifications_done_at", "notifications", ["done_at"])
    op.add_column("tasks", sa.Column("group_id", sa.String()))
    op.create_index("ix_tasks_group_id", "tasks", ["group_id"])
