"""The glossary, and what a transcript's engine was told of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Nobody had one before."""
    op.create_table(
        "glossary",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("right", sa.String(), nullable=False),
        sa.Column("misheard", sa.JSON(), nullable=False),
        sa.Column("languages", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
    )
    op.create_index("ix_glossary_owner", "glossary", ["owner"])
    op.add_column("transcripts", sa.Column("hints", sa.String(), nullable=False, server_default=""))
