"""An archive is quoted from headers: nothing twice, nothing that is here, every bad file a sentence."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select

from core.database.tables import Job
from core.errors import BadRequest, NotFound, UnreadableMedia
from core.library.recordings import TranscriptionOptions
from core.media import decode, stereo
from core.media.waveform import SAMPLE_RATE
from core.planning import plans
from core.planning.measured import measured
from core.principal import EVERYONE
from tests import drive
from tests.conftest import DATA

RU, EN = DATA / "ru_meeting.opus", DATA / "en_meeting.opus"


class Held(io.BytesIO):
    """A file as the browser's uploader gives it."""

    def __init__(self, name: str, content: bytes) -> None:
        super().__init__(content)
        self.name, self.size = name, len(content)


def archive(folder: Path, app) -> plans.Archive:
    return plans.Archive(list(plans.look(plans.in_folder(str(folder), [folder.resolve()]), app.database)))


def ffmpeg(*words: object) -> None:
    subprocess.run(["ffmpeg", "-v", "error", "-y", "-i", RU, *map(str, words)], check=True)


def test_what_is_meant_twice_or_is_here_already_is_taken_out(tmp_path, app):
    with RU.open("rb") as file:
        app.intake.accept(EVERYONE, file, "ru.opus", TranscriptionOptions())
    folder = tmp_path / "in"
    folder.mkdir()
    for name, source in {"a.opus": RU, "b.opus": EN, "c.opus": EN}.items():
        shutil.copy(source, folder / name)

    looked_at = archive(folder, app)

    assert [each.candidate.name for each in looked_at.fresh] == ["b.opus"]
    assert [each.candidate.name for each in looked_at.left_out("known")] == ["a.opus"]
    assert [each.candidate.name for each in looked_at.left_out("repeated")] == ["c.opus"]
    assert looked_at.durations_s(0) == [pytest.approx(decode.probe(EN).duration_s)]


def test_a_file_that_is_no_media_is_refused_with_a_sentence_and_the_others_go_on(tmp_path, app):
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.wav").write_text("hello, this is text")
    (folder / "b.mp3").write_bytes(b"")
    shutil.copy(RU, folder / "c.opus")

    looked_at = archive(folder, app)

    assert [type(each.error) for each in looked_at.left_out("refused")] == [UnreadableMedia, UnreadableMedia]
    assert [each.candidate.name for each in looked_at.fresh] == ["c.opus"]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("raw.aac", ("-c:a", "aac", "-f", "adts")),
        ("vbr.mp3", ("-c:a", "libmp3lame", "-q:a", "5", "-write_xing", "0")),
    ],
)
def test_a_length_that_no_header_says_is_measured(tmp_path, app, name, options):
    folder = tmp_path / "in"
    folder.mkdir()
    ffmpeg(*options, folder / name)

    looked_at = archive(folder, app)

    assert looked_at.estimated == 0
    assert looked_at.durations_s(0) == [pytest.approx(52.2, abs=0.2)]


def test_a_length_that_would_take_long_to_measure_is_estimated_and_marked(tmp_path, app):
    folder = tmp_path / "in"
    folder.mkdir()
    ffmpeg("-c:a", "mp2", "-f", "mpegts", folder / "camera.ts")

    looked_at = archive(folder, app)

    assert looked_at.estimated == 1
    assert looked_at.durations_s(0) == [pytest.approx(52.2, rel=0.1)]


def test_a_streamed_webm_is_measured(tmp_path):
    path = tmp_path / "live.webm"
    with path.open("wb") as out:
        subprocess.run(
            ["ffmpeg", "-v", "error", "-i", RU, "-c:a", "libopus", "-f", "webm", "-live", "1", "-"],
            stdout=out,
            check=True,
        )

    media = decode.probe(path)

    assert not media.estimated
    assert media.duration_s == pytest.approx(52.2, abs=0.2)


def test_dropped_files_are_looked_at_like_those_of_a_folder(app):
    files = [Held("a.opus", RU.read_bytes()), Held("b.opus", RU.read_bytes()), Held("c.wav", b"no sound")]

    looked_at = plans.Archive(list(plans.look(plans.dropped(files), app.database)))

    assert [each.candidate.name for each in looked_at.fresh] == ["a.opus"]
    assert len(looked_at.left_out("repeated")) == len(looked_at.left_out("refused")) == 1


def test_a_folder_that_may_not_be_read_or_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(BadRequest, match="IMPORT_ROOTS"):
        plans.in_folder("/etc", [tmp_path.resolve()])
    with pytest.raises(BadRequest, match="no such folder"):
        plans.in_folder(str(tmp_path / "nowhere"), [tmp_path.resolve()])


def test_one_child_reads_many_headers_and_a_missing_file_stops_nobody(tmp_path):
    media = list(decode.probe_all([(RU, ""), (tmp_path / "gone.wav", ""), *[(EN, "")] * 60]))

    assert isinstance(media[1], NotFound)
    assert [isinstance(each, decode.Media) for each in media].count(True) == 61


