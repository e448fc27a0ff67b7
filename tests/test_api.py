"""The API as programs see it, behind a real server: bring a recording, follow it, find it, hear it.

What is refused stands in `test_api_refusals`, whose it is in `test_api_anonymous`, what is promised beyond
one request in `test_api_promises`, interrupted uploads in `test_api_uploads`.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import struct
import threading
from contextlib import contextmanager

import httpx
import psutil
import pytest

from core.database.tables import Payment
from core.principal import EVERYONE
from core.settings import ROOT
from tests import drive
from tests.conftest import DATA
from tests.installation import done, generous, problem, upload
from tests.serve import serve, working


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One installation for all tests here; each makes its own keys."""
    with serve(generous(tmp_path_factory.mktemp("api"), upload_max_bytes=3_000_000)) as served:
        yield served


def test_an_upload_is_a_task_at_once(me, clip):
    accepted = upload(me, clip, title="Планёрка", tags="одно, другое")

    assert accepted.status_code == 202
    body = accepted.json()
    assert body["filename"] == "meeting.wav"
    assert body["file_size"] == clip.stat().st_size
    assert body["message"] == "The file was uploaded and its transcription was queued."
    assert body["estimated_time"].startswith("About ")
    assert 0 < body["estimated_seconds"] < 600
    task = me.get(f"/api/v1/tasks/{body['task_id']}").json()
    assert (task["status"], task["progress"], task["started_at"]) == ("queued", 0, None)
    assert task["created_at"].endswith(("Z", "+00:00"))
    recording = me.get(f"/api/v1/recordings/{body['recording_id']}").json()
    assert (recording["title"], recording["tags"]) == ("Планёрка", ["другое", "одно"])


def test_the_bytes_are_on_disk_when_the_task_is_accepted(served, me, clip):
    upload(me, clip)

    digest = hashlib.sha256(clip.read_bytes()).hexdigest()
    assert served.app.blobs.path(digest).read_bytes() == clip.read_bytes()


def test_a_finished_task_has_its_text(served, me, clip):
    task_id = done(served, me, clip)

    task = me.get(f"/api/v1/tasks/{task_id}").json()
    result = me.get(f"/api/v1/tasks/{task_id}/result").json()

    assert (task["status"], task["progress"], task["eta_seconds"]) == ("completed", 100, None)
    assert task["cost_usd"] == "0"
    assert result["status"] == "completed"
    assert len(result["transcription"].split()) > 5
    assert result["transcription_with_timecodes"].startswith("[00:00:0")
    assert result["media_duration"] == pytest.approx(3.0, abs=0.1)
    assert result["processing_time"] >= 0
    assert result["segments"][0]["words"][0]["text"]


@pytest.mark.parametrize("kind", ["txt", "timecodes", "srt", "vtt", "json", "csv", "rttm", "docx"])
def test_a_result_can_be_kept_as_a_file(served, me, clip, kind):
    task_id = done(served, me, clip)

    file = me.get(f"/api/v1/tasks/{task_id}/download", params={"format": kind})

    assert file.status_code == 200
    assert file.headers["content-disposition"].startswith('attachment; filename="meeting')
    assert len(file.content) > 20


def test_what_was_paid_for_a_recording_stands_in_its_tasks(served, me, clip):
    accepted = upload(me, clip).json()
    paid = {"call_id": "1", "at": 0.0, "month": "2026-11", "provider": "gemini", "model": "m", "mode": "sync"}
    counted = {"tokens_estimated": 1, "usd_estimated": "1", "state": "settled"}
    with served.app.database.write() as session:
        for usd in ("0.0001", "0.00002"):
            whose = {"recording_id": accepted["recording_id"], "owner": "test"}
            session.add(Payment(**paid, **counted, **whose, usd=usd))

    assert me.get(f"/api/v1/tasks/{accepted['task_id']}").json()["cost_usd"] == "0.00012"


def test_the_same_bytes_are_not_transcribed_twice(served, clip):
    with served.client() as first, served.client() as other:
        done(served, first, clip)
        again = upload(first, clip)
        other_task = upload(other, clip)

        assert again.json()["status"] == "completed"
        assert again.json()["estimated_seconds"] == 0
        assert len(drive.ready(served.app)) == 1
        drive.perform_all(served.app)
        assert other.get(f"/api/v1/tasks/{other_task.json()['task_id']}/result").status_code == 200


def test_tasks_are_listed_newest_first(served, clip):
    with served.client() as me:
        first = done(served, me, clip)
        second = upload(me, clip, force="true").json()["task_id"]

        everything = me.get("/api/v1/tasks").json()
        finished = me.get("/api/v1/tasks?status_filter=completed").json()
        page = me.get("/api/v1/tasks?limit=1&offset=1").json()

    assert (everything["total"], [t["task_id"] for t in everything["tasks"]]) == (2, [second, first])
    assert [t["task_id"] for t in finished["tasks"]] == [first]
    assert (page["total"], [t["task_id"] for t in page["tasks"]]) == (2, [first])


