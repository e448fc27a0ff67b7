"""Batches: create, get, list, cancel, delete, and the file of results.

Nothing runs in the background: what a batch is, follows from its row and the virtual clock.
A text is billed when its batch has ended with a usable vector of it.
"""

from __future__ import annotations

import json
import random
import secrets
import sqlite3
from collections.abc import Iterator
from typing import Any

from tools.gemini_emulator import faults, files, texts
from tools.gemini_emulator.store import Store
from tools.gemini_emulator.wire import Answer, Refusal, Request, read_json, say, timestamp

LIFE_S = 48 * 3600
"""How long a batch may run, and how long its results are kept after that."""

_TYPE = "type.googleapis.com/google.ai.generativelanguage.v1main.EmbedContentBatch"

_ENDS = {
    "BATCH_STATE_EXPIRED": {"code": 4, "message": "The batch did not finish within 48 hours."},
    "BATCH_STATE_CANCELLED": {"code": 1, "message": "The operation was cancelled."},
}

Line = tuple[str | None, str, int, dict[str, Any] | None]
"""What a line of results is made of: key, text, dimension, flaw."""


def create(store: Store, request: Request) -> Answer:
    """Accept a batch; every call makes a new one, as with Gemini."""
    model = texts.known_model(request)
    payload = request.json().get("batch", {})
    source = payload.get("inputConfig", {})
    requests = [_read_line(request, line) for line in _lines(store, source)]
    _refuse_over_quota(store, [item for item, _ in requests])
    active_faults = store.take_faults("create", set(faults.VECTOR | faults.LINE | faults.LIFE))
    flawed = texts.flaws(active_faults, [item.key for item, _ in requests])
    batch = _insert(store, model, payload, source.get("fileName"), dict(active_faults))
    for place, (item, wrong) in enumerate(requests):
        texts.note(store, item, wrong or flawed.get(place), batch)
    return say(_operation(store, _find(store, request, batch)))


def get_batch(store: Store, request: Request) -> Answer:
    return say(_operation(store, _find(store, request)))


def list_batches(store: Store, request: Request) -> Answer:
    """The newest first, in pages, each batch from its own moment on."""
    size = int(min(int(request.query.get("pageSize", 50)), store.setting("page_size")))
    rows = store.rows(
        "SELECT * FROM batches WHERE NOT deleted AND listed_at <= ? AND id < ? ORDER BY id DESC LIMIT ?",
        store.now(),
        int(request.query.get("pageToken", 1 << 60)),
        size + 1,
    )
    operations = [_operation(store, batch, inlined=False) for batch in rows[:size]]
    page = {"operations": operations} if rows else {}
    return say(page | ({"nextPageToken": str(rows[size - 1]["id"])} if len(rows) > size else {}))


def cancel(store: Store, request: Request) -> Answer:
    """End a live batch; what it finished before is kept only where a fault says so."""
    batch = _find(store, request)
    quirks = json.loads(batch["quirks"])
    if batch["ends_at"] <= store.now() or "cancel_late" in quirks:
        return say({})
    kept_count = quirks.get("cancel_keeps", {}).get("count", 0)
    store.rows(
        "UPDATE batches SET final = 'BATCH_STATE_CANCELLED', ends_at = ?, output = ? WHERE id = ?",
        store.now(),
        kept_count > 0,
        batch["id"],
    )
    store.rows(
        "UPDATE texts SET usable = 0, flaw = ? WHERE batch = ? AND id NOT IN "
        "(SELECT id FROM texts WHERE batch = ? ORDER BY id LIMIT ?)",
        json.dumps({"name": "cancelled"}),
        batch["id"],
        batch["id"],
        kept_count,
    )
    return say({})


def delete_batch(store: Store, request: Request) -> Answer:
    """Forget a batch; one that runs goes on, and costs."""
    store.rows("UPDATE batches SET deleted = 1 WHERE id = ?", _find(store, request)["id"])
    return say({})


