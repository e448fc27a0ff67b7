"""What every stage of the pipeline is: one kind of job, done for one claim."""

from __future__ import annotations

from typing import Protocol

from core.queue.jobs import Claim


class Stage(Protocol):
    """One kind of work on a recording.

    A stage reads the state, calls one package of core, and writes the outcome together with the job's
    end. It may run twice or die anywhere: nothing is lost or repeated.
    """

    def run(self, claim: Claim) -> None:
        """Do the job. Raises Rejected (never works), Unavailable (later), Withdrawn (no longer wanted)."""
