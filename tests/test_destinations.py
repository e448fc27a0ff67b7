"""Results written to folders and buckets as they come; calls to programs, listed and made again."""

from __future__ import annotations

import io
from functools import partial

import pytest
from sqlalchemy import update

from core.clients.deliveries import DeliveryState
from core.database.tables import Callback
from core.errors import Code, NotFound, StenogramError, code_of
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE, Principal
from core.storage.object_store import ObjectStore
from tests import drive, remotely
from tests.installation import generous

SRT = b"1\n00:00:01,000 --> 00:00:02,000\nGood morning, everyone.\n"
OPTIONS = TranscriptionOptions(language="en", title="Standup: Monday")


@pytest.fixture
def app(tmp_path):
    return generous(tmp_path / "home", export_roots=str(tmp_path / "out"))


def transcript(app, content: bytes = SRT) -> str:
    """The id of a recording that has its text already."""
    task = app.intake.accept(EVERYONE, io.BytesIO(content), "standup.srt", OPTIONS)
    drive.perform_all(app)
    return task.recording_id


def files(folder) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.suffix in {".txt", ".srt"}}


def test_results_are_written_as_they_come_and_again_once_they_were_corrected(app, tmp_path):
    before = transcript(app)
    out = tmp_path / "out" / "team"
    app.destinations.add(EVERYONE, str(out), ["txt", "srt"])
    new = transcript(app, SRT.replace(b"morning", b"evening"))
    app.destinations.tick()

    written = files(out)
    assert set(written) == {f"Standup_ Monday {new[:8]}{ending}" for ending in (".txt", ".srt")}
    assert all("Good evening" in text for text in written.values())
    (view,) = app.destinations.all(EVERYONE)
    assert (view.written, view.destination.error) == (1, None)
    (said,) = app.recording_text.utterances(EVERYONE, new)
    app.recording_text.rewrite(EVERYONE, new, said.n, [said.version], "Good night, everyone.")
    app.destinations.tick()
    assert all("Good night" in text for text in files(out).values())

    app.destinations.turn(EVERYONE, view.destination.id, paused=True)
    transcript(app, SRT.replace(b"morning", b"day"))
    app.destinations.tick()
    assert len(files(out)) == 2
    app.destinations.turn(EVERYONE, view.destination.id, paused=False)
    app.destinations.tick()
    assert len(files(out)) == 4
    assert not [name for name in files(out) if before[:8] in name]
    app.destinations.remove(EVERYONE, view.destination.id)
    assert len(files(out)) == 4


def test_a_place_that_cannot_be_written_says_why_and_is_filled_later(app, tmp_path):
    (tmp_path / "out").write_text("a file where the folder should be")
    place = app.destinations.add(EVERYONE, str(tmp_path / "out"), ["txt"], with_past=True)
    transcript(app)
    app.destinations.tick()
    (view,) = app.destinations.all(EVERYONE)
    assert (code_of(view.destination.error), view.written) == (Code.EXPORT_FAILED, 0)

    (tmp_path / "out").unlink()
    app.destinations.tick()
    (view,) = app.destinations.all(EVERYONE)
    assert (view.destination.id, view.destination.error, view.written) == (place.id, None, 1)


def test_results_go_to_a_part_of_a_bucket(tmp_path):
    with remotely.bucket() as s3:
        app = generous(tmp_path, **s3, export_buckets="s3://sounds/out")
        app.destinations.add(EVERYONE, "s3://sounds/out/team/", ["docx", "txt"])
        recording_id = transcript(app)
        app.destinations.tick()

        store = ObjectStore(app.settings, "s3://sounds/out/team")
        names = {f"Standup_ Monday {recording_id[:8]}{ending}" for ending in (".docx", ".txt")}
        assert {one.name for one in store.objects()} == names


def test_where_nothing_may_be_written_nothing_is(app, tmp_path):
    add = partial(app.destinations.add, EVERYONE)
    inside = str(tmp_path / "out")
    refused = {
        Code.EXPORT_NOT_ALLOWED: [("/etc", ["txt"]), (f"{inside}/../home", ["txt"]), ("s3://other", ["txt"])],
        Code.FORMAT_UNKNOWN: [(inside, []), (inside, ["exe"])],
    }
    for code, attempts in refused.items():
        for attempt in attempts:
            with pytest.raises(StenogramError) as error:
                add(*attempt)
            assert error.value.code == code
    with pytest.raises(StenogramError) as error:
        app.destinations.add(Principal("me"), inside, ["txt"])
    assert error.value.code == Code.ADMINS_ONLY


def test_a_call_that_was_given_up_is_made_again_by_its_owner(app, monkeypatch):
    recording_id = transcript(app)
    _, (task, *_) = app.recordings.tasks(EVERYONE, recording_id=recording_id)
    with app.database.write() as session:
        session.add(Callback(task_id=task.id, url="https://example.com/hook", attempts=3, done_at=1.0))
        session.flush()
        session.execute(update(Callback).values(error="HTTP 500"))
    (given_up,) = app.deliveries.all(EVERYONE)
    assert (given_up.state, given_up.failures, given_up.error) == (DeliveryState.FAILED, 3, "HTTP 500")
    assert app.deliveries.all(Principal("another")) == []
    with pytest.raises(NotFound):
        app.deliveries.again(Principal("another"), task.id)

    async def made(prepared, **_):
        return [None for _ in prepared]

    monkeypatch.setattr("core.clients.webhooks._all", made)
    assert app.webhooks.deliver() == 0
    app.deliveries.again(EVERYONE, task.id)
    assert app.webhooks.deliver() == 1
    (arrived,) = app.deliveries.all(EVERYONE)
    assert (arrived.state, arrived.failures, arrived.error) == (DeliveryState.ARRIVED, 0, "")
