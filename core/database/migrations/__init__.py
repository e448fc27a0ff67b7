"""How the tables came to be: revisions of Alembic, applied in order, once.

A revision is a file in `versions`, named and numbered in order (`r0003_what_it_does.py`, revision "0003").
Append; never edit one that people have run.
"""

from __future__ import annotations

import logging
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

from core.errors import Code, Conflict

HERE = Path(__file__).parent
HEAD = max(path.name[1:5] for path in (HERE / "versions").glob("r[0-9]*.py"))
"""The revision that this code expects."""
LOCK = 7365
"""Of PostgreSQL: processes that start together migrate one after the other. SQLite locks by itself."""


def migrate(engine: Engine) -> None:
    """Bring the tables to what this code expects, in one transaction. Raise Conflict if they are newer.

    Safe to call from several processes at once.
    """
    with engine.execution_options(immediate=False).connect() as connection:
        if revision(connection) == HEAD:
            return
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL lock_timeout = 0"))  # the first one may take long
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)").bindparams(lock=LOCK))
        found = revision(connection)
        if found is not None and found > HEAD:
            raise Conflict(Code.DATABASE_NEWER, found=found, known=HEAD)
        if found != HEAD:
            _upgrade(connection)


def revision(connection: Connection) -> str | None:
    """The revision of these tables; None if Alembic has not seen them."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    return found


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - slow to import, and almost never needed
    from alembic.config import Config  # noqa: PLC0415

    logging.getLogger("alembic").setLevel(logging.WARNING)  # thirty lines before a first start's address
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(HERE).replace("%", "%%"))
    command.upgrade(config, "head")
