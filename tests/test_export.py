"""Transcripts as files: every format says the same, and none can do harm."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.speech.engine import Word
from core.transcripts import export
from core.transcripts.transcripts import TranscribedSegment


def heard(
    text: str, start_s: float = 0.0, n: int = 0, channel: str = "mono", pace_s: float = 0.4
) -> TranscribedSegment:
    words = [Word(w, start_s + i * pace_s, start_s + (i + 1) * pace_s) for i, w in enumerate(text.split())]
    return TranscribedSegment(n, channel, start_s, start_s + max(len(words), 1) * pace_s, text, tuple(words))


SPEECH = [
    heard("добрый день это тестовая запись", 0.0),
    heard("вторая фраза длиннее первой и всё же коротка", 3661.5, 1),
]
CALL = [
    heard("good morning", 0.0, 0, "left"),
    heard("how can I help", 1.0, 1, "left"),
    heard("my order is late", 3.0, 2, "right"),
]


def test_text_is_what_was_said_and_nothing_else():
    assert (
        export.text(SPEECH) == "добрый день это тестовая запись вторая фраза длиннее первой и всё же коротка"
    )


def test_a_call_is_written_in_turns():
    assert export.text(CALL) == "left: good morning how can I help\nright: my order is late"


def test_timecodes_are_one_line_a_segment():
    assert export.timecodes(SPEECH).splitlines() == [
        "[00:00:00 - 00:00:02] добрый день это тестовая запись",
        "[01:01:01 - 01:01:04] вторая фраза длиннее первой и всё же коротка",
    ]


def test_captions_are_short_and_in_order_and_lose_no_word():
    long = heard(" ".join(f"слово{i}" for i in range(200)), 10.0)

    cues = list(export.cues([long]))

    assert " ".join(cue.text for cue in cues) == long.text
    assert all(len(cue.text) <= 84 and cue.end_s - cue.start_s <= 6.0 + 1e-9 for cue in cues)
    assert all(a.end_s <= b.start_s + 1e-9 for a, b in pairwise(cues))


def test_a_pause_begins_a_new_caption():
    words = (Word("да", 0.0, 0.3), Word("нет", 2.0, 2.3))

    assert [cue.text for cue in export.cues([TranscribedSegment(0, "mono", 0, 3, "да нет", words)])] == [
        "да",
        "нет",
    ]


def test_srt_and_vtt_are_well_formed():
    assert export.srt(SPEECH).startswith("1\n00:00:00,000 --> 00:00:02,000\nдобрый день")
    assert export.vtt(CALL).startswith("WEBVTT\n\n00:00:00.000 --> 00:00:00.800\n<v left>good morning\n")


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_nothing_said_can_pose_as_a_cue(kind):
    evil = [TranscribedSegment(0, "mono", 0.0, 1.0, "a --> b\n\n2\n00:00 --> 00:01 <script>x</script>", ())]

    made = export.file(evil, "x.wav", kind).content.decode()

    assert made.count("-->") == 1
    assert kind == "srt" or "<script>" not in made


def test_a_spreadsheet_runs_nothing_of_what_was_said():
    made = export.table([heard("=HYPERLINK(1)"), heard("+7 495"), heard("обычный текст, с запятой")])

    rows = list(csv.reader(io.StringIO(made.removeprefix("\ufeff"))))

    assert [row[4] for row in rows] == ["text", "'=HYPERLINK(1)", "'+7 495", "обычный текст, с запятой"]


def test_json_is_exact():
    made = json.loads(export.file(SPEECH, "a.mp3", "json").content)

    assert made["text"] == export.text(SPEECH)
    assert made["segments"][1]["words"][0] == {
        "text": "вторая",
        "start_s": 3661.5,
        "end_s": pytest.approx(3661.9),
        "confidence": None,
    }


def test_a_word_document_opens_and_holds_every_segment():
    made = export.document([heard("a < b & c"), *SPEECH], "Запись <1>\x0b.mp3")

    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        assert archive.testzip() is None
        body = ElementTree.fromstring(archive.read("word/document.xml"))
    word = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
    paragraphs = ["".join(p.itertext()) for p in body.iter(f"{word}p")]
    assert paragraphs[:2] == ["Запись <1>.mp3", "[00:00:00] a < b & c"]
    assert len(paragraphs) == 4


@pytest.mark.parametrize("kind", sorted(export.FORMATS))
def test_silence_is_a_file_too(kind):
    assert export.file([], "тишина.wav", kind).name.startswith("тишина")


@given(st.text(max_size=60))
def test_any_name_makes_a_header_that_names_it(name):
    from urllib.parse import unquote

    made = export.disposition(name.encode("utf-8", "ignore").decode())

    assert made.isascii()
    assert "\n" not in made
    assert "\r" not in made
    assert re.fullmatch(r"attachment; filename=\"[^\"\\]*\"; filename\*=UTF-8''[^ ;\"]*", made)
    assert unquote(made.rpartition("''")[2]) == name.encode("utf-8", "ignore").decode()


@given(st.lists(st.text(max_size=80), max_size=6))
def test_any_words_make_every_format(texts):
    said = [heard(text, 10.0 * n, n) for n, text in enumerate(texts)]

    for kind in export.FORMATS:
        made = export.file(said, "a.wav", kind)
        assert made.content is not None
