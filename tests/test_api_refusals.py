"""What the API refuses: each with one sentence in one shape, and nothing is left behind."""

from __future__ import annotations

import hashlib
import http.client
import socket
import time

import httpx
import pytest
from starlette.testclient import TestClient

from api import build
from core.application import Application
from core.principal import EVERYONE
from core.settings import ROOT, Settings
from tests.installation import done, generous, problem, upload
from tests.serve import serve


@pytest.fixture(scope="module")
def served(tmp_path_factory, kept_in):
    """One installation for all tests here; each makes its own keys."""
    with serve(
        generous(tmp_path_factory.mktemp("refusals"), **kept_in, upload_max_bytes=3_000_000)
    ) as served:
        yield served


def test_what_is_no_recording_is_refused_before_it_is_accepted(served, me, tmp_path):
    text = tmp_path / "notes.wav"
    text.write_text("This is only text. " * 100)

    body = problem(upload(me, text), 415)

    assert body["code"] == "unreadable_media"
    assert not served.app.blobs.place(hashlib.sha256(text.read_bytes()).hexdigest()).exists()


def test_an_empty_file_is_refused(me, tmp_path):
    (tmp_path / "empty.mp3").touch()

    body = problem(upload(me, tmp_path / "empty.mp3"), 415)
    assert (body["code"], body["reason"]) == ("unreadable_media", "file_empty")


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
    assert not list(served.app.blobs.folder.glob(".incoming-*"))


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path, clip):
    app = generous(tmp_path)
    app.blobs.reserve_bytes = 1 << 60
    with serve(app) as served, served.client() as me:
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


