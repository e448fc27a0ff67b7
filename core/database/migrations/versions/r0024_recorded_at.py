"""When recordings were made, as far as anybody knows."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Of those that are here nobody asked."""
    op.add_column("recordings", sa.Column("recorded_at", sa.Float(53)))
    op.add_column("recordings", sa.Column("recorded_kind", sa.String()))