def test_a_deleted_task_takes_its_recording_and_bytes_along(tmp_path, clip):
    with serve(generous(tmp_path)) as served, served.client() as me:
        first = done(served, me, clip)
        second = upload(me, clip).json()

        assert me.delete(f"/api/v1/tasks/{first}").json() == {"message": "The task was deleted."}
        assert me.get(f"/api/v1/recordings/{second['recording_id']}").status_code == 200
        me.delete(f"/api/v1/tasks/{second['task_id']}")

        assert me.get("/api/v1/recordings").json()["total"] == 0
        assert not [file for file in (tmp_path / "blobs").rglob("*") if file.is_file()]
        assert served.app.index.count() == 0
        problem(me.get(f"/api/v1/tasks/{first}"), 404)
        problem(me.delete(f"/api/v1/tasks/{first}"), 404)


def test_a_task_is_cancelled_and_tried_again(served, me, clip):
    task_id = upload(me, clip, force="true").json()["task_id"]

    assert me.post(f"/api/v1/tasks/{task_id}/cancel").json()["status"] == "cancelled"
    assert problem(me.post(f"/api/v1/tasks/{task_id}/cancel"), 409)["code"] == "conflict"
    assert me.post(f"/api/v1/tasks/{task_id}/retry").json()["status"] == "queued"
    drive.perform_all(served.app)
    assert me.get(f"/api/v1/tasks/{task_id}").json()["status"] == "completed"
    problem(me.post(f"/api/v1/tasks/{task_id}/retry"), 409)


def test_a_moment_is_found_by_a_word_and_leads_to_the_player(served, me, clip):
    task_id = done(served, me, clip)
    result = me.get(f"/api/v1/tasks/{task_id}/result").json()
    word = max(result["transcription"].split(), key=len)

    search_result = me.get("/api/v1/search", params={"q": word}).json()

    assert search_result["total"] == len(search_result["results"]) >= 1
    moment = search_result["results"][0]
    assert moment["recording_id"] == result["recording_id"]
    assert moment["filename"] == "meeting.wav"
    assert word in moment["text"]
    assert moment["why"] in {"words", "both"}
    assert moment["link"].startswith(f"/recording?id={result['recording_id']}&t=")


def test_messages_follow_the_reader(served, clip):
    russian = served.app.keys.make(EVERYONE, "бот", language="ru")
    with served.client(russian) as me:
        upload(me, clip)
        default = me.get("/api/v1/tasks/nothing").json()["detail"]
        english = me.get("/api/v1/tasks/nothing", headers={"Accept-Language": "en-GB, ru;q=0.5"}).json()[
            "detail"
        ]

    assert english == "Not found."
    assert default != english


def test_work_goes_on_while_the_client_polls(served, clip):
    with served.client() as me, working(served.app):
        task_id = upload(me, clip, force="true").json()["task_id"]
        statuses = []
        while not statuses or statuses[-1]["status"] in {"queued", "processing"}:
            statuses.append(me.get(f"/api/v1/tasks/{task_id}").json())

    assert statuses[-1]["status"] == "completed"
    assert [s["progress"] for s in statuses] == sorted(s["progress"] for s in statuses)


# What is odd but allowed


def test_fields_may_stand_in_the_address_too(me, clip):
    files = {"file": ("meeting.wav", clip.read_bytes())}

    accepted = me.post("/api/v1/transcribe?language=en&title=Адрес&tags=a&tags=b", files=files)

    recording = me.get(f"/api/v1/recordings/{accepted.json()['recording_id']}").json()
    assert recording["title"] == "Адрес"
    assert {"a", "b"} <= set(recording["tags"])


@pytest.mark.parametrize(
    "name", ["Запись совещания.wav", "../../etc/passwd", "a\u202ewav.exe", 'quo"te.wav', "x" * 900]
)
def test_any_file_name_is_only_a_name(me, clip, name):
    body = upload(me, clip, name)

    assert body.status_code == 202
    task = me.get(f"/api/v1/tasks/{body.json()['task_id']}").json()
    assert "/" not in task["filename"]
    assert "\u202e" not in task["filename"]
    assert len(task["filename"]) <= 255


def test_a_large_upload_takes_no_memory(tmp_path):
    """300 MB arrive; what the process grows by is far less."""
    recording = tmp_path / "long.wav"
    size = (300_000_000 - 44).to_bytes(4, "little")
    form = struct.pack("<4sIHHIIHH4s", b"fmt ", 16, 1, 1, 48_000, 96_000, 2, 16, b"data")
    recording.write_bytes(b"RIFF" + (300_000_000 - 8).to_bytes(4, "little") + b"WAVE" + form + size)
    os.truncate(recording, 300_000_000)
    before = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
    after = b"\r\n--b--\r\n"
    with serve(generous(tmp_path / "home")) as served, served.client() as me:
        upload(me, DATA / "en_meeting.opus")
        host, port = served.url.removeprefix("http://").split(":")
        head = (
            f"POST /api/v1/transcribe HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {me.headers['X-API-Key']}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n"
            f"Content-Length: {len(before) + 300_000_000 + len(after)}\r\n\r\n"
        )
        with (
            watched_memory() as memory,
            recording.open("rb") as file,
            socket.create_connection((host, int(port))) as line,
        ):
            line.sendall(head.encode() + before)
            line.sendfile(file)
            line.sendall(after)
            answer = line.recv(65536)

    assert answer.startswith(b"HTTP/1.1 202 "), answer
    assert len(memory) > 5
    assert max(memory) - memory[0] < 64 << 20


