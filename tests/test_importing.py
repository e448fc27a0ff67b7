"""Transcripts that were made elsewhere become recordings without sound, searched at once."""

from __future__ import annotations

import io
import json

import pytest

from core.errors import Code, Conflict, Rejected
from core.library import views
from core.library.intake import IMPORTED
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE, PAGES, Principal
from core.transcripts import export, importing
from tests.drive import perform_all
from tests.installation import cut

ME = Principal(PAGES)
SRT = """1
00:00:01,000 --> 00:00:04,000
Анна: Добрый день, <i>договор</i> готов.

2
00:00:04,500 --> 00:00:06,000
Пётр: Отправьте его завтра.

3
00:01:05,000 --> 00:01:07,500
Анна: Хорошо,
до связи.
"""
VTT = """WEBVTT

NOTE made by hand

first
00:01.000 --> 00:04.000 align:start
<v Анна>Добрый день, договор готов.</v>

00:04.500 --> 00:06.000
<v.loud Пётр>Отправьте его завтра.

01:05.000 --> 01:07.500
<v Анна>Хорошо, до связи.
"""
CODED = """Встреча 5 мая

[00:00:01 - 00:00:04] Анна: Добрый день, договор готов.
[00:00:04.5 - 00:00:06] Пётр: Отправьте его завтра.
[00:01:05 - 00:01:07.5] Анна: Хорошо,
до связи.
"""
HEADED = """Анна  0:01
Добрый день, договор готов.

Пётр  0:04
Отправьте его завтра.

Анна  1:05
Хорошо, до связи.
"""
WHISPER = json.dumps(
    {
        "text": "…",
        "segments": [
            {"start": 1.0, "end": 4.0, "text": " Добрый день, договор готов.", "speaker": "Анна"},
            {"start": 4.5, "end": 6.0, "text": " Отправьте его завтра.", "speaker": "Пётр"},
            {"start": 65.0, "end": 67.5, "text": " Хорошо, до связи.", "speaker": "Анна"},
        ],
    }
)
SAID = [
    ("Анна", 1, "Добрый день, договор готов."),
    ("Пётр", 4, "Отправьте его завтра."),
    ("Анна", 65, "Хорошо, до связи."),
]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1251"])
@pytest.mark.parametrize(
    ("name", "text"),
    [("a.srt", SRT), ("a.VTT", VTT), ("a.txt", CODED), ("a.txt", HEADED), ("a.json", WHISPER)],
    ids=["srt", "vtt", "codes", "heads", "whisper"],
)
def test_each_form_says_who_said_what_and_when(name, text, encoding):
    cues = importing.read(name, text.replace("…", "").encode(encoding))

    assert [(cue.speaker, int(cue.start_s), cue.text) for cue in cues] == SAID
    assert [" ".join(word.text for word in cue.words) for cue in cues] == [text for *_, text in SAID]
    assert all(cue.start_s <= word.start_s < word.end_s <= cue.end_s for cue in cues for word in cue.words)


def test_captions_that_roll_say_each_line_once():
    rolling = "WEBVTT\n\n00:01.000 --> 00:02.000\nраз два\n\n00:02.000 --> 00:03.000\nраз два\nтри четыре\n"

    assert [cue.text for cue in importing.read("a.vtt", rolling.encode())] == ["раз два", "три четыре"]


