"""Every way to misbehave. A fault strikes the next call that it fits, `times` times (None: always).

Options of every fault: `call`, a pattern over the calls' names (`create`, `download`, `upload_*`;
server.py lists them), and `skip`, how many fitting calls to leave alone first.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterator
from threading import Event
from typing import Any

from tools.gemini_emulator.wire import RPC, Answer, ConnectionCut, Refusal

ANSWER: dict[str, dict[str, Any]] = {
    # What goes wrong with one answer. `done`: whether the call was carried out nevertheless.
    "refuse": {"done": False},  # the connection closes, nothing happened
    "drop": {"done": True, "after_bytes": 0},  # it happened, then the connection closed
    "hang": {"done": True, "seconds": 30},  # silence in real time, then the connection closes
    "drip": {"done": True, "piece_bytes": 16, "pause_s": 0.01},  # a slow answer, whole in the end
    "busy": {"done": False, "retry_after_s": None, "daily": False},  # 429, with or without RetryInfo
    "error": {"done": False, "code": 503, "message": "The service is currently unavailable."},
    "html": {"done": False, "code": 200},  # a proxy's page instead of JSON
    "revoked_key": {"done": False, "code": 400},  # also 401 and 403
    "truncate": {"done": True, "lost_bytes": 20},  # the body ends early as if that were its end
}
VECTOR: dict[str, dict[str, Any]] = {
    # What goes wrong with vectors, of a sync answer or of the next batch: `count` first ones, or `keys`.
    "nan": {"count": 1, "keys": None, "bare": False},  # "NaN" in quotes, as protobuf writes it, or bare
    "inf": {"count": 1, "keys": None, "bare": False},
    "zero": {"count": 1, "keys": None},
    "wrong_dimension": {"count": 1, "keys": None},
    "missing": {"count": 1, "keys": None},
}
LINE: dict[str, dict[str, Any]] = {
    # What goes wrong with lines of the next batch's result.
    "shuffle": {"seed": 1},
    "unknown": {"count": 1},  # lines that nobody asked for
    "duplicate": {"count": 1, "keys": None, "other": False},  # `other`: the second has a foreign vector
    "error_line": {"count": 1, "keys": None, "code": 13, "message": "Internal error.", "field": "error"},
}
LIFE: dict[str, dict[str, Any]] = {
    # What goes wrong in the life of the next batch.
    "fail": {"code": 13, "message": "Internal error encountered."},
    "stuck": {},  # runs until it expires after 48 hours
    "slow": {"seconds": 3600},  # its own processing time
    "list_lag": {"seconds": 30},  # its own lag
    "cancel_late": {},  # cancelling is answered but comes too late
    "cancel_keeps": {"count": 1},  # cancelled, with so many finished results
    "odd_state": {"state": "BATCH_STATE_PARTIALLY_SUCCEEDED"},  # instead of SUCCEEDED
    "output_in_response": {},  # the result's name is only in `response`, where the client does not look
}
FAULTS = ANSWER | VECTOR | LINE | LIFE


def full_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """A fault's options with defaults. Raise ValueError for unknown names."""
    if name not in FAULTS:
        raise ValueError(f"no fault {name}; there are {', '.join(FAULTS)}")
    defaults = {"call": "*", "skip": 0, **FAULTS[name]}
    if unknown := set(options) - set(defaults):
        raise ValueError(f"{name} has no option {', '.join(unknown)}; it has {', '.join(defaults)}")
    return defaults | options


def apply_fault(name: str, options: dict[str, Any], answer: Answer, stopping: Event) -> Answer:
    """The answer as this fault leaves it."""
    return _STRIKES[name](answer, options, stopping)


def choose(options: dict[str, Any], keys: list[str | None], taken: Container[int]) -> list[int]:
    """Positions that a fault of vectors or lines strikes: those of its keys, or the first free ones."""
    if options["keys"] is not None:
        return [place for place, key in enumerate(keys) if key in options["keys"]]
    free = (place for place in range(len(keys)) if place not in taken)
    return list(itertools.islice(free, options["count"]))


