"""Sources that recordings come from by themselves, what came of each, and what recordings say of theirs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Nothing came by itself before."""
    _recordings()
    op.create_table(
        "sources",
        sa.Column("id", sa.String(), primary_key=True),
        *(_text(name) for name in ("owner", "kind", "address", "title", "state")),
        sa.Column("watch", sa.Boolean(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        _text("move_to"),
        sa.Column("error", sa.JSON(), nullable=True),
        sa.Column("looked_at", sa.Float(53), nullable=True),
        *(sa.Column(name, sa.Float(53), nullable=False) for name in ("look_at", "taken_at", "created_at")),
    )
    for name in ("owner", "state"):
        op.create_index(f"ix_sources_{name}", "sources", [name])
    _items()


def _recordings() -> None:
    op.add_column("recordings", sa.Column("source_url", sa.String(), nullable=False, server_default=""))
    op.add_column("recordings", sa.Column("published_at", sa.Float(53), nullable=True))
    op.add_column("recordings", sa.Column("chapters", sa.JSON(), nullable=False, server_default="[]"))


def _items() -> None:
    op.create_table(
        "source_items",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("source_id", sa.String(), sa.ForeignKey("sources.id", ondelete="CASCADE"), nullable=True),
        *(_text(name) for name in ("owner", "address", "url", "version", "state", "title")),
        sa.Column("facts", sa.JSON(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("duration_s", sa.Float(53), nullable=True),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("done_bytes", "attempts")),
        sa.Column("error", sa.JSON(), nullable=True),
        *(_text(name) for name in ("task_id", "recording_id")),
        *(sa.Column(name, sa.Float(53), nullable=False) for name in ("created_at", "changed_at")),
        sa.UniqueConstraint("source_id", "address"),
    )
    op.create_index("source_items_by_state", "source_items", ["state", "source_id"])
    for name in ("owner", "task_id"):
        op.create_index(f"ix_source_items_{name}", "source_items", [name])


def _text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), nullable=False)
