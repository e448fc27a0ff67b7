"""Resumable uploads, with a real tus client and by hand where it is well behaved."""

from __future__ import annotations

import base64
import os
import socket
import time

import httpx
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from tusclient import client as tus
from tusclient.exceptions import TusCommunicationError

from core.database.tables import Resumable
from core.library import views
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.storage import resumable
from tests import drive
from tests.installation import generous, problem
from tests.serve import serve
from tests.tool import until

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def served(tmp_path):
    with serve(generous(tmp_path, upload_max_bytes=3_000_000)) as served:
        yield served


@pytest.fixture
def me(served):
    with served.client(**TUS) as client:
        yield client


def metadata(**facts: str) -> str:
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in facts.items())


def begin(me: httpx.Client, size: int, **facts: str) -> str:
    announced = {"Upload-Length": f"{size}", "Upload-Metadata": metadata(**facts)}
    created = me.post("/api/v1/uploads", headers=announced)
    assert created.status_code == 201, created.text
    return created.headers["location"]


def send(me: httpx.Client, address: str, offset: int, piece: bytes) -> httpx.Response:
    return me.patch(address, headers={**PIECE, "Upload-Offset": f"{offset}"}, content=piece)


def test_a_real_client_uploads_in_pieces_and_gets_a_task(served, me, clip):
    headers = {"X-API-Key": me.headers["X-API-Key"]}
    uploader = tus.TusClient(f"{served.url}/api/v1/uploads", headers=headers).uploader(
        str(clip), chunk_size=20_000, metadata={"filename": "Совещание.wav", "language": "en", "tags": "a,b"}
    )
    uploader.upload()

    head = me.head(uploader.url)
    task = me.get(f"/api/v1/tasks/{head.headers['stenogram-task-id']}").json()
    assert (task["filename"], task["file_size"]) == ("Совещание.wav", clip.stat().st_size)
    drive.perform_all(served.app)
    assert me.get(f"/api/v1/tasks/{task['task_id']}/result").json()["transcription"]
    recording = me.get(f"/api/v1/recordings/{task['recording_id']}").json()
    assert recording["tags"] == ["a", "b"]
    assert not list((served.app.settings.home / "uploads").iterdir())


def test_a_real_client_goes_on_after_an_interruption(served, me, clip):
    headers = {"X-API-Key": me.headers["X-API-Key"]}
    client = tus.TusClient(f"{served.url}/api/v1/uploads", headers=headers)
    first = client.uploader(str(clip), chunk_size=20_000, metadata={"language": "en"})
    first.upload(stop_at=40_000)

    second = client.uploader(str(clip), url=first.url, chunk_size=20_000)
    assert second.offset == 40_000
    second.upload()

    assert me.head(first.url).headers["stenogram-task-id"]


def test_a_real_client_is_told_what_is_no_recording(served, me, tmp_path):
    (tmp_path / "text.wav").write_text("only text " * 1000)
    headers = {"X-API-Key": me.headers["X-API-Key"]}
    uploader = tus.TusClient(f"{served.url}/api/v1/uploads", headers=headers).uploader(
        str(tmp_path / "text.wav"), retries=0
    )

    with pytest.raises(TusCommunicationError) as refused:
        uploader.upload()

    assert refused.value.status_code == 415


def test_the_server_says_what_it_can(served):
    response = httpx.options(f"{served.url}/api/v1/uploads")

    assert response.status_code == 204
    assert response.headers["tus-version"] == "1.0.0"
    assert response.headers["tus-extension"] == "creation,creation-defer-length,termination"
    assert response.headers["tus-max-size"] == "3000000"


def test_a_piece_at_another_place_is_refused_and_changes_nothing(me, clip):
    address = begin(me, clip.stat().st_size, language="en")
    send(me, address, 0, clip.read_bytes()[:1000])

    for wrong in (0, 999, 1001):
        problem(send(me, address, wrong, b"x"), 409)

    head = me.head(address)
    assert (head.status_code, head.headers["upload-offset"]) == (200, "1000")
    assert head.headers["cache-control"] == "no-store"


def test_more_than_was_announced_is_refused(me):
    address = begin(me, 10)

    problem(send(me, address, 0, b"x" * 11), 409)


