"""The index of the bin holds the bin alone."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """The earlier one held everything, and SQLite began joins with it."""
    op.drop_index("ix_recordings_deleted_at", "recordings")
    binned = sa.text("deleted_at IS NOT NULL")
    op.create_index(
        "recordings_in_bin", "recordings", ["deleted_at"], sqlite_where=binned, postgresql_where=binned
    )
