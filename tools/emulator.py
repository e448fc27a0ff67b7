"""What emulated providers share: a ledger, a clock that tests move, and faults.

A provider is a class with `CALLS`; its methods answer. Faults strike the next calls that they fit:
`refuse` cuts before anything happened, `drop` after it was done; `hang`, `drip`, `truncate`, `html`,
`busy`, `error` and `revoked` say what they are. All of them are as in the Gemini emulator.
"""

from __future__ import annotations

import re
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from email.message import Message
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Self
from urllib.parse import parse_qsl

from python_multipart.multipart import MultipartParser, parse_options_header

from jobs.stop import StopRequest
from tools.gemini_emulator import faults
from tools.gemini_emulator.wire import Answer, Request, say
from tools.loopback import Server
from tools.recognition import TranscribedSegment, recognise

DONE = {"drop", "hang", "drip", "truncate"}
"""Faults of the answer only: the call was carried out."""

_DEFAULTS: dict[str, dict[str, Any]] = {
    name: {key: value for key, value in faults.ANSWER[name].items() if key != "done"}
    for name in ("refuse", "drop", "hang", "drip", "truncate", "html")
} | {
    "busy": {"retry_after": None},
    "error": {"code": 503, "message": "Unavailable"},
    "revoked": {"code": 401},
}


@dataclass(frozen=True)
class Call:
    """One request that arrived, and the fault that struck it."""

    name: str
    path: str
    status: int
    fault: str
    key: str


@dataclass
class _Fault:
    name: str
    times: int | None
    call: str
    skip: int
    options: dict[str, Any]


class Refused(Exception):
    """A call that this provider refuses: status and body."""

    def __init__(self, status: int, body: object) -> None:
        super().__init__(str(body))
        self.answer = say(body, status)