def test_an_aborted_upload_leaves_nothing(served, me, clip):
    host, port = served.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(
            f"POST /api/v1/transcribe HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {me.headers['X-API-Key']}\r\n"
            "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 2000000\r\n\r\n".encode()
            + b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
            + b"x" * 1_500_000
        )
        deadline = time.monotonic() + 5
        while not list(served.app.blobs.folder.glob(".incoming-*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert list(served.app.blobs.folder.glob(".incoming-*"))
    while list(served.app.blobs.folder.glob(".incoming-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not list(served.app.blobs.folder.glob(".incoming-*"))


PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
ROUTES = ("/api/v1/transcribe", "/v1/audio/transcriptions", "/v1/audio/translations", "/transcribe/")


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\r\n--b", b"\r\n--b-", b"\r\n--b\r\n", b"\r\n--c--\r\n"])
@pytest.mark.parametrize("route", ROUTES)
def test_a_form_without_its_end_is_no_upload(served, me, clip, route, end):
    """The second half of it may be missing, and half a recording is none."""
    before = me.get("/api/v1/tasks").json()["total"]

    body = problem(me.post(route, content=PART + clip.read_bytes() + end, headers=FORM), 400)

    assert body["code"] == "bad_request"
    assert not list(served.app.blobs.folder.glob(".incoming-*"))
    assert me.get("/api/v1/tasks").json()["total"] == before


@pytest.mark.parametrize("key", ["", None], ids=["nobody", "somebody"])
@pytest.mark.parametrize("declared", [True, False], ids=["length", "chunked"])
def test_a_body_that_is_no_file_has_a_limit_and_needs_no_key_to_meet_it(served, key, declared):
    """The framework collects it before anybody is asked for a key: 40 MB of it were kept in memory."""
    body = b'{"name": "' + b"x" * 3_000_000 + b'"}'

    def pieces():
        for at in range(0, len(body), 10_000):
            yield body[at : at + 10_000]

    address = f"/api/v1/recordings/{'0' * 32}/speakers/speaker0"
    with served.client(key) as client:
        refused = client.patch(
            address, content=body if declared else pieces(), headers={"Content-Type": "application/json"}
        )

    assert "64 KiB" in str(problem(refused, 413)["detail"])


def test_a_form_with_its_end_is_taken_whatever_follows(me, clip):
    """An epilogue is allowed, and a length that is not told."""
    whole = PART + clip.read_bytes() + b"\r\n--b--\r\nepilogue"

    assert me.post("/api/v1/transcribe?language=en", content=whole, headers=FORM).status_code == 202
    assert me.post("/api/v1/transcribe?language=en", content=iter([whole]), headers=FORM).status_code == 202


def _part(head: str, value: str = "") -> bytes:
    return f"--b\r\n{head}\r\n\r\n{value}\r\n".encode()


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize(
    "fields",
    [
        _part('Content-Disposition: form-data; name="title"', "x" * 70_000),
        b"".join(_part(f'Content-Disposition: form-data; name="{n}"') for n in range(2_000)),
        b"".join(
            _part(f'Content-Disposition: form-data; name="title"\r\nX: {"x" * 1000}') for _ in range(70)
        ),
        _part('Content-Disposition: form-data; name="title"') + b"--b--\r\n" + b"x" * 70_000,
        b"\r\n" * 40_000,
    ],
    ids=["one value", "many names", "headers of parts", "epilogue", "preamble"],
)
def test_everything_that_is_not_the_file_has_one_limit(served, me, route, fields):
    refused = me.post(route, content=fields + PART + b"x\r\n--b--\r\n", headers=FORM)

    assert refused.status_code in {400, 413}, refused.text
    assert not list(served.app.blobs.folder.glob(".incoming-*"))


def test_titles_and_tags_are_cleaned_wherever_they_come_from(served, me, clip):
    title, tags = "Board\u202e\x00\r\nmeeting", "one\u2066,\x00, t\nwo"
    accepted = upload(me, clip, title=title, tags=tags, force="true").json()
    address = f"/api/v1/recordings/{accepted['recording_id']}"
    first = me.get(address).json()
    served.app.recordings.rename(EVERYONE, accepted["recording_id"], f"{title}!", tuple(tags.split(",")))
    again = me.get(address).json()

    assert (first["title"], first["tags"]) == ("Board meeting", ["one", "t wo"])
    assert (again["title"], again["tags"]) == ("Board meeting!", ["one", "t wo"])
    named = served.app.keys.make(EVERYONE, "Eve\u202e\nadmin")
    assert [key.name for key in served.app.keys.all(EVERYONE) if key.id == named[4:12]] == ["Eve admin"]


def test_a_large_file_leaves_the_fields_their_room(me, clip):
    assert upload(me, clip, title="t" * 500, unknown="x" * 60_000).status_code == 202


def test_an_unknown_format_is_refused(served, me, clip):
    task_id = done(served, me, clip)

    assert problem(me.get(f"/api/v1/tasks/{task_id}/download?format=exe"), 400)["code"] == "invalid"


def test_asked_too_early_the_status_is_said(me, clip):
    task_id = upload(me, clip, force="true").json()["task_id"]

    body = problem(me.get(f"/api/v1/tasks/{task_id}/result"), 409)

    assert (body["code"], body["task_status"]) == ("not_ready", "queued")


def test_a_search_for_nothing_is_a_bad_request(me):
    problem(me.get("/api/v1/search"), 400)
    problem(me.get("/api/v1/search?q=a&mode=magic"), 400)


def test_addresses_that_are_not_there_are_problems_too(served):
    problem(httpx.get(f"{served.url}/api/v1/nothing"), 404)
    problem(httpx.put(f"{served.url}/api/v1/tasks"), 405)


def test_what_breaks_inside_stays_inside():
    """No traceback, no path, no words of the error itself."""

    def broken():
        raise RuntimeError("/srv/secret/records.sqlite")

    with TestClient(build(broken), raise_server_exceptions=False) as client:
        body = problem(client.get("/api/v1/tasks"), 500)

    assert "secret" not in str(body)


def test_no_answer_names_a_folder_of_the_server(tmp_path, clip):
    """Strangers read /health, and every key what its uploads are answered with."""
    home = tmp_path / "unseen-home"
    app = generous(home, models_dir=str(tmp_path / "unseen-models"))
    with serve(app) as served, served.client() as me:
        answers = [upload(me, clip, language=language) for language in ("en", "ru")]
        answers.append(upload(me, clip, language="ru", engine="gigaam"))
        answers += [httpx.get(served.url + path) for path in ("/health", "/api", "/openapi.json", "/metrics")]
        answers += [me.get(path) for path in ("/api/v1/tasks", "/api/v1/recordings", "/api/v1/search?q=a")]

    assert "not here yet" in answers[1].json()["engine_reason"]
    for answer in answers:
        for word in (str(tmp_path), "unseen", str(ROOT)):
            assert word not in answer.text, (answer.url, answer.text)


def test_a_database_that_is_away_is_a_matter_of_waiting(tmp_path):
    app = generous(tmp_path)
    with serve(app) as served, served.client() as me:
        app.database.close()
        for file in tmp_path.glob("records.sqlite*"):
            file.unlink()
        refused = me.get("/api/v1/tasks")

        assert problem(refused, 503)["detail"] == "The database does not answer."
        assert refused.headers["retry-after"]
        assert me.get("/health").status_code == 503


def test_limits_refuse_and_say_when_to_come_back(tmp_path, clip):
    app = Application(Settings(stenogram_home=tmp_path, api_uploads_per_min=2, api_requests_per_min=3))
    with serve(app) as served, served.client() as me, served.client() as other:
        assert [upload(me, clip).status_code for _ in range(3)] == [202, 202, 429]
        assert [me.get("/api/v1/tasks").status_code for _ in range(4)] == [200, 200, 200, 429]
        refused = me.get("/api/v1/tasks")
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert problem(refused, 429)["code"] == "too_many"
        assert other.get("/api/v1/tasks").status_code == 200
        assert httpx.get(f"{served.url}/health").status_code == 200
