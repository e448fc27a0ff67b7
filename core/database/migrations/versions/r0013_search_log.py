"""What was asked of the search, and which answers were opened."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Nothing was kept before."""
    op.create_table(
        "searched",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("answered", sa.Boolean(), nullable=False),
        sa.Column("took_ms", sa.Float(53), nullable=False),
        sa.Column("question", sa.String(), nullable=False),
    )
    op.create_index("ix_searched_at", "searched", ["at"])
    op.create_table(
        "opened_hits",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("question", sa.String(), nullable=False),
        sa.Column(
            "recording_id", sa.String(), sa.ForeignKey("recordings.id", ondelete="CASCADE"), nullable=False
        ),
        sa.Column("play_s", sa.Float(53), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_opened_hits_at", "opened_hits", ["at"])
