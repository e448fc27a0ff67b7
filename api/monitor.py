"""What the monitor shows, for programs: for admins, as it is about everybody's work."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from api.callers import Asking
from api.problems import refusals
from core.errors import AdminsOnly
from core.monitor import facts
from core.monitor.facts import Facts
from jobs.installation import notifier

router = APIRouter(prefix="/api/v1", tags=["state"])


@router.get("/monitor", responses=refusals(400, 401, 403, 429))
def monitor(caller: Asking, period: Literal["hour", "day", "week", "month"] = "day") -> Facts:
    """What runs, waits, failed and ended; workers, routines, batches, health. For admins."""
    if not caller.principal.admin:
        raise AdminsOnly
    return facts.look(
        caller.application, caller.principal, notifier.ping, period=period, language=caller.language
    )
