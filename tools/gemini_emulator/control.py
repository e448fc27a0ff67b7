"""What tests ask the emulator itself, under /_control/; it needs no key and leaves no trace.

POST faults     {"name": "busy", "times": 2, "options": {"retry_after_s": 17}}; times null: always
DELETE faults
POST clock      {"advance_s": 60}
POST settings   {"processing_s": 0}
GET ledger
"""

from __future__ import annotations

import json
from typing import Any

from tools.gemini_emulator import batches, faults
from tools.gemini_emulator.store import Store
from tools.gemini_emulator.wire import Answer, Refusal, Request, say


def answer(store: Store, request: Request) -> Answer:
    """Carry out one control request. Raise Refusal if it makes no sense."""
    payload: dict[str, Any] = json.loads(request.body or b"{}")
    match request.method, request.path.removeprefix("/_control/"):
        case "POST", "faults":
            _add_fault(store, payload)
        case "DELETE", "faults":
            store.rows("DELETE FROM faults")
        case "POST", "clock":
            store.change("clock_offset_s", store.setting("clock_offset_s") + payload["advance_s"])
        case "POST", "settings":
            _set(store, payload)
        case "GET", "ledger":
            return say(_ledger(store))
        case _:
            raise Refusal(404, "There are POST and DELETE faults, POST clock, POST settings, GET ledger.")
    return say({"now": store.now()})


def _add_fault(store: Store, payload: dict[str, Any]) -> None:
    try:
        options = faults.full_options(payload["name"], payload.get("options", {}))
    except ValueError as error:
        raise Refusal(400, str(error)) from error
    store.insert("faults", name=payload["name"], times=payload.get("times", 1), options=json.dumps(options))


def _set(store: Store, payload: dict[str, float]) -> None:
    try:
        for name, value in payload.items():
            store.change(name, value)
    except KeyError as error:
        raise Refusal(400, f"no setting {error}") from error


def _ledger(store: Store) -> dict[str, object]:
    now = store.now()
    batches_by_id = {batch["id"]: batch for batch in store.rows("SELECT * FROM batches ORDER BY id")}
    lines = store.rows("SELECT * FROM texts ORDER BY id")
    texts = []
    for line in lines:
        batch = batches_by_id.get(line["batch"])
        ready = batch is None or (batch["output"] and batch["ends_at"] <= now)
        own = {
            "batch": f"batches/{batch['name']}" if batch else None,
            "billed": bool(ready and line["usable"]),
        }
        plain = ("at", "model", "dim", "key", "text", "tokens", "task_type")
        texts.append({name: line[name] for name in plain} | own | {"truncated": bool(line["truncated"])})
    return {
        "calls": [dict(call) for call in store.rows("SELECT * FROM calls ORDER BY rowid")],
        "texts": texts,
        "batches": [
            {
                "name": f"batches/{batch['name']}",
                "display_name": batch["display_name"],
                "state": batches.state(batch, now),
                "deleted": bool(batch["deleted"]),
            }
            for batch in batches_by_id.values()
        ],
    }
