"""What machines that serve queues for one installation have to share, and whether they do."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from core.settings import Settings

if TYPE_CHECKING:
    from core.database.database import Database

PLACES = "places of the pages"
"""The named value: where the machine of the pages keeps media and index."""
WRITES_INDEX = ("io", "index")


def shared_places(settings: Settings, queues: Sequence[str]) -> Mapping[str, str]:
    """What workers on their own need for these queues, by setting; empty where it is not shared."""
    if not queues:
        return {}
    found = {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "STORAGE_URL": settings.bucket,
    }
    if any(queue in WRITES_INDEX for queue in queues):
        found["LANCEDB_URI"] = settings.index if settings.has_shared_index else ""
    return found


def agree(database: Database, settings: Settings, queues: Sequence[str], *, has_pages: bool) -> None:
    """The pages say where everything is; workers elsewhere must mean the same.

    Raise SystemExit where they do not: what they did would never be found.
    """
    if has_pages:
        ours = {"STORAGE_URL": settings.bucket, "LANCEDB_URI": settings.index}
        database.set_value(PLACES, json.dumps(ours))
        return
    theirs = json.loads(database.get_value(PLACES) or "{}")
    for name, place in shared_places(settings, queues).items():
        if theirs.get(name, place) != place:
            raise SystemExit(f"{name} is {theirs[name] or 'not set'} where the pages are, and {place} here.")
