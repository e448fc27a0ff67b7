"""The port itself: which names it answers to, what every answer carries, how large headers may be."""

from __future__ import annotations

import asyncio
import http.client
import re
import socket

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.guard import TOO_LARGE, Guard, broken_page
from api.proxies import Proxies
from core.settings import Settings
from tests.installation import generous, problem
from tests.serve import serve
from tests.tool import Pages

OURS = ("localhost", "127.0.0.1", "[::1]", "LOCALHOST", "stenogram.example", "a.team.example")
FOREIGN = (
    "evil.example",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "evil.example#localhost",
    "localhost@evil.example",
    "team.example",
    "127.0.0.2",
    "169.254.169.254",
    "",
)
HANDSHAKE = (
    "GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nOrigin: http://{host}\r\nConnection: Upgrade\r\n"
    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


async def accept(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("in")
    await websocket.close()


async def page(_request):
    return PlainTextResponse("page")


async def broken(_request):
    raise RuntimeError("inside")


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return Settings(
        stenogram_home=tmp_path_factory.mktemp("guard"), allowed_hosts="stenogram.example, *.team.example"
    )


@pytest.fixture(scope="module")
def guarded(settings):
    routes = [Route("/", page), Route("/broken", broken), WebSocketRoute("/_stcore/stream", accept)]
    app = Starlette(routes=routes, exception_handlers={500: broken_page})
    return TestClient(Guard(app, lambda: settings), raise_server_exceptions=False)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(generous(tmp_path_factory.mktemp("served"))) as served:
        yield served


@pytest.mark.parametrize("host", OURS)
def test_our_names_are_answered(guarded, host):
    assert guarded.get("/", headers={"Host": f"{host}:8501"}).text == "page"
    with guarded.websocket_connect("/_stcore/stream", headers={"Host": f"{host}:8501"}) as websocket:
        assert websocket.receive_text() == "in"


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("path", ["/", "/_stcore/metrics", "/api/v1/tasks", "/health", "/nothing"])
def test_another_name_is_refused_at_every_address(guarded, host, path):
    refused = guarded.get(path, headers={"Host": f"{host}:8501" if host else ""})

    assert refused.status_code == 400
    assert refused.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("host", FOREIGN)
def test_another_name_gets_no_websocket(guarded, host):
    with (
        pytest.raises(WebSocketDisconnect),
        guarded.websocket_connect("/_stcore/stream", headers={"Host": f"{host}:8501"}),
    ):
        pass


def test_the_api_is_not_answered_under_another_name(served):
    assert httpx.get(f"{served.url}/health").status_code == 200
    assert httpx.get(f"{served.url}/health", headers={"Host": "evil.example:8501"}).status_code == 400


def test_an_address_of_ipv6_to_listen_on_is_a_name_of_ours():
    assert "[fd00::5]" in Settings(host="fd00::5").served_hosts


def assert_secure(answer: httpx.Response) -> None:
    policy = answer.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "object-src 'none'" in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert "microphone=(self)" in answer.headers["permissions-policy"]
    assert "server" not in answer.headers


def test_every_route_of_the_api_answers_with_the_headers(served):
    described = httpx.get(f"{served.url}/openapi.json").json()["paths"]
    hidden = [
        "/docs",
        "/docs/swagger-ui.css",
        "/openapi.json",
        f"/sound/{'0' * 32}",
        "/api/live",
        "/v1/nothing",
    ]
    tried = [(method, path) for path, operations in described.items() for method in operations]
    assert len(tried) > 20
    with served.client() as me, served.client("") as nobody:
        for method, path in [*tried, *(("get", path) for path in hidden)]:
            for client in (me, nobody):
                answer = client.request(method, re.sub(r"\{\w+\}", "0" * 32, path))
                assert_secure(answer)
                if not path.startswith("/docs/"):  # two files of a package
                    assert "no-store" in answer.headers["cache-control"], (method, path)


def test_an_address_that_breaks_answers_with_the_headers_too(guarded):
    refused = guarded.get("/broken", headers={"Host": "localhost"})

    assert refused.status_code == 500
    assert_secure(refused)


@pytest.mark.parametrize("headers", [{"X-Large": "x" * 70_000}, {f"X-{n}": "x" * 1000 for n in range(70)}])
def test_headers_have_a_limit_without_a_key(served, guarded, headers):
    refused = httpx.get(f"{served.url}/health", headers=headers)
    assert refused.status_code in {400, 431}, "by the parser, or by us if all of it came at once"
    for path in ("/", "/api/v1/tasks"):
        refused = guarded.get(path, headers={**headers, "Host": "localhost"})
        assert refused.status_code == 431
        assert "larger than 64 KiB" in refused.text


def test_headers_without_an_end_are_not_collected(served):
    """The parser itself refuses; nobody waits for the rest."""
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Large: " + b"x" * 200_000)
        refused = answer_of(connection)
    assert problem(refused, 431)["detail"] == TOO_LARGE.format(limit="64 KiB")
    assert_secure(refused)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"hello\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET /health HTTP/1.1\r\nno colon\r\n\r\n",
        b"POST /api HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /api HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n",  # TLS
    ],
)
def test_what_is_no_request_is_refused_in_words(served, nonsense):
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(nonsense)
        refused = answer_of(connection)
        assert connection.recv(100) == b"", "closed"

    assert "understood" in str(problem(refused, refused.status_code)["detail"])
    assert refused.status_code in {400, 501}
    assert_secure(refused)


