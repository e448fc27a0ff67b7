"""Files: resumable upload, get, list, delete, download. Each lives for 48 hours."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import secrets
import sqlite3
from collections.abc import Iterator

from tools.gemini_emulator.store import Store
from tools.gemini_emulator.wire import Answer, Refusal, Request, say, timestamp

LIFE_S = 48 * 3600
_PIECE_BYTES = 1 << 20


def start_upload(store: Store, request: Request) -> Answer:
    """Promise a place for a file; refuse a name that is taken (409)."""
    payload = request.json().get("file", {})
    name = payload.get("name") or f"files/{secrets.token_hex(6)}"
    if not re.fullmatch(r"files/[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", name):
        raise Refusal(400, "File ID must be 1 to 40 lowercase letters, digits or inner dashes.")
    _refuse_if_taken(store, name)
    upload = secrets.token_hex(16)
    header = "X-Goog-Upload-Header-Content-Type"
    mime_type = payload.get("mimeType") or request.headers.get(header, "application/octet-stream")
    file = {"name": name, "display_name": payload.get("displayName"), "mime_type": mime_type}
    store.insert("uploads", id=upload, file=json.dumps(file), data=b"")
    url = f"http://{request.headers['Host']}{request.path}?upload_id={upload}&upload_protocol=resumable"
    return Answer(200, [], {"X-Goog-Upload-URL": url, "X-Goog-Upload-Status": "active"})


def upload_chunk(store: Store, request: Request) -> Answer:
    """Take the next bytes; with the last of them the file exists."""
    upload = store.row("SELECT * FROM uploads WHERE id = ?", request.query["upload_id"])
    if upload is None:
        raise Refusal(404, "Upload not found.")
    if int(request.headers.get("X-Goog-Upload-Offset", "0")) != len(upload["data"]):
        raise Refusal(400, f"The upload stands at {len(upload['data'])} bytes.")
    data = upload["data"] + request.body
    if "finalize" not in request.headers.get("X-Goog-Upload-Command", ""):
        store.rows("UPDATE uploads SET data = ? WHERE id = ?", data, upload["id"])
        return Answer(200, [], {"X-Goog-Upload-Status": "active"})
    file = json.loads(upload["file"])
    _refuse_if_taken(store, file["name"])
    store.rows("DELETE FROM uploads WHERE id = ?", upload["id"])
    store.insert("files", **file, created_at=store.now(), data=data)
    described = _describe(find(store, file["name"]), request)
    return say({"file": described}, X_Goog_Upload_Status="final")


def get_file(store: Store, request: Request) -> Answer:
    return say(_describe(_find_short(store, request), request))


def list_files(store: Store, request: Request) -> Answer:
    """The newest first, in pages."""
    size = int(min(int(request.query.get("pageSize", 10)), store.setting("page_size")))
    before = int(request.query.get("pageToken", 1 << 60))
    rows = store.rows(
        "SELECT * FROM files WHERE id < ? AND created_at > ? ORDER BY id DESC LIMIT ?",
        before,
        store.now() - LIFE_S,
        size + 1,
    )
    page = {"files": [_describe(file, request) for file in rows[:size]]} if rows else {}
    return say(page | ({"nextPageToken": str(rows[size - 1]["id"])} if len(rows) > size else {}))


def delete_file(store: Store, request: Request) -> Answer:
    store.rows("DELETE FROM files WHERE id = ?", _find_short(store, request)["id"])
    return say({})


def download(store: Store, request: Request) -> Answer:
    """The bytes of an uploaded file."""
    data = find(store, f"files/{request.names['file']}")["data"]
    pieces = (data[start : start + _PIECE_BYTES] for start in range(0, len(data), _PIECE_BYTES))
    return Answer(200, pieces, {"Content-Type": "application/octet-stream"})


def find(store: Store, name: str) -> sqlite3.Row:
    """A file that still lives. Raise Refusal (403), as Gemini does for files it does not know."""
    oldest = store.now() - LIFE_S
    file = store.row("SELECT * FROM files WHERE name = ? AND created_at > ?", name, oldest)
    if file is None:
        short = name.removeprefix("files/")
        raise Refusal(403, f"You do not have permission to access the File {short} or it may not exist.")
    return file


def lines(store: Store, name: str) -> Iterator[bytes]:
    """The lines of a file that are not blank."""
    return (line for line in find(store, name)["data"].splitlines() if line.strip())


def _find_short(store: Store, request: Request) -> sqlite3.Row:
    if len(request.names["file"]) > 40:
        raise Refusal(400, "File ID (name excluding 'files/') cannot be more than 40 characters.")
    return find(store, f"files/{request.names['file']}")


def _refuse_if_taken(store: Store, name: str) -> None:
    store.rows("DELETE FROM files WHERE created_at <= ?", store.now() - LIFE_S)
    if store.row("SELECT id FROM files WHERE name = ?", name):
        raise Refusal(409, f"Requested entity already exists: {name}")


def _describe(file: sqlite3.Row, request: Request) -> dict[str, object]:
    digest = hashlib.sha256(file["data"]).hexdigest()
    described = {
        "name": file["name"],
        "displayName": file["display_name"],
        "mimeType": file["mime_type"],
        "sizeBytes": str(len(file["data"])),
        "createTime": timestamp(file["created_at"]),
        "updateTime": timestamp(file["created_at"]),
        "expirationTime": timestamp(file["created_at"] + LIFE_S),
        "sha256Hash": base64.b64encode(digest.encode()).decode(),
        "uri": f"http://{request.headers['Host']}/v1beta/{file['name']}",
        "state": "ACTIVE",
        "source": "UPLOADED",
    }
    return {name: value for name, value in described.items() if value is not None}
