"""Transcripts as files: every format says the same, and none can do harm."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import re
from itertools import pairwise

import docx
import pysubs2
import pytest
import webvtt
from hypothesis import given
from hypothesis import strategies as st

from core.speech.engine import Word
from core.transcripts import export
from core.transcripts.segments import TranscribedSegment
from core.transcripts.warnings import WarningAnswer


def spoken(
    text: str, start_s: float = 0.0, n: int = 0, channel: str = "mono", pace_s: float = 0.4
) -> TranscribedSegment:
    words = [Word(w, start_s + i * pace_s, start_s + (i + 1) * pace_s) for i, w in enumerate(text.split())]
    return TranscribedSegment(n, channel, start_s, start_s + max(len(words), 1) * pace_s, text, tuple(words))


SPEECH = [
    spoken("добрый день это тестовая запись", 0.0),
    spoken("вторая фраза длиннее первой и всё же коротка", 3661.5, 1),
]
CALL = [
    spoken("good morning", 0.0, 0, "left"),
    spoken("how can I help", 1.0, 1, "left"),
    spoken("my order is late", 3.0, 2, "right"),
]


def test_text_is_what_was_said_and_nothing_else():
    assert (
        export.text(SPEECH) == "добрый день это тестовая запись вторая фраза длиннее первой и всё же коротка"
    )


def test_a_call_is_written_in_turns():
    assert export.text(CALL) == "Left: good morning how can I help\nRight: my order is late"


def test_channels_are_named_in_the_readers_language():
    assert export.text(CALL, "ru").startswith("Левый: good morning")
    assert export.timecodes(CALL, "ru").startswith("[00:00:00 - 00:00:00] Левый: good morning\n")
    assert export.srt(CALL, "ru").splitlines()[2].startswith("Левый: good morning")
    assert "<v Левый>" in export.vtt(CALL, "ru")
    assert "Левый: good morning" in json.loads(export.file(CALL, "a.mp3", "json", "ru").content)["text"]
    assert (
        docx.Document(io.BytesIO(export.document(CALL, "a", "ru")))
        .paragraphs[1]
        .text.endswith("Левый: good morning")
    )


def test_who_speaks_into_a_turn_stands_where_they_spoke():
    """A long stretch of one channel is stored as a whole, before what the other said meanwhile."""
    call = [
        spoken("We begin on Monday. The lift comes later.", 0.0, 0, "left"),
        spoken("Nobody knows when.", 4.0, 1, "left"),
        spoken("On Monday?", 1.0, 2, "right"),
        spoken("I see.", 3.6, 3, "right"),
    ]

    assert export.text(call).splitlines() == [
        "Left: We begin on Monday.",
        "Right: On Monday?",
        "Left: The lift comes later.",
        "Right: I see.",
        "Left: Nobody knows when.",
    ]
    assert [line[1:9] for line in export.timecodes(call).splitlines()] == [
        "00:00:00", "00:00:01", "00:00:03", "00:00:04",
    ]  # fmt: skip


def test_words_that_do_not_make_up_the_text_leave_it_whole():
    odd = TranscribedSegment(0, "left", 0.0, 2.0, "Twenty-one. Yes.", (Word("21", 0.0, 1.0),))

    assert export.text([odd, spoken("no", 1.0, 1, "right")]) == "Left: Twenty-one. Yes.\nRight: no"


def test_timecodes_are_one_line_a_segment():
    assert export.timecodes(SPEECH).splitlines() == [
        "[00:00:00 - 00:00:02] добрый день это тестовая запись",
        "[01:01:01 - 01:01:04] вторая фраза длиннее первой и всё же коротка",
    ]


def test_captions_are_short_and_in_order_and_lose_no_word():
    long = spoken(" ".join(f"слово{i}" for i in range(200)), 10.0, pace_s=0.6)

    cues = export.cues([long])

    assert " ".join(cue.text for cue in cues) == long.text
    assert all(a.end_s <= b.start_s for a, b in pairwise(cues))
    assert all(1.0 <= cue.end_s - cue.start_s <= 7.0 for cue in cues)
    assert all(len(line) <= 42 for cue in cues for line in cue.lines)
    assert {len(cue.lines) for cue in cues} <= {1, 2}


CLAUSES = (
    "Сегодня мы обсуждаем смету на ремонт лестницы, и начнём с того, что уже сделано. "
    "Подрядчик обещал закончить в пятницу, но материалы ещё не привезли, потому что склад закрыт. "
    "Предлагаю так: ждём до среды, а потом звоним поставщику."
)


def test_captions_break_behind_sentences_and_clauses():
    cues = export.cues([spoken(CLAUSES, pace_s=0.5)])

    assert " ".join(cue.text for cue in cues) == CLAUSES
    assert all(re.search(r"[.,:]$", cue.text) for cue in cues), [cue.text for cue in cues]


def test_no_word_is_left_alone_in_a_caption():
    """Words without any sign, at every length: what is left over is shared."""
    for count in range(2, 60):
        cues = export.cues([spoken(" ".join(["восемьбук"] * count), pace_s=0.6)])

        assert min(len(cue.text.split()) for cue in cues) >= 2, count


def test_a_word_behind_a_pause_in_a_sentence_is_not_left_alone():
    words = (
        *spoken("и мы решили подождать до", 0.0).words,
        Word("понедельника.", 3.0, 3.6),
        *spoken("Потом посмотрим.", 4.6).words,
    )
    text = " ".join(word.text for word in words)

    cues = export.cues([TranscribedSegment(0, "mono", 0.0, 6.0, text, words)])

    assert [cue.text for cue in cues] == ["и мы решили подождать до понедельника.", "Потом посмотрим."]


def test_lines_are_about_as_long_as_each_other():
    [cue] = export.cues(
        [spoken("the committee will meet again on the first Monday of the month", pace_s=0.4)]
    )

    first, second = map(len, cue.lines)
    assert abs(first - second) <= 12, cue.lines


def test_a_caption_of_one_short_word_stays_long_enough_to_be_read():
    words = (Word("да", 0.0, 0.2), Word("нет", 1.1, 1.2), Word("хорошо", 2.05, 2.1))

    cues = export.cues([TranscribedSegment(0, "mono", 0.0, 2.1, "да нет хорошо", words)])

    assert all(cue.end_s - cue.start_s >= 1.0 for cue in cues)


def test_words_without_times_are_shared_over_the_segment():
    cues = export.cues([TranscribedSegment(0, "mono", 100.0, 130.0, CLAUSES, ())])

    assert " ".join(cue.text for cue in cues) == CLAUSES
    assert cues[0].start_s == 100.0
    assert all(len(line) <= 42 for cue in cues for line in cue.lines)


def test_a_word_longer_than_a_line_is_broken():
    cues = export.cues([spoken("see " + "x" * 100 + " there", 0.0, pace_s=2.0)])

    assert "".join("".join(cue.lines) for cue in cues).replace(" ", "") == "see" + "x" * 100 + "there"
    assert all(len(line) <= 42 for cue in cues for line in cue.lines)


@pytest.mark.parametrize("pace_s", [0.0, 0.01])
def test_no_caption_ends_before_it_begins(pace_s):
    """Engines give words without length."""
    cues = export.cues([spoken("раз два три четыре пять " * 20, 5.0, pace_s=pace_s)])

    assert all(cue.end_s > cue.start_s for cue in cues)
    assert all(a.end_s <= b.start_s for a, b in pairwise(cues))


SYLLABLES = st.text("абвгдежз", min_size=1, max_size=11)
UTTERANCES = st.lists(
    st.tuples(
        st.sampled_from(["left", "right"]),
        st.lists(st.tuples(SYLLABLES, st.sampled_from(["", "", "", ",", "."])), min_size=1, max_size=40),
        st.floats(0.0, 3.0),
    ),
    max_size=6,
)


@given(UTTERANCES)
def test_calls_with_cross_talk_keep_every_rule_of_captions(utterances):
    """Everybody speaks 14 characters a second, over each other; read by somebody else's parser."""
    segments: list[TranscribedSegment] = []
    free_s = {"left": 0.0, "right": 0.0}
    for n, (channel, parts, pause_s) in enumerate(utterances):
        start_s = at_s = free_s[channel] + pause_s
        words = []
        for caption, sign in parts:
            length_s = (len(caption + sign) + 1) / 14
            words.append(Word(caption + sign, at_s, at_s + length_s))
            at_s += length_s
        free_s[channel] = at_s
        text = " ".join(word.text for word in words)
        segments.append(TranscribedSegment(n, channel, start_s, at_s, text, tuple(words)))

    cues = list(webvtt.WebVTT.from_string(export.vtt(segments), strict=True)) if segments else []
    subrip = pysubs2.SSAFile.from_string(export.srt(segments), format_="srt") if segments else []

    starts = [_seconds(cue.start_time) for cue in cues]
    assert starts == sorted(starts)
    for name, channel in (("Left", "left"), ("Right", "right")):
        spoken = " ".join(segment.text for segment in segments if segment.channel == channel)
        own_cues = [cue for cue in cues if cue.voice == name]
        assert " ".join(cue.text.replace("\n", " ") for cue in own_cues) == spoken
        for a, b in pairwise(own_cues):
            assert a.end <= b.start
    assert len(cues) == len(subrip)
    for cue, subtitle in zip(cues, subrip, strict=True):
        assert (cue.start, cue.end) == (_stamp(subtitle.start), _stamp(subtitle.end))
        assert subtitle.plaintext == f"{cue.voice}: {cue.text}"
        lines = subtitle.plaintext.split("\n")
        assert len(lines) <= 2
        assert all(len(line) <= 42 for line in lines)
        shown_s = _seconds(cue.end_time) - _seconds(cue.start_time)
        assert 1.0 - 1e-3 <= shown_s <= 7.0 + 1e-3
        assert len(cue.text) / shown_s <= 20.01


