"""Moments that people keep: quoted, cited, cut out, collected, exported; they outlive their recordings."""

from __future__ import annotations

import csv
import io
import wave
import zipfile

import av
import docx
import numpy as np
import pytest

from core.errors import BadRequest, Code, Conflict, NotFound
from core.library import moment_exports
from core.library.kept_moments import Kept, Stretch, citation, page_link, play_link
from core.library.recordings import TranscriptionOptions
from core.media import decode
from core.principal import EVERYONE, Principal
from tests import drive
from tests.conftest import DATA
from tests.test_states_and_actions import sent

SPEECH = DATA / "ru_meeting.opus"

START_S, END_S = 5.25, 9.5
RATE = 16_000


@pytest.fixture
def id_(app):
    task = sent(app, SPEECH)
    drive.perform_all(app)
    return task.recording_id


def keep_moment(app, id_: str, start_s: float = START_S, end_s: float = END_S, **about) -> Kept:
    return app.kept_moments.keep(EVERYONE, Stretch(id_, start_s, end_s, **about))


def samples(sound: bytes, rate: int = RATE) -> np.ndarray:
    with av.open(io.BytesIO(sound)) as container:
        resampler = av.AudioResampler("s16", "mono", rate)
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
        frames += resampler.resample(None)
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])


def test_a_moment_stays_what_it_was_whatever_becomes_of_its_recording(app, id_):
    row = keep_moment(app, id_, title="Бюджет", note="для протокола", tags=("важно",))
    text = row.moment.text
    assert len(text.split()) > 3
    assert keep_moment(app, id_).moment.id == row.moment.id  # the same stretch once
    app.intake.transcribe_again(
        EVERYONE, id_, TranscriptionOptions(language="ru", force=True, subtitles=True)
    )
    drive.perform_all(app)
    app.recordings.rename(EVERYONE, id_, "Планёрка", ())

    now = app.kept_moments.get(EVERYONE, row.moment.id)

    assert (now.moment.text, now.moment.start_s, now.title) == (text, START_S, "Планёрка")
    assert citation(now, "ru").startswith(f"“{text}” — Планёрка, 0:05–0:09, ")
    assert play_link(now) == f"/recording?id={id_}&t=5.2"

    app.recycle_bin.put(EVERYONE, id_)
    moment = app.kept_moments.get(EVERYONE, row.moment.id)
    assert (moment.recording, moment.moment.text, moment.has_sound, play_link(moment)) == (
        None,
        text,
        False,
        "",
    )
    assert page_link(moment.moment.id) == page_link(row.moment.id)
    with pytest.raises(Conflict) as refused:
        app.kept_moments.clip(EVERYONE, row.moment.id, "m4a")
    assert refused.value.code is Code.MOMENT_WITHOUT_SOUND


def test_nobody_keeps_or_sees_what_is_somebody_elses(app, id_):
    row, stranger = keep_moment(app, id_), Principal("stranger")
    for start_s, end_s in [(5.0, 5.0), (6.0, 5.0), (0.0, 601.0)]:
        with pytest.raises(BadRequest):
            keep_moment(app, id_, start_s, end_s)
    collection = app.kept_moments.make_collection(EVERYONE, "Моё")

    for act in (
        lambda: app.kept_moments.keep(stranger, Stretch(id_, 1.0, 2.0)),
        lambda: app.kept_moments.get(stranger, row.moment.id),
        lambda: app.kept_moments.delete(stranger, row.moment.id),
        lambda: app.kept_moments.find(stranger, collection_id=collection.id),
        lambda: app.kept_moments.arrange(stranger, collection.id, []),
    ):
        with pytest.raises(NotFound):
            act()
    assert app.kept_moments.find(stranger) == []


def test_clips_are_cut_to_the_sample(app, id_, tmp_path):
    row = keep_moment(app, id_)
    whole = decode.waveform(decode.decode(SPEECH, tmp_path)[0])
    expected = np.asarray(whole[round(START_S * RATE) : round(END_S * RATE)], float)

    sound = app.kept_moments.clip(EVERYONE, row.moment.id, "wav")

    with wave.open(io.BytesIO(sound)) as file:
        assert file.getnframes() == round((END_S - START_S) * file.getframerate())
    again = samples(sound)[: len(expected)].astype(float)
    assert np.corrcoef(again, expected[: len(again)])[0, 1] > 0.999
    lossy = samples(app.kept_moments.clip(EVERYONE, row.moment.id, "m4a"))[: len(expected)].astype(float)
    assert np.corrcoef(lossy, expected[: len(lossy)])[0, 1] > 0.95


