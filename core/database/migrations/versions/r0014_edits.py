"""Corrections of a recording are steps of one log: of its speakers, and now of its text."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Steps so far were of speakers, each an action of its own."""
    op.rename_table("speaker_edits", "edits")
    words = {"subject": "speakers", "transcript_id": "", "action_id": "", "who": ""}
    for name, before in words.items():
        op.add_column("edits", sa.Column(name, sa.String(), nullable=False, server_default=before))
    op.add_column("edits", sa.Column("undone", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute("UPDATE edits SET action_id = recording_id || ' ' || n")
    op.create_index("ix_edits_action_id", "edits", ["action_id"])
