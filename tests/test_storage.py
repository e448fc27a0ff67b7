"""The object store: a folder by default, S3 by address; links that strangers can use for a while."""

from __future__ import annotations

import os
import time

import httpx
import pytest
from sqlalchemy import Engine, event

from core.database.tables import Order
from core.errors import Conflict, NotFound, ProviderBusy, ProviderRefused, Rejected
from core.library import views
from core.principal import EVERYONE
from core.settings import Settings
from core.storage.object_store import ObjectStore
from core.transcripts import export
from tests import drive, remotely
from tests.remotely import CANARY


@pytest.fixture(scope="session")
def s3():
    """The address of an S3 on this machine, with a bucket."""
    with remotely.bucket() as settings:
        yield settings["s3_endpoint_url"]


def in_bucket(tmp_path, s3, **others):
    options = {
        "stenogram_home": tmp_path,
        "storage_url": "s3://sounds/here",
        "s3_endpoint_url": s3,
        "s3_access_key": "me",
        "s3_secret_key": CANARY,
    }
    return ObjectStore(Settings(**{**options, **others}))


@pytest.fixture(params=["folder", "s3"])
def storage(request, tmp_path, s3):
    return (
        ObjectStore(Settings(stenogram_home=tmp_path))
        if request.param == "folder"
        else in_bucket(tmp_path, s3)
    )


def test_what_was_put_is_there_until_it_is_removed(storage):
    storage.put("covers/a.png", b"picture")

    assert storage.get("covers/a.png") == b"picture"
    storage.remove("covers/a.png")
    assert not storage.has("covers/a.png")
    with pytest.raises(NotFound):
        storage.get("covers/a.png")


def test_an_object_of_the_same_name_is_replaced(storage):
    storage.put("a", b"first")
    storage.put("a", b"second")

    assert storage.get("a") == b"second"


def test_removing_what_is_not_there_is_quiet(storage):
    storage.remove("never/was")


def test_the_test_writes_reads_and_leaves_nothing(storage):
    assert 0 <= storage.test() < 60
    assert not storage.has("test")


def test_a_stranger_reads_by_a_link_and_not_without(tmp_path, s3):
    storage = in_bucket(tmp_path, s3)
    storage.put("sound.flac", b"la la")

    link = storage.link("sound.flac", 600)
    assert httpx.get(link).content == b"la la"
    assert "here/sound.flac" in link
    assert CANARY not in link


def test_a_stranger_writes_by_a_link(tmp_path, s3):
    storage = in_bucket(tmp_path, s3)

    assert httpx.put(storage.link("result.json", 600, "PUT"), content=b"{}").status_code == 200
    assert storage.get("result.json") == b"{}"


def test_a_folder_makes_no_links_and_says_what_would(tmp_path):
    storage = ObjectStore(Settings(stenogram_home=tmp_path))

    assert not storage.can_share
    with pytest.raises(Rejected, match="STORAGE_URL"):
        storage.link("a", 60)


def test_the_old_names_of_the_settings_are_understood(tmp_path, s3, monkeypatch):
    for name, value in {
        "BUCKET_NAME": "sounds",
        "ACCESS_KEY": "me",
        "SECRET_KEY": CANARY,
        "ENDPOINT_URL": s3,
    }.items():
        monkeypatch.setenv(f"YANDEX_{name}", value)
    storage = ObjectStore(Settings(stenogram_home=tmp_path))
    storage.put("old", b"names")

    assert storage.can_share
    assert httpx.get(storage.link("old", 60)).content == b"names"


@pytest.mark.parametrize("url", ["https://bucket", "bucket", "s3://"])
def test_an_address_that_is_none_is_refused(tmp_path, url):
    with pytest.raises(ValueError, match="storage_url"):
        Settings(stenogram_home=tmp_path, storage_url=url)
    past_the_settings = Settings(stenogram_home=tmp_path).model_copy(update={"storage_url": url})
    with pytest.raises(Rejected, match="s3://bucket"):
        ObjectStore(past_the_settings).put("a", b"")


def test_a_store_that_is_away_is_busy_and_says_no_secret(tmp_path):
    storage = in_bucket(tmp_path, "http://127.0.0.1:9")

    with pytest.raises(ProviderBusy) as caught:
        storage.put("a", b"")
    assert CANARY not in str(caught.value)


def test_a_bucket_that_is_not_there_is_an_error_of_ours(tmp_path, s3):
    with pytest.raises((NotFound, ProviderRefused, ProviderBusy)):
        in_bucket(tmp_path, s3, storage_url="s3://nobody").put("a", b"")


# Copies of recordings


