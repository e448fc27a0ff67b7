"""Speakers belong to a recording, corrections of them are steps that can be undone, voices are remembered."""

from __future__ import annotations

import json
import time

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"

TURNS = """
SELECT r.id AS recording_id, t.speakers, d.turns, d.error, d.created_at
FROM diarizations d JOIN transcripts t ON t.id = d.transcript_id JOIN recordings r ON r.transcript_id = t.id
"""


def upgrade() -> None:
    """What was found and named so far comes along."""
    connection = op.get_bind()
    found = [dict(row) for row in connection.execute(sa.text(TURNS)).mappings()]
    named = [dict(row) for row in connection.execute(sa.text("SELECT * FROM speaker_names")).mappings()]
    op.drop_table("speaker_names")
    op.drop_table("diarizations")
    op.drop_column("transcripts", "speakers")
    op.add_column("tasks", sa.Column("speakers", sa.String(), nullable=False, server_default="off"))
    diarizations = op.create_table(
        "diarizations",
        _recording(),
        sa.Column("speakers", sa.String(), nullable=False),
        sa.Column("split_channels", sa.Boolean(), nullable=False),
        sa.Column("turns", sa.JSON(), nullable=False),
        sa.Column("voices", sa.JSON(), nullable=False),
        sa.Column("error", sa.JSON()),
        sa.Column("took_s", sa.Float(53), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
    )
    edits = op.create_table(
        "speaker_edits",
        _recording(),
        sa.Column("n", sa.BigInteger(), primary_key=True),
        sa.Column("edit", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
    )
    _voices()
    op.bulk_insert(diarizations, [_diarization(row) for row in found])
    op.bulk_insert(edits, [_edit(n, row) for n, row in enumerate(named)])


def _recording() -> sa.Column[str]:
    return sa.Column(
        "recording_id", sa.String(), sa.ForeignKey("recordings.id", ondelete="CASCADE"), primary_key=True
    )


def _voices() -> None:
    op.create_table(
        "voices",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
        sa.UniqueConstraint("owner", "name"),
    )
    voice = sa.ForeignKey("voices.id", ondelete="CASCADE")
    op.create_table(
        "voice_samples",
        _recording(),
        sa.Column("label", sa.String(), primary_key=True),
        sa.Column("voice_id", sa.String(), voice, nullable=False, index=True),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.Column("alone_s", sa.Float(53), nullable=False),
    )
    op.create_table(
        "voice_rejections",
        _recording(),
        sa.Column("label", sa.String(), primary_key=True),
        sa.Column("voice_id", sa.String(), sa.ForeignKey("voices.id", ondelete="CASCADE"), primary_key=True),
    )


def _diarization(row: dict[str, object]) -> dict[str, object]:
    turns, error = (
        json.loads(value) if isinstance(value, str) else value for value in (row["turns"], row["error"])
    )
    assert isinstance(turns, list)
    return {
        **row,
        "turns": [[*turn, "mono"] for turn in turns],
        "voices": [],
        "error": error,
        "split_channels": False,
        "took_s": 0.0,
    }


def _edit(n: int, row: dict[str, object]) -> dict[str, object]:
    edit = {"what": "rename", "label": row["label"], "name": row["name"]}
    return {"recording_id": row["recording_id"], "n": n, "edit": edit, "created_at": time.time()}
