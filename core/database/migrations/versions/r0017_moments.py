"""Kept moments with collections of them, and saved searches with what standing ones found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Nothing was kept before."""
    _moments()
    _searches()


def _moments() -> None:
    op.create_table(
        "kept_moments",
        sa.Column("id", sa.String(), primary_key=True),
        *(_text(name) for name in ("owner", "recording_id", "recording_title")),
        sa.Column("recorded_at", sa.Float(53), nullable=False),
        sa.Column("start_s", sa.Float(53), nullable=False),
        sa.Column("end_s", sa.Float(53), nullable=False),
        *(_text(name) for name in ("speaker", "text", "title", "note")),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.Float(53), nullable=False),
    )
    for name in ("owner", "recording_id", "created_at"):
        op.create_index(f"ix_kept_moments_{name}", "kept_moments", [name])
    op.create_table(
        "collections",
        sa.Column("id", sa.String(), primary_key=True),
        _text("owner"),
        _text("title"),
        sa.Column("created_at", sa.Float(53), nullable=False),
    )
    op.create_index("ix_collections_owner", "collections", ["owner"])
    op.create_table(
        "collection_moments",
        _key("collection_id", "collections.id"),
        _key("moment_id", "kept_moments.id"),
        sa.Column("position", sa.BigInteger(), nullable=False),
    )
    op.create_index("ix_collection_moments_moment_id", "collection_moments", ["moment_id"])


def _searches() -> None:
    op.create_table(
        "saved_searches",
        sa.Column("id", sa.String(), primary_key=True),
        *(_text(name) for name in ("owner", "question", "mode")),
        sa.Column("standing", sa.Boolean(), nullable=False),
        _text("callback_url"),
        sa.Column("created_at", sa.Float(53), nullable=False),
    )
    for name in ("owner", "standing"):
        op.create_index(f"ix_saved_searches_{name}", "saved_searches", [name])
    op.create_table(
        "search_hits",
        _key("search_id", "saved_searches.id"),
        _key("recording_id", "recordings.id"),
        sa.Column("start_s", sa.Float(53), primary_key=True),
        _text("text"),
        sa.Column("found_at", sa.Float(53), nullable=False),
        sa.Column("told_at", sa.Float(53), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("seen", sa.Boolean(), nullable=False),
    )
    op.create_index("ix_search_hits_recording_id", "search_hits", ["recording_id"])


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)


def _key(name: str, of: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), sa.ForeignKey(of, ondelete="CASCADE"), primary_key=True)
