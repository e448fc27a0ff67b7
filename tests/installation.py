"""What the tests of the API share: a short recording, an installation with generous limits, uploads."""

from __future__ import annotations

import wave
from pathlib import Path

import httpx
import numpy as np
from streamlit.testing.v1 import AppTest

from core.application import Application
from core.media import decode
from core.principal import PAGES, Principal
from core.settings import Settings
from core.speech.engines.gigaam import GigaAMEngine
from core.storage.resumable import HELD
from tests import drive
from tests.clock import Clock
from tests.conftest import DATA
from tests.serve import Served

RATE = 16_000

TOY = DATA / "models" / "v3_ctc.ckpt"
"""A tiny checkpoint in GigaAM's format, made by `make toy`; it understands espeak-ng's Russian voices."""


def toy() -> GigaAMEngine:
    """The engine of the toy, as installations of tests have it."""
    return GigaAMEngine("gigaam-v3_ctc", "GigaAM v3 (toy)", TOY, "v3_ctc")


def generous(home: Path, **settings: object) -> Application:
    """An installation that refuses nobody for asking often."""
    limits = {"api_uploads_per_min": 10_000, "api_requests_per_min": 1_000_000, "api_tasks_per_key": 100}
    return Application(Settings(stenogram_home=home, **{**limits, **settings}), clock=Clock())


def bring(at: AppTest, app: Application, name: str, content: bytes) -> None:
    """A file as it arrives from the drop zone of the upload page."""
    uploads = app.resumable_uploads
    row = uploads.begin(Principal(PAGES), len(content), {"filename": name, HELD: "1"}, "a visitor")
    with uploads.claim(row.id), uploads.appending(row, 0) as file:
        uploads.append(row, file, content)
    if "held files" not in at.session_state:
        at.session_state["held files"] = []
    at.session_state["held files"] = [*at.session_state["held files"], row.id]


def cut(folder: Path, sample: str = "en_meeting.opus", seconds: int = 3, start_s: int = 0) -> Path:
    """Some seconds of speech, cut from a sample."""
    sound = decode.waveform(decode.decode(DATA / sample, folder)[0])
    path = folder / "meeting.wav"
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", "NONE"))
        out.writeframes(np.asarray(sound[start_s * RATE : (start_s + seconds) * RATE]).tobytes())
    return path


def upload(client: httpx.Client, path: Path, name: str | None = None, **fields: str) -> httpx.Response:
    """Bring a file as most programs do."""
    files = {"file": (name or path.name, path.read_bytes())}
    return client.post("/api/v1/transcribe", files=files, data={"language": "en", **fields})


def done(served: Served, client: httpx.Client, path: Path, **fields: str) -> str:
    """The id of a finished task."""
    task_id: str = upload(client, path, **fields).json()["task_id"]
    drive.perform_all(served.app)
    return task_id


def problem(response: httpx.Response, status: int) -> dict[str, object]:
    """The body of an error, which must be one in shape."""
    assert response.status_code == status, response.text[:500]
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, object] = response.json()
    assert body["status"] == status
    assert body["detail"]
    assert "/" not in str(body["detail"]).replace("multipart/form-data", "").replace("octet", "")
    return body
