"""An empty SQLite database gets its tables by the migrations once a process, and copies of them from then on.

Thirteen revisions cost 0.15 s of processor, and thousands of tests begin with an empty database. Whatever is
not empty, and PostgreSQL, is always migrated; `test_migrations.py` asks for the true migrations.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, inspect

Upgrade = Callable[[Connection], None]
FRAMED = ("BEGIN TRANSACTION;", "COMMIT;")


class CopiedSchema:
    """Stands in for the upgrade of `migrations`."""

    def __init__(self, upgrade: Upgrade) -> None:
        self.upgrade = upgrade
        self.statements: list[str] = []

    def __call__(self, connection: Connection) -> None:
        """Bring this database to the newest revision."""
        if connection.dialect.name != "sqlite" or inspect(connection).get_table_names():
            self.upgrade(connection)
            return
        if self.statements:
            for statement in self.statements:
                connection.exec_driver_sql(statement)
            return
        self.upgrade(connection)
        driver = connection.connection.driver_connection
        self.statements = [each for each in driver.iterdump() if each not in FRAMED]
