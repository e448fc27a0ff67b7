"""What every request of this port passes, whether it is for a page, a websocket or the API.

Only names of this installation are answered, which keeps other web sites out that point a name of their
own here (DNS rebinding); headers have a limit; and every answer carries the headers that keep browsers
from framing, sniffing or caching it.
"""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from api.proxies import Proxies
from core.i18n import catalogue
from core.i18n.messages import N_
from core.settings import Settings

HEADERS_BYTES = 64 * 1024
"""Room for all headers of a request together."""
HEADERS_LIMIT = "64 KiB"
FOREIGN = N_(
    "Stenogram does not answer under this name. Use the address it was started with, or have the name added"
    " to ALLOWED_HOSTS."
)
TOO_LARGE = N_("The headers of this request are larger than {limit}. Delete the cookies of this site.")
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
        self._inner = app
        self._believing = Proxies(app, settings)
        self._settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse foreign names (400) and large headers (431); add our headers to whatever is answered."""
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return

        async def secured(message: Message) -> None:
            if message["type"] in ANSWERS:
                secure(MutableHeaders(scope=message), scope["path"])
            await send(message)

        app: ASGIApp = self._believing
        if sum(len(name) + len(value) for name, value in scope["headers"]) > HEADERS_BYTES:
            too_large = refusal(
                scope, HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_LARGE, limit=HEADERS_LIMIT
            )
            too_large.headers["Connection"] = "close"
            app = too_large
        elif not await self._is_named(scope, receive):
            app = refusal(scope, HTTPStatus.BAD_REQUEST, FOREIGN)
        await app(scope, receive, secured)

    async def _is_named(self, scope: Scope, receive: Receive) -> bool:
        """Whether a name of ours is asked for. What the middleware answers itself nobody could read."""
        named = False

        async def allow(*_: object) -> None:
            nonlocal named
            named = True

        async def drop(_message: Message) -> None:
            return

        hosts = self._settings().served_hosts
        await TrustedHostMiddleware(allow, hosts, www_redirect=False)(scope, receive, drop)
        return named


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
    response = refusal(request.scope, HTTPStatus.INTERNAL_SERVER_ERROR, problems.SENTENCES[500])
    secure(response.headers, request.url.path)
    return response


def _policy(path: str) -> str:
    if path == "/docs":
        return DOCS_POLICY
    return API_POLICY if for_programs(path) else PAGES_POLICY


def refusal(scope: Scope, status: HTTPStatus, template: str, **facts: object) -> Response:
    """A sentence in the reader's language: a problem for programs, plain text for people."""
    language = catalogue.language(Headers(scope=scope).get("accept-language"))
    detail = catalogue.gettext(template, language, **facts)
    if for_programs(scope["path"]):
        return problems.answer(scope["path"], status, problems.code_of(status), detail)
    return PlainTextResponse(detail, status)
