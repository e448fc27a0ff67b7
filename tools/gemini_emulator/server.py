"""HTTP on loopback: which request is which call, and how faults come between."""

from __future__ import annotations

import itertools
import re
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tools.gemini_emulator import batches, control, faults, files, texts
from tools.gemini_emulator.store import Store
from tools.gemini_emulator.wire import Answer, ConnectionCut, Refusal, Request

_MODEL = r"/v\w+/models/(?P<model>[^:/]+)"
_BATCH = r"/v\w+/batches/(?P<batch>[^:/]+)"
_FILE = r"/v\w+/files/(?P<file>[^:/]+)"

CALLS: list[tuple[str, str, str, Callable[[Store, Request], Answer]]] = [
    ("embed", "POST", rf"{_MODEL}:batchEmbedContents", texts.embed),
    ("embed_one", "POST", rf"{_MODEL}:embedContent", texts.embed_one),
    ("count_tokens", "POST", rf"{_MODEL}:countTokens", texts.count_tokens),
    ("model_list", "GET", r"/v\w+/models", texts.list_models),
    ("model_get", "GET", _MODEL, texts.get_model),
    ("upload_chunk", "POST", r"/upload/v\w+/files\?upload_id=.*", files.upload_chunk),
    ("upload_start", "POST", r"/upload/v\w+/files", files.start_upload),
    ("file_get", "GET", _FILE, files.get_file),
    ("file_list", "GET", r"/v\w+/files", files.list_files),
    ("file_delete", "DELETE", _FILE, files.delete_file),
    (
        "download",
        "GET",
        r"(?:/download)?/v\w+/files/batch-(?P<batch>[^:/]+):download",
        batches.download_result,
    ),
    ("download", "GET", rf"(?:/download)?{_FILE}:download", files.download),
    ("create", "POST", rf"{_MODEL}:asyncBatchEmbedContent", batches.create),
    ("batch_get", "GET", _BATCH, batches.get_batch),
    ("batch_list", "GET", r"/v\w+/batches", batches.list_batches),
    ("cancel", "POST", rf"{_BATCH}:cancel", batches.cancel),
    ("batch_delete", "DELETE", _BATCH, batches.delete_batch),
]


class Server(ThreadingHTTPServer):
    """The emulator while it runs. `stop` cuts connections that are still open, as a kill would."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, folder: Path | None) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.store = Store(folder)
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
        self.store.close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def answer(self, request: Request) -> Answer:
        """Carry out one request in one transaction, unless a fault prevents it."""
        try:
            with self.store.transaction():
                if request.path.startswith("/_control/"):
                    return control.answer(self.store, request)
                return self._answer_call(request)
        except Refusal as refusal:
            return refusal.answer()

    def _answer_call(self, request: Request) -> Answer:
        call, run, request = _recognise(request)
        struck = self.store.take_faults(call, set(faults.ANSWER), most=1)
        answer = Answer(200, [])
        if not struck or struck[0][1]["done"]:
            answer = _carry_out(self.store, request, call, run)
        for name, options in struck:
            answer = faults.strike(name, options, answer, self.stopping)
        fault = struck[0][0] if struck else None
        path = f"{request.method} {request.path}"
        self.store.insert(
            "calls", at=self.store.now(), call=call, path=path, status=answer.status, fault=fault
        )
        return answer


def _recognise(request: Request) -> tuple[str, Callable[[Store, Request], Answer], Request]:
    path = request.path
    if "upload_id" in request.query:
        path += f"?upload_id={request.query['upload_id']}"
    for call, method, pattern, run in CALLS:
        if method == request.method and (found := re.fullmatch(pattern, path)):
            return call, run, replace(request, names=found.groupdict())
    raise Refusal(404, f"{request.method} {request.path} is nothing that Gemini answers.")


def _carry_out(store: Store, request: Request, call: str, run: Callable[[Store, Request], Answer]) -> Answer:
    try:
        if call != "upload_chunk" and not (request.headers.get("x-goog-api-key") or request.query.get("key")):
            raise Refusal(403, "Method doesn't allow unregistered callers. Please use API Key.")
        return run(store, request)
    except Refusal as refusal:
        return refusal.answer()


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was faster


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version = "GeminiEmulator"
    wbufsize = 1 << 16  # head and body in one packet
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        query = dict(parse_qsl(parts.query))
        body = self.rfile.read(length)
        if len(body) < length:  # the client died while it spoke
            self.close_connection = True
            return
        request = Request(self.command, parts.path, query, self.headers, body)
        try:
            self._send(self.server.answer(request))
        except (ConnectionCut, ConnectionError):
            self.close_connection = True
            _cut(self.connection)

    do_POST = do_DELETE = do_GET  # noqa: N815 - http.server's spelling

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
