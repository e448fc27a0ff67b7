"""Progress of a stage, told in seconds of sound and shown in percent of the task."""

from __future__ import annotations

from collections.abc import Callable

from core.queue.jobs import Claim, JobQueue


def seconds_reporter(
    job_queue: JobQueue, claim: Claim, total_s: float | None, first_percent: int, last_percent: int
) -> Callable[[float], None]:
    """A callback that takes seconds done of `total_s` and reports percent between the two given."""

    def report(seconds: float) -> None:
        share = min(1.0, seconds / total_s) if total_s else 0.5
        job_queue.report(claim, first_percent + round((last_percent - first_percent) * share))

    return report
