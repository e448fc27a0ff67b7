"""Errors that were kept by their sentence get their code."""

from __future__ import annotations

from alembic import op

from core.database.error_codes import add_codes

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add codes; errors that have one stay as they are."""
    add_codes(op.get_bind())