def test_looking_can_be_stopped_at_any_file(tmp_path, app):
    folder = tmp_path / "in"
    folder.mkdir()
    for n in range(5):
        (folder / f"{n}.wav").write_bytes(b"x" * (n + 1))

    looking = plans.look(plans.in_folder(str(folder), [folder.resolve()]), app.database)
    next(looking)
    looking.close()


def test_speech_is_measured_on_request(app):
    looked_at = plans.Archive(
        list(plans.look(plans.dropped([Held("a.opus", RU.read_bytes())]), app.database))
    )

    [(spoken_s, sound_s)] = plans.measure_speech(looked_at.fresh)

    assert sound_s == pytest.approx(52.2, abs=0.2)
    assert 20 < spoken_s < sound_s


def test_a_sample_is_spread_over_the_archive():
    fresh = [plans.Found(plans.Candidate(str(n), n, lambda: None, None)) for n in range(100)]

    assert [each.candidate.name for each in plans.sample(fresh, 4)] == ["0", "25", "50", "75"]


def test_the_quote_of_files_and_the_one_of_programs_are_the_same(app):
    answer = app.estimates.answer(durations_s=[3600.0] * 10, language="ru")
    estimate = app.estimates.estimate(hours=10, language="ru")

    assert estimate["routes"][0]["id"] == answer.quotes[0].id
    assert {quote.id for quote in answer.quotes} == {row["id"] for row in estimate["routes"]}


@pytest.fixture
def full_size(monkeypatch):
    """The tests' small model and short recordings count as if they were what people have."""
    monkeypatch.setattr("core.planning.measured.ENOUGH_SPEED_S", 20.0)
    monkeypatch.setattr("core.speech.engines.gigaam.PUBLISHED_BYTES", 1)


def test_a_plan_takes_its_files_through_the_route_that_was_quoted(app):
    answer = app.estimates.answer(durations_s=[52.2], language="ru")

    options = app.estimates.options(answer.best, "ru")
    with RU.open("rb") as file:
        task = app.intake.accept(EVERYONE, file, "a.opus", options)
    drive.perform_all(app)

    assert (answer.best.engine, task.engine) == ("gigaam", "gigaam-v3_ctc")
    assert app.recordings.task(EVERYONE, task.id).status == "completed"


def test_what_was_measured_here_replaces_what_was_assumed(app, full_size):
    with RU.open("rb") as file:
        app.intake.accept(EVERYONE, file, "a.opus", TranscriptionOptions(language="ru"))
    drive.perform_all(app)

    book = app.estimates.book("ru")

    assert book.assumptions["times_real_time:gigaam/cpu"].source == "measured on this machine"
    assert 30 < book.assumptions["words_per_minute:ru"].value < 250
    assert book.assumptions["words_per_minute:en"].source == "assumption"


def test_the_speed_of_a_toy_and_of_a_few_minutes_says_nothing(app, monkeypatch):
    with RU.open("rb") as file:
        app.intake.accept(EVERYONE, file, "a.opus", TranscriptionOptions(language="ru"))
    drive.perform_all(app)

    assert not measured(app.database).speeds, "52 s are too little"
    monkeypatch.setattr("core.planning.measured.ENOUGH_SPEED_S", 20.0)
    assert measured(app.database).speeds
    assert "benchmarks" in app.estimates.book("ru").assumptions["times_real_time:gigaam/cpu"].source


def test_jobs_side_by_side_share_the_time_that_is_measured(app, full_size):
    with RU.open("rb") as file:
        task = app.intake.accept(EVERYONE, file, "a.opus", TranscriptionOptions(language="ru"))
    drive.perform_all(app)
    with app.database.write() as session:
        jobs = session.scalars(select(Job).where(Job.task_id == task.id)).all()
        for job in jobs:  # as if both had run in one worker, each through the same ten seconds
            job.worker, job.started_at, job.finished_at = "worker", 100.0, 110.0

    (speed,) = measured(app.database).speeds.values()
    assert float(speed) == pytest.approx(
        app.recordings.get(EVERYONE, task.recording_id).duration_s / 10, rel=0.01
    )


@pytest.mark.parametrize(("leak", "expected"), [(0.0, True), (0.15, True), (0.5, False), (1.0, False)])
def test_two_voices_on_two_channels_are_told_from_one_sound_on_both(tmp_path, leak, expected):
    files = decode.decode_tracks(DATA / "call_stereo.opus", tmp_path, split_channels=True, first_s=15).files
    left, right = (decode.waveform(file).astype(float) for file in files.values())
    assert 15 <= len(left) / SAMPLE_RATE < 16

    mixed = [(one + leak * other).astype(np.int16) for one, other in ((left, right), (right, left))]

    assert stereo.apart(mixed[0], mixed[1]) is expected
    assert not stereo.apart(mixed[0], np.zeros_like(mixed[0]))
