"""Forty who send slowly, or stop in the middle, beside normal work; and how long each is waited for."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from websockets.sync.client import connect

from api import forms, protocol
from api.server import options
from core.principal import EVERYONE
from tests.installation import done, generous, upload
from tests.serve import serve
from tests.tool import until

TUS = {"Tus-Resumable": "1.0.0"}
SLOW = 40


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(generous(tmp_path_factory.mktemp("slow"))) as served:
        yield served


def heads(key: str, place: str) -> list[bytes]:
    """Beginnings of requests that never end: in the head, in a form, in a piece of an upload."""
    keyed = f"Host: localhost\r\nX-API-Key: {key}\r\n"
    form = "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 100000\r\n\r\n"
    part = '--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF'
    piece = f"{keyed}Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\nContent-Length: 100000\r\n"
    kind = "Content-Type: application/offset+octet-stream\r\n\r\n"
    chunked = "Transfer-Encoding: chunked\r\nContent-Type: multipart/form-data; boundary=b\r\n\r\n4"
    return [
        b"GET /api/v1/tasks HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
        f"POST /api/v1/transcribe HTTP/1.1\r\n{keyed}{form}{part}".encode(),
        f"POST /v1/audio/transcriptions HTTP/1.1\r\n{keyed}{form}{part}".encode(),
        f"PATCH {place} HTTP/1.1\r\n{piece}{kind}RIFF".encode(),
        f"POST /api/v1/transcribe HTTP/1.1\r\n{keyed}{chunked}".encode(),
    ]


def test_forty_slow_senders_keep_nobody_else_waiting(served, clip, monkeypatch):
    """However long they stay, which is bounded otherwise."""
    monkeypatch.setattr(protocol, "HEAD_S", 3600.0)
    monkeypatch.setattr(forms, "SILENCE_S", 3600.0)
    host, port = served.url.removeprefix("http://").split(":")
    with contextlib.ExitStack() as stack, served.client(**TUS) as me:
        senders = []
        for n in range(SLOW):
            key = served.app.keys.make(EVERYONE, f"slow {n}")
            with served.client(key, **TUS) as slow:
                place = slow.post("/api/v1/uploads", headers={"Upload-Length": "100000"}).headers["location"]
            known = heads(key, place)
            sender = stack.enter_context(socket.create_connection((host, int(port)), timeout=30))
            sender.sendall(known[n % len(known)])
            senders.append(sender)
        until(
            lambda: len(list(served.app.blobs.folder.glob(".incoming-*"))) >= SLOW // 5,
            30,
            "the slow to begin",
        )

        task_id = done(served, me, clip, language="en")
        for _ in range(5):
            for sender in senders:
                sender.sendall(b"0")  # still there
            assert me.get(f"/api/v1/tasks/{task_id}").json()["status"] == "completed"
            assert me.get("/api/v1/search?q=morning&mode=words").json()["total"] == 1
            assert upload(me, clip).status_code == 202
            assert httpx.get(f"{served.url}/health").status_code == 200

    until(lambda: not list(served.app.blobs.folder.glob(".incoming-*")), 60, "nothing of them to be left")


@pytest.mark.parametrize("kind", [1, 2, 3])
def test_who_falls_silent_in_a_body_is_sent_away(served, monkeypatch, kind):
    monkeypatch.setattr(forms, "SILENCE_S", 0.3)
    key = served.app.keys.make(EVERYONE, "silent")
    with served.client(key, **TUS) as me:
        place = me.post("/api/v1/uploads", headers={"Upload-Length": "100000"}).headers["location"]

    answered = exchange(served.url, heads(key, place)[kind])

    assert answered.startswith(b"HTTP/1.1 400")
    assert not list(served.app.blobs.folder.glob(".incoming-*"))


@pytest.mark.parametrize(
    "head", [b"", b"GET", b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", b"POST /api HTTP/1.1\r\n"]
)
def test_who_falls_silent_in_a_head_is_sent_away(served, monkeypatch, head):
    """It needs no key to hold a connection so, and connections are few."""
    monkeypatch.setattr(protocol, "HEAD_S", 0.3)

    assert exchange(served.url, head) == b""


def test_the_second_head_of_a_connection_has_the_same_bound(served, monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_S", 0.3)
    first = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"

    answered = exchange(served.url, first + b"GET /health/live HTTP/1.1\r\nHost: loc")

    assert answered.startswith(b"HTTP/1.1 200")
    assert answered.count(b"HTTP/1.1 ") == 1


def test_a_websocket_and_a_long_answer_outlive_the_bound(monkeypatch):
    """They have sent their head; what comes later is theirs to time."""
    monkeypatch.setattr(protocol, "HEAD_S", 0.2)

    async def echo(websocket):
        await websocket.accept()
        with contextlib.suppress(Exception):
            while True:
                await websocket.send_text(await websocket.receive_text())

    async def slowly(scope, receive, send):
        if scope["type"] == "websocket":
            await Starlette(routes=[WebSocketRoute("/", echo)])(scope, receive, send)
            return
        await asyncio.sleep(1)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"late"})

    with listening(slowly) as port:
        assert httpx.get(f"http://127.0.0.1:{port}/").text == "late"
        with connect(f"ws://127.0.0.1:{port}/") as websocket:
            with pytest.raises(TimeoutError):
                websocket.recv(timeout=1)
            websocket.send("still here")
            assert websocket.recv(timeout=30) == "still here"


@contextlib.contextmanager
def listening(app):
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_level="warning", lifespan="off", **options())
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [place]}, daemon=True)
        thread.start()
        until(lambda: server.started, 30, "the server")
        try:
            yield place.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(10)


def exchange(url: str, beginning: bytes) -> bytes:
    """All that is answered to a request that goes no further, until the connection is closed."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(beginning)
        return b"".join(iter(lambda: connection.recv(65536), b""))
