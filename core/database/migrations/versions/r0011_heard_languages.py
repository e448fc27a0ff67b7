"""The language of recordings is identified, also of parts of them, and segments say what is doubtful."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """What was transcribed before was in the language that was asked for, and nobody has judged it."""
    op.add_column("recordings", sa.Column("language_probability", sa.Float(53)))
    op.add_column("transcripts", sa.Column("identified", sa.JSON()))
    op.add_column("segments", sa.Column("language", sa.String()))
    op.add_column("segments", sa.Column("engine", sa.String()))
    op.add_column("segments", sa.Column("log_probability", sa.Float(53)))
    op.add_column("segments", sa.Column("no_speech", sa.Float(53)))
    op.add_column("segments", sa.Column("doubtful", sa.Boolean(), nullable=False, server_default=sa.false()))