def download_result(store: Store, request: Request) -> Answer:
    """The lines of a batch's result, made while they are sent."""
    batch = store.row("SELECT * FROM batches WHERE name = ?", request.names["batch"])
    now = store.now()
    if batch is None or not batch["output"] or not batch["ends_at"] <= now < batch["ends_at"] + LIFE_S:
        raise Refusal(404, "Requested entity was not found.")
    lines = _planned(store, batch)
    body = (json.dumps(line).encode() + b"\n" for line in _results(batch["model"], lines))
    return Answer(200, body, {"Content-Type": "application/octet-stream"})


def _lines(store: Store, source: dict[str, Any]) -> list[dict[str, Any]]:
    if "fileName" in source:
        return [read_json(line) for line in files.lines(store, source["fileName"])]
    inlined: list[dict[str, Any]] = source.get("requests", {}).get("requests", [])
    return [line | {"key": line.get("metadata", {}).get("key")} for line in inlined]


def _read_line(request: Request, line: dict[str, Any]) -> tuple[texts.EmbedRequest, dict[str, Any] | None]:
    """One line of input, and the error that its result will be if it makes no sense."""
    key = line.get("key")
    try:
        return texts.read_embed_request(request, line.get("request", {}), key), None
    except Refusal as refusal:
        wrong = {"name": "error_line", "code": 3, "message": str(refusal), "field": "error"}
        return texts.EmbedRequest(texts.known_model(request), "", 1, key=key), wrong


def _insert(
    store: Store, model: str, payload: dict[str, Any], file: str | None, quirks: dict[str, dict[str, Any]]
) -> int:
    now = store.now()
    takes_s = quirks.get("slow", {}).get("seconds", store.setting("processing_s"))
    if "stuck" in quirks or takes_s >= LIFE_S:
        takes_s, final = LIFE_S, "BATCH_STATE_EXPIRED"
    elif "fail" in quirks:
        final = "BATCH_STATE_FAILED"
    else:
        final = quirks.get("odd_state", {}).get("state", "BATCH_STATE_SUCCEEDED")
    return store.insert(
        "batches",
        name=secrets.token_hex(18),
        model=model,
        display_name=payload.get("displayName"),
        file=file,
        created_at=now,
        starts_at=now + takes_s / 4,
        ends_at=now + takes_s,
        listed_at=now + quirks.get("list_lag", {}).get("seconds", store.setting("list_lag_s")),
        final=final,
        output=final not in {"BATCH_STATE_EXPIRED", "BATCH_STATE_FAILED"},
        deleted=0,
        quirks=json.dumps(quirks),
    )


def _refuse_over_quota(store: Store, requests: list[texts.EmbedRequest]) -> None:
    live = store.rows("SELECT id FROM batches WHERE ends_at > ?", store.now())
    waiting = "SELECT sum(tokens) AS tokens FROM texts JOIN batches ON batches.id = batch WHERE ends_at > ?"
    row = store.row(waiting, store.now())
    enqueued = ((row and row["tokens"]) or 0) + sum(texts.tokens(item.model, item.text) for item in requests)
    if len(live) >= store.setting("live_batches") or enqueued > store.setting("enqueued_tokens"):
        raise Refusal(429, "Resource has been exhausted (e.g. check quota).")


def _find(store: Store, request: Request, row_id: int | None = None) -> sqlite3.Row:
    """A batch by its row, or by the name in the path. Raise Refusal (404) if it is unknown or deleted."""
    name = request.names.get("batch")
    batch = store.row("SELECT * FROM batches WHERE (id = ? OR name = ?) AND NOT deleted", row_id, name)
    if batch is None:
        raise Refusal(404, "Requested entity was not found.")
    return batch


