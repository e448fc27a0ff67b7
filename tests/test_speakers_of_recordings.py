"""Speakers of a recording: found on request, named, and in everything that is taken away."""

from __future__ import annotations

import pytest

from core.database.states import JobKind, JobState
from core.database.tables import Job
from core.errors import Code, NotFound, Rejected
from core.library import views
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.speech.engine import Word
from core.speech.speakers import finder
from core.speech.speakers.finder import SpeakersOff
from core.speech.speakers.turns import Turn
from core.transcripts import export
from core.transcripts.speakers import by_speaker
from core.transcripts.transcripts import TranscribedSegment
from tests import drive
from tests.installation import done, generous, upload
from tests.serve import serve

TURNS = (Turn(0.0, 1.2, 0), Turn(1.2, 10.0, 1))
"""Of the clip's "good morning everyone and thank you for coming to"."""


@pytest.fixture
def two_speakers(monkeypatch):
    """Instead of networks, a script; how many were asked for is kept."""
    asked: list[str] = []

    def turns(_sound, speakers, _folder, progress):
        asked.append(speakers)
        progress(1.0)
        return TURNS

    monkeypatch.setattr(finder, "turns", turns)
    return asked


def accept(app, clip, speakers="auto"):
    options = TranscriptionOptions(language="en", speakers=speakers)
    with clip.open("rb") as file:
        task = app.intake.accept(EVERYONE, file, clip.name, options)
    drive.perform_all(app)
    return app.recordings.task(EVERYONE, task.id)


def kinds(app):
    from sqlalchemy import select

    with app.database.read() as session:
        rows = session.scalars(select(Job).order_by(Job.created_at))
        return [row.kind for row in rows if row.state == JobState.DONE]


def test_a_transcript_says_who_said_each_word(app, clip, two_speakers):
    task = accept(app, clip, "2-4")

    assert two_speakers == ["2-4"]
    assert JobKind.DIARIZE in kinds(app)
    parts = app.transcripts.segments(task.transcript_id)
    assert [part.channel for part in parts] == ["speaker_1", "speaker_2"]
    assert all(word.start_s >= 1.0 for word in parts[1].words)
    passages = app.transcripts.utterances(task.transcript_id)
    assert {one.speaker for one in passages} == {"speaker_1", "speaker_2"}


def test_nobody_is_looked_for_unless_asked(app, clip, two_speakers):
    task = accept(app, clip, speakers="")

    assert two_speakers == []
    assert JobKind.DIARIZE not in kinds(app)
    assert {part.channel for part in app.transcripts.segments(task.transcript_id)} == {"mono"}


def test_asking_for_speakers_afterwards_is_another_transcript(app, clip, two_speakers):
    first, second = accept(app, clip, speakers=""), accept(app, clip, "auto")

    assert first.recording_id == second.recording_id
    assert first.transcript_id != second.transcript_id
    row = app.recordings.get(EVERYONE, first.recording_id)
    assert row.transcript_id == second.transcript_id


def test_a_name_is_in_everything_that_is_taken_away(app, clip, two_speakers):
    task = accept(app, clip)
    app.speakers.rename(task.recording_id, task.transcript_id, "speaker_2", " Anna  Petrova ")

    for kind in export.FORMATS:
        content = views.exported(app.recordings, app.transcripts, EVERYONE, task.recording_id, kind)
        if kind != "docx":  # a zip
            assert "Anna Petrova" in content.decode().replace("Anna_", "Anna "), kind
    named = [one.name for one in app.speakers.summaries(task.recording_id, task.transcript_id)]
    assert named == ["", "Anna Petrova"]


def test_a_name_is_taken_back(app, clip, two_speakers):
    task = accept(app, clip)
    app.speakers.rename(task.recording_id, task.transcript_id, "speaker_1", "Anna")
    app.speakers.rename(task.recording_id, task.transcript_id, "speaker_1", "")

    parts = app.transcripts.segments(task.transcript_id, task.recording_id)
    assert parts[0].channel == "speaker_1"