class Emulator:
    """A provider in this process, used as a context. `key` is the only one it takes; "" takes all."""

    CALLS: ClassVar[tuple[tuple[str, str, str], ...]] = ()
    """Method name, HTTP method, pattern of the path; the first that fits."""
    OPEN: ClassVar[frozenset[str]] = frozenset()
    """Calls that need no key."""

    def __init__(
        self,
        *,
        key: str = "",
        recognise: Callable[[bytes, str], TranscribedSegment] = recognise,
        port: int = 0,
    ) -> None:
        self.key = key
        self.recognise = recognise
        self.calls: list[Call] = []
        self.lock = threading.RLock()
        self._port = port
        self._faults: list[_Fault] = []
        self._offset_s = 0.0
        self._server: Server | None = None

    # What tests do

    def fault(
        self, name: str, times: int | None = 1, *, call: str = "*", skip: int = 0, **options: object
    ) -> None:
        """Make something go wrong the next `times` times, or always with None."""
        defaults = _DEFAULTS.get(name, {})
        self._faults.append(_Fault(name, times, call, skip, {**defaults, **options}))

    def clear_faults(self) -> None:
        """From now on all goes well."""
        self._faults.clear()

    def advance(self, seconds: float) -> None:
        """Move the clock forward."""
        self._offset_s += seconds

    def count(self, name: str) -> int:
        """How many requests of this name arrived, whatever became of them."""
        return sum(call.name == name for call in self.calls)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Listen, at the same port as before if there was one."""
        self._server = Server(self._port, self.answer)
        self._port = self._server.server_port
        self._server.start()

    def stop(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # What providers do

    def now(self) -> float:
        return time.time() + self._offset_s

    def take(self, name: str) -> bool:
        """Whether a fault of this provider's own strikes now; it is used up once."""
        with self.lock:
            active = next((fault for fault in self._faults if fault.name == name), None)
            return active is not None and bool(self._use(active))

    def refuse_key(self) -> Answer:
        """How this provider refuses a key."""
        return say({"error": {"message": f"Incorrect API key provided: {self.key}.", "code": "invalid"}}, 401)

    def answer(self, request: Request) -> Answer:
        """Carry out one request, unless a fault prevents it."""
        name, request = self._recognise(request)
        fault = self._matching_fault(name)
        done = fault is None or fault.name in DONE
        answer = self._carry_out(name, request) if done else Answer(200, [])
        if fault is not None:
            answer = self._corrupted(fault, answer)
        fault_name = fault.name if fault else ""
        key = request.headers.get("Authorization", "").removeprefix("Bearer ")
        self.calls.append(Call(name, f"{request.method} {request.path}", answer.status, fault_name, key))
        return answer

    def _recognise(self, request: Request) -> tuple[str, Request]:
        for name, method, pattern in self.CALLS:
            if method == request.method and (match := re.fullmatch(pattern, request.path)):
                return name, replace(request, names=match.groupdict())
        return "unknown", request

    def _carry_out(self, name: str, request: Request) -> Answer:
        if name == "unknown":
            return say({"error": "not found"}, 404)
        if self.key and name not in self.OPEN and not self._known(request):
            return self.refuse_key()
        try:
            answer: Answer = getattr(self, name)(request)
        except Refused as refused:
            return refused.answer
        return answer

    def _known(self, request: Request) -> bool:
        return request.headers.get("Authorization", "").removeprefix("Bearer ") == self.key

    def _matching_fault(self, name: str) -> _Fault | None:
        with self.lock:
            for fault in self._faults:
                if fault.name not in _DEFAULTS or not fnmatchcase(name, fault.call):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                return self._use(fault)
        return None

    def _use(self, fault: _Fault) -> _Fault:
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self._faults.remove(fault)
        return fault

    def _stopping(self) -> threading.Event:
        return self._server.stopping if self._server else threading.Event()

    def _corrupted(self, fault: _Fault, answer: Answer) -> Answer:
        match fault.name:
            case "busy":
                wait = fault.options["retry_after"]
                headers = {} if wait is None else {"Retry_After": str(wait)}
                return say({"error": {"message": "Rate limit reached"}}, 429, **headers)
            case "error":
                return say({"error": {"message": fault.options["message"]}}, fault.options["code"])
            case "revoked":
                refused = self.refuse_key()
                return replace(refused, status=fault.options["code"])
        return faults.apply_fault(fault.name, fault.options, answer, self._stopping())


def form(request: Request) -> tuple[dict[str, str], dict[str, bytes]]:
    """The fields and files of a multipart form."""
    _, options = parse_options_header(request.headers.get("Content-Type", ""))
    if b"boundary" not in options:
        return dict(parse_qsl(request.body.decode())), {}
    reader = _Parts()
    parser = MultipartParser(options[b"boundary"], reader.callbacks())
    parser.write(request.body)
    parser.finalize()
    return reader.fields, reader.files


class _Parts:
    """Gathers what the multipart parser finds."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}
        self.files: dict[str, bytes] = {}

    def callbacks(self) -> dict[str, Any]:
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._field.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._value.extend(data[start:end]),
            "on_header_end": self._header,
            "on_part_data": lambda data, start, end: self._data.extend(data[start:end]),
            "on_part_end": self._end,
        }

    def _begin(self) -> None:
        self._about = Message()
        self._field, self._value, self._data = bytearray(), bytearray(), bytearray()

    def _header(self) -> None:
        self._about[self._field.decode()] = self._value.decode()
        self._field, self._value = bytearray(), bytearray()

    def _end(self) -> None:
        name = str(self._about.get_param("name", "", "content-disposition"))
        if self._about.get_filename():
            self.files[name] = bytes(self._data)
        else:
            before = self.fields.get(name)
            text = bytes(self._data).decode()
            self.fields[name] = text if before is None else f"{before},{text}"


def serve(emulator: Emulator) -> None:
    """Run until SIGTERM or Ctrl-C, and say where."""
    ended = StopRequest()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with emulator:
        print(emulator.url, flush=True)
        ended.wait()
