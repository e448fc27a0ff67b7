"""Uploads of the pages know which visitor began them, so that none takes the place of the others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Uploads under way belong to one visitor whom nobody is any more."""
    op.add_column("resumables", sa.Column("visitor", sa.String(), nullable=False, server_default=""))
