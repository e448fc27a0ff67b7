"""Stretches of recordings that were listened to once more."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0035"
down_revision = "0034"


def upgrade() -> None:
    """Earlier tasks are about whole recordings."""
    op.add_column("tasks", sa.Column("excerpt", sa.JSON()))
