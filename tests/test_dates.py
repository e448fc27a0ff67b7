"""When a recording was made: what names of files and tags say, and nothing they do not say."""

from __future__ import annotations

import io
from datetime import UTC, datetime
from types import SimpleNamespace

import av
import pytest
from sqlalchemy import select

from core.clients.answers import Answers
from core.database.recycle_bin import WITH_BIN
from core.database.states import DateKind
from core.database.tables import Recording
from core.library import dating, views
from core.library.recordings import TranscriptionOptions, recorded
from core.media import dates
from core.principal import EVERYONE
from pages.components import common
from tests.conftest import DATA

NOW = datetime(2026, 11, 28, 20, tzinfo=UTC).timestamp()

NAMES = {
    # recorders of screens and meetings
    "2026-11-28 14.05.12 Anna's Zoom Meeting.m4a": "2026-11-28T14:05:12",
    "GMT20261128-140512_Recording_1920x1080.mp4": "2026-11-28T14:05:12Z",
    "Planning-20261128_140512-Meeting Recording.mp4": "2026-11-28T14:05:12",
    "Planning-20261128_140512UTC-Meeting Recording.mp4": "2026-11-28T14:05:12Z",
    "Team sync (2026-11-28 14:05 GMT+3) – Recording.mp4": "2026-11-28T11:05:00Z",
    "Team sync - 2026_11_28 14_05 GMT-05:30 – Recording.mp4": "2026-11-28T19:35:00Z",
    "2026-11-28 14-05-12.mkv": "2026-11-28T14:05:12",
    "Запись экрана 2026-11-28 в 14.05.12.mov": "2026-11-28T14:05:12",
    "Screen Recording 2026-11-28 at 2.05.12 PM.mov": "2026-11-28T14:05:12",
    # messengers
    "WhatsApp Audio 2026-11-28 at 12.05.12 AM.ogg": "2026-11-28T00:05:12",
    "WhatsApp Ptt 2026-11-28 at 14.05.12.opus": "2026-11-28T14:05:12",
    "PTT-20261128-WA0003.opus": "2026-11-28",
    "audio_2026-11-28_14-05-12.ogg": "2026-11-28T14:05:12",
    "audio_12@28-11-2026_14-05-12.ogg": "2026-11-28T14:05:12",
    # dictation machines and telephones
    "20261128_140512.m4a": "2026-11-28T14:05:12",
    "20261128 140512-A1B2C3D4.m4a": "2026-11-28T14:05:12",
    "REC20261128140512.mp3": "2026-11-28T14:05:12",
    "Запись_20261128-1405.amr": "2026-11-28T14:05:00",
    "261128_1405.mp3": "2026-11-28T14:05:00",
    "Call recording Anna_261128_140512.m4a": "2026-11-28T14:05:12",
    "Анна(79161234567)_20261128140512.mp3": "2026-11-28T14:05:12",
    "2026-11-28 14-05-12 (phone) Anna (+7 916 123-45-67) ↗.amr": "2026-11-28T14:05:12",
    # exchanges: the number of seconds since 1970 knows its zone, the digits before it do not
    "out-79161234567-101-20261128-140512-1795863912.12.wav": "2026-11-28T11:05:12Z",
    "1795863912.4711.wav": "2026-11-28T11:05:12Z",
    "call_rec-1795863912345.ogg": "2026-11-28T11:05:12Z",
    # people
    "Совещание 28.11.2026.mp3": "2026-11-28",
    "Совещание 05.11.2026 14-05.mp3": "2026-11-05T14:05:00",
    "28 ноября 2026 г. в 14.05 летучка.mp3": "2026-11-28T14:05:00",
    "Interview 28 Nov 2026.wav": "2026-11-28",
    "Interview Nov 8, 2026.wav": "2026-11-08",
    "11-28-2026 board.wav": "2026-11-28",
    "2026.11.28 board": "2026-11-28",
    "2026-11-28 14.05.12-1.wav": "2026-11-28T14:05:12",
    # nothing, or nothing sure
    "": None,
    "Новая запись 12.m4a": None,
    "05-11-2026 board.wav": None,
    "101126_1405.mp3": None,
    "1234567890.mp3": None,
    "79161234567.mp3": None,
    "+1795863912.mp3": None,
    "video1795863912.mp4": None,
    "2026-13-45.mp3": None,
    "2031-01-01.mp3": None,
    "1904-01-01.mp3": None,
    "20261128123.mp3": None,
    "Отчёт за 2026.mp3": None,
    "12345678901234567890.mp3": None,
}


def test_names_of_files_say_when():
    found = {name: dates.of_file(name, (), NOW) for name in NAMES}

    assert {name: one and one.iso() for name, one in found.items()} == NAMES


@pytest.mark.parametrize(
    ("name", "tags", "said"),
    [
        ("a.mp4", ["2026-11-28T11:05:12.000000Z"], "2026-11-28T11:05:12Z"),
        ("a.mov", ["2026-11-28T14:05:12+0300", "2026-11-28T12:00:00.000000Z"], "2026-11-28T11:05:12Z"),
        ("a.mp3", ["2026-11-28 14:05"], "2026-11-28T14:05:00"),
        ("a.wav", ["2026-11-28"], "2026-11-28"),
        ("a.mp3", ["2019"], None),
        ("a.mp4", ["1904-01-01T00:00:00.000000Z", "1970-01-01T00:00:00Z"], None),
        ("a.mp4", ["2099-01-01T00:00:00Z", "x" * 5000], None),
        ("PTT-20261128-WA0003.m4a", ["2026-11-28T11:05:12Z"], "2026-11-28T11:05:12Z"),
        ("PTT-20261120-WA0003.m4a", ["2026-11-28T11:05:12Z"], "2026-11-20"),
        ("2026-11-28 14.05.m4a", ["2026-11-28T11:05:12Z"], "2026-11-28T14:05:00"),
    ],
)
def test_tags_say_when_where_names_do_not_or_say_less(name, tags, said):
    found = dates.of_file(name, tags, NOW)

    assert (found and found.iso()) == said