def corrupt(values: list[float], flaw: dict[str, Any] | None) -> list[Any]:
    """A vector as its flaw leaves it."""
    match flaw and flaw["name"]:
        case "nan" | "inf" as name:
            word = {"nan": "NaN", "inf": "Infinity"}[name]
            return [float(word) if flaw and flaw["bare"] else word, *values[1:]]
        case "zero":
            return [0.0] * len(values)
        case "wrong_dimension":
            return values[:-1]
    return values


def _drop(answer: Answer, options: dict[str, Any], stopping: Event) -> Answer:
    def body() -> Iterator[bytes]:
        stopping.wait(options.get("seconds", 0))
        left = options.get("after_bytes", 0)
        for piece in answer.body:
            if left <= 0:
                break
            yield piece[:left]
            left -= len(piece)
        raise ConnectionCut

    return Answer(answer.status, body(), answer.headers)


def _send_slowly(answer: Answer, options: dict[str, Any], stopping: Event) -> Answer:
    def body() -> Iterator[bytes]:
        size = options["piece_bytes"]
        for piece in answer.body:
            for start in range(0, len(piece), size):
                stopping.wait(options["pause_s"])
                yield piece[start : start + size]

    return Answer(answer.status, body(), answer.headers)


def _truncate(answer: Answer, options: dict[str, Any], _: Event) -> Answer:
    def body() -> Iterator[bytes]:
        sent_bytes = b""
        for piece in answer.body:
            sent_bytes += piece
            yield sent_bytes[: -options["lost_bytes"]]
            sent_bytes = sent_bytes[-options["lost_bytes"] :]

    return Answer(answer.status, body(), answer.headers)


def _busy(_: Answer, options: dict[str, Any], __: Event) -> Answer:
    period = "Day" if options["daily"] else "Minute"
    quota = {
        "quotaMetric": "generativelanguage.googleapis.com/embed_content_free_tier_requests",
        "quotaId": f"EmbedContentRequestsPer{period}PerUserPerProjectPerModel-FreeTier",
        "quotaValue": "100",
    }
    link = {"description": "Learn more", "url": "https://ai.google.dev/gemini-api/docs/rate-limits"}
    details: list[object] = [{"@type": RPC + "Help", "links": [link]}]
    if options["retry_after_s"] is not None or options["daily"]:
        details.append({"@type": RPC + "QuotaFailure", "violations": [quota]})
    if options["retry_after_s"] is not None:
        details.append({"@type": RPC + "RetryInfo", "retryDelay": f"{options['retry_after_s']}s"})
    return Refusal(429, "You exceeded your current quota, please check your plan.", *details).answer()


def _error(_: Answer, options: dict[str, Any], __: Event) -> Answer:
    return Refusal(options["code"], options["message"]).answer()


def _html(_: Answer, options: dict[str, Any], __: Event) -> Answer:
    page = b"<!doctype html><title>Sign in</title><p>Please sign in to the network."
    return Answer(options["code"], [page], {"Content-Type": "text/html; charset=utf-8"})


def _revoked_key(_: Answer, options: dict[str, Any], __: Event) -> Answer:
    reason = {"@type": RPC + "ErrorInfo", "reason": "API_KEY_INVALID", "domain": "googleapis.com"}
    message = "API key not valid. Please pass a valid API key."
    return Refusal(options["code"], message, *[reason] * (options["code"] == 400)).answer()


_STRIKES: dict[str, Callable[[Answer, dict[str, Any], Event], Answer]] = {
    "refuse": _drop,
    "drop": _drop,
    "hang": _drop,
    "drip": _send_slowly,
    "busy": _busy,
    "error": _error,
    "html": _html,
    "revoked_key": _revoked_key,
    "truncate": _truncate,
}
