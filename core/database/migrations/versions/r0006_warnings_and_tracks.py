"""Warnings of transcripts; which tracks recordings have, and which of them a transcript heard."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Transcripts made before have no warnings; which tracks their recordings have is not known."""
    op.add_column("transcripts", sa.Column("tracks", sa.String(), nullable=False, server_default=""))
    op.add_column("transcripts", sa.Column("warnings", sa.JSON(), nullable=False, server_default="[]"))
    op.add_column("recordings", sa.Column("tracks", sa.JSON(), nullable=False, server_default="[]"))
