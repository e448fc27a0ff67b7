"""The API behind a real server on a free port of this machine."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import HTMLResponse

from api import build
from api.guard import Guard
from api.server import options as server_options
from core.application import Application
from core.principal import EVERYONE
from tests import drive

PAGE = "/page"
"""An empty page under the policy of the pages: what a browser may play there, it plays on ours."""


@dataclass
class Served:
    """An installation that can be called."""

    app: Application
    url: str

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        """Somebody who calls it, with a new key unless one is given."""
        key = self.app.keys.make(EVERYONE, "test") if key is None else key
        return httpx.Client(base_url=self.url, headers={"X-API-Key": key, **headers}, timeout=60)


@contextmanager
def serve(app: Application) -> Iterator[Served]:
    """Serve until this is left."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    programs = build(lambda: app)
    programs.add_route(PAGE, _page)
    guarded = Guard(programs, lambda: app.settings)
    options = server_options()
    server = uvicorn.Server(uvicorn.Config(guarded, log_level="warning", lifespan="off", **options))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield Served(app, f"http://127.0.0.1:{listening.getsockname()[1]}")
    finally:
        server.should_exit = True
        thread.join(10)


@contextmanager
def working(app: Application) -> Iterator[None]:
    """Do ready work beside the test until this is left."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.05):
            drive.perform_all(app)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)


def _page(_request: Request) -> HTMLResponse:
    return HTMLResponse("<!doctype html><title>Page</title>")
