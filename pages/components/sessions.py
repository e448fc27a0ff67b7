"""Sessions of people who signed in, as the port sees them: what they opened ends when they sign out.

Streamlit keeps who somebody is in a signed cookie and reads it once a websocket. Here a session is looked at
whenever a websocket opens or a file is asked for, and a websocket is closed when its session ends.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.auth_util import get_cookie_with_chunks
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

from core.application import Application
from core.clients import people
from core.clients.people import Identity
from core.errors import NotInvited, SignInNeeded
from core.settings import Settings
from jobs.installation import application

FILES = ("/media/", "/_stcore/upload_file/")
"""What Streamlit hands out and takes outside of websockets."""
SIGN_OUT = "/auth/logout"
POLICY_VIOLATION = 1008


def sign_in_secrets(app: Application) -> dict[str, Any]:
    """The `OIDC_*` settings as Streamlit wants them, kept in memory alone; nothing where they are not set."""
    settings = app.settings
    if not settings.oidc_issuer:
        return {}
    return {
        "auth": {
            "redirect_uri": settings.redirect_url,
            "cookie_secret": app.keys.derived("cookies"),
            "client_id": settings.oidc_client_id,
            "client_secret": settings.oidc_client_secret.get_secret_value(),
            "server_metadata_url": f"{settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration",
            "client_kwargs": {"scope": settings.oidc_scopes, "code_challenge_method": "S256"},
        }
    }


class Sessions:
    """Asks who comes, where people sign in. Pure ASGI, so that websockets pass it too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._sockets: dict[str, set[asyncio.Event]] = defaultdict(set)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Files only for who is signed in; websockets as long as they are."""
        settings = application().settings
        if scope["type"] == "lifespan" or not settings.requires_sign_in:
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await self._watched(scope, receive, send)
        elif scope["path"] == SIGN_OUT:
            await self._sign_out(scope, receive, send)
        elif scope["path"].startswith(FILES) and not await run_in_threadpool(_is_signed_in, scope):
            await PlainTextResponse("Sign in first.", 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _sign_out(self, scope: Scope, receive: Receive, send: Send) -> None:
        """End this session everywhere; its websockets when the cookie is gone, with which they come again."""
        identity = identity_of(scope, application().settings)
        session = identity.session if identity else ""
        if session:
            await run_in_threadpool(application().people.end, session)
        await self._app(scope, receive, send)
        for ended in self._sockets.pop(session, set()):
            ended.set()

    async def _watched(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A websocket, until its session ends; one without a session is told to sign in, and resumes nothing."""
        identity = identity_of(scope, application().settings)
        if identity is None or not await run_in_threadpool(_is_signed_in, scope):
            await self._app(_anew(scope), receive, send)
            return
        left_s = application().people.ends_in_s(identity)
        if left_s is None:
            await self._app(scope, receive, send)
            return
        ended = asyncio.Event()
        self._sockets[identity.session].add(ended)
        timer = asyncio.get_running_loop().call_later(max(0.0, left_s), ended.set)
        try:
            await self._app(scope, _Ending(ended, receive, send).receive, send)
        finally:
            timer.cancel()
            self._sockets[identity.session].discard(ended)
            if not self._sockets[identity.session]:
                del self._sockets[identity.session]


def _anew(scope: Scope) -> Scope:
    """A websocket that begins a session of Streamlit's: it names none to go on with, as the third protocol."""
    headers = [
        (name, b",".join(value.split(b",")[:2]) if name == b"sec-websocket-protocol" else value)
        for name, value in scope["headers"]
    ]
    return {**scope, "headers": headers}


class _Ending:
    """The messages of a websocket, the last of which is that its session has ended."""

    def __init__(self, ended: asyncio.Event, receive: Receive, send: Send) -> None:
        self._ended = ended
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        """In the place of `receive`."""
        coming = asyncio.ensure_future(self._receive())
        ending = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({coming, ending}, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                return coming.result()
        finally:
            ending.cancel()
            coming.cancel()
        await self._send({"type": "websocket.close", "code": POLICY_VIOLATION})
        return {"type": "websocket.disconnect", "code": POLICY_VIOLATION}


def identity_of(scope: Scope, settings: Settings) -> Identity | None:
    """Whom the cookie of a request proves, or the header of a trusted proxy."""
    connection = HTTPConnection(scope)
    if settings.proxy_user_header:
        groups = connection.headers.get(settings.proxy_groups_header, "")
        return people.of_headers(connection.headers.get(settings.proxy_user_header, ""), groups)
    claims = _claims(connection.cookies)
    return people.of_claims(claims, settings) if claims.get("is_logged_in") else None


def _claims(cookies: Mapping[str, str]) -> dict[str, Any]:
    """What Streamlit has signed of the provider's answer; nothing for a cookie that it has not."""

    def signed(name: str) -> bytes | None:
        value = cookies.get(name)
        return decode_signed_value(get_cookie_secret(), name, value.encode("latin-1")) if value else None

    kept = get_cookie_with_chunks(signed, USER_COOKIE_NAME)
    claims: dict[str, Any] = json.loads(kept) if kept else {}
    return claims


def _is_signed_in(scope: Scope) -> bool:
    app = application()
    try:
        app.people.principal(identity_of(scope, app.settings))
    except (SignInNeeded, NotInvited):
        return False
    return True
