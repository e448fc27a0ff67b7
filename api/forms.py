"""Multipart uploads, parsed while they arrive: the file goes straight to the store, once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from fastapi import HTTPException, Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.errors import BadRequest, Code, TooLarge
from core.i18n.messages import N_
from core.storage.blobs import Blob, Store, Upload

PIECE_BYTES = 1 << 20
FIELDS_BYTES = 64 * 1024
"""Room for everything in a form that is not the file: fields, their names, headers and boundaries."""
SILENCE_S = 30.0
"""A sender that is silent for longer has gone."""
TOO_LARGE = N_("The body of this request is larger than 64 KiB.")
BODY = "stenogram.body"


@dataclass
class _Body:
    """What is known of the body of a request while it comes in."""

    received_bytes: int = 0
    is_streamed: bool = False


class SmallBodies:
    """Bodies that nobody reads as a stream are small: the framework keeps them before it asks for a key."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """413 with the first byte over the limit."""
        body = scope[BODY] = _Body()

        async def bounded() -> Message:
            message = await receive()
            body.received_bytes += len(message.get("body", b""))
            if body.received_bytes > FIELDS_BYTES and not body.is_streamed:
                raise HTTPException(413, TOO_LARGE)
            return message

        await self._app(scope, bounded, send)


class Form:
    """A multipart body on its way in. `write` may be called from any thread, one at a time."""

    def __init__(self, boundary: bytes, upload: Upload) -> None:
        self.fields: dict[str, list[str]] = {}
        self.filename: str | None = None
        self._upload = upload
        self._received_bytes = 0
        self._ended = False
        self._header: list[bytes] = [b"", b""]
        self._headers: dict[str, str] = {}
        self._field: bytearray | None = None
        self._name = ""
        callbacks: dict[str, Callable[..., None]] = {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_part,
            "on_part_data": self._on_data,
            "on_part_end": self._on_part_end,
            "on_end": self._on_end,
        }
        self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]

    def write(self, piece: bytes) -> None:
        """Take the next bytes. Raises BadRequest for what is no form, TooLarge, NoSpace."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise BadRequest(Code.FORM_MALFORMED) from error
        self._received_bytes += len(piece)
        if self._received_bytes - self._upload.size_bytes > FIELDS_BYTES:
            raise TooLarge(Code.FORM_FIELDS_TOO_LARGE, limit="64 KiB")

    def finish(self) -> Blob:
        """Keep the file for good.

        Raises BadRequest if there was none or the form ended before its closing boundary, UnreadableMedia
        if it is empty.
        """
        if self.filename is None:
            raise BadRequest(Code.FORM_WITHOUT_FILE)
        if not self._ended:
            raise BadRequest(Code.UPLOAD_INTERRUPTED)
        return self._upload.finish()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def _on_header_end(self) -> None:
        name, value = self._header
        self._headers[name.decode("latin-1").lower()] = value.decode("utf-8", "replace")
        self._header = [b"", b""]

    def _on_part(self) -> None:
        name, filename = _names(self._headers.get("content-disposition", ""))
        if name == "file":
            if self.filename is not None:
                raise BadRequest(Code.FORM_SEVERAL_FILES)
            self.filename, self._field = filename or "recording", None
        else:
            self._name, self._field = name, bytearray()

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is None:
            self._upload.write(data[start:end])
            return
        self._field += data[start:end]

    def _on_part_end(self) -> None:
        if self._field is not None:
            self.fields.setdefault(self._name, []).append(self._field.decode("utf-8", "replace"))

    def _on_end(self) -> None:
        self._ended = True


async def receive(request: Request, store: Store) -> tuple[Blob, Form]:
    """The file of a multipart request, durable, and its other fields.

    Raises TooLarge with the first byte over the limit, whatever Content-Length promised.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise BadRequest(Code.FORM_EXPECTED)
    with store.incoming(expected(request) - FIELDS_BYTES) as upload:
        form = Form(options[b"boundary"], upload)
        async for piece in pieces(request):
            await run_in_threadpool(form.write, piece)
        return await run_in_threadpool(form.finish), form


async def pieces(request: Request) -> AsyncIterator[bytes]:
    """The body in pieces of about a megabyte, so that a thread is asked seldom.

    What had arrived when the sender fell silent (BadRequest) or went (ClientDisconnect) is given before
    the error is raised.
    """
    request.scope.setdefault(BODY, _Body()).is_streamed = True
    waiting = bytearray()
    stream = request.stream()
    interrupted: Exception | None = None
    while interrupted is None:
        try:
            async with asyncio.timeout(SILENCE_S):
                arrived = await anext(stream, None)
        except TimeoutError:
            interrupted = BadRequest(Code.UPLOAD_INTERRUPTED)
            continue
        except ClientDisconnect as error:
            interrupted = error
            continue
        if arrived is None:
            break
        waiting += arrived
        if len(waiting) >= PIECE_BYTES:
            yield bytes(waiting)
            waiting.clear()
    if waiting:
        yield bytes(waiting)
    if interrupted:
        raise interrupted


def expected(request: Request) -> int:
    """What Content-Length promises, or 0."""
    promised = request.headers.get("content-length", "")
    return int(promised) if promised.isdecimal() else 0


def _names(disposition: str) -> tuple[str, str]:
    """Name and file name of a part; browsers and libraries write UTF-8 as it is."""
    _, options = parse_options_header(disposition.encode().decode("latin-1"))
    return tuple(options.get(key, b"").decode("utf-8", "replace") for key in (b"name", b"filename"))  # type: ignore[return-value]
