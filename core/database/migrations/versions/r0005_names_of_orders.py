"""Columns of paid orders get the words of the state machine that moves them."""

from __future__ import annotations

from alembic import op

revision = "0005"
down_revision = "0004"

COLUMNS = (
    ("batches", "epoch", "attempt_count"),
    ("batches", "submit_at", "intended_at"),
    ("batches", "polls", "poll_count"),
    ("orders", "submissions", "attempt_count"),
    ("orders", "doubts", "unknown_outcome_count"),
    ("orders", "breaks", "failure_count"),
    ("orders", "patience", "timeout_count"),
    ("orders", "submit_at", "intended_at"),
    ("covers", "breaks", "failure_count"),
)


def upgrade() -> None:
    """Rename; no row is lost or changes its meaning."""
    for table, old, new in COLUMNS:
        op.alter_column(table, old, new_column_name=new)
