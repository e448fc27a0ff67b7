"""How often somebody may ask: so many times in any 60 seconds.

Counted in memory: one process serves the whole API, and a restart may forgive a minute. Written by
ourselves: `limits` (5.8) counts by the wall clock, so who is at the limit when it is set back an hour is
refused for an hour, and its memory storage starts a thread for nearly every request.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable

from core.errors import TooMany

WINDOW_S = 60.0
SWEEP_ABOVE = 1000
"""So many askers are remembered before those who fell silent are forgotten."""


class Limit:
    """A sliding window for each asker. Refused requests do not count, so patience is rewarded."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._now = clock
        self._asked: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def take(self, asker: str) -> None:
        """Count one request. Raises TooMany, saying when there is room again."""
        with self._lock:
            now = self._now()
            asked = self._recent(asker, now)
            if len(asked) >= self.per_minute:
                wait_s = asked[0] + WINDOW_S - now if asked else WINDOW_S
                raise TooMany(self.per_minute, max(1, math.ceil(wait_s)))
            asked.append(now)

    def _recent(self, asker: str, now: float) -> deque[float]:
        if len(self._asked) > SWEEP_ABOVE:
            recent = {
                who: asked for who, asked in self._asked.items() if asked and asked[-1] > now - WINDOW_S
            }
            self._asked = recent
        asked = self._asked.setdefault(asker, deque())
        while asked and asked[0] <= now - WINDOW_S:
            asked.popleft()
        return asked
