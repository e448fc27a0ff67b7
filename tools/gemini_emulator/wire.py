"""Requests, answers and refusals as they travel between a client and Gemini."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from typing import Any

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
RPC = "type.googleapis.com/google.rpc."


class ConnectionCut(Exception):
    """Raised by an answer's body where the connection ends."""


@dataclass(frozen=True)
class Request:
    """One HTTP request; case does not matter in `headers`; `names` holds the variable parts of its path."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Message
    body: bytes
    names: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        """The body with camelCase names, as both spellings are allowed. Raise Refusal if it is not JSON."""
        return read_json(self.body)


@dataclass(frozen=True)
class Answer:
    """What goes back. The body may raise ConnectionCut, also before its first piece."""

    status: int
    body: Iterable[bytes]
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """An error as Google APIs report it."""

    def __init__(self, code: int, message: str, *details: object) -> None:
        super().__init__(message)
        self.code = code
        self.error = {"code": code, "message": message, "status": STATUSES.get(code, "UNKNOWN")}
        if details:
            self.error["details"] = list(details)

    def answer(self) -> Answer:
        return say({"error": self.error}, self.code)


def say(value: object, status: int = 200, **headers: str) -> Answer:
    """A JSON answer; underscores in names of headers become hyphens."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, [json.dumps(value).encode()], {"Content-Type": "application/json", **named})


def read_json(text: bytes) -> Any:
    """Parse, and turn snake_case names into camelCase. Raise Refusal if it is not JSON."""
    try:
        return _camel(json.loads(text or b"{}"))
    except ValueError as error:
        raise Refusal(400, f"Invalid JSON payload received. {error}") from error


def timestamp(unix_s: float) -> str:
    """A moment as Google APIs write it."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat().replace("+00:00", "Z")


def _camel(value: Any) -> Any:
    if isinstance(value, dict):
        return {re.sub(r"_([a-z])", lambda m: m[1].upper(), k): _camel(v) for k, v in value.items()}
    return [_camel(item) for item in value] if isinstance(value, list) else value
