"""People who sign in, and with whom recordings are shared."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"


def upgrade() -> None:
    """What came through the pages so far is shared with everybody here."""
    op.create_table(
        "people",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("seen_at", sa.Float(53), nullable=False),
    )
    op.create_table(
        "shares",
        sa.Column(
            "recording_id",
            sa.String(),
            sa.ForeignKey("recordings.id", ondelete="CASCADE"),
            primary_key=True,
        ),
        sa.Column("kind", sa.String(), primary_key=True),
        sa.Column("who", sa.String(), primary_key=True),
        sa.Column("access", sa.String(), nullable=False),
    )
    op.create_index("shares_with", "shares", ["kind", "who"])
    op.add_column("recordings", sa.Column("everybody", sa.String(), nullable=False, server_default="none"))
    op.execute("UPDATE recordings SET everybody = 'write' WHERE owner = 'pages'")
