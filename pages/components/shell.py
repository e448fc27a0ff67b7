"""The HTML that every page begins with: Streamlit's own, with a head of ours.

Streamlit's script would try the page's own path for its server first, which costs two failed requests on
every deep link; ours tells it where the server is, what the page looks like until the script runs, and which
files it will need.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HERE = Path(__file__).parent
HEAD = (HERE / "head.html").read_text()
FRAME = (HERE / "body.html").read_text()
LOOKS = (HERE / "pages.css").read_text()
"""How all pages look, there before the first of them is drawn. In the body: of two rules that are equally exact
the later holds, and Streamlit writes its own into the head."""
FILES = Path(streamlit.__file__).parent / "static" / "static"
ELEMENTS = ("Html", "ButtonGroup", "TextInput", "PageLink", "Button", "Selectbox", "Metric", "BidiComponent")
"""What nearly every page is drawn with. Streamlit would ask for each only when it meets the first of its kind."""
IMPORT = re.compile(r"""(?:from|import)["'`]\./((?!index\.)[\w.-]+\.js)["'`]""")
"""As their builder writes it."""
ICONS = "MaterialSymbols-Rounded"
VALIDATORS = ("etag", "last-modified")
"""Of Streamlit's file, not of what we make of it."""


class Shell:
    """Adds our head to the HTML of pages. Pure ASGI, so that websockets pass it too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Only what a browser opens is changed; scripts and websockets pass."""
        if scope["type"] != "http" or "text/html" not in Headers(scope=scope).get("accept", ""):
            await self._app(scope, receive, send)
            return
        unconditional = ("accept-encoding", "if-none-match", "if-modified-since")
        headers = [(name, value) for name, value in scope["headers"] if name.decode() not in unconditional]
        await self._app({**scope, "headers": headers}, receive, _Rewritten(send).take)


class _Rewritten:
    """One answer: if it is HTML it is collected, changed and sent as a whole."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._start: Message | None = None
        self._body = b""

    async def take(self, message: Message) -> None:
        """In the place of `send`."""
        if message["type"] == "http.response.start" and _is_html(message):
            self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if not message.get("more_body"):
            body = with_head(self._body.decode()).encode()
            headers = MutableHeaders(scope=self._start)
            headers["content-length"] = str(len(body))
            for name in VALIDATORS:
                if name in headers:
                    del headers[name]
            await self._send(self._start)
            await self._send({"type": "http.response.body", "body": body})


@functools.cache
def preloads() -> str:
    """Links that have the browser fetch the scripts of ELEMENTS, and what they import, beside the first one."""
    scripts: dict[str, None] = {}
    waiting = [file.name for name in reversed(ELEMENTS) for file in (FILES / "js").glob(f"{name}.*.js")]
    while waiting:
        name = waiting.pop()
        if name not in scripts:
            scripts[name] = None
            waiting += IMPORT.findall((FILES / "js" / name).read_text())
    fonts = [
        f'<link rel="preload" href="./static/media/{file.name}" as="font" type="font/woff2" crossorigin>'
        for file in (FILES / "media").glob(f"{ICONS}.*.woff2")
    ]
    modules = [f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in scripts]
    return "\n".join([*fonts, *modules])


def with_head(html: str) -> str:
    """Streamlit's page with our head and our looks, and with our frame where its script will draw."""
    html = re.sub(r"<title>.*?</title>", "<title>Stenogram</title>", html, count=1)
    html = html.replace("<head>", f"<head>\n{HEAD}", 1)
    html = html.replace("</head>", f"{preloads()}\n</head>", 1)
    body = f'<div id="root">{FRAME}</div>\n<style>\n{LOOKS}</style>'
    return html.replace('<div id="root"></div>', body, 1)


def _is_html(message: Message) -> bool:
    headers = Headers(raw=message["headers"])
    return message["status"] == 200 and headers.get("content-type", "").startswith("text/html")
