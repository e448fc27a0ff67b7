"""The doors for programs: a FastAPI application beside the pages, on the same port."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

PREFIXES = ("/api", "/v1", "/transcribe", "/health", "/metrics", "/docs", "/openapi.json", "/sound")

api = FastAPI(title="Stenogram")


class Doors:
    """Sends what programs ask for to the API and everything else to the pages.

    Pure ASGI: a middleware that knew only HTTP would let every websocket through unseen.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._pages = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Choose by the first part of the path."""
        path = scope.get("path", "")
        ours = scope["type"] == "http" and any(path == p or path.startswith(f"{p}/") for p in PREFIXES)
        await (api if ours else self._pages)(scope, receive, send)
