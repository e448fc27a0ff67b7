"""What needs no key: is it well, and what is here."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from api.callers import ApiState, Here
from api.problems import refusals
from core.application import Application
from core.errors import Code, Unavailable
from core.monitor import health
from core.monitor.health import Health
from jobs.installation import notifier

router = APIRouter(tags=["state"])

FRESH_S = 1.0


@router.get("/health", responses={503: {"description": "No work can be accepted now; says why."}})
def healthy(request: Request, application: Here) -> JSONResponse:
    """The state of each part; 503 when no work can be accepted."""
    state = _state(request, application)
    return JSONResponse(state.as_json(), 200 if state.accepts else 503)


@router.get("/health/live")
async def alive() -> dict[str, str]:
    """Whether this process answers at all; asks nothing else. For whoever restarts it."""
    return {"status": "alive"}


@router.get("/health/ready", responses=refusals(503))
def ready(request: Request, application: Here) -> dict[str, str]:
    """Whether work can be accepted now. For whoever sends requests here; 503 names what is missing."""
    state = _state(request, application)
    if not state.accepts:
        missing = ", ".join(part.name for part in state.parts if part.needed and not part.ok)
        raise Unavailable(Code.NOT_READY_FOR_WORK, parts=missing)
    return {"status": state.status}


def _state(request: Request, application: Application) -> Health:
    """Looked at anew at most once in `FRESH_S`: strangers may ask, and each look writes to the disk."""
    api_state: ApiState = request.app.state.api_state
    with api_state.looking:
        if api_state.health is None or time.monotonic() > api_state.health[0] + FRESH_S:
            api_state.health = (time.monotonic(), health.check(application, notifier.ping))
        return api_state.health[1]


@router.get("/api")
def about(request: Request) -> dict[str, Any]:
    """Name, version and where to go from here."""
    return {
        "name": request.app.title,
        "version": request.app.version,
        "links": {
            "documentation": "/docs",
            "description": "/openapi.json",
            "health": "/health",
            "live": "/health/live",
            "ready": "/health/ready",
            "transcribe": "/api/v1/transcribe",
            "tasks": "/api/v1/tasks",
            "recordings": "/api/v1/recordings",
            "search": "/api/v1/search?q=",
        },
    }
