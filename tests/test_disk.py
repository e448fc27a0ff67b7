"""A disk that is full, becomes read-only or breaks: a sentence, no half recording, and then work goes on."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import httpx
import pytest
from sqlalchemy import event

from core.database.tables import Job
from core.errors import Code, NoSpace, Unavailable, code_of
from core.library.recordings import TranscriptionOptions
from core.media import decode
from core.principal import EVERYONE
from core.storage import blobs
from tests import drive
from tests.installation import generous, problem, upload
from tests.serve import serve

TUS = {"Tus-Resumable": "1.0.0"}
PIECE = {**TUS, "Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
ERRORS = {
    errno.ENOSPC: (507, Code.NO_SPACE),
    errno.EROFS: (503, Code.DISK_UNWRITABLE),
    errno.EIO: (503, Code.DISK_UNWRITABLE),
}


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(generous(tmp_path_factory.mktemp("disk"))) as served:
        yield served


def of_ours(patched, served, owner, name: str, number: int) -> None:
    """Calls about files of this installation fail with this number; those about others do not."""
    real, home = getattr(owner, name), str(served.app.settings.home)

    def fails(*args, **named):
        if concerns(owner, args, named).startswith(home):
            raise OSError(number, os.strerror(number), home)
        return real(*args, **named)

    patched.setattr(owner, name, fails)


def concerns(owner, args, named) -> str:
    """The path of the file that a call is about."""
    if owner is tempfile:
        return str(named["dir"])
    path = Path(f"/proc/self/fd/{args[0]}").readlink() if isinstance(args[0], int) else args[0]
    return str(path)


class FailingFile(FileIO):
    """A file whose writes fail with `number`."""

    number = 0

    def write(self, _content, /):
        raise OSError(self.number, os.strerror(self.number))


def failing_write(patched, _served, number):
    FailingFile.number = number
    patched.setattr(blobs, "FileIO", FailingFile)


CALLS: dict[str, Callable] = {
    "making": lambda patched, served, number: of_ours(patched, served, tempfile, "mkstemp", number),
    "writing": failing_write,
    "syncing": lambda patched, served, number: of_ours(patched, served, os, "fsync", number),
    "moving": lambda patched, served, number: of_ours(patched, served, Path, "replace", number),
    "folder": lambda patched, served, number: of_ours(patched, served, Path, "mkdir", number),
    "cleaning": lambda patched, served, number: (
        of_ours(patched, served, os, "fsync", number),
        of_ours(patched, served, Path, "unlink", number),
    ),
}
ROUTES = ("/api/v1/transcribe", "/v1/audio/transcriptions", "/transcribe/")


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("route", ROUTES)
def test_an_upload_to_such_a_disk_is_refused_in_words_and_taken_afterwards(
    served, clip, monkeypatch, route, call, number
):
    status, code = ERRORS[number]
    content = clip.read_bytes() + f"{route}{call}{number}".encode()  # bytes that are not there yet
    with served.client() as me:
        with monkeypatch.context() as patched:
            CALLS[call](patched, served, number)
            refused = me.post(route, files={"file": ("a.wav", content)}, data={"language": "en"})

        body = problem(refused, status)
        assert body["reason"] == code
        assert str(served.app.settings.home) not in refused.text
        assert me.get("/api/v1/tasks").json()["total"] == 0
        for left in served.app.blobs.folder.glob(".incoming-*"):
            assert call == "cleaning", "only a disk that cannot be written keeps it, until it is swept"
            left.unlink()
        again = me.post("/api/v1/transcribe", files={"file": ("a.wav", content)}, data={"language": "en"})
        assert again.status_code == 202


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
def test_an_upload_in_pieces_keeps_what_had_arrived(served, clip, monkeypatch, number):
    status, code = ERRORS[number]
    content = clip.read_bytes() + f"in pieces {number}".encode()
    with served.client(**TUS) as me:
        created = me.post("/api/v1/uploads", headers={"Upload-Length": f"{len(content)}"})
        address = created.headers["location"]
        assert me.patch(address, headers=PIECE, content=content[:1000]).status_code == 204
        rest = {**PIECE, "Upload-Offset": "1000"}
        with monkeypatch.context() as patched:
            of_ours(patched, served, os, "fsync", number)
            assert problem(me.patch(address, headers=rest, content=content[1000:]), status)["reason"] == code

        at = int(me.head(address).headers["upload-offset"])
        assert at >= 1000
        me.patch(address, headers={**PIECE, "Upload-Offset": f"{at}"}, content=content[at:])
        assert me.head(address).headers["stenogram-task-id"]


def test_a_database_that_can_only_be_read_answers_questions_and_refuses_work_in_words(tmp_path, clip):
    app = generous(tmp_path / "home")
    with serve(app) as served, served.client() as me:
        accepted = upload(me, clip)
        assert accepted.status_code == 202

        def only_read(connection, _record, _proxy):
            connection.execute("PRAGMA query_only = ON")

        event.listen(app.database._engine, "checkout", only_read)
        app.database._engine.dispose()
        try:
            refused = problem(upload(me, clip), 503)
            assert refused["reason"] == Code.DATABASE_READ_ONLY
            assert me.get(f"/api/v1/tasks/{accepted.json()['task_id']}").status_code == 200
            assert me.get("/api/v1/search?q=morning&mode=words").status_code == 200
            assert httpx.get(f"{served.url}/health").json()["status"] == "unavailable"
        finally:
            event.remove(app.database._engine, "checkout", only_read)
            app.database._engine.dispose()
        assert upload(me, clip).status_code == 202


@pytest.mark.parametrize("number", ERRORS, ids=errno.errorcode.get)
def test_work_waits_for_its_disk_and_says_so(app, clip, monkeypatch, number):
    with clip.open("rb") as file:
        task = app.intake.accept(EVERYONE, file, clip.name, TranscriptionOptions(language="en"))

    def broken(*_given, **_named):
        raise OSError(number, os.strerror(number), str(app.settings.home))

    with monkeypatch.context() as patched:
        patched.setattr(decode, "decode_tracks", broken)
        drive.perform_all(app)
    with app.database.read() as session:
        (job,) = session.query(Job).all()
    assert job.state == "ready"
    assert code_of(job.error) == ERRORS[number][1]

    app.clock.ahead_s += 3600
    drive.perform_all(app)
    assert app.recordings.task(EVERYONE, task.id).status == "completed"


def test_what_is_no_error_of_a_disk_is_none(tmp_path):
    for number in (errno.ENOENT, errno.EPIPE, errno.ECONNRESET, errno.EMFILE):
        assert blobs.of_disk(OSError(number, "x"), tmp_path) is None
    assert isinstance(blobs.of_disk(OSError(errno.EDQUOT, "x"), tmp_path), NoSpace)
    assert isinstance(blobs.of_disk(OSError(errno.EROFS, "x"), tmp_path), Unavailable)
