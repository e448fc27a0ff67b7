"""What people see of recordings: lists that find, paragraphs that read well, fitting excerpts."""

from __future__ import annotations

import functools
import io

import pytest

from core.embedding.embedders import e5
from core.errors import BadRequest, Code, NotFound, code_of
from core.library import views
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE, Principal
from core.speech.engine import Word
from core.storage.blobs import Blob
from core.transcripts.transcripts import TranscribedSegment
from tests import drive
from tests.conftest import DATA

STRANGER = Principal("somebody")


def send(app, name="call_stereo.opus", who=EVERYONE, **options):
    with (DATA / name).open("rb") as file:
        return views.take_in(app.intake, who, file, name, TranscriptionOptions(**options)).recording_id


def said(
    n: int, start_s: float, end_s: float, channel: str = "mono", text: str = "слово"
) -> TranscribedSegment:
    return TranscribedSegment(n, channel, start_s, end_s, text, (Word(text, start_s, end_s),))


def test_a_list_shows_the_newest_task_and_only_what_fits(app):
    id_ = send(app, title="Планёрка Отдела", tags=("июнь",))
    app.tasks.cancel(EVERYONE, app.recordings.tasks(EVERYONE)[1][0].id)
    app.intake.transcribe_again(EVERYONE, id_, TranscriptionOptions())

    total, (card,) = views.cards(app.database, EVERYONE, words="отдела планёрка", tag="июнь")
    assert (total, card.status, card.active) == (1, "queued", True)
    assert views.cards(app.database, EVERYONE, status="cancelled") == (0, [])
    assert views.cards(app.database, EVERYONE, words="100%") == (0, [])
    assert views.cards(app.database, EVERYONE, limit=5, offset=5) == (1, [])


def test_programs_find_a_title_whatever_its_capitals(app):
    id_ = send(app, title="Планёрка ОТДЕЛА")

    total, (found,) = app.recordings.find(EVERYONE, words="отдела")

    assert (total, found.id) == (1, id_)
    assert app.recordings.find(EVERYONE, words="ПЛАНЁРКА О")[0] == 1
    assert app.recordings.find(EVERYONE, words="отделы")[0] == 0


def test_nobody_sees_what_is_somebody_elses(app):
    id_ = send(app, tags=("secret",))

    assert views.cards(app.database, STRANGER) == (0, [])
    assert views.tags(app.database, STRANGER) == []
    assert views.chosen(app.database, STRANGER, [id_]) == []
    assert views.totals(app.database, STRANGER) == views.Totals(0, 0.0, 0.0, 0.0)
    with pytest.raises(NotFound):
        views.reading(app.database, app.transcripts, STRANGER, id_)
    with pytest.raises(NotFound):
        views.exported(app.recordings, app.transcripts, STRANGER, id_, "txt")


def test_titles_and_file_names_are_found_by_any_words_in_any_capitals(app):
    id_ = send(app)
    app.recordings.rename(EVERYONE, id_, "Планёрка 100 % в отделе", ["работа"])

    for database in (app.recordings.find, functools.partial(views.cards, app.database)):
        assert [
            database(EVERYONE, words=words, tag=tag)[0]
            for words, tag in [
                ("отдел ПЛАНЁРКА", ""),
                ("100 %", "работа"),
                ("1_0", ""),
                ("планёрка", "дом"),
                ("call_STEREO", ""),
            ]
        ] == [1, 1, 0, 0, 1]


def test_a_transcript_is_readable_and_exported_when_it_is_there(app):
    id_ = send(app)
    before = views.reading(app.database, app.transcripts, EVERYONE, id_)
    assert (before.complete, before.paragraphs) == (False, [])
    assert views.exported(app.recordings, app.transcripts, EVERYONE, id_, "txt") == b"\n"

    drive.perform_all(app)

    reading = views.reading(app.database, app.transcripts, EVERYONE, id_)
    assert reading.complete
    assert "команда" in [word.text for paragraph in reading.paragraphs for word in paragraph.words]
    assert "бюджет" in views.exported(app.recordings, app.transcripts, EVERYONE, id_, "srt").decode()
    totals = views.totals(app.database, EVERYONE)
    assert totals.words_s == totals.total_s == pytest.approx(23, abs=1)
    assert totals.meaning_s == (0 if e5.reason() else totals.total_s)


def test_a_refused_file_leaves_a_reason_and_nothing_else(app):
    outcome = views.take_in(app.intake, EVERYONE, io.BytesIO(b"text"), "a.wav", TranscriptionOptions())

    assert outcome.error
    assert code_of(outcome.error) is Code.UNREADABLE_MEDIA
    assert views.cards(app.database, EVERYONE)[0] == 0


def test_only_named_folders_of_the_server_are_read(app, tmp_path):
    with pytest.raises(BadRequest):
        views.in_folder(str(tmp_path), app.settings.folders)


def test_again_needs_the_recording_and_keeps_its_owner(app):
    id_ = send(app, who=STRANGER)

    task = app.intake.transcribe_again(EVERYONE, id_, TranscriptionOptions(force=True))

    assert (task.recording_id, task.owner) == (id_, STRANGER.owner)
    with pytest.raises(NotFound):
        app.intake.transcribe_again(EVERYONE, "no such", TranscriptionOptions())
    assert app.blobs.path(Blob(app.recordings.get(EVERYONE, id_).sha256, 0).sha256).exists()


def test_paragraphs_end_at_pauses_speakers_and_after_a_minute():
    heard = [
        said(0, 0, 10),
        said(1, 10.5, 20),
        said(2, 22, 30),
        said(3, 30.1, 40, "left"),
        said(4, 40, 75, "left"),
        said(5, 75, 92, "left"),
    ]

    found = views.paragraphs(heard)

    assert [(p.start_s, p.end_s, p.speaker, len(p.words)) for p in found] == [
        (0, 20, "", 2),
        (22, 30, "", 1),
        (30.1, 75, "left", 2),
        (75, 92, "left", 1),
    ]


def test_a_segment_without_words_is_one_word():
    (paragraph,) = views.paragraphs([TranscribedSegment(0, "mono", 1.0, 2.0, "целая фраза", ())])

    assert paragraph.words == (Word("целая фраза", 1.0, 2.0),)


def test_an_excerpt_shows_the_first_mark_and_never_more_than_the_text():
    long = [("начало " * 60, False), ("искомое", True), (" конец" * 60, False)]

    shown = views.excerpt(long, letters=100)

    assert ("искомое", True) in shown
    assert len("".join(piece for piece, _ in shown)) <= 105
    assert (shown[0][0], shown[-1][0]) == ("… ", " …")
    assert views.excerpt([("мало", True)]) == [("мало", True)]
    assert "".join(piece for piece, _ in views.excerpt([("без отметок " * 50, False)], 100)).startswith("без")
