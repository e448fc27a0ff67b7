"""Vectors of sentences, and words of a transcript by their time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Vectors of sentences of earlier recordings are made when they are first looked for."""
    op.create_table(
        "sentence_vectors",
        sa.Column(
            "recording_id", sa.String(), sa.ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True
        ),
        sa.Column("key", sa.String(), primary_key=True),
        sa.Column("packed", sa.LargeBinary(), nullable=False),
    )
    op.create_index("segments_by_time", "segments", ["transcript_id", "start_s", "end_s"])