def answer_of(connection: socket.socket) -> httpx.Response:
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return httpx.Response(answer.status, headers=answer.getheaders(), content=answer.read())


@pytest.mark.parametrize(("language", "word"), [("en", "under this name"), ("ru", "по этому имени")])
@pytest.mark.parametrize("path", ["/", "/api/v1/tasks", "/_stcore/health"])
def test_the_refusal_of_a_foreign_name_says_what_to_do(guarded, path, language, word):
    refused = guarded.get(path, headers={"Host": "evil.example", "Accept-Language": language})

    text = problem(refused, 400)["detail"] if path.startswith("/api") else refused.text
    assert word in text
    assert "ALLOWED_HOSTS" in text


def test_nobody_is_believed_about_addresses_unless_they_are_named():
    def client_of(settings: Settings) -> str:
        addresses = []

        async def app(scope, _receive, _send):
            addresses.append(scope["client"][0])

        scope = {
            "type": "http",
            "client": ("127.0.0.1", 1),
            "scheme": "http",
            "headers": [(b"x-forwarded-for", b"203.0.113.9")],
        }
        asyncio.run(Proxies(app, lambda: settings)(scope, None, None))
        return addresses[0]

    assert client_of(Settings(trusted_proxies="")) == "127.0.0.1"
    assert client_of(Settings(trusted_proxies="10.0.0.0/8")) == "127.0.0.1"
    assert client_of(Settings(trusted_proxies="127.0.0.1")) == "203.0.113.9"


def status_line(port: int, request: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(request.encode())
        return connection.recv(100).partition(b"\r\n")[0]


def test_the_pages_take_a_websocket_of_ours_only_and_answer_with_the_headers(tmp_path):
    """The pages' own process, by a raw websocket: what a page of another site could send by DNS rebinding."""
    with Pages(tmp_path / "home") as tool:
        evil = status_line(tool.port, HANDSHAKE.format(host=f"evil.example:{tool.port}"))
        own_status = status_line(tool.port, HANDSHAKE.format(host=f"localhost:{tool.port}"))
        metrics = httpx.get(f"{tool.url}/_stcore/metrics", headers={"Host": "evil.example"})
        pages = [
            httpx.get(f"{tool.url}{path}")
            for path in ("/", "/settings", "/_stcore/health", "/static/no", "/api")
        ]

    assert b" 101 " in own_status
    assert b" 400 " in evil or b" 403 " in evil
    assert metrics.status_code == 400
    for answer in pages:
        assert_secure(answer)
