"""Transcripts say whether they are translations into English, and how much chance was in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Nothing was translated before."""
    op.add_column(
        "transcripts", sa.Column("translate", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("transcripts", sa.Column("temperature", sa.Float(53), nullable=False, server_default="0"))
