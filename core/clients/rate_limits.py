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
        self._times: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def take(self, asker: str) -> None:
        """Count one request. Raises TooMany, saying when there is room again."""
        with self._lock:
            now = self._now()
            times = self._recent(asker, now)
            if len(times) >= self.per_minute:
                wait_s = times[0] + WINDOW_S - now if times else WINDOW_S
                raise TooMany(self.per_minute, max(1, math.ceil(wait_s)))
            times.append(now)

    def _recent(self, asker: str, now: float) -> deque[float]:
        if len(self._times) > SWEEP_ABOVE:
            recent = {
                who: times for who, times in self._times.items() if times and times[-1] > now - WINDOW_S
            }
            self._times = recent
        times = self._times.setdefault(asker, deque())
        while times and times[0] <= now - WINDOW_S:
            times.popleft()
        return times
