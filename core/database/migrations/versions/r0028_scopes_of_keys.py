"""What keys may do, until when, and whose things they open."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Keys so far write, never end, and open their own things."""
    op.add_column("keys", sa.Column("owner", sa.String(), nullable=False, server_default=""))
    op.execute("UPDATE keys SET owner = id")
    op.add_column("keys", sa.Column("read_only", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("keys", sa.Column("expires_at", sa.Float(53)))
