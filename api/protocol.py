"""The parser of requests: what is no HTTP, or too much of it, is refused in words, as everything else is."""

from __future__ import annotations

import asyncio
import sys

import h11
from starlette.datastructures import MutableHeaders
from uvicorn.protocols.http.h11_impl import H11Protocol

from api import problems
from api.guard import HEADERS_LIMIT, TOO_LARGE, secure

MALFORMED = "This is not an HTTP request that can be understood."
TOO_LONG = 431
HEAD_S = 20.0
"""So long the headers of a request may take to arrive."""


class Protocol(H11Protocol):
    """uvicorn's own, with our answer to what it cannot read. No language is known then: English.

    And with a bound that uvicorn lacks: the head of a request comes within `HEAD_S`, or the connection is
    closed; it needs no key, and connections are few.
    """

    _head_timer: asyncio.TimerHandle | None = None
    _is_websocket = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The head of the first request is waited for."""
        super().connection_made(transport)
        self._await_head()

    def data_received(self, data: bytes) -> None:
        """The head has come, or a part of the next one."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.response_complete:  # type: ignore[redundant-expr] # None at first
            self._cancel_head()
        elif self._head_timer is None and not self._is_websocket:
            self._await_head()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """From here on another protocol speaks."""
        self._is_websocket = True
        self._cancel_head()
        super().handle_websocket_upgrade(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is there any more."""
        self._cancel_head()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_S, self.transport.close)

    def _cancel_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words, of no use to anybody
        """400, or 431 where headers have no end; then the connection is closed."""
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            for event in _refusal(sys.exception()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()  # also where the answer has begun, and the rest of the request is nonsense


def _refusal(error: BaseException | None) -> tuple[h11.Response, h11.Data, h11.EndOfMessage]:
    status = error.error_status_hint if isinstance(error, h11.RemoteProtocolError) else 400
    detail = TOO_LARGE.format(limit=HEADERS_LIMIT) if status == TOO_LONG else MALFORMED
    answer = problems.answer("/api", status, problems.code_of(status), detail)
    headers = MutableHeaders(raw=[*answer.raw_headers, (b"connection", b"close")])
    secure(headers, "/api")
    response = h11.Response(status_code=status, headers=headers.raw)
    return response, h11.Data(data=bytes(answer.body)), h11.EndOfMessage()
