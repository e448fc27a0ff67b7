"""`python -m benchmarks.bench_audit [ROWS]`: how long the audit trail takes to list a page, by each filter.

Writes so many events (1,000,000) into a database in a temporary folder, and asks for pages of 50.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from sqlalchemy import insert

from core.audit import AuditTrail, EventFilter
from core.database.database import Database
from core.database.states import AuditAction
from core.database.tables import AuditEvent
from core.principal import EVERYONE

CHUNK = 20_000
TRIES = 20


def main(rows: int) -> None:
    """Fill, then measure."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'records.sqlite'}")
        now, actions = time.time(), list(AuditAction)
        for start in range(0, rows, CHUNK):
            events = [
                {
                    "at": now - (rows - n) * 20.0,
                    "who": f"person{n % 50}@example.com",
                    "door": "pages",
                    "action": actions[n % len(actions)],
                    "subject": "recording",
                    "object_id": f"{n % 20_000:032x}",
                    "operation": "recordings.rename",
                }
                for n in range(start, min(rows, start + CHUNK))
            ]
            with database.write() as session:
                session.execute(insert(AuditEvent), events)
        trail = AuditTrail(database, time.time, keep_days=365)
        middle = now - rows * 10.0
        filters = {
            "all": EventFilter(),
            "a person": EventFilter(who="person7@example.com"),
            "an action": EventFilter(action=AuditAction.REFUSED),
            "an object": EventFilter(object_id=f"{123:032x}"),
            "a day in the middle": EventFilter(since=middle, until=middle + 86_400),
            "a person and an action": EventFilter(who="person7@example.com", action=AuditAction.PAID),
            "nobody": EventFilter(who="nobody"),
        }
        for name, wanted in filters.items():
            before = ""
            worst = 0.0
            for _ in range(TRIES):
                began = time.perf_counter()
                _, before = trail.find(EVERYONE, wanted, 50, before)
                worst = max(worst, time.perf_counter() - began)
            print(f"{name:24} {1000 * worst:7.1f} ms, the slowest of {TRIES} pages of 50")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