def _stamp(ms):
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


def _seconds(stamp):
    return stamp.hours * 3600 + stamp.minutes * 60 + stamp.seconds + stamp.milliseconds / 1000


def test_a_pause_begins_a_new_caption():
    words = (Word("да", 0.0, 0.3), Word("нет", 2.0, 2.3))

    assert [cue.text for cue in export.cues([TranscribedSegment(0, "mono", 0, 3, "да нет", words)])] == [
        "да",
        "нет",
    ]


def test_srt_and_vtt_are_well_formed():
    assert export.srt(SPEECH).startswith("1\n00:00:00,000 --> 00:00:02,000\nдобрый день")
    assert export.vtt(CALL).startswith("WEBVTT\n\n00:00:00.000 --> 00:00:02.600\n<v Left>good morning how")


@pytest.mark.parametrize("kind", ["srt", "vtt"])
def test_nothing_said_can_pose_as_a_cue(kind):
    evil = [TranscribedSegment(0, "mono", 0.0, 1.0, "a --> b\n\n2\n00:00 --> 00:01 <script>x</script>", ())]

    content = export.file(evil, "x.wav", kind).content.decode()

    assert content.count("-->") == 1
    assert kind == "srt" or "<script>" not in content


def test_a_spreadsheet_runs_nothing_of_what_was_said():
    table = export.table([spoken("=HYPERLINK(1)"), spoken("+7 495"), spoken("обычный текст, с запятой")])

    rows = list(csv.reader(io.StringIO(table.removeprefix("\ufeff"))))

    assert [row[4] for row in rows] == ["text", "'=HYPERLINK(1)", "'+7 495", "обычный текст, с запятой"]


