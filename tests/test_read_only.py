"""With PAGES_READ_ONLY whoever comes may look at everything and change nothing, on any page."""

from __future__ import annotations

import pytest

from core.errors import BadRequest, Code
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from jobs import installation
from jobs.installation import application
from pages.components import monitor_views, plan
from tests import drive
from tests.conftest import DATA
from tests.test_pages import texts, visit

HARMLESS = {"Search", "Show the tour", "No, thanks", "Apply"}
"""The last one narrows a search."""
PLACES = [
    ("dashboard", {}),
    ("library", {}),
    ("search", {"q": "budget"}),
    ("moments", {}),
    ("voices", {}),
    ("recording", {}),
    ("job", {}),
    *(("monitor", {"view": view}) for view in monitor_views.VIEWS),
    *(("costs", {"view": view}) for view in plan.VIEWS),
]


@pytest.fixture
def ids(tmp_path, monkeypatch):
    """Of a recording whose work failed, and of that work; another one waits."""
    monkeypatch.setenv("STENOGRAM_HOME", str(tmp_path / "home"))
    installation.serve(None)
    app = application()
    for name in ("en_meeting.opus", "call_stereo.opus"):
        with (DATA / name).open("rb") as file:
            task = app.intake.accept(EVERYONE, file, name, TranscriptionOptions(language="en"))
    job = drive.ready(app)[0]
    failed = app.recordings.task(EVERYONE, job.task_id)
    app.job_queue.fail(app.job_queue.claim(job.id, "w"), BadRequest(Code.LIMIT_UNKNOWN))
    app.keys.make(EVERYONE, "a program")
    assert task.id != failed.id
    yield {"recording": failed.recording_id, "job": job.id}
    installation.serve(None)


def pressed(page: str, ids: dict[str, str], query: dict[str, str]) -> set[str]:
    """What could be pressed, typed over or dropped there."""
    at = visit(page, "en", **query, **({"id": ids[page]} if page in ids else {}))
    changing = [*at.button, *at.get("file_uploader"), *at.get("data_editor")]
    return {str(getattr(element, "label", "")) for element in changing}


@pytest.mark.parametrize(("page", "query"), PLACES)
def test_nothing_can_be_changed_by_whoever_may_only_look(ids, monkeypatch, page, query):
    monkeypatch.setenv("PAGES_READ_ONLY", "true")
    installation.serve(None)

    assert pressed(page, ids, query) <= HARMLESS


@pytest.mark.parametrize("page", ["recording", "job"])
def test_an_admin_finds_what_others_do_not(ids, page):
    assert pressed(page, ids, {}) >= {"Try again"}


@pytest.mark.parametrize(
    ("page", "code"),
    [
        ("upload", Code.READ_ONLY),
        ("words", Code.READ_ONLY),
        ("settings", Code.ADMINS_ONLY),
        ("audit", Code.ADMINS_ONLY),
    ],
)
def test_pages_that_are_there_to_change_things_show_nothing_else(ids, monkeypatch, page, code):
    monkeypatch.setenv("PAGES_READ_ONLY", "true")
    installation.serve(None)

    at = visit(page, "en")

    assert code.message in texts(at)
    assert not [*at.button, *at.get("file_uploader"), *at.text_input, *at.checkbox, *at.code]
    assert "a program" not in texts(at)