def journey(home, s3):
    return remotely.journey(
        home,
        storage_url=f"s3://sounds/{home.parent.name}",
        s3_endpoint_url=s3,
        s3_access_key="me",
        s3_secret_key=CANARY,
    )


def test_a_recording_has_a_copy_in_the_store_and_comes_back_from_there(tmp_path, s3):
    app = journey(tmp_path / "home", s3)
    task = remotely.done(app, remotely.accept_short(app, "gigaam-v3_ctc"))
    sha256 = app.recordings.get(EVERYONE, task.recording_id).sha256
    content = app.blobs.path(sha256).read_bytes()
    app.blobs.remove(sha256)

    assert app.blobs.path(sha256).read_bytes() == content
    app.deletion.delete_recording(EVERYONE, task.recording_id)
    with pytest.raises(NotFound):
        app.blobs.path(sha256)


def test_a_damaged_copy_is_not_taken_for_the_recording(tmp_path, s3):
    app = journey(tmp_path / "home", s3)
    task = remotely.done(app, remotely.accept_short(app, "gigaam-v3_ctc"))
    sha256 = app.recordings.get(EVERYONE, task.recording_id).sha256
    app.blobs.remove(sha256)
    ObjectStore(app.settings).put(f"media/{sha256}", b"something else")

    with pytest.raises(ProviderBusy, match="damaged"):
        app.blobs.path(sha256)


def test_while_the_store_is_away_work_waits_and_burns_nothing(tmp_path):
    app = journey(tmp_path / "home", "http://127.0.0.1:9")
    task = remotely.accept_short(app, "gigaam-v3_ctc")
    for _ in range(8):
        remotely.later(app, 61)

    assert remotely.now(app, task).status == "processing"
    assert remotely.job(app, task).attempts == 0


def test_deleting_works_while_the_store_is_away(tmp_path):
    app = journey(tmp_path / "home", "http://127.0.0.1:9")
    task = remotely.accept_short(app, "gigaam-v3_ctc")

    app.deletion.delete_recording(EVERYONE, task.recording_id)
    assert not [path for path in (tmp_path / "home" / "blobs").rglob("*") if path.is_file()]


# The cache of a machine that serves workers alone


def worker_machine(app, home, s3, **settings):
    """Another home with the same records and the same store."""
    url = app.settings.sqlalchemy_url
    named = {"storage_url": app.settings.storage_url, "s3_access_key": "me", "s3_secret_key": CANARY}
    return remotely.journey(home, database_url=url, s3_endpoint_url=s3, **named, **settings)


def aged(machine, sha256, age_s):
    """As if it had been used so long ago."""
    at = time.time() - age_s
    os.utime(machine.blobs.path(sha256), (at, at))


def test_what_is_deleted_leaves_every_machine(tmp_path, s3):
    app = journey(tmp_path / "home", s3)
    task = remotely.done(app, remotely.accept_short(app, "gigaam-v3_ctc"))
    sha256 = app.recordings.get(EVERYONE, task.recording_id).sha256
    machine = worker_machine(app, tmp_path / "gpu", s3)
    aged(machine, sha256, 2 * 3600)
    machine.retention.sweep_cache()
    assert machine.blobs.place(sha256).is_file()

    app.deletion.delete_recording(EVERYONE, task.recording_id)
    machine.retention.sweep_cache()

    assert not machine.blobs.place(sha256).exists()


def test_a_cache_is_bounded_and_loses_what_was_used_longest_ago(tmp_path, s3):
    app = journey(tmp_path / "home", s3)
    machine = worker_machine(app, tmp_path / "gpu", s3)
    ages = {}
    for age_s in (5, 4, 3, 2, 0):
        with machine.blobs.incoming() as upload:
            upload.write(bytes([age_s]) * 1000)
            ages[age_s] = upload.finish().sha256
        if age_s != 5:
            machine.blobs.copy(ages[age_s])
        aged(machine, ages[age_s], age_s * 3600)

    assert machine.blobs.evict(5000) == 0
    assert machine.blobs.evict(2500) == 3
    remaining = {age_s for age_s, sha256 in ages.items() if machine.blobs.place(sha256).exists()}
    assert remaining == {5, 0}, "the one without a copy, and the one that may still be read"


# What belongs to a recording, there and not longer


def objects(app):
    storage = ObjectStore(app.settings)
    folders = ("media/", "covers/", "exports/", "orders/")
    return sorted(name for folder in folders for name, _ in storage.list(folder))


