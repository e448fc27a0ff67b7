"""Who is believed about where a request comes from, and about whom it comes from: `TRUSTED_PROXIES` alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from core.settings import Settings


class Proxies:
    """Takes the headers that name a person from every request that does not come from a trusted proxy.

    Uvicorn's own middleware puts the address that such a proxy names in the place of its own; so whoever
    comes later can no longer see who it was.
    """

    def __init__(self, app: ASGIApp, settings: Callable[[], Settings]) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pure ASGI, so that websockets pass it too."""
        settings = self._settings()
        app: Any = self._app  # uvicorn has types of its own for ASGI
        believing = ProxyHeadersMiddleware(app, trusted_hosts=settings.trusted_proxies)
        client = scope.get("client")
        if client is None or client[0] not in believing.trusted_hosts:
            named = {settings.proxy_user_header, settings.proxy_groups_header}
            dropped = {name.lower().encode() for name in named if name}
            headers = [(name, value) for name, value in scope["headers"] if name.lower() not in dropped]
            scope = {**scope, "headers": headers}
        asked: Any = scope
        receiving: Any = receive
        sending: Any = send
        await believing(asked, receiving, sending)