def _operation(store: Store, batch: sqlite3.Row, *, inlined: bool = True) -> dict[str, object]:
    now = store.now()
    quirks = json.loads(batch["quirks"])
    done = batch["ends_at"] <= now
    metadata: dict[str, object] = {
        "@type": _TYPE,
        "name": f"batches/{batch['name']}",
        "model": f"models/{batch['model']}",
        "displayName": batch["display_name"],
        "state": state(batch, now),
        "createTime": timestamp(batch["created_at"]),
        "updateTime": timestamp(min(now, batch["ends_at"])),
        "inputConfig": {"fileName": batch["file"]} if batch["file"] else {},
        "batchStats": _stats(store, batch, done=done),
        "priority": "0",
    }
    operation: dict[str, object] = {"name": metadata["name"], "metadata": metadata}
    if not done:
        return operation
    metadata["endTime"] = timestamp(batch["ends_at"])
    operation["done"] = True
    if error := quirks.get("fail") if batch["final"] == "BATCH_STATE_FAILED" else _ENDS.get(batch["final"]):
        operation["error"] = {"code": error["code"], "message": error["message"]}
    if batch["output"]:
        output = _output(store, batch, inlined=inlined)
        operation["response"] = {"@type": f"{_TYPE}Output", **output}
        if "output_in_response" not in quirks:
            metadata["output"] = output
    return operation


def state(batch: sqlite3.Row, now: float) -> str:
    """What the batch is now, in the words of the wire."""
    if batch["ends_at"] <= now:
        return str(batch["final"])
    return "BATCH_STATE_RUNNING" if batch["starts_at"] <= now else "BATCH_STATE_PENDING"


def _stats(store: Store, batch: sqlite3.Row, *, done: bool) -> dict[str, str]:
    flaws = store.rows("SELECT json_extract(flaw, '$.name') AS flaw FROM texts WHERE batch = ?", batch["id"])
    failed = sum(row["flaw"] in {"error_line", "cancelled"} for row in flaws)
    good = len(flaws) - failed if batch["output"] else 0
    counts = {
        "requestCount": len(flaws),
        "successfulRequestCount": good if done else 0,
        "failedRequestCount": len(flaws) - good if done else 0,
        "pendingRequestCount": 0 if done else len(flaws),
    }
    return {name: str(count) for name, count in counts.items() if count}


def _output(store: Store, batch: sqlite3.Row, *, inlined: bool) -> dict[str, object]:
    if batch["file"]:
        return {"responsesFile": f"files/batch-{batch['name']}"}
    if not inlined:
        return {}
    answers = [_without_key(line) for line in _results(batch["model"], _planned(store, batch))]
    return {"inlinedResponses": {"inlinedResponses": answers}}


def _without_key(line: dict[str, Any]) -> dict[str, Any]:
    key = line.pop("key")
    return line | ({"metadata": {"key": key}} if key is not None else {})


def _planned(store: Store, batch: sqlite3.Row) -> list[Line]:
    """The lines of a result in the order in which they will stand there."""
    quirks = json.loads(batch["quirks"])
    rows = store.rows("SELECT key, text, dim, flaw FROM texts WHERE batch = ? ORDER BY id", batch["id"])
    lines: list[Line] = [
        (row["key"], row["text"], row["dim"], json.loads(row["flaw"]) if row["flaw"] else None)
        for row in rows
    ]
    for key, text, dim, flaw in list(lines):
        if flaw and flaw["name"] == "duplicate":
            lines.append((key, f"not {text}" if flaw["other"] else text, dim, None))
    dim = lines[0][2] if lines else texts.MAX_DIM
    unknown = quirks.get("unknown", {}).get("count", 0)
    lines += [(f"unknown_{number}", "nobody asked", dim, None) for number in range(unknown)]
    if "shuffle" in quirks:
        random.Random(quirks["shuffle"]["seed"]).shuffle(lines)
    return lines


def _results(model: str, lines: list[Line]) -> Iterator[dict[str, Any]]:
    for key, text, dim, flaw in lines:
        match flaw and flaw["name"]:
            case "missing" | "cancelled":
                continue
            case "error_line" if flaw:
                error = {"code": flaw["code"], "message": flaw["message"]}
                yield {flaw["field"]: error, "key": key}
            case _:
                values = texts.vector(model, text, dim, flaw)
                tokens = str(texts.tokens(model, text))
                yield {"response": {"tokenCount": tokens, "embedding": {"values": values}}, "key": key}
