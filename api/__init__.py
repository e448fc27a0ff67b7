"""The doors for programs: a FastAPI application beside the pages, on the same port."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.types import ASGIApp, Receive, Scope, Send

from api import (
    audit,
    bulk,
    classic,
    destinations,
    docs,
    estimate,
    forms,
    links,
    live,
    metrics,
    moments,
    monitor,
    openai,
    problems,
    recordings,
    recycle_bin,
    retranscriptions,
    saved_searches,
    search,
    sharing,
    sources,
    speakers,
    state,
    tasks,
    uploads,
    utterances,
    words,
)
from api.callers import SAFE, ApiState
from api.guard import Guard, for_programs
from core.application import Application
from core.monitor.live import Board
from jobs.installation import application

VERSION = "0.1.0"
ROUTERS = (
    tasks.router,
    bulk.router,
    recordings.router,
    recordings.sound_router,
    sharing.router,
    links.router,
    recycle_bin.router,
    speakers.router,
    utterances.router,
    retranscriptions.router,
    words.router,
    search.router,
    moments.router,
    saved_searches.router,
    sources.router,
    destinations.router,
    estimate.router,
    uploads.router,
    openai.router,
    classic.router,
    state.router,
    live.router,
    metrics.router,
    monitor.router,
    audit.router,
    docs.router,
)


def build(application: Callable[[], Application]) -> FastAPI:
    """The API of an installation, which is opened with the first request."""
    api = FastAPI(title="Stenogram", version=VERSION, docs_url=None, redoc_url=None)
    api.state.api_state = ApiState(application)
    api.state.board = functools.cache(Board)
    api.add_middleware(uploads.SpeaksTus)
    api.add_middleware(forms.SmallBodies)
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
        operations = [each for path in schema["paths"].values() for each in path.items()]
        for method, operation in operations:
            if operation.get("security") and method.upper() not in SAFE:
                operation["responses"].setdefault("403", problems.refusals(403)[403])
            operation["responses"].pop("422", None)
            if "requestBody" in operation:
                operation["responses"].setdefault("413", problems.refusals(413)[413])
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
        is_api = scope["type"] == "http" and for_programs(scope["path"])
        await (api if is_api else self._pages)(scope, receive, send)
