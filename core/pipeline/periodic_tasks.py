"""What is done again and again, by its name; when each is due is in `core.queue.periodic`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core.queue.periodic import PeriodicTasks


class PeriodicRunner:
    """Runs the periodic tasks of an installation."""

    def __init__(self, schedule: PeriodicTasks, steps: Mapping[str, Callable[[], object]]) -> None:
        self._schedule = schedule
        self._steps = steps

    def run(self, name: str, worker: str) -> None:
        """Run one task, unless another worker is at it. Raises KeyError for an unknown name."""
        self._schedule.do(name, worker, self._steps[name])
