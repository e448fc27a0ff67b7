"""What needs no key: is it well, and what is here."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from api.callers import Here
from core.monitor import health
from jobs.installation import notifier

router = APIRouter(tags=["state"])


@router.get("/health", responses={503: {"description": "No work can be accepted now; says why."}})
def healthy(application: Here) -> JSONResponse:
    """The state of each part; 503 when no work can be accepted."""
    state = health.check(application, notifier.ping)
    return JSONResponse(state.as_json(), 200 if state.accepts else 503)


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
            "transcribe": "/api/v1/transcribe",
            "tasks": "/api/v1/tasks",
            "recordings": "/api/v1/recordings",
            "search": "/api/v1/search?q=",
        },
    }
