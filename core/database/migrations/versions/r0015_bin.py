"""Deleted recordings stay in a bin for a while."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """None was ever in it."""
    op.add_column("recordings", sa.Column("deleted_at", sa.Float(53), nullable=True))
    op.create_index("ix_recordings_deleted_at", "recordings", ["deleted_at"])
