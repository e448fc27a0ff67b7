"""The audit trail, which the database itself keeps from being changed.

What is younger than the retention says cannot be deleted: `Trail.sweep` first writes from when on events are
kept, under the name "audit kept from", and nothing younger than 30 days goes whatever stands there.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"

POSTGRESQL = (
    """CREATE FUNCTION audit_events_stay() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            IF OLD.at < extract(epoch FROM now()) - 2592000
                AND EXISTS (SELECT 1 FROM key_values WHERE name = 'audit kept from'
                            AND CAST(value AS double precision) > OLD.at) THEN
                RETURN OLD;
            END IF;
        END IF;
        RAISE EXCEPTION 'the audit trail is append-only';
    END $$""",
    """CREATE TRIGGER audit_events_stay BEFORE UPDATE OR DELETE ON audit_events
    FOR EACH ROW EXECUTE FUNCTION audit_events_stay()""",
    """CREATE TRIGGER audit_events_stay_whole BEFORE TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION audit_events_stay()""",
)
SQLITE = (
    """CREATE TRIGGER audit_events_unchanged BEFORE UPDATE ON audit_events
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
    """CREATE TRIGGER audit_events_stay BEFORE DELETE ON audit_events
    WHEN OLD.at >= CAST(strftime('%s', 'now') AS REAL) - 2592000
        OR NOT EXISTS (SELECT 1 FROM key_values WHERE name = 'audit kept from'
                       AND CAST(value AS REAL) > OLD.at)
    BEGIN SELECT RAISE(ABORT, 'the audit trail is append-only'); END""",
)


def upgrade() -> None:
    """Nothing is known of what was done before."""
    op.create_table(
        "audit_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("at", sa.Float(53), nullable=False),
        sa.Column("who", sa.String(), nullable=False),
        sa.Column("door", sa.String(), nullable=False),
        sa.Column("action", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("object_id", sa.String(), nullable=False),
        sa.Column("operation", sa.String(), nullable=False),
        sa.Column("usd", sa.String()),
        sa.Column("once", sa.String(), unique=True),
    )
    for name, column in (("at", ()), ("who", ("who",)), ("action", ("action",)), ("object", ("object_id",))):
        op.create_index(f"ix_audit_events_{name}", "audit_events", [*column, "at", "id"])
    for statement in POSTGRESQL if op.get_bind().dialect.name == "postgresql" else SQLITE:
        op.execute(sa.text(statement))
