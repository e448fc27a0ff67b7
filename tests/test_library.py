"""What people see of recordings: lists that find, paragraphs that read well, fitting excerpts."""

from __future__ import annotations

import functools
import io
import zipfile

import pytest

from core.database.tables import Recording, Task
from core.embedding.embedders import e5
from core.errors import BadRequest, Code, NotFound, Rejected, code_of
from core.library import views
from core.library.listing import ORDERS
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE, Principal
from core.speech.engine import Word
from core.storage.blobs import Blob
from core.transcripts.segments import TranscribedSegment
from tests import drive
from tests.conftest import DATA
from tests.test_corrections import bring, transcript

STRANGER = Principal("somebody")


def send(app, name="call_stereo.opus", principal=EVERYONE, **options):
    with (DATA / name).open("rb") as file:
        outcome = views.accept_file(app.intake, principal, file, name, TranscriptionOptions(**options))
    return outcome.recording_id


def segment(
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
    assert [row.status for row in views.listed(app.database, EVERYONE, status="queued")] == ["queued"]
    assert views.listed(app.database, EVERYONE, status="cancelled") == []
    assert views.listed(app.database, Principal("other")) == []


def test_a_task_that_is_forgotten_leaves_the_one_before_as_the_newest(app):
    id_ = send(app)
    app.tasks.cancel(EVERYONE, app.recordings.tasks(EVERYONE)[1][0].id)
    again = app.intake.transcribe_again(EVERYONE, id_, TranscriptionOptions())
    assert views.cards(app.database, EVERYONE, status="queued")[0] == 1

    app.recordings.forget(EVERYONE, again.id)

    assert views.cards(app.database, EVERYONE, status="queued") == (0, [])
    assert views.cards(app.database, EVERYONE, status="cancelled")[0] == 1


@pytest.mark.parametrize("few", [0, views.FEW], ids=["many", "few"])
def test_pages_read_from_either_end_are_those_of_the_whole_list(app, monkeypatch, few):
    monkeypatch.setattr(views, "FEW", few)
    with app.database.write() as session:
        for n in range(7):
            facts = {"owner": "pages", "language": "ru", "created_at": n // 2}
            session.add(Recording(id=f"r{n}", sha256=f"{n}", filename="", title="", size_bytes=1, **facts))
            session.flush()
            session.add(Task(id=f"t{n}", recording_id=f"r{n}", transcript_id="", engine="", **facts))
    lists = {
        "cards": lambda **page: views.cards(app.database, EVERYONE, **page),
        "by state": lambda **page: views.cards(app.database, EVERYONE, status="queued", **page),
        "recordings": lambda **page: app.recordings.find(EVERYONE, **page),
        "tasks": lambda **page: app.recordings.tasks(EVERYONE, **page),
    }
    for name, ask in lists.items():
        ids = [getattr(row, "recording", row).id[1] for row in ask(limit=9)[1]]
        assert "".join(ids) == "6543210", name
        for offset in range(9):
            total, rows = ask(limit=3, offset=offset)
            assert total == 7
            assert [getattr(row, "recording", row).id[1] for row in rows] == ids[offset : offset + 3], name


def test_programs_find_a_title_whatever_its_capitals(app):
    id_ = send(app, title="Планёрка ОТДЕЛА")

    total, (recording,) = app.recordings.find(EVERYONE, words="отдела")

    assert (total, recording.id) == (1, id_)
    assert app.recordings.find(EVERYONE, words="ПЛАНЁРКА О")[0] == 1
    assert app.recordings.find(EVERYONE, words="отделы")[0] == 0


def test_nobody_sees_what_is_somebody_elses(app):
    id_ = send(app, tags=("secret",))

    assert views.cards(app.database, STRANGER) == (0, [])
    assert views.tags(app.database, STRANGER) == {}
    assert views.chosen(app.database, STRANGER, [id_]) == []
    assert views.totals(app.database, STRANGER) == views.Totals(0, 0.0, 0.0, 0.0)
    with pytest.raises(NotFound):
        views.reading(app.database, app.transcripts, STRANGER, id_)
    with pytest.raises(NotFound):
        views.exported(app.recordings, app.transcripts, STRANGER, id_, "txt")


def test_titles_and_file_names_are_found_by_any_words_in_any_capitals(app):
    id_ = send(app)
    app.recordings.rename(EVERYONE, id_, "Планёрка 100 % в отделе", ["работа", 'ра"бота'])

    for database in (app.recordings.find, functools.partial(views.cards, app.database)):
        assert [
            database(EVERYONE, words=words, tag=tag)[0]
            for words, tag in [
                ("отдел ПЛАНЁРКА", ""),
                ("100 %", "работа"),
                ("1_0", ""),
                ("планёрка", "дом"),
                ("call_STEREO", ""),
                ("", 'ра"бота'),
                ("", "раб"),
            ]
        ] == [1, 1, 0, 0, 1, 1, 0]


def test_several_are_exported_tagged_and_transcribed_again_as_one(app):
    ids = [send(app), bring(app, transcript(), "talk.json"), bring(app, transcript(["иначе"]), "b.json")]
    drive.perform_all(app)
    app.recordings.rename(EVERYONE, ids[2], "talk", ())

    with app.bulk.archive(EVERYONE, ids, ["txt", "srt"]) as made, zipfile.ZipFile(made) as archive:
        names = archive.namelist()
        assert "иначе" in archive.read("talk (2).txt").decode()
    assert names == [
        *("call_stereo.txt", "call_stereo.srt"),
        *("talk.txt", "talk.srt", "talk (2).txt", "talk (2).srt"),
    ]
    app.bulk.tag(EVERYONE, ids, ("вместе",))
    assert views.tags(app.database, EVERYONE) == {"вместе": 3}
    rows = views.listed(app.database, EVERYONE, words="TALK", tag="вместе")
    assert {row.id for row in rows} == set(ids[1:])
    (task,) = app.bulk.transcribe(EVERYONE, ids, TranscriptionOptions(keep_corrections=True))
    assert (task.recording_id, task.keep_corrections) == (ids[0], True)
    for wrong, error in (([], Rejected), (["x"] * 2, NotFound), ([str(n) for n in range(501)], Rejected)):
        with pytest.raises(error):
            app.bulk.tag(EVERYONE, wrong, ())
    with pytest.raises(NotFound):
        app.bulk.archive(STRANGER, ids, ["txt"])


def test_recordings_are_listed_in_the_order_that_is_asked_for(app):
    with app.database.write() as session:
        for n, (title, duration_s) in enumerate([("б", 3.0), ("А", None), ("в", 9.0)]):
            facts = {"filename": "x", "language": "ru", "size_bytes": n, "created_at": n}
            session.add(
                Recording(
                    id=title, owner=EVERYONE.owner, sha256=title, title=title, duration_s=duration_s, **facts
                )
            )
    listed = {
        sort: "".join(card.recording.id for card in views.cards(app.database, EVERYONE, sort=sort)[1])
        for sort in ORDERS
    }
    assert listed == {
        "newest": "вАб",
        "oldest": "бАв",
        "recorded": "вАб",
        "title": "Абв",
        "longest": "вбА",
        "shortest": "бвА",
        "largest": "вАб",
    }


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
    outcome = views.accept_file(app.intake, EVERYONE, io.BytesIO(b"text"), "a.wav", TranscriptionOptions())

    assert outcome.error
    assert code_of(outcome.error) is Code.UNREADABLE_MEDIA
    assert views.cards(app.database, EVERYONE)[0] == 0


def test_only_named_folders_of_the_server_are_read(app, tmp_path):
    with pytest.raises(BadRequest):
        views.in_folder(str(tmp_path), app.settings.folders)


def test_again_needs_the_recording_and_keeps_its_owner(app):
    id_ = send(app, principal=STRANGER)

    task = app.intake.transcribe_again(EVERYONE, id_, TranscriptionOptions(force=True))

    assert (task.recording_id, task.owner) == (id_, STRANGER.owner)
    with pytest.raises(NotFound):
        app.intake.transcribe_again(EVERYONE, "no such", TranscriptionOptions())
    assert app.blobs.path(Blob(app.recordings.get(EVERYONE, id_).sha256, 0).sha256).exists()


def test_paragraphs_end_at_pauses_speakers_and_after_a_minute():
    segments = [
        segment(0, 0, 10),
        segment(1, 10.5, 20),
        segment(2, 22, 30),
        segment(3, 30.1, 40, "left"),
        segment(4, 40, 75, "left"),
        segment(5, 75, 92, "left"),
    ]

    paragraphs = views.paragraphs(segments)

    assert [(p.start_s, p.end_s, p.speaker, len(p.words)) for p in paragraphs] == [
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

    excerpt = views.excerpt(long, letters=100)

    assert ("искомое", True) in excerpt
    assert len("".join(piece for piece, _ in excerpt)) <= 105
    assert (excerpt[0][0], excerpt[-1][0]) == ("… ", " …")
    assert views.excerpt([("мало", True)]) == [("мало", True)]
    assert "".join(piece for piece, _ in views.excerpt([("без отметок " * 50, False)], 100)).startswith("без")
