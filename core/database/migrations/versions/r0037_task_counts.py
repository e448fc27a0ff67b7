"""How many tasks each recording has, kept by the database itself; statistics for PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"

SHOWN = sa.text("deleted_at IS NULL")
COUNTED = ["engine", "language", "embedding_status", "duration_s", "task_count", "id", "owner", "everybody"]
SQLITE = (
    """
    CREATE TRIGGER tasks_added AFTER INSERT ON tasks BEGIN
        UPDATE recordings SET task_count = task_count + 1 WHERE id = NEW.recording_id;
    END
    """,
    """
    CREATE TRIGGER tasks_removed AFTER DELETE ON tasks BEGIN
        UPDATE recordings SET task_count = task_count - 1 WHERE id = OLD.recording_id;
    END
    """,
)
POSTGRESQL = (
    """
    CREATE FUNCTION count_tasks() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        UPDATE recordings SET task_count = task_count + CASE TG_OP WHEN 'INSERT' THEN n ELSE -n END
        FROM (SELECT recording_id, count(*) AS n FROM changed GROUP BY recording_id) AS counted
        WHERE recordings.id = counted.recording_id;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER tasks_added AFTER INSERT ON tasks REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_tasks()
    """,
    """
    CREATE TRIGGER tasks_removed AFTER DELETE ON tasks REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_tasks()
    """,
)
# Without them PostgreSQL takes a third of all transcripts to have warnings.
STATISTICS = (
    "CREATE STATISTICS transcripts_warned_count ON (json_array_length(warnings)) FROM transcripts",
    "CREATE STATISTICS diarizations_voice_count ON (json_array_length(voices)) FROM diarizations",
)
VERSION_OF_STATISTICS = 14


def upgrade() -> None:
    """Counting a million tasks takes longer than summing the counts of a hundred thousand recordings."""
    op.add_column(
        "recordings", sa.Column("task_count", sa.BigInteger(), nullable=False, server_default=sa.text("0"))
    )
    op.execute(
        "UPDATE recordings SET task_count = (SELECT count(*) FROM tasks WHERE recording_id = recordings.id)"
    )
    op.drop_index("recordings_counted", "recordings")
    op.create_index(
        "recordings_counted",
        "recordings",
        [*COUNTED, "deleted_at"],
        sqlite_where=SHOWN,
        postgresql_where=SHOWN,
    )
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":
        statements = SQLITE
    else:
        newer = (connection.dialect.server_version_info or (0,)) >= (VERSION_OF_STATISTICS,)
        statements = (*POSTGRESQL, *(STATISTICS if newer else ()))
    for statement in statements:
        op.execute(statement)
    if connection.dialect.name == "postgresql":  # every row was written anew, which doubles what is read
        op.execute("REINDEX TABLE recordings")