def test_a_transcript_is_in_the_store_in_every_format_until_it_is_replaced_or_deleted(tmp_path, s3):
    app = journey(tmp_path / "home", s3)
    task = remotely.done(app, remotely.accept_short(app, "gigaam-v3_ctc"))
    recording = app.recordings.get(EVERYONE, task.recording_id)
    folder = f"exports/{task.recording_id}/{task.transcript_id}"
    exports = [name for name in objects(app) if name.startswith("exports/")]

    assert exports == sorted(folder + ending for ending, _, _ in export.FORMATS.values())
    text = ObjectStore(app.settings).get(f"{folder}.txt")
    assert text == views.exported(app.recordings, app.transcripts, EVERYONE, recording.id, "txt") != b"\n"
    app.deletion.delete_recording(EVERYONE, task.recording_id)
    assert objects(app) == []


def test_a_store_that_is_away_keeps_no_transcript_back_and_gets_it_later(tmp_path, s3):
    app = journey(tmp_path / "home", s3)
    task = remotely.accept_short(app, "gigaam-v3_ctc")
    job = None
    while job is None or job.kind != "index":
        (job,) = drive.ready(app)
        if job.kind != "index":
            drive.actors.perform(app, job.id)
    away = remotely.journey(tmp_path / "home", s3="http://127.0.0.1:9")
    drive.perform_all(away)
    assert remotely.now(app, task).status == "completed"
    assert not [name for name in objects(app) if name.startswith("exports/")]

    app.periodic_runner.run("objects", "w")

    assert len([name for name in objects(app) if name.startswith("exports/")]) == len(export.FORMATS)
    app.deletion.delete_recording(EVERYONE, task.recording_id)


def test_what_was_deleted_while_the_store_was_away_is_swept(tmp_path, s3):
    app = journey(tmp_path / "home", s3)
    deleted, stays = (remotely.done(app, remotely.accept_short(app, "gigaam-v3_ctc", n)) for n in (6, 12))
    storage = ObjectStore(app.settings)
    storage.put(f"covers/{deleted.recording_id}/a-cover", b"picture")
    storage.put("orders/an-order.flac", b"sound")
    away = remotely.journey(tmp_path / "home", s3="http://127.0.0.1:9")
    away.deletion.delete_recording(EVERYONE, deleted.recording_id)
    before = objects(app)

    app.periodic_runner.run("objects", "w")
    assert objects(app) == before, "what is young may wait for its row"
    app.exports.sweep(stale_s=-60)

    left = objects(app)
    assert f"media/{app.recordings.get(EVERYONE, stays.recording_id).sha256}" in left
    assert len(left) == 1 + len(export.FORMATS)
    assert all(stays.recording_id in name for name in left if name.startswith("exports/"))
    app.deletion.delete_recording(EVERYONE, stays.recording_id)


def test_the_sound_of_an_order_that_is_under_way_is_not_swept(tmp_path, s3):
    app = journey(tmp_path / "home", s3)
    usual = {"transcript_id": "t", "recording_id": "r", "owner": "pages", "engine": "e"}
    with app.database.write() as session:
        for n, state in enumerate(("submitted", "done")):
            session.add(Order(id=state, state=state, n=n, duration_s=1.0, created_at=0.0, **usual))
    for state in ("submitted", "done"):
        ObjectStore(app.settings).put(f"orders/{state}.flac", b"sound")

    assert app.exports.sweep(stale_s=-60) == 1

    assert objects(app) == ["orders/submitted.flac"]


def statements(app):
    """How often SQL is asked in one sweep."""
    statements = []

    def note(_connection, _cursor, statement, *_):
        statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        app.exports.sweep(stale_s=-60)
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    return len(statements)


def test_a_sweep_asks_no_more_often_for_more_objects(tmp_path):
    app = remotely.journey(tmp_path / "home")
    storage = ObjectStore(app.settings)
    app.exports.sweep()
    counts = []
    for number in (1, 60):
        for n in range(number):
            for name in (f"media/{n}", f"covers/r/{n}", f"exports/r/{n}.txt", f"orders/{n}.flac"):
                storage.put(name, b"")
        counts.append(statements(app))
        assert objects(app) == []

    assert counts[0] == counts[1]


def test_objects_of_another_installation_are_left_alone(tmp_path, s3):
    """A bucket that two share, or records that were begun anew beside an old one."""
    app = journey(tmp_path / "home", s3)
    task = remotely.done(app, remotely.accept_short(app, "gigaam-v3_ctc"))
    app.exports.sweep(stale_s=-60)
    objects_before = objects(app)
    stranger = journey(tmp_path / "other", s3)

    with pytest.raises(Conflict, match="STORAGE_URL"):
        stranger.exports.sweep(stale_s=-60)

    assert objects(app) == objects_before
    assert any(task.transcript_id in name for name in objects_before)
