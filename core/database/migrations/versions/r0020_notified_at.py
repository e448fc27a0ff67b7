"""One word for having told a callback."""

from __future__ import annotations

from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """As jobs have it."""
    op.alter_column("search_hits", "told_at", new_column_name="notified_at")
