"""Owners take turns, and short recordings go before long ones."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Jobs from before are nobody's, which has its turn like anybody."""
    op.add_column("jobs", sa.Column("owner", sa.String(), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("audio_s", sa.Float(53), nullable=False, server_default="0"))
    op.create_index("jobs_by_turn", "jobs", ["state", "queue", "kind", "priority", "owner", "audio_s"])
    op.create_table(
        "turns",
        sa.Column("queue", sa.String(), primary_key=True),
        sa.Column("owner", sa.String(), primary_key=True),
        sa.Column("served_at", sa.Float(53), nullable=False),
    )
