"""Long transfers show that they go on, stop when nobody wants them any more, and leave nothing behind."""

from __future__ import annotations

import io
import wave

import pytest

from core import heartbeat
from core.errors import Code, Rejected, Withdrawn
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.settings import Settings
from core.storage import object_store
from core.storage.object_store import PART_BYTES, ObjectStore
from jobs.actors import worker_name
from jobs.supervisor import SILENT_S
from tests import batching, drive, remotely
from tools.gemini_emulator import GeminiEmulator

LARGE_S = 420


def accept_large(app):
    """A task whose recording has three parts."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 16_000, 0, "NONE", "NONE"))
        sound.writeframes(bytes(2 * 16_000 * LARGE_S))
    file.seek(0)
    return app.intake.accept(
        EVERYONE, file, "a.wav", TranscriptionOptions(language="ru", engine="gigaam-v3_ctc")
    )


@pytest.fixture(scope="module")
def s3():
    with remotely.bucket() as settings:
        yield settings


@pytest.fixture(autouse=True)
def every_beat(monkeypatch):
    monkeypatch.setattr(heartbeat, "EVERY_S", 0.0)


@pytest.fixture
def storage(tmp_path, s3):
    return ObjectStore(Settings(stenogram_home=tmp_path, **s3))


def test_an_upload_and_a_download_beat_with_every_part(storage):
    content = bytes(2 * PART_BYTES + 1)
    beats = []

    with heartbeat.reported_to(lambda: beats.append("up")):
        storage.put("large", content)
    with heartbeat.reported_to(lambda: beats.append("down")):
        assert b"".join(storage.pieces("large")) == content

    assert beats == ["up"] * 3 + ["down"] * 3


def test_an_upload_that_nobody_wants_any_more_ends(storage):
    def withdraw() -> None:
        raise Withdrawn

    with heartbeat.reported_to(withdraw), pytest.raises(Withdrawn):
        storage.put("unwanted", bytes(2 * PART_BYTES))

    assert not storage.has("unwanted")


def test_a_slow_line_to_the_store_is_not_taken_for_a_hung_worker(tmp_path, s3, monkeypatch):
    """Up from this machine, and down to another one, each part takes ten minutes."""
    app = remotely.journey(tmp_path / "home", **{**s3, "storage_url": "s3://sounds/slow"})
    silences = []

    def slowly(parts):
        for part in parts:
            app.clock.ahead_s += 600
            silences.append(bool(app.job_queue.stuck([worker_name()], SILENT_S)))
            yield part

    whole = object_store._parts
    monkeypatch.setattr(object_store, "_parts", lambda *about: slowly(whole(*about)))
    monkeypatch.setattr(app.sound, "decoded", lambda *_: (_ for _ in ()).throw(Rejected(Code.PART_TOO_LARGE)))
    task = accept_large(app)
    (job,) = drive.ready(app)
    drive.actors.perform(app, job.id)

    assert len(silences) == 3
    assert not any(silences)
    sha256 = app.recordings.get(EVERYONE, task.recording_id).sha256
    assert app.object_store.has(f"media/{sha256}")


def test_a_job_that_fetches_its_recording_from_the_store_beats(tmp_path, s3):
    app = remotely.journey(tmp_path / "home", **{**s3, "storage_url": "s3://sounds/second"})
    task = accept_large(app)
    sha256 = app.recordings.get(EVERYONE, task.recording_id).sha256
    app.blobs.copy(sha256)
    app.blobs.remove(sha256)
    (job,) = drive.ready(app)
    claim = app.job_queue.claim(job.id, "w")
    beats = []

    with heartbeat.reported_to(lambda: beats.append(app.job_queue.beat(claim))):
        app.blobs.path(sha256)

    assert len(beats) == 3


def test_a_refused_upload_of_a_batch_leaves_no_file(tmp_path):
    """An outage of the provider must not fill the disk: input has up to 100 MB a try."""
    with GeminiEmulator() as emulator:
        app = batching.installation(tmp_path, emulator.url)
        batching.recording(app, batching.sentences(3))
        emulator.fault("error", times=20, call="upload*")

        for n in range(10):
            batching.set_clock(app, 61.0 * n)
            app.batches.tick()

        assert batching.states(app) == ["planned"]
        assert not list((tmp_path / "batches").iterdir())


def test_a_download_that_breaks_leaves_no_file(tmp_path):
    with GeminiEmulator(processing_s=1) as emulator:
        app = batching.installation(tmp_path, emulator.url)
        batching.recording(app, batching.sentences(3))
        emulator.fault("drop", times=20, call="download", after_bytes=100)

        for n in range(10):
            batching.set_clock(app, 61.0 * n)
            emulator.advance(61)
            app.batches.tick()

        assert batching.states(app) == ["ended"]
        assert not list((tmp_path / "batches").iterdir())


def test_what_a_killed_process_left_is_swept_while_its_batch_lives(tmp_path, monkeypatch):
    monkeypatch.setattr("core.orders.batches.TRANSFER_MAX_S", -1.0)
    with GeminiEmulator(processing_s=10_000) as emulator:
        app = batching.installation(tmp_path, emulator.url)
        batching.recording(app, batching.sentences(3))
        app.batches.tick()
        (batch,) = batching.batches(app)
        left = tmp_path / "batches" / f"{batch.id}.input.jsonl.temporary-0"
        left.write_bytes(b"half")

        app.batches.tick()

        assert batch.state == "submitted"
        assert not left.exists()