@pytest.mark.parametrize("form", ["zip", "m4a"])
def test_a_file_of_clips_is_bounded(app, id_, monkeypatch, form):
    monkeypatch.setattr(moment_exports, "MOST_S", END_S - START_S - 0.1)

    with pytest.raises(BadRequest) as refused:
        moment_exports.exported(EVERYONE, app.kept_moments, [keep_moment(app, id_)], "x", form, "en")
    assert refused.value.code is Code.REEL_LENGTH


@pytest.mark.parametrize("start_s", [1.5, 40.25])  # read from the beginning, and sought
def test_clips_of_video_have_the_picture_of_the_stretch(tmp_path, start_s):
    source = tmp_path / "video.mp4"
    video(source)

    clip = decode.clip(source, tmp_path / "clip", start_s, start_s + 1.5, "mp4")

    with av.open(str(clip)) as container:
        pictures = [frame.to_ndarray(format="rgb24").mean() for frame in container.decode(video=0)]
        assert container.duration / 1e6 == pytest.approx(1.5, abs=0.15)
    assert pictures[0] == pytest.approx(4 * int(start_s + 0.01), abs=3)
    sound = samples(clip.read_bytes())[: RATE // 4]
    hz = np.argmax(np.abs(np.fft.rfft(sound))) * 4
    assert hz == pytest.approx(200 + 10 * int(start_s), abs=8)


def video(path, seconds: int = 50) -> None:
    """A second has a shade and a tone of its own."""
    with av.open(str(path), "w") as out:
        video_stream = out.add_stream("libx264", rate=10)
        video_stream.width, video_stream.height, video_stream.pix_fmt = 64, 48, "yuv420p"
        audio_stream = out.add_stream("aac", rate=RATE, layout="mono")
        for n in range(10 * seconds):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 4 * (n // 10), np.uint8), format="rgb24")
            frame.pts = n
            out.mux(video_stream.encode(frame))
        out.mux(video_stream.encode(None))
        for n in range(seconds):
            tone = np.sin(2 * np.pi * (200 + 10 * n) * np.arange(RATE) / RATE) * 8000
            frame = av.AudioFrame.from_ndarray(tone.astype(np.int16)[np.newaxis], format="s16", layout="mono")
            frame.sample_rate, frame.pts = RATE, n * RATE
            out.mux(audio_stream.encode(frame))
        out.mux(audio_stream.encode(None))


def test_a_collection_is_ordered_by_hand_and_exported(app, id_):
    service = app.kept_moments
    rows = [keep_moment(app, id_, start, start + 2.0, title=f"№ {start}") for start in (1.0, 4.0, 8.0)]
    first, second, third = (row.moment.id for row in rows)
    collection = service.make_collection(EVERYONE, "=Весна")
    for moment_id in (first, second, third, first):
        service.add(EVERYONE, collection.id, moment_id)
    service.arrange(EVERYONE, collection.id, [third, first, second])
    service.take_out(EVERYONE, collection.id, second)

    moments = service.find(EVERYONE, collection_id=collection.id)
    assert [row.moment.id for row in moments] == [third, first]
    assert [(row.title, count) for row, count in service.collections(EVERYONE)] == [("=Весна", 2)]
    exports = {
        form: moment_exports.exported(EVERYONE, service, moments, collection.title, form, "ru").content
        for form in moment_exports.FORMATS
    }
    document = "\n".join(each.text for each in docx.Document(io.BytesIO(exports["docx"])).paragraphs)
    assert document.index("№ 8.0") < document.index("№ 1.0")
    assert moments[0].moment.text in document
    table = list(csv.DictReader(io.StringIO(exports["csv"].decode("utf-8-sig"))))
    assert [row["start_s"] for row in table] == ["8.000", "1.000"]
    assert len(zipfile.ZipFile(io.BytesIO(exports["zip"])).namelist()) == 2
    assert len(samples(exports["m4a"], 48_000)) / 48_000 == pytest.approx(4 + moment_exports.PAUSE_S, abs=0.1)
    assert "00:00:02,400 -->" in exports["srt"].decode()

    service.delete_collection(EVERYONE, collection.id)
    assert len(service.find(EVERYONE)) == 3