def test_json_is_exact():
    parsed = json.loads(export.file(SPEECH, "a.mp3", "json").content)

    assert parsed["text"] == export.text(SPEECH)
    assert parsed["segments"][1]["words"][0] == {
        "text": "вторая",
        "start_s": 3661.5,
        "end_s": pytest.approx(3661.9),
        "confidence": None,
        "mark": "",
    }


def test_a_word_document_opens_and_holds_every_segment():
    document = docx.Document(
        io.BytesIO(export.document([spoken("a < b & c"), *SPEECH], "Запись <1>\x0b.mp3"))
    )

    paragraphs = [paragraph.text for paragraph in document.paragraphs]
    assert paragraphs[:2] == ["Запись <1>.mp3", "[00:00:00] a < b & c"]
    assert len(paragraphs) == 4
    assert (document.core_properties.title, document.core_properties.author) == ("Запись <1>.mp3", "")


def test_a_word_document_keeps_line_breaks_and_spaces_that_do_not_break():
    text = "10\u00a0000 рублей\nи\tещё\u2028раз\r\nв № 5\u202f%"
    document = docx.Document(
        io.BytesIO(export.document([TranscribedSegment(0, "mono", 0, 1, text, ())], "a"))
    )

    assert document.paragraphs[1].text == "[00:00:00] 10\u00a0000 рублей\nи\tещё\nраз\nв № 5\u202f%"
    assert document.paragraphs[1]._p.xml.count("<w:br/>") == 3