@contextmanager
def watched_memory():
    """Resident bytes of this process, looked at again and again."""
    process, stop = psutil.Process(), threading.Event()
    samples = [process.memory_info().rss]

    def sample():
        while not stop.wait(0.02):
            samples.append(process.memory_info().rss)

    watcher = threading.Thread(target=sample)
    watcher.start()
    try:
        yield samples
    finally:
        stop.set()
        watcher.join()


# Sound for players


def test_a_player_with_a_ticket_hears_any_part(served, me, clip):
    recording_id = upload(me, clip).json()["recording_id"]
    address = (
        f"{served.url}/sound/{recording_id}?ticket={served.app.keys.sound_ticket(EVERYONE, recording_id)}"
    )

    whole = httpx.get(address)
    part = httpx.get(address, headers={"Range": "bytes=100-199"})
    beyond = httpx.get(address, headers={"Range": "bytes=99999999-"})

    assert whole.content == clip.read_bytes()
    assert whole.headers["content-type"] == "audio/wav"
    assert (part.status_code, part.content) == (206, clip.read_bytes()[100:200])
    assert beyond.status_code == 416


def test_without_a_ticket_nothing_is_heard(served, me, clip):
    recording_id = upload(me, clip).json()["recording_id"]

    problem(me.get(f"/sound/{recording_id}"), 401)
    problem(me.get(f"/sound/{recording_id}?ticket={served.app.keys.sound_ticket(EVERYONE, 'another')}"), 401)


# What needs no key


def test_health_names_each_part_and_needs_no_key(served):
    state = httpx.get(f"{served.url}/health")

    assert state.status_code == 200
    body = state.json()
    assert set(body["parts"]) == {
        "batches",
        "database",
        "broker",
        "workers",
        "work",
        "index",
        "storage",
        "disk",
        "engine",
    }
    assert body["parts"]["database"]["ok"]
    assert not body["parts"]["workers"]["ok"]
    assert body["status"] == "degraded"


def test_the_documentation_loads_nothing_from_elsewhere(served):
    page = httpx.get(f"{served.url}/docs").text
    sources = re.findall(r'(?:src|href)="([^"]+)"', page)

    assert sorted(sources) == ["/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "data:,"]
    for source in sources[:-1]:
        assert source.startswith("/") is False or httpx.get(served.url + source).status_code == 200
    assert httpx.get(f"{served.url}/docs/../core/keys.py").status_code == 404


def test_the_description_promises_one_shape_of_errors(served):
    described = httpx.get(f"{served.url}/openapi.json").json()

    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            if not path.startswith(("/api/", "/v1/", "/transcribe")) or method == "options":
                continue
            assert "401" in operation["responses"], (method, path)
            assert "422" not in operation["responses"], (method, path)


def test_the_readme_names_every_address(served):
    documented = (ROOT / "README.md").read_text(encoding="utf-8").partition("## API")[2]

    for path in httpx.get(f"{served.url}/openapi.json").json()["paths"]:
        last = path.removesuffix("/{upload_id}").rpartition("/")[2]
        assert f"/{last}" in documented, path


def test_the_first_page_of_the_api_leads_on(served):
    description = httpx.get(f"{served.url}/api").json()

    assert description["name"] == "Stenogram"
    assert description["links"]["documentation"] == "/docs"


VTT = """WEBVTT

00:01.000 --> 00:04.000
<v Анна>Добрый день, договор готов.</v>

00:04.500 --> 00:06.000
<v Пётр>Отправьте его завтра.
"""


def test_a_transcript_without_sound_is_found_and_takes_its_sound_later(served, me, clip):
    task = me.post("/api/v1/transcribe", files={"file": ("call.vtt", VTT.encode())}).json()
    drive.perform_all(served.app)

    result = me.get(f"/api/v1/tasks/{task['task_id']}/result").json()
    assert "договор готов" in result["transcription"]
    results = me.get("/api/v1/search", params={"q": "договор", "mode": "words"}).json()["results"]
    assert [each["recording_id"] for each in results] == [result["recording_id"]]

    address = f"/api/v1/recordings/{result['recording_id']}/sound"
    problem(me.post(address, files={"file": ("a.wav", b"no sound")}), 415)
    sent = {"file": ("call.wav", clip.read_bytes())}
    assert me.post(address, files=sent).is_success
    problem(me.post(address, files=sent), 409)
    problem(me.post("/api/v1/recordings/nobody/sound", files=sent), 404)
