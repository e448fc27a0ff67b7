"""What the API refuses, and that refusing leaves nothing behind; what is odd but allowed is taken."""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.conftest import DATA
from tests.installation import cut, generous, problem, upload
from tests.serve import serve


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    """Six seconds of English speech."""
    return cut(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """One installation for all tests here; each makes its own keys."""
    with serve(generous(tmp_path_factory.mktemp("refusals"), upload_max_bytes=3_000_000)) as served:
        yield served


@pytest.fixture
def me(served):
    with served.client() as client:
        yield client


def test_what_is_no_recording_is_refused_before_it_is_accepted(served, me, tmp_path):
    text = tmp_path / "notes.wav"
    text.write_text("This is only text. " * 100)

    body = problem(upload(me, text), 415)

    assert body["code"] == "unreadable_media"
    assert not served.here.store.place(hashlib.sha256(text.read_bytes()).hexdigest()).exists()


def test_an_empty_file_is_refused(me, tmp_path):
    (tmp_path / "empty.mp3").touch()

    problem(upload(me, tmp_path / "empty.mp3"), 415)


def test_too_large_by_its_own_word_is_refused_before_it_is_sent(served, me):
    host = served.url.removeprefix("http://")
    connection = http.client.HTTPConnection(host)
    connection.putrequest("POST", "/api/v1/transcribe")
    connection.putheader("X-API-Key", me.headers["X-API-Key"])
    connection.putheader("Content-Type", "multipart/form-data; boundary=b")
    connection.putheader("Content-Length", "50000000")
    connection.endheaders()

    assert connection.getresponse().status == 413


def test_too_large_is_noticed_with_the_first_byte_over(served, me):
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'

    def body():
        yield head
        yield b"x" * 3_000_000
        yield b"x\r\n--b--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    refused = me.post("/api/v1/transcribe", content=body(), headers=headers)

    assert problem(refused, 413)["code"] == "too_large"
    assert not list(served.here.store.folder.glob(".incoming-*"))


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, clip):
    here = generous(tmp_path)
    here.store.reserve_bytes = 1 << 60
    with serve(here) as served, served.client() as me:
        problem(upload(me, clip), 507)
        assert me.get("/health").status_code == 503


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "multipart/form-data; boundary=b"),
        (b"--b--\r\n", "multipart/form-data; boundary=b"),
        (b"nonsense", "multipart/form-data; boundary=b"),
        (b"{}", "application/json"),
        (b"file", "multipart/form-data"),
        (
            b'--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nx\r\n--b--\r\n',
            "multipart/form-data; boundary=b",
        ),
    ],
)
def test_a_form_without_a_file_is_a_bad_request(me, body, kind):
    problem(me.post("/api/v1/transcribe", content=body, headers={"Content-Type": kind}), 400)


@pytest.mark.parametrize(
    "fields",
    [
        {"language": "tlh"},
        {"engine": "no such"},
        {"lane": "later"},
        {"title": "x" * 501},
        {"force": "perhaps"},
    ],
)
def test_wishes_that_cannot_come_true_are_refused(me, clip, fields):
    problem(upload(me, clip, **fields), 400)


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
            f"POST /api/v1/transcribe HTTP/1.1\r\nHost: x\r\nX-API-Key: {me.headers['X-API-Key']}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\n"
            f"Content-Length: {len(before) + 300_000_000 + len(after)}\r\n\r\n"
        )
        with (
            watched_memory() as seen,
            recording.open("rb") as file,
            socket.create_connection((host, int(port))) as line,
        ):
            line.sendall(head.encode() + before)
            line.sendfile(file)
            line.sendall(after)
            answer = line.recv(65536)

    assert answer.startswith(b"HTTP/1.1 202 "), answer
    assert len(seen) > 5
    assert max(seen) - seen[0] < 64 << 20


@contextmanager
def watched_memory():
    """Resident bytes of this process, looked at again and again."""
    process, stop = psutil.Process(), threading.Event()
    seen = [process.memory_info().rss]

    def look():
        while not stop.wait(0.02):
            seen.append(process.memory_info().rss)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        stop.set()
        watcher.join()


def test_an_aborted_upload_leaves_nothing(served, me, clip):
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(
            f"POST /api/v1/transcribe HTTP/1.1\r\nHost: x\r\nX-API-Key: {me.headers['X-API-Key']}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 2000000\r\n\r\n".encode()
            + b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
            + b"x" * 1_500_000
        )
        deadline = time.monotonic() + 5
        while not list(served.here.store.folder.glob(".incoming-*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert list(served.here.store.folder.glob(".incoming-*"))
    while list(served.here.store.folder.glob(".incoming-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not list(served.here.store.folder.glob(".incoming-*"))


def test_twenty_at_once_with_the_same_bytes_are_one_recording(served, clip):
    with served.client() as me:
        with ThreadPoolExecutor(10) as pool:
            answers = list(pool.map(lambda _: upload(me, clip), range(20)))

        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["recording_id"] for answer in answers}) == 1
        assert len({answer.json()["task_id"] for answer in answers}) == 20