@pytest.mark.parametrize("name", ["mono", "left", "speaker_9", "x" * 101])
def test_a_label_is_no_name(app, clip, two_speakers, name):
    task = accept(app, clip)
    with pytest.raises(Rejected) as refused:
        app.speakers.rename(task.recording_id, task.transcript_id, "speaker_1", name)
    assert refused.value.code == Code.SPEAKER_NAME


def test_who_does_not_speak_cannot_be_named(app, clip, two_speakers):
    task = accept(app, clip)
    with pytest.raises(NotFound):
        app.speakers.rename(task.recording_id, task.transcript_id, "speaker_3", "Anna")


def test_without_models_the_words_are_there_and_the_reason_is_kept(app, clip, monkeypatch):
    def off(*_):
        raise SpeakersOff(reason="no_wheel", file="")

    monkeypatch.setattr(finder, "turns", off)
    task = accept(app, clip)

    assert task.status == "completed"
    assert {part.channel for part in app.transcripts.segments(task.transcript_id)} == {"mono"}
    assert app.speakers.error(task.transcript_id)["code"] == Code.SPEAKER_MODELS_MISSING
    assert app.speakers.summaries(task.recording_id, task.transcript_id) == []


def test_a_deleted_recording_takes_its_speakers_along(app, clip, two_speakers):
    task = accept(app, clip)
    app.speakers.rename(task.recording_id, task.transcript_id, "speaker_1", "Anna")
    app.deletion.delete_recording(EVERYONE, task.recording_id)

    again = accept(app, clip)
    assert app.speakers.summaries(again.recording_id, again.transcript_id)[0].name == ""


def test_a_segment_without_times_of_words_is_its_longest_speakers():
    segment = TranscribedSegment(0, "mono", 1.0, 4.0, "all of it", ())
    found = by_speaker([segment], TURNS, {"speaker_2": "Boris"})
    assert [(one.channel, one.text) for one in found] == [("Boris", "all of it")]


def test_a_segment_of_two_speakers_is_split_at_its_words():
    words = (Word("yes", 0.2, 0.9), Word("no", 1.5, 1.9), Word("maybe", 2.0, 2.5))
    segment = TranscribedSegment(0, "mono", 0.0, 3.0, "Yes. No, maybe.", words)
    found = by_speaker([segment], TURNS, {})
    assert [(one.n, one.channel, one.text, one.start_s, one.end_s) for one in found] == [
        (0, "speaker_1", "yes", 0.2, 0.9),
        (1, "speaker_2", "no maybe", 1.5, 2.5),
    ]


@pytest.mark.parametrize("speakers", ["3", "2-5", "auto"])
def test_numbers_of_speakers_are_understood(speakers):
    options = finder._options(speakers)
    expected = {"3": (3, 3), "2-5": (2, 5), "auto": (None, None)}[speakers]
    assert (options.at_least, options.at_most) == expected


def test_programs_ask_for_speakers_and_name_them(tmp_path, clip):
    with serve(generous(tmp_path / "home")) as served, served.client() as me:
        refused = upload(me, clip, language="en", speakers="many")
        assert refused.status_code == 400
        task_id = done(served, me, clip, speakers="1")
        recording_id = served.app.recordings.task(EVERYONE, task_id).recording_id
        recording = f"/api/v1/recordings/{recording_id}/speakers"
        found = me.get(recording).json()
        assert found["error"] is None
        assert [one["label"] for one in found["speakers"]] == ["speaker_1"]
        named = me.patch(f"{recording}/speaker_1", json={"name": "Anna"})
        assert [one["name"] for one in named.json()["speakers"]] == ["Anna"]
        assert me.patch(f"{recording}/speaker_7", json={"name": "Anna"}).status_code == 404
        assert me.patch(f"{recording}/speaker_1", json={"name": "mono"}).status_code == 400
