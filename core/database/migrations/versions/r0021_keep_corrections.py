"""Tasks that keep corrections; titles and file names folded, so that the database looks in them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    """Python folds capitals of every alphabet, SQLite only those of the Latin one."""
    op.add_column(
        "tasks", sa.Column("keep_corrections", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("recordings", sa.Column("folded_name", sa.String(), nullable=False, server_default=""))
    connection = op.get_bind()
    rows = connection.execute(sa.text("SELECT id, title, filename FROM recordings")).all()
    if rows:
        connection.execute(
            sa.text("UPDATE recordings SET folded_name = :name WHERE id = :id"),
            [{"id": id_, "name": f"{title}\n{filename}".casefold()} for id_, title, filename in rows],
        )
