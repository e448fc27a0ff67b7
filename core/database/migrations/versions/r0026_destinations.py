"""Where results are written to as they come, and what each place has."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Nothing was written before."""
    op.create_table(
        "destinations",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("address", sa.String(), nullable=False),
        sa.Column("formats", sa.JSON(), nullable=False),
        sa.Column("since", sa.Float(53), nullable=False),
        sa.Column("paused", sa.Boolean(), nullable=False),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("created_at", sa.Float(53), nullable=False),
    )
    op.create_index("ix_destinations_owner", "destinations", ["owner"])
    op.create_table(
        "written_results",
        _key("destination_id", "destinations.id"),
        _key("recording_id", "recordings.id"),
        sa.Column("transcript_id", sa.String(), nullable=False),
        sa.Column("edits", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("written_at", sa.Float(53), nullable=False),
    )
    op.create_index("ix_written_results_recording_id", "written_results", ["recording_id"])


def _key(name: str, of: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), sa.ForeignKey(of, ondelete="CASCADE"), primary_key=True)