def test_a_time_without_a_zone_is_never_an_instant():
    kinds = {one.kind for name in NAMES if (one := dates.of_file(name, (), NOW)) and one.iso()[-1] != "Z"}

    assert kinds == {DateKind.LOCAL, DateKind.DAY}


def tagged(form: str, container_tags: dict[str, str]) -> bytes:
    """A second of sound with these tags."""
    out = io.BytesIO()
    with av.open(str(DATA / "ru_meeting.opus")) as source, av.open(out, "w", format=form) as made:
        made.metadata.update(container_tags)
        stream = made.add_stream(
            {"mp3": "mp3", "wav": "pcm_s16le"}.get(form, "aac"), rate=16_000, layout="mono"
        )
        resampler = av.AudioResampler(stream.format.name, "mono", 16_000, stream.frame_size or 1024)
        for frame in [*source.decode(audio=0)][:50]:
            for part in resampler.resample(frame):
                made.mux(stream.encode(part))
        made.mux(stream.encode(None))
    return out.getvalue()


@pytest.mark.parametrize(
    ("form", "tags", "said"),
    [
        ("mov", {"creation_time": "2025-03-04T11:05:12Z"}, "2025-03-04T11:05:12Z"),
        ("mp4", {"creation_time": "1904-01-01T00:00:00Z", "date": "2025-03-04"}, "2025-03-04"),
        ("mp3", {"date": "2025-03-04T14:05:12", "artist": "Anna"}, "2025-03-04T14:05:12"),
        ("wav", {"date": "2025-03-04"}, "2025-03-04"),
        ("mp3", {"date": "2025"}, None),
    ],
)
def test_a_recording_is_dated_by_its_tags_and_a_person_may_say_otherwise(app, form, tags, said):
    sound = io.BytesIO(tagged(form, tags))
    task = app.intake.accept(EVERYONE, sound, f"sound.{form}", TranscriptionOptions(language="ru"))
    answers = Answers(app, EVERYONE, "en")

    assert answers.recording(task.recording_id).recorded_at == said

    app.recordings.date(EVERYONE, task.recording_id, dates.of_text("2024-01-02", NOW))
    sound.seek(0)
    app.intake.accept(EVERYONE, sound, "2025-05-05 again.mp3", TranscriptionOptions(language="ru"))
    assert answers.recording(task.recording_id).recorded_at == "2024-01-02"
    app.recordings.date(EVERYONE, task.recording_id, None)
    assert recorded(app.recordings.get(EVERYONE, task.recording_id)) is None


def test_what_came_before_names_were_read_is_dated_once_in_steps(app, monkeypatch):
    monkeypatch.setattr(dating, "STEP", 2)
    names = [f"2026-11-2{day} 14.05.12 call.wav" for day in range(1, 6)] + ["call.wav"]

    def undated(n: int, name: str, **more) -> Recording:
        facts = {"owner": "someone", "tags": [], "language": "ru", "size_bytes": 1}
        return Recording(id=f"r{n}", sha256=str(n), filename=name, title=name, **facts, **more)

    with app.database.write() as session:
        session.add_all(undated(n, name, deleted_at=1.0 if n == 1 else None) for n, name in enumerate(names))
        session.add(undated(9, names[0], recorded_at=1e9, recorded_kind=DateKind.DAY))

    def dates_by_id():
        statement = select(Recording).order_by(Recording.id).execution_options(**WITH_BIN)
        with app.database.read() as session:
            return [when and when.iso() for when in map(recorded, session.scalars(statement))]

    app.periodic_runner.run("history", "here/1")

    assert dates_by_id() == [*(f"2026-11-2{day}T14:05:12" for day in range(1, 6)), None, "2001-09-09"]
    app.recordings.date(EVERYONE, "r0", None)
    app.periodic_runner.run("history", "here/1")
    assert dates_by_id()[0] is None, "a person knows better"


def test_recordings_are_listed_by_when_they_were_made(app):
    sound = (DATA / "ru_meeting.opus").read_bytes()
    for n, name in enumerate(
        ("2025-05-05 middle.opus", "2026-01-02 14.05 last.opus", "2024-05-05 first.opus")
    ):
        file = io.BytesIO(sound + bytes(n))
        app.intake.accept(EVERYONE, file, name, TranscriptionOptions(title=name[:4], language="ru"))

    def listed(**how: str) -> list[str]:
        return [card.recording.title for card in views.cards(app.database, EVERYONE, **how)[1]]

    assert listed() == ["2024", "2026", "2025"]
    assert listed(sort="recorded") == ["2026", "2025", "2024"]
    assert listed(sort="recorded", words="20") == ["2026", "2025", "2024"]


@pytest.mark.parametrize(
    ("kind", "clock"), [(DateKind.INSTANT, 17), (None, 17), (DateKind.LOCAL, 14), (DateKind.DAY, 14)]
)
def test_a_table_moves_no_time_that_has_no_zone(monkeypatch, kind, clock):
    monkeypatch.setattr(common.st, "context", SimpleNamespace(timezone="Europe/Moscow"))

    assert common.wall_clock(datetime(2026, 11, 28, 14, 5, tzinfo=UTC).timestamp(), kind) == datetime(
        2026, 11, 28, clock, 5
    )