def test_turns_are_lines_of_ten_fields_by_start():
    lines = [
        spoken("my order is late", 3.0, 1, "Anna Petrova"),
        spoken("good morning", 0.0, 0, "speaker_1"),
    ]

    assert export.rttm(lines, "a call.wav").splitlines() == [
        "SPEAKER a_call 1 0.000 0.800 <NA> <NA> speaker_1 <NA> <NA>",
        "SPEAKER a_call 1 3.000 1.600 <NA> <NA> Anna_Petrova <NA> <NA>",
    ]


@pytest.mark.parametrize("kind", sorted(export.FORMATS))
def test_silence_is_a_file_too(kind):
    assert export.file([], "тишина.wav", kind).name.startswith("тишина")


@given(st.text(max_size=60))
def test_any_name_makes_a_header_that_names_it(name):
    from urllib.parse import unquote

    header = export.disposition(name.encode("utf-8", "ignore").decode())

    assert header.isascii()
    assert "\n" not in header
    assert "\r" not in header
    assert re.fullmatch(r"attachment; filename=\"[^\"\\]*\"; filename\*=UTF-8''[^ ;\"]*", header)
    assert unquote(header.rpartition("''")[2]) == name.encode("utf-8", "ignore").decode()


@given(st.lists(st.text(max_size=80), max_size=6))
def test_any_words_make_every_format(texts):
    segments = [spoken(text, 10.0 * n, n) for n, text in enumerate(texts)]

    for kind in export.FORMATS:
        file = export.file(segments, "a.wav", kind)
        assert file.content is not None


WARNING = WarningAnswer("other_language", "This sounds like --> another language.")


@pytest.mark.parametrize("kind", ["txt", "timecodes", "vtt", "json", "rttm", "docx"])
def test_what_is_to_be_known_stands_in_every_format_that_has_a_place_for_it(kind):
    file = export.file(SPEECH, "a.wav", kind, warnings=[WARNING])

    text = file.content if kind != "docx" else _comments(file.content)
    assert b"another language" in text
    assert file.warnings == ("other_language",)
    assert b"another language" not in export.file(SPEECH, "a.wav", kind).content
    if kind == "vtt":
        assert len(webvtt.WebVTT.from_string(file.content.decode(), strict=True)) > 0
    if kind == "json":
        assert json.loads(file.content)["warnings"] == [dataclasses.asdict(WARNING)]


def _comments(content: bytes) -> bytes:
    document = docx.Document(io.BytesIO(content))
    assert document.paragraphs[1].text == WARNING.message
    return document.core_properties.comments.encode()
