"""What every request of this port passes, whether it is for a page, a websocket or the API.

Only names of this installation are answered, which keeps other web sites out that point a name of their
own here (DNS rebinding); headers have a limit; and every answer carries the headers that keep browsers
from framing, sniffing or caching it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.settings import Settings

HEADERS_BYTES = 64 * 1024
"""Room for all headers of a request together."""
ANSWERS = frozenset({"http.response.start", "websocket.http.response.start"})
API_PREFIXES = (
    "/api",
    "/v1",
    "/transcribe",
    "/health",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/sound",
)
"""Where programs are answered; everything else is the pages'."""

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "microphone=(self), camera=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
FRAMING = "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
PAGES_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' data: blob:; "
    f"font-src 'self' data:; connect-src 'self' blob: data:; worker-src 'self' blob:; {FRAMING}"
)
"""Streamlit's page has a script in it, runs the scripts of components from blobs, and draws charts with Vega,
which compiles its expressions."""
DOCS_POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    f"img-src 'self' data:; connect-src 'self'; {FRAMING}"
)
"""Swagger UI is started by a script in its page and styles its elements."""
API_POLICY = f"default-src 'none'; {FRAMING}"


class Guard:
    """The outermost layer of the port. Pure ASGI, so that websockets pass it too."""

    def __init__(self, app: ASGIApp, settings: Callable[[], Settings]) -> None:
        self._app = app
        self._settings = settings

    @functools.cached_property
    def _named(self) -> ASGIApp:
        hosts = self._settings().served_hosts
        return TrustedHostMiddleware(self._app, allowed_hosts=hosts, www_redirect=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse foreign names (400) and large headers (431); add our headers to whatever is answered."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def secured(message: Message) -> None:
            if message["type"] in ANSWERS:
                secure(MutableHeaders(scope=message), scope["path"])
            await send(message)

        large = sum(len(name) + len(value) for name, value in scope["headers"]) > HEADERS_BYTES
        await (_too_large if large else self._named)(scope, receive, secured)


def for_programs(path: str) -> bool:
    """Whether this is an address of the API."""
    return any(path == prefix or path.startswith(f"{prefix}/") for prefix in API_PREFIXES)


def secure(headers: MutableHeaders, path: str) -> None:
    """Add what the answer for this path does not say itself."""
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Content-Security-Policy", _policy(path))
    if for_programs(path):
        headers.setdefault("Cache-Control", "no-store")


async def broken_page(request: Request, _error: Exception) -> Response:
    """The answer when a page's address breaks: outside of every middleware, so it is secured here."""
    response = PlainTextResponse("Internal Server Error", 500)
    secure(response.headers, request.url.path)
    return response


def _policy(path: str) -> str:
    if path == "/docs":
        return DOCS_POLICY
    return API_POLICY if for_programs(path) else PAGES_POLICY


async def _too_large(scope: Scope, receive: Receive, send: Send) -> None:
    response = PlainTextResponse("Request Header Fields Too Large", 431, {"Connection": "close"})
    await response(scope, receive, send)
