"""One of several processes that spend as fast as they can; imports little, so that it starts at once."""

from __future__ import annotations

from core.billing.ledger import Call, CapReached, Ledger
from core.database.database import Database

CALLS = 12


def spend(url: str, owner: str, tokens: int, start) -> None:  # type: ignore[no-untyped-def]
    """Reserve money for many calls; what the cap refuses is left."""
    database = Database(url)
    ledger = Ledger(database)
    start.wait()
    for _ in range(CALLS):
        try:
            with database.write() as session:
                call = Call("gemini", "gemini-embedding-2", "sync", {(owner, owner): tokens})
                ledger.reserve(session, call)
        except CapReached:
            pass