def test_a_colon_in_what_is_said_makes_no_speaker():
    once = SRT.replace("Анна: ", "").replace("Пётр: ", "Итог: ")

    assert {cue.speaker for cue in importing.read("a.srt", once.encode())} == {""}
    assert importing.read("a.srt", once.encode())[1].text == "Итог: Отправьте его завтра."


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("a.txt", "Просто текст без времени.".encode(), Code.TRANSCRIPT_WITHOUT_TIMES),
        ("a.srt", b"", Code.FILE_EMPTY),
        ("a.vtt", b"WEBVTT\n\n00:01.000 --> 00:02.000\n\n", Code.TRANSCRIPT_WITHOUT_TIMES),
        ("a.srt", b"1\n00:00:61,000 --> 00:00:62,000\nx\n", Code.TRANSCRIPT_TIME_WRONG),
        ("a.srt", b"1\n9999:00:01,000 --> 9999:00:02,000\nx\n", Code.TRANSCRIPT_TOO_LONG),
        ("a.srt", bytes(range(128, 256)) * 9 + b"\0", Code.TRANSCRIPT_NOT_TEXT),
        ("a.json", b"{", Code.TRANSCRIPT_JSON_UNKNOWN),
        ("a.json", b"[1]", Code.TRANSCRIPT_JSON_UNKNOWN),
        ("a.json", b'[{"text": "x", "start": NaN, "end": 1}]', Code.TRANSCRIPT_JSON_UNKNOWN),
        ("a.json", b"[" * 100_000, Code.TRANSCRIPT_JSON_UNKNOWN),
        ("a.srt", b" " * (importing.MAX_BYTES + 1), Code.TRANSCRIPT_TOO_LARGE),
    ],
)
def test_a_bad_file_is_refused_with_its_reason(app, name, content, code):
    with pytest.raises(Rejected) as refused:
        app.intake.accept(ME, io.BytesIO(content), name, TranscriptionOptions())

    assert refused.value.code == code
    assert not [path for path in (app.settings.home / "blobs").rglob("*") if path.is_file()]


def test_it_is_found_at_once_and_takes_its_sound_later(app, tmp_path):
    task = app.intake.accept(ME, io.BytesIO(SRT.encode()), "call.srt", TranscriptionOptions(title="Call"))
    perform_all(app)

    recording = app.recordings.get(ME, task.recording_id)
    assert (recording.format, recording.duration_s, recording.language) == ("srt", 67.5, "ru")
    assert app.transcripts.get(recording.transcript_id).engine == IMPORTED.name
    (match,) = app.searcher.search(EVERYONE, "связь", mode="words").matches
    assert match.play_s == pytest.approx(66.0, abs=1)
    segments = app.transcripts.segments(recording.transcript_id, recording.id)
    assert [segment.channel for segment in segments] == ["Анна", "Пётр", "Анна"]
    assert app.speakers.speaking(recording.id).names == {"speaker_1": "Анна", "speaker_2": "Пётр"}

    sound = cut(tmp_path)
    app.intake.attach_file(ME, recording.id, io.BytesIO(sound.read_bytes()), "call.wav")

    recording = app.recordings.get(ME, recording.id)
    assert recording.format not in importing.FORMATS
    assert recording.filename == "call.wav"
    assert recording.title == "Call"
    assert app.searcher.search(EVERYONE, "связь", mode="words").matches
    with pytest.raises(Conflict):
        app.intake.attach_file(ME, recording.id, io.BytesIO(sound.read_bytes()), "call.wav")
    assert app.recordings.media(recording.sha256)
    assert len([path for path in (app.settings.home / "blobs").rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("kind", ["srt", "vtt", "json", "timecodes"])
def test_what_we_export_comes_back_the_same(app, kind):
    task = app.intake.accept(ME, io.BytesIO(SRT.encode()), "call.srt", TranscriptionOptions())
    segments = app.transcripts.segments(task.transcript_id, task.recording_id)

    file = export.file(segments, "call.srt", kind)
    again = importing.read(file.name, file.content)

    assert [cue.speaker for cue in again] == ["Анна", "Пётр", "Анна"]
    assert [cue.text for cue in again] == [text for *_, text in SAID]


def test_a_folder_gives_transcripts_too(app, tmp_path):
    for name in ("a.srt", "b.vtt", "notes.txt", "data.json"):
        (tmp_path / name).write_text(SRT)

    assert [path.name for path in views.in_folder(str(tmp_path), [tmp_path.resolve()])] == ["a.srt", "b.vtt"]
