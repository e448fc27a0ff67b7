"""How loud each sound is along its length."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Sounds that were decoded before have none until they are decoded again."""
    op.create_table(
        "peaks",
        sa.Column("sha256", sa.String(), primary_key=True),
        sa.Column("peaks", sa.LargeBinary(), nullable=False),
    )
