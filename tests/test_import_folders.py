"""Server folders whose files change, or become links or pipes, between the list and the reading."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from core.errors import Code, code_of
from core.library import views
from core.library.recordings import TranscriptionOptions
from core.planning import plans
from core.principal import EVERYONE
from core.storage.blobs import ServerFile
from tests.conftest import DATA
from tests.installation import generous

OPTIONS = TranscriptionOptions(language="en")


@pytest.fixture
def folder(tmp_path):
    """An allowed folder with a recording in a folder of it, and a secret one outside."""
    inside = tmp_path / "allowed" / "calls" / "calls"
    inside.mkdir(parents=True)
    shutil.copy(DATA / "en_meeting.opus", inside / "call.opus")
    secret = tmp_path / "secret" / "calls"
    secret.mkdir(parents=True)
    shutil.copy(DATA / "ru_meeting.opus", secret / "call.opus")
    return tmp_path


@pytest.fixture
def app(folder):
    return generous(folder / "home", import_roots=str(folder / "allowed"))


def listed(app, folder) -> Path:
    (path,) = views.in_folder(str(folder / "allowed"), app.settings.folders)
    return path


def take(app, path):
    return views.take_path(app.intake, EVERYONE, path, OPTIONS, app.settings.folders)


def assert_nothing_came(app):
    assert views.cards(app.database, EVERYONE)[0] == 0
    assert not [file for file in app.blobs.folder.rglob("*") if file.is_file()]


def test_what_stays_as_it_was_listed_is_taken(app, folder):
    assert take(app, listed(app, folder)).recording_id


def a_link(path: Path, outside: Path) -> None:
    path.unlink()
    path.symlink_to(outside / "call.opus")


def a_link_above(path: Path, outside: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.symlink_to(outside)


def a_link_at_the_top(path: Path, outside: Path) -> None:
    shutil.rmtree(path.parent.parent)
    path.parent.parent.symlink_to(outside.parent)


def a_pipe(path: Path, _outside: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path, _outside: Path) -> None:
    path.unlink()
    path.mkdir()


def a_device(path: Path, _outside: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def nothing(path: Path, _outside: Path) -> None:
    path.unlink()


CHANGES: list[Callable[[Path, Path], None]] = [
    a_link, a_link_above, a_link_at_the_top, a_pipe, a_folder, a_device, nothing,
]  # fmt: skip


@pytest.mark.parametrize("become", CHANGES)
def test_what_became_something_else_is_not_read(app, folder, become):
    path = listed(app, folder)
    become(path, folder / "secret" / "calls")

    outcome = take(app, path)

    assert code_of(outcome.error) == Code.FILE_GONE
    assert_nothing_came(app)


@pytest.mark.parametrize("become", [a_link, a_pipe, a_folder, a_device, nothing])
def test_nor_is_it_looked_into_for_a_plan(app, folder, become):
    candidates = plans.in_folder(str(folder / "allowed"), app.settings.folders)
    become(listed(app, folder), folder / "secret" / "calls")

    (file,) = plans.look([*candidates], app.database)

    assert file.why == "refused"
    assert file.duration_s is None


@pytest.mark.parametrize(
    "outside", ["../secret/calls/call.opus", "/etc/passwd", "calls/../../secret/calls/call.opus"]
)
def test_what_lies_outside_is_refused_whoever_names_it(app, folder, outside):
    outcome = take(app, app.settings.folders[0] / outside)

    assert code_of(outcome.error) == Code.FOLDER_NOT_ALLOWED
    assert_nothing_came(app)


def grows(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def is_cut(path: Path) -> None:
    os.truncate(path, 100)


def is_written_over(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


@pytest.mark.parametrize("change", [grows, is_cut, is_written_over])
def test_a_file_that_changes_while_it_is_read_is_not_taken(app, folder, monkeypatch, change):
    """Half of the one and half of the other is no recording; while it is copied there it is none yet."""
    path = listed(app, folder)
    os.utime(path, (1, 1))
    read, changed = ServerFile.read, []

    def slowly(self, size=-1):
        piece = read(self, size)
        if not changed:
            changed.append(change(path))
        return piece

    monkeypatch.setattr(ServerFile, "read", slowly)

    outcome = take(app, path)

    assert code_of(outcome.error) == Code.FILE_CHANGED
    assert_nothing_came(app)


def test_a_file_of_many_is_left_out_and_the_others_are_taken(app, folder):
    shutil.copy(DATA / "en_meeting.opus", folder / "allowed" / "a.opus")
    first, second = views.in_folder(str(folder / "allowed"), app.settings.folders)
    nothing(first, folder)

    assert take(app, first).error
    assert take(app, second).recording_id
