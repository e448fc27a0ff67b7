"""What lists of recordings ask for, in indexes that answer without reading rows."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0036"
down_revision = "0035"

LETTERS = 250
SHOWN = sa.text("deleted_at IS NULL")
LONG = sa.text("long_name IS NOT NULL")
SEVERAL_VOICES = sa.text("json_array_length(voices) > 1")
WHO = ["id", "owner", "everybody", "deleted_at"]


def upgrade() -> None:
    """Names and tags as an index takes them, and the engine of the present text."""
    op.add_column("recordings", sa.Column("long_name", sa.String()))
    op.add_column("recordings", sa.Column("indexed_tags", sa.String()))
    op.add_column("recordings", sa.Column("engine", sa.String()))
    cut = sa.text(
        "UPDATE recordings SET long_name = folded_name, folded_name = substr(folded_name, 1, :letters)"
        " WHERE length(folded_name) > :letters"
    )
    op.execute(cut.bindparams(sa.bindparam("letters", LETTERS, sa.Integer())))
    op.execute(
        "UPDATE recordings SET engine = coalesce("
        "(SELECT engine FROM transcripts WHERE transcripts.id = recordings.transcript_id), '')"
        " WHERE transcript_id IS NOT NULL"
    )
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT id, CAST(tags AS TEXT) FROM recordings")).all()
    tags = {id_: json.dumps(json.loads(stored), ensure_ascii=False) for id_, stored in rows}
    short = [{"id": id_, "tags": stored} for id_, stored in tags.items() if len(stored) <= LETTERS]
    if short:
        connection.execute(sa.text("UPDATE recordings SET indexed_tags = :tags WHERE id = :id"), short)
    for name in ("recordings_shown", "recordings_summed"):
        op.drop_index(name, "recordings")
    shown: dict[str, Any] = {"sqlite_where": SHOWN, "postgresql_where": SHOWN}
    indexes: dict[str, list[Any]] = {
        "recordings_shown": ["created_at", "id", "folded_name", "indexed_tags", *WHO[1:]],
        "recordings_of_owner": ["owner", "created_at", "id", "folded_name", "indexed_tags", "deleted_at"],
        "recordings_of_transcripts": ["transcript_id", *WHO],
        "recordings_by_name": ["folded_name", *WHO],
        "recordings_by_tags": ["indexed_tags", *WHO],
        "recordings_counted": ["engine", "language", "embedding_status", "duration_s", *WHO],
        "recordings_by_date": [sa.text("coalesce(recorded_at, created_at) DESC"), "id"],
        "recordings_longest": [sa.text("coalesce(duration_s, -1) DESC"), "id"],
    }
    for name, columns in indexes.items():
        op.create_index(name, "recordings", columns, **shown)
    op.create_index(
        "recordings_of_long_names", "recordings", ["id"], sqlite_where=LONG, postgresql_where=LONG
    )
    op.create_index(
        "diarizations_of_several",
        "diarizations",
        ["recording_id"],
        sqlite_where=SEVERAL_VOICES,
        postgresql_where=SEVERAL_VOICES,
    )
