"""Speakers of recordings: how many to find, who speaks when, and what people call them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Recordings made before have no speakers until somebody asks."""
    op.add_column("transcripts", sa.Column("speakers", sa.String(), nullable=False, server_default=""))
    op.create_table(
        "diarizations",
        sa.Column(
            "transcript_id",
            sa.String(),
            sa.ForeignKey("transcripts.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("turns", sa.JSON(), nullable=False),
        sa.Column("error", sa.JSON()),
        sa.Column("created_at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "speaker_names",
        sa.Column(
            "recording_id", sa.String(), sa.ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("label", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
    )
