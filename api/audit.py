"""The audit trail, for programs: for admins, and for keys that see everything."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from api.callers import Asking
from api.problems import refusals
from core.audit import EventFilter
from core.database.states import AuditAction, AuditSubject
from core.database.tables import AuditEvent, utc
from core.principal import Door

router = APIRouter(prefix="/api/v1", tags=["audit"])

Text = Annotated[str, Query(max_length=200)]
Moment = Annotated[datetime | None, Query()]


@dataclass(frozen=True)
class AuditAnswer:
    """Something that somebody did or was refused."""

    at: datetime
    who: str
    """A person by name, a key by its id, `pages` where nobody signs in, `system`; empty for a wrong key."""
    door: Door
    action: AuditAction
    subject: AuditSubject
    object_id: str
    operation: str
    """Which of the things that can be done; of a refusal its code."""
    usd: str | None
    """What an order was promised to cost."""


@dataclass(frozen=True)
class AuditList:
    """Newest first."""

    events: list[AuditAnswer]
    next: str
    """Where the next page begins (`before`); empty on the last one."""


@router.get("/audit", responses=refusals(400, 401, 403, 429))
def audit(
    caller: Asking,
    who: Text = "",
    action: Annotated[AuditAction | None, Query()] = None,
    object_id: Text = "",
    since: Moment = None,
    until: Moment = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    before: Annotated[str, Query(pattern=r"^(\d{1,12}(\.\d{1,12})?-\d{1,18})?$", max_length=50)] = "",
) -> AuditList:
    """Who saw, changed, exported, deleted and paid what, and signed in; for admins.

    `before` is `next` of the page before this one.
    """
    wanted = EventFilter(
        who, action, object_id, since.timestamp() if since else None, until.timestamp() if until else None
    )
    rows, following = caller.application.audit.find(caller.principal, wanted, limit, before)
    return AuditList([_answer(row) for row in rows], following)


def _answer(row: AuditEvent) -> AuditAnswer:
    return AuditAnswer(
        utc(row.at), row.who, row.door, row.action, row.subject, row.object_id, row.operation, row.usd
    )
