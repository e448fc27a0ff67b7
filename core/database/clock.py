"""The time that all machines of an installation agree on: that of the database server."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

RESYNC_S = 60.0
"""Until then a clock of this machine that cannot be set counts on; it drifts by milliseconds at most."""


class DatabaseClock:
    """Unix seconds by the clock of the PostgreSQL server; by that of this machine where SQLite is used.

    Leases and due times are written by one machine and judged by others, so a machine whose own clock is
    wrong must not use it for them.
    """

    def __init__(self, engine: Engine, local: Callable[[], float] = time.time) -> None:
        self._engine = engine
        self._local = local
        self._known: tuple[float, float] | None = None
        """A time of the server, and what `counter` said at that moment."""
        self._resync_at = 0.0

    def __call__(self) -> float:
        """Unix seconds. Raise OperationalError if the server was never reached."""
        if self._engine.dialect.name != "postgresql":
            return self._local()
        if self._known is None or counter() >= self._resync_at:
            self._ask()
        server_s, counted_s = self._known or (0.0, 0.0)
        return server_s + counter() - counted_s

    def _ask(self) -> None:
        try:
            with self._engine.connect() as connection:
                before_s = counter()
                server_s = connection.scalar(text("SELECT extract(epoch FROM clock_timestamp())::float8"))
                after_s = counter()
        except OperationalError:
            if self._known is None:
                raise
        else:
            self._known = (float(server_s or 0.0), (before_s + after_s) / 2)
        self._resync_at = counter() + RESYNC_S


def counter() -> float:
    """Seconds that nobody can set, and that count on while the machine sleeps (where the system has them)."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
