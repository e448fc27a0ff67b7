"""Backups made under load are whole when they are put back; nothing else than a whole one is put back."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pgserver
import pytest
from sqlalchemy import create_engine, make_url, text

from core.application import Application
from core.errors import BadRequest, Code, Conflict
from core.library import backup
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.settings import Settings
from tests.clock import Clock
from tests.drive import perform_all

PROGRAMS = Path(pgserver.__file__).parent / "pginstall" / "bin"
CUES = "1\n00:00:01,000 --> 00:00:04,000\n{said}\n"


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path, monkeypatch):
    """Makes settings of another installation each time."""

    def make(name: str) -> Settings:
        if request.param == "sqlite":
            return Settings(stenogram_home=tmp_path / name)
        monkeypatch.setenv("PATH", f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}")
        server, database = make_url(request.getfixturevalue("postgres")), f"backup_{secrets.token_hex(4)}"
        with create_engine(server, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(f"CREATE DATABASE {database}"))
        url = server.set(database=database).render_as_string(hide_password=False)
        return Settings(stenogram_home=tmp_path / name, database_url=url)

    return make


def opened(settings: Settings) -> Application:
    return Application(settings, clock=Clock())


def bring(app: Application, text: str) -> str:
    """A transcript without sound, which is searched as any other."""
    file = BytesIO(CUES.format(said=text).encode())
    return app.intake.accept(EVERYONE, file, f"{text}.srt", TranscriptionOptions(language="ru")).recording_id


@contextmanager
def busy(app: Application) -> Iterator[None]:
    """Recordings come, are worked on and go until this is left."""
    stop = threading.Event()

    def work() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            recording_id = bring(app, f"нагрузка номер {n}")
            perform_all(app)
            if n % 3 == 0:
                app.deletion.delete_recording(EVERYONE, recording_id)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)


def whole(app: Application) -> None:
    """Each recording has its media and its words, and the records are sound."""
    count, recordings = app.recordings.find(EVERYONE, limit=1000)
    assert count == len(recordings) > 0
    for recording in recordings:
        assert app.blobs.path(recording.sha256).is_file()
    app.index.check()


def match_count(app: Application, text: str) -> int:
    return len(app.searcher.search(EVERYONE, text, mode="words").matches)


def test_a_backup_made_under_load_is_whole(place, tmp_path):
    app = opened(place("live"))
    kept = bring(app, "договор о поставке")
    perform_all(app)
    with busy(app):
        backup.make(app.settings, tmp_path / "copy")
        result = backup.make(app.settings, tmp_path / "copy")

    settings = place("restored")
    assert backup.restore(settings, tmp_path / "copy") == result
    restored = opened(settings)

    whole(restored)
    assert restored.recordings.get(EVERYONE, kept).title
    assert match_count(restored, "договор") == 1
    with busy(restored):
        bring(restored, "новое после копии")
    perform_all(restored)
    assert match_count(restored, "копии") == 1


def test_again_into_the_same_folder_copies_only_what_is_new(tmp_path):
    app = opened(Settings(stenogram_home=tmp_path / "live"))
    deleted_id = bring(app, "первое")
    backup.make(app.settings, tmp_path / "copy")
    copied = {path.name: path.stat().st_ino for path in (tmp_path / "copy" / "blobs").rglob("*")}
    bring(app, "второе")
    result = backup.make(app.settings, tmp_path / "copy")
    now = {path.name: path.stat().st_ino for path in (tmp_path / "copy" / "blobs").rglob("*")}

    assert copied.items() < now.items()
    assert (result.media, len(list((tmp_path / "copy").glob("snapshot-*")))) == (2, 1)

    app.deletion.delete_recording(EVERYONE, deleted_id)
    assert backup.make(app.settings, tmp_path / "copy").media == 1


def test_an_interrupted_backup_leaves_the_one_before(tmp_path):
    app = opened(Settings(stenogram_home=tmp_path / "live"))
    bring(app, "первое")
    before = backup.make(app.settings, tmp_path / "copy")
    bring(app, "второе")

    with pytest.raises(KeyboardInterrupt):
        backup.make(app.settings, tmp_path / "copy", interrupt)

    assert backup.read(tmp_path / "copy") == before
    settings = Settings(stenogram_home=tmp_path / "restored")
    with pytest.raises(KeyboardInterrupt):
        backup.restore(settings, tmp_path / "copy", interrupt)
    backup.restore(settings, tmp_path / "copy")
    whole(opened(settings))


def interrupt(*_: int) -> None:
    raise KeyboardInterrupt


def test_media_that_is_gone_is_counted(tmp_path):
    app = opened(Settings(stenogram_home=tmp_path / "live"))
    lost = app.recordings.get(EVERYONE, bring(app, "первое")).sha256
    app.blobs.remove(lost)

    assert backup.make(app.settings, tmp_path / "copy").missing == (lost,)


def test_what_is_damaged_is_neither_kept_nor_put_back(tmp_path):
    app = opened(Settings(stenogram_home=tmp_path / "live"))
    blob = app.blobs.path(app.recordings.get(EVERYONE, bring(app, "первое")).sha256)
    content = blob.read_bytes()
    blob.write_bytes(content[::-1])
    with pytest.raises(Conflict) as refusal:
        backup.make(app.settings, tmp_path / "copy")
    blob.write_bytes(content)
    backup.make(app.settings, tmp_path / "copy")
    next((tmp_path / "copy" / "blobs").glob("??/*")).write_bytes(content[::-1])
    with pytest.raises(Conflict) as restored:
        backup.restore(Settings(stenogram_home=tmp_path / "restored"), tmp_path / "copy")

    assert (refusal.value.code, restored.value.code) == (Code.BACKUP_DAMAGED,) * 2


def test_wrong_places_are_refused(tmp_path):
    app = opened(Settings(stenogram_home=tmp_path / "live"))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    backup.make(app.settings, tmp_path / "copy")
    elsewhere = Settings(stenogram_home=tmp_path / "pg", database_url="postgresql+psycopg://127.0.0.1:1/x")
    refused = {
        Code.BACKUP_FOLDER: lambda: backup.make(app.settings, tmp_path / "mine"),
        Code.BACKUP_NOTHING: lambda: backup.make(Settings(stenogram_home=tmp_path / "new"), tmp_path / "x"),
        Code.BACKUP_NONE: lambda: backup.restore(elsewhere, tmp_path / "nothing"),
        Code.RESTORE_NOT_EMPTY: lambda: backup.restore(app.settings, tmp_path / "copy"),
    }

    for code, ask in refused.items():
        with pytest.raises((BadRequest, Conflict)) as error:
            ask()
        assert error.value.code is code


def test_the_records_of_a_backup_are_one_file_that_is_sound(tmp_path):
    app = opened(Settings(stenogram_home=tmp_path / "live"))
    bring(app, "первое")
    result = backup.make(app.settings, tmp_path / "copy")

    records = tmp_path / "copy" / result.snapshot / result.records
    with sqlite3.connect(records) as copied:
        assert copied.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert not list(records.parent.glob("records.sqlite-*"))


def test_a_program_that_is_missing_is_named(place, tmp_path, monkeypatch):
    settings = place("live")
    if not settings.database_url:
        pytest.skip("SQLite needs none")
    opened(settings)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(Conflict) as error:
        backup.make(settings, tmp_path / "copy")
    assert error.value.code is Code.PROGRAM_MISSING