@pytest.mark.parametrize("declared", [True, False], ids=["length", "chunked"])
def test_what_is_longer_than_its_length_is_not_its_beginning(served, me, clip, declared):
    """Several megabytes: the pieces before the last one must not stay and pass for the whole."""
    content = clip.read_bytes() * 30
    address = begin(me, 2 * 1024 * 1024, language="en")
    assert len(content) > 2 * 1024 * 1024

    refused = me.patch(
        address, headers={**PIECE, "Upload-Offset": "0"}, content=content if declared else iter([content])
    )

    problem(refused, 409)
    told_now = me.head(address)
    assert told_now.headers["upload-offset"] == "0"
    assert "stenogram-task-id" not in told_now.headers
    assert me.get("/api/v1/tasks").json()["total"] == 0


@pytest.mark.parametrize("arrived", [300_000, 1_500_000])
def test_what_arrived_before_the_line_broke_is_kept(served, me, arrived):
    """A line that breaks before each megabyte makes progress all the same.

    The server itself may lose what is in its buffer of 64 KiB when it finds the line broken.
    """
    content = os.urandom(2_000_000)
    address = begin(me, len(content))
    head = (
        f"PATCH {address} HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: {me.headers['x-api-key']}\r\n"
        f"Tus-Resumable: 1.0.0\r\nContent-Type: {PIECE['Content-Type']}\r\n"
        f"Upload-Offset: 0\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    url = httpx.URL(str(me.base_url))
    with socket.create_connection((url.host, url.port)) as line:
        line.sendall(head.encode() + content[:arrived])

    def arrived_bytes() -> int | None:
        offset = int(me.head(address).headers["upload-offset"])
        return offset if offset > arrived - 2 * 65_536 else None

    offset = until(arrived_bytes, 30, "what had arrived")
    with served.app.database.read() as session:
        row = session.scalars(select(Resumable)).one()
    assert served.app.resumable_uploads.path(row).read_bytes() == content[:offset]


def test_what_is_shorter_than_its_length_is_no_task(me, clip):
    content = clip.read_bytes()
    address = begin(me, len(content) + 1, language="en")
    send(me, address, 0, content)

    assert me.head(address).headers["upload-offset"] == f"{len(content)}"
    assert me.get("/api/v1/tasks").json()["total"] == 0


def test_asked_beside_the_last_piece_it_says_how_far_it_is(served, me, clip, monkeypatch):
    """While the file moves into the store it is neither lost (404) nor finished twice (500)."""
    content = clip.read_bytes()
    address = begin(me, len(content), language="en")
    responses = []
    adopt = served.app.blobs.adopt

    def slowly(path):
        responses.append(me.head(address))
        blob = adopt(path)
        responses.append(me.head(address))
        responses.append(
            me.patch(address, headers={**PIECE, "Upload-Offset": f"{len(content)}"}, content=b"")
        )
        return blob

    monkeypatch.setattr(served.app.blobs, "adopt", slowly)
    last = send(me, address, 0, content)

    assert last.status_code == 204
    assert [answer.status_code for answer in responses] == [200, 200, 409]
    assert {answer.headers["upload-offset"] for answer in responses[:2]} == {f"{len(content)}"}
    assert me.get("/api/v1/tasks").json()["total"] == 1
    assert not list((served.app.settings.home / "uploads").iterdir())


def test_a_database_that_is_away_at_the_end_costs_no_byte(served, me, clip, monkeypatch):
    content = clip.read_bytes()
    address = begin(me, len(content), language="en")
    with monkeypatch.context() as patched:
        patched.setattr(served.app.client_intake, "submit", _locked)
        problem(send(me, address, 0, content), 503)

    head = me.head(address)

    assert (head.status_code, head.headers["upload-offset"]) == (200, f"{len(content)}")
    assert head.headers["stenogram-task-id"]
    assert me.get("/api/v1/tasks").json()["total"] == 1


def _locked(*_args):
    raise OperationalError("select 1", {}, Exception("database is locked"))


def test_died_between_the_task_and_its_note_it_is_the_same_task(served, me, clip, monkeypatch):
    content = clip.read_bytes()
    address = begin(me, len(content), language="en")
    with monkeypatch.context() as patched:
        patched.setattr(served.app.resumable_uploads, "link_task", _locked)
        problem(send(me, address, 0, content), 503)
    assert me.get("/api/v1/tasks").json()["total"] == 1

    assert me.head(address).headers["stenogram-task-id"]
    assert me.get("/api/v1/tasks").json()["total"] == 1


@pytest.mark.parametrize(
    "order",
    [
        {"callback_url": "http://127.0.0.1/"},
        {"callback_url": "nonsense"},
        {"engine": "no such"},
        {"language": "tlh"},
        {"engine": "gigaam-v3_ctc", "language": "en"},
        {"engine": "groq"},
    ],
)
def test_an_order_that_cannot_be_is_refused_before_the_first_byte(served, me, order):
    refused = me.post(
        "/api/v1/uploads", headers={"Upload-Length": "1000", "Upload-Metadata": metadata(**order)}
    )

    assert refused.status_code in {400, 503}, refused.text
    assert refused.json()["reason"]
    assert not list((served.app.settings.home / "uploads").iterdir())


def visitor(served, number: str) -> httpx.Client:
    ticket = served.app.keys.upload_ticket(EVERYONE, number)
    return httpx.Client(base_url=served.url, headers={"X-Upload-Ticket": ticket, **TUS})


def test_what_one_visitor_of_the_pages_begins_keeps_no_other_out(served, monkeypatch):
    """Not for a day, not for a minute: nor does another one's beginning cost what is under way here."""
    monkeypatch.setattr(resumable, "VISITOR_AT_ONCE", 20)
    with visitor(served, "a1") as one, visitor(served, "b2") as other:
        places = [begin(one, 10, language="en") for _ in range(20)]
        problem(one.post("/api/v1/uploads", headers={"Upload-Length": "10"}), 409)

        for _ in range(20):
            begin(other, 10, language="en")
        assert all(one.head(place).status_code == 200 for place in places)


def test_what_a_visitor_left_gives_way_to_what_they_begin(served, monkeypatch):
    monkeypatch.setattr(resumable, "VISITOR_AT_ONCE", 20)
    with visitor(served, "a1") as one, visitor(served, "b2") as other:
        other_upload = begin(other, 10, language="en")
        places = [begin(one, 10, language="en") for _ in range(20)]
        _untouched_for(served, 61)
        send(one, places[0], 0, b"x")  # the oldest one, but it goes on

        begin(one, 10, language="en")

        left = [place for place in places if one.head(place).status_code == 200]
        assert len(left) == 19
        assert places[0] in left
        assert other.head(other_upload).status_code == 200


def test_all_visitors_together_have_a_limit_and_what_was_left_gives_way(served, monkeypatch):
    monkeypatch.setattr(resumable, "PAGES_AT_ONCE", 3)
    with visitor(served, "a1") as one, visitor(served, "b2") as other:
        places = [begin(one, 10, language="en") for _ in range(3)]
        problem(other.post("/api/v1/uploads", headers={"Upload-Length": "10"}), 409)
        _untouched_for(served, 61)

        begin(other, 10, language="en")

        assert len([place for place in places if one.head(place).status_code == 200]) == 2


def _untouched_for(served, seconds):
    then = time.time() - seconds
    with served.app.database.write() as session:
        session.execute(update(Resumable).values(created_at=then))
    for file in (served.app.settings.home / "uploads").iterdir():
        os.utime(file, (then, then))


def test_a_finished_upload_takes_no_more_and_stays_known(served, me, clip):
    content = clip.read_bytes()
    address = begin(me, len(content), language="en")
    last = send(me, address, 0, content)

    assert (last.status_code, last.headers["upload-offset"]) == (204, f"{len(content)}")
    problem(send(me, address, len(content), b"x"), 409)
    assert me.head(address).headers["stenogram-task-id"] == last.headers["stenogram-task-id"]


def test_an_upload_that_was_complete_when_we_died_becomes_a_task_when_asked_about(served, me, clip):
    content = clip.read_bytes()
    address = begin(me, len(content), language="en")
    row = served.app.resumable_uploads.get(
        served.app.keys.check(me.headers["X-API-Key"]), address.split("/")[-1]
    )
    served.app.resumable_uploads.path(row).write_bytes(content)

    assert me.head(address).headers["stenogram-task-id"]
    assert me.get("/api/v1/tasks").json()["total"] == 1


def test_a_stopped_upload_is_gone(served, me):
    address = begin(me, 100)
    send(me, address, 0, b"x" * 50)

    assert me.delete(address).status_code == 204
    assert me.head(address).status_code == 404
    assert not list((served.app.settings.home / "uploads").iterdir())


@pytest.mark.parametrize(
    ("announced", "status"),
    [
        ({"Upload-Length": "3000001"}, 413),
        ({"Upload-Length": "0"}, 415),
        ({"Upload-Length": "-1"}, 400),
        ({"Upload-Length": "many"}, 400),
        ({}, 400),
        ({"Upload-Length": "10", "Upload-Metadata": "filename not-base64!"}, 400),
        ({"Upload-Length": "10", "Upload-Metadata": metadata(lane="later")}, 400),
        ({"Upload-Length": "10", "Tus-Resumable": "0.2.2"}, 412),
    ],
)
def test_what_cannot_be_announced(me, announced, status):
    refused = me.post("/api/v1/uploads", headers=announced)

    problem(refused, status)
    assert refused.headers["tus-resumable"] == "1.0.0"


def test_uploads_belong_to_their_key(served, me):
    address = begin(me, 10)

    with served.client(**TUS) as other:
        assert other.head(address).status_code == 404
        problem(send(other, address, 0, b"x"), 404)
        problem(other.delete(address), 404)
    with served.client("", **TUS) as nobody:
        problem(nobody.post("/api/v1/uploads", headers={"Upload-Length": "10"}), 401)


def test_a_page_uploads_with_a_ticket_for_the_pages(served, me, clip):
    ticket = {"X-API-Key": "", "X-Upload-Ticket": served.app.keys.upload_ticket(EVERYONE, "a1"), **TUS}
    with httpx.Client(base_url=served.url, headers=ticket) as page:
        address = begin(page, clip.stat().st_size, language="en")
        task_id = send(page, address, 0, clip.read_bytes()).headers["stenogram-task-id"]
        problem(page.get(f"/api/v1/tasks/{task_id}"), 401)

    assert served.app.recordings.task(EVERYONE, task_id).owner == "pages"
    problem(me.get(f"/api/v1/tasks/{task_id}"), 404)


def test_what_a_page_holds_waits_whole_until_it_is_taken(served, clip):
    content = clip.read_bytes()
    uploads = served.app.resumable_uploads
    with visitor(served, "a1") as page:
        address = begin(page, len(content), filename="call.wav", held="1")
        id_ = address.split("/")[-1]
        assert uploads.held(EVERYONE, [id_]) == []
        last = send(page, address, 0, content)
        assert "stenogram-task-id" not in last.headers
        assert page.head(address).headers["upload-offset"] == f"{len(content)}"
    [file] = uploads.held(EVERYONE, ["nobody's", id_])
    assert (file.name, file.path.read_bytes()) == ("call.wav", content)

    outcome = views.accept_held(
        served.app.intake, uploads, EVERYONE, file, TranscriptionOptions(language="en")
    )

    assert served.app.recordings.get(EVERYONE, outcome.recording_id).title == "call.wav"
    assert uploads.held(EVERYONE, [id_]) == []


def test_a_ticket_is_good_for_the_uploads_of_the_pages_and_nothing_else(served, me):
    my_upload = begin(me, 10)
    ticket = {"X-Upload-Ticket": served.app.keys.upload_ticket(EVERYONE, "a1"), **TUS}
    with httpx.Client(base_url=served.url, headers=ticket) as page:
        assert page.head(my_upload).status_code == 404
        problem(send(page, my_upload, 0, b"x"), 404)
        problem(page.delete(my_upload), 404)
        for address in ("/api/v1/tasks", "/api/v1/recordings", "/api/v1/search?q=a", "/metrics"):
            problem(page.get(address), 401)
        problem(page.post("/api/v1/transcribe"), 401)
    good = ticket["X-Upload-Ticket"]
    for forged in ("1-2", ".", served.app.keys.ticket("upload"), f"9{good}", good.replace("a1", "b2")):
        headers = {**TUS, "X-Upload-Ticket": forged, "Upload-Length": "10"}
        problem(httpx.post(f"{served.url}/api/v1/uploads", headers=headers), 401)
    assert me.head(my_upload).headers["upload-offset"] == "0"


def test_there_is_an_end_to_unfinished_uploads(me):
    for _ in range(20):
        begin(me, 10)

    problem(me.post("/api/v1/uploads", headers={"Upload-Length": "10"}), 409)


def test_what_nobody_goes_on_with_is_forgotten(served, me):
    address = begin(me, 10)
    folder = served.app.settings.home / "uploads"
    assert served.app.retention.sweep() == 0
    assert list(folder.iterdir())
    with served.app.database.write() as session:
        session.execute(update(Resumable).values(created_at=time.time() - 25 * 3600))
    for file in folder.iterdir():
        os.utime(file, (1, 1))

    served.app.retention.sweep()

    assert not list(folder.iterdir())
    assert me.head(address).status_code == 404
