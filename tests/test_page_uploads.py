"""The way in that Streamlit itself opens for files of the pages: half a file is none there either."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit import config
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.web.server.starlette.starlette_routes import create_upload_routes

from api.guard import Guard
from core.settings import Settings

PLACE = "/_stcore/upload_file/session/file"
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
CONTENT = b"half of a recording" * 1000
TWO = PART + CONTENT + b"\r\n" + PART.replace(b'"file"', b'"more"') + CONTENT + b"\r\n--b--\r\n"


class Sessions:
    """What the routes ask of Streamlit's runtime."""

    def is_active_session(self, session_id: str) -> bool:
        return session_id == "session"


@pytest.fixture
def files():
    return MemoryUploadedFileManager(PLACE)


@pytest.fixture
def page(files):
    before = config.get_option("server.enableXsrfProtection")
    app = Starlette(routes=create_upload_routes(Sessions(), files, ""))
    config.set_option("server.enableXsrfProtection", False)
    yield TestClient(Guard(app, Settings), base_url="http://localhost", raise_server_exceptions=False)
    config.set_option("server.enableXsrfProtection", before)


def contents_of(files) -> list[bytes]:
    return [file.data for file in files.get_files("session", ["file"])]


def test_a_whole_file_is_kept(page, files):
    assert page.put(PLACE, content=PART + CONTENT + b"\r\n--b--\r\n", headers=FORM).status_code == 204
    assert contents_of(files) == [CONTENT]


@pytest.mark.parametrize("end", [b"", b"\r", b"\r\n", b"\r\n-", b"\r\n--", b"\r\n--c--\r\n"])
def test_a_file_without_its_end_is_not(page, files, end):
    answer = page.put(PLACE, content=PART + CONTENT + end, headers=FORM)

    assert answer.status_code == 400
    assert contents_of(files) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"--b--\r\n", b"nonsense", PART, TWO],
)
def test_what_is_no_form_with_one_file_is_refused(page, files, body):
    assert page.put(PLACE, content=body, headers=FORM).status_code == 400
    assert contents_of(files) == []


def test_nobody_else_s_visit_takes_a_file(page, files):
    stranger = PLACE.replace("/session/", "/other/")

    assert page.put(stranger, content=PART + CONTENT + b"\r\n--b--\r\n", headers=FORM).status_code == 400


def test_without_the_page_s_token_nothing_is_taken(page, files):
    config.set_option("server.enableXsrfProtection", True)

    assert page.put(PLACE, content=PART + CONTENT + b"\r\n--b--\r\n", headers=FORM).status_code == 403
    assert contents_of(files) == []
