"""Time that tests move."""

from __future__ import annotations

import time


class Clock:
    """Unix seconds: ahead of the real time by `ahead_s`, or standing still at `stopped_at`."""

    def __init__(self, ahead_s: float = 0.0) -> None:
        self.ahead_s = ahead_s
        self.stopped_at: float | None = None

    def __call__(self) -> float:
        return time.time() + self.ahead_s if self.stopped_at is None else self.stopped_at


class StoppedClock:
    """Time that stands still until a test moves `now`."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now
