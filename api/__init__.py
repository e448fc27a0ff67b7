"""The doors for programs: a FastAPI application beside the pages, on the same port."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp, Receive, Scope, Send

from api import (
    classic,
    docs,
    estimate,
    live,
    metrics,
    monitor,
    openai,
    problems,
    recordings,
    search,
    state,
    tasks,
    uploads,
)
from api.callers import ApiState
from api.guard import Guard, for_programs
from core.application import Application
from core.monitor.live import Board
from jobs.installation import application

VERSION = "0.1.0"
ROUTERS = (
    tasks.router,
    recordings.router,
    recordings.sound_router,
    search.router,
    estimate.router,
    uploads.router,
    openai.router,
    classic.router,
    state.router,
    live.router,
    metrics.router,
    monitor.router,
    docs.router,
)


def build(application: Callable[[], Application]) -> FastAPI:
    """The API of an installation, which is opened with the first request."""
    api = FastAPI(title="Stenogram", version=VERSION, docs_url=None, redoc_url=None)
    api.state.api_state = ApiState(application)
    api.state.board = functools.cache(Board)
    api.add_middleware(uploads.SpeaksTus)
    problems.install(api)
    for router in ROUTERS:
        api.include_router(router)
    api.openapi = lambda: _description(api)  # type: ignore[method-assign]
    return api


def _description(api: FastAPI) -> dict[str, Any]:
    """OpenAPI, with our one shape of errors instead of FastAPI's own."""
    if api.openapi_schema is None:
        schema = get_openapi(title=api.title, version=api.version, routes=api.routes)
        schemas = schema["components"]["schemas"]
        schemas["Problem"] = problems.Problem.model_json_schema()
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for operation in (operation for path in schema["paths"].values() for operation in path.values()):
            operation["responses"].pop("422", None)
        api.openapi_schema = schema
    return api.openapi_schema


api = build(application)


class Dispatcher:
    """Sends what programs ask for to the API and everything else to the pages, past the same guard.

    Pure ASGI: a middleware that knew only HTTP would let every websocket through unseen.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._pages = app
        self._guard = Guard(self._choose, lambda: application().settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything passes the guard."""
        await self._guard(scope, receive, send)

    async def _choose(self, scope: Scope, receive: Receive, send: Send) -> None:
        """By the first part of the path."""
        ours = scope["type"] == "http" and for_programs(scope["path"])
        await (api if ours else self._pages)(scope, receive, send)
