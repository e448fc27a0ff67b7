"""HTTP on loopback for emulated providers: requests come in whole, answers go out in chunks or break off."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tools.gemini_emulator.wire import Answer, ConnectionCut, Request


class Server(ThreadingHTTPServer):
    """Answers while it runs. `stop` cuts connections that are still open, as a kill would."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, answer: Callable[[Request], Answer]) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer
        self.stopping = threading.Event()
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopping.set()
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            _cut(connection)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was faster


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "Emulator"
    wbufsize = 1 << 16  # head and body in one packet
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length) if length else self._chunks()
        if len(body) < length:  # the client died while it spoke
            self.close_connection = True
            return
        request = Request(self.command, parts.path, dict(parse_qsl(parts.query)), self.headers, body)
        try:
            self._send(self.server.answer(request))
        except (ConnectionCut, ConnectionError):
            self.close_connection = True
            _cut(self.connection)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815 - http.server's spelling

    def _chunks(self) -> bytes:
        body = b""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().strip(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        return body

    def _send(self, answer: Answer) -> None:
        """Write in chunks; wait for the first, as the connection may end before it."""
        pieces = iter(answer.body)
        first = next(pieces, b"")
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Transfer-Encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in filter(None, itertools.chain([first], pieces)):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            if len(piece) < 1024:
                self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Say nothing: the ledger knows it all."""
