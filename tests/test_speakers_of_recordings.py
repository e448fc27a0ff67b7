"""Speakers of a recording: found on request, named, and in everything that is taken away."""

from __future__ import annotations

import numpy as np
import pytest
from sqlalchemy import select

from core.database.states import JobKind, JobState
from core.database.tables import Job, PassageRow
from core.errors import Code, NotFound, Rejected
from core.library import views
from core.library.recordings import TranscriptionOptions
from core.pipeline import diarize
from core.principal import EVERYONE, Principal
from core.settings import Settings
from core.speech.engine import Word
from core.speech.speakers import finder
from core.speech.speakers.finder import FoundSpeaker, FoundSpeakers, SpeakersOff
from core.speech.speakers.turns import Turn
from core.speech.speakers.voices import to_bytes
from core.transcripts import export
from core.transcripts.segments import TranscribedSegment
from core.transcripts.speakers import Speaking, by_speaker
from jobs import actors
from tests import drive
from tests.conftest import DATA
from tests.installation import done, generous, upload
from tests.serve import serve

TURNS = (Turn(0.0, 1.2, 0), Turn(1.2, 10.0, 1))
"""Of the clip's "good morning everyone and thank you for coming to"."""


@pytest.fixture
def two_speakers(monkeypatch):
    """Instead of networks, a script; how many were asked for is kept."""
    return script(monkeypatch)


def script(monkeypatch, *, alone_s=(20.0, 20.0), voices=(0, 1), turns=TURNS):
    """Speakers whose voices are unit vectors along the axes named, with so much speech alone."""
    requested: list[str] = []

    def find(sounds, speakers, _folder, progress, _kept):
        requested.append(f"{speakers} in {','.join(sounds)}")
        progress(1.0)
        result = [
            FoundSpeaker(n, seconds, to_bytes(np.eye(192, dtype=np.float32)[axis]))
            for n, (seconds, axis) in enumerate(zip(alone_s, voices, strict=True))
        ]
        return FoundSpeakers(turns, tuple(result))

    monkeypatch.setattr(finder, "find", find)
    return requested


def accept(app, clip, speakers="auto", principal=EVERYONE, **options):
    options = TranscriptionOptions(language="en", speakers=speakers, **options)
    with clip.open("rb") as file:
        task = app.intake.accept(principal, file, clip.name, options)
    drive.perform_all(app)
    return app.recordings.task(EVERYONE, task.id)


def labels(app, task):
    return [part.label for part in app.transcripts.segments(task.transcript_id, task.recording_id)]


def names(app, task):
    view = app.recording_speakers.view(EVERYONE, task.recording_id)
    return {one.label: one.name for one in view.speakers}


def kinds(app):
    with app.database.read() as session:
        rows = session.scalars(select(Job).order_by(Job.created_at))
        return [row.kind for row in rows if row.state == JobState.DONE]


def test_a_transcript_says_who_said_each_word(app, clip, two_speakers):
    task = accept(app, clip, "2-4")

    assert two_speakers == ["2-4 in mono"]
    assert JobKind.DIARIZE in kinds(app)
    parts = app.transcripts.segments(task.transcript_id, task.recording_id)
    assert [part.label for part in parts] == ["speaker_1", "speaker_2"]
    assert all(word.start_s >= 1.0 for word in parts[1].words)
    with app.database.read() as session:
        passages = list(session.scalars(select(PassageRow)))
    assert {one.speaker for one in passages} == {"speaker_1", "speaker_2"}


def test_the_setting_says_whether_speakers_are_looked_for_where_nobody_says(tmp_path, clip, two_speakers):
    usual = generous(tmp_path / "usual", speakers="auto")
    never = generous(tmp_path / "never", speakers="off")

    assert labels(usual, accept(usual, clip, speakers="")) == ["speaker_1", "speaker_2"]
    assert labels(never, accept(never, clip, speakers="")) == ["mono"]
    assert Settings.model_fields["speakers"].default == "auto"


def test_nobody_is_looked_for_where_that_is_off(app, clip, two_speakers):
    task = accept(app, clip, speakers="off")

    assert two_speakers == []
    assert JobKind.DIARIZE not in kinds(app)
    assert labels(app, task) == ["mono"]


def test_speakers_are_found_beside_the_transcription(app, clip, two_speakers):
    with clip.open("rb") as file:
        app.intake.accept(EVERYONE, file, clip.name, TranscriptionOptions(language="en", speakers="auto"))
    (first,) = drive.ready(app)
    actors.perform(app, first.id)

    assert {job.kind for job in drive.ready(app)} == {JobKind.TRANSCRIBE, JobKind.DIARIZE}


@pytest.mark.parametrize("first", [JobKind.TRANSCRIBE, JobKind.DIARIZE])
def test_indexing_waits_for_speakers_whoever_is_ready_first(app, clip, two_speakers, first):
    with clip.open("rb") as file:
        task = app.intake.accept(
            EVERYONE, file, clip.name, TranscriptionOptions(language="en", speakers="auto")
        )
    actors.perform(app, drive.ready(app)[0].id)
    jobs = {job.kind: job.id for job in drive.ready(app)}
    actors.perform(app, jobs.pop(first))
    for job in drive.ready(app):
        if job.kind == JobKind.INDEX:
            actors.perform(app, job.id)  # looks, and waits
    waiting = app.recordings.task(EVERYONE, task.id)
    assert waiting.status == "processing"
    assert app.transcripts.segments(waiting.transcript_id) == [] or first == JobKind.TRANSCRIBE
    assert waiting.stage == ("diarize" if first == JobKind.TRANSCRIBE else "prepare")

    drive.perform_all(app)
    assert app.recordings.task(EVERYONE, task.id).status == "completed"
    assert labels(app, waiting) == ["speaker_1", "speaker_2"]


@pytest.mark.parametrize("how", ["breaks", "crashes", "is cancelled"])
def test_a_transcript_does_without_speakers_that_cannot_be_found(app, clip, monkeypatch, how):
    def broken(*_):
        raise RuntimeError("no more memory")

    monkeypatch.setattr(finder, "find", broken)
    with clip.open("rb") as file:
        task = app.intake.accept(
            EVERYONE, file, clip.name, TranscriptionOptions(language="en", speakers="auto")
        )
    actors.perform(app, drive.ready(app)[0].id)
    (job,) = [job for job in drive.ready(app) if job.kind == JobKind.DIARIZE]
    with app.database.write() as session:
        row = session.get_one(Job, job.id)
        if how == "breaks":
            row.attempts = 4
        elif how == "crashes":
            row.state, row.crash_count, row.lease_until = JobState.RUNNING, 3, 0.0
        else:
            row.state = JobState.CANCELLED
    app.job_queue.reconcile()
    drive.perform_all(app)

    assert app.recordings.task(EVERYONE, task.id).status == "completed"
    assert labels(app, task) == ["mono"]


def test_a_cancelled_task_goes_on_with_both_of_its_jobs(app, clip, two_speakers):
    with clip.open("rb") as file:
        task = app.intake.accept(
            EVERYONE, file, clip.name, TranscriptionOptions(language="en", speakers="auto")
        )
    actors.perform(app, drive.ready(app)[0].id)
    app.tasks.cancel(EVERYONE, task.id)
    assert drive.ready(app) == []

    assert app.tasks.retry(EVERYONE, task.id)
    drive.perform_all(app)
    assert labels(app, task) == ["speaker_1", "speaker_2"]


def test_a_recording_that_comes_meanwhile_is_read_first(app, clip, monkeypatch):
    """Speakers take minutes: whoever finds them lets a new recording go first, and goes on afterwards."""
    script(monkeypatch)
    find, reported = finder.find, []
    monkeypatch.setattr(diarize, "REPORT_S", 0.0)

    def slow(sounds, speakers, folder, progress, kept):
        reported.append(len(reported))
        if len(reported) == 1:
            other = clip.with_name("other.wav")
            other.write_bytes(clip.read_bytes() + b"\0\0" * 1600)
            with other.open("rb") as file:
                app.intake.accept(EVERYONE, file, "other.wav", TranscriptionOptions(language="en"))
        return find(sounds, speakers, folder, progress, kept)

    monkeypatch.setattr(finder, "find", slow)
    with clip.open("rb") as file:
        task = app.intake.accept(
            EVERYONE, file, clip.name, TranscriptionOptions(language="en", speakers="auto")
        )
    actors.perform(app, drive.ready(app)[0].id)
    (job,) = [job for job in drive.ready(app) if job.kind == JobKind.DIARIZE]
    actors.perform(app, job.id)
    assert app.speakers.row(task.recording_id) is None

    drive.perform_all(app)
    app.job_queue.expedite(task.id)
    drive.perform_all(app)
    assert labels(app, task) == ["speaker_1", "speaker_2"]
    assert len(reported) == 2


def test_asking_for_speakers_afterwards_keeps_the_text(app, clip, two_speakers):
    first, second = accept(app, clip, speakers="off"), accept(app, clip, "auto")

    assert first.transcript_id == second.transcript_id
    assert labels(app, second) == ["speaker_1", "speaker_2"]
    assert kinds(app).count(JobKind.TRANSCRIBE) == 1


def test_speakers_of_an_old_recording_are_found_on_request(app, clip, two_speakers):
    task = accept(app, clip, speakers="off")
    app.recording_speakers.find(EVERYONE, task.recording_id, "2")
    drive.perform_all(app)

    assert labels(app, task) == ["speaker_1", "speaker_2"]
    app.recording_speakers.find(EVERYONE, task.recording_id, "2")
    drive.perform_all(app)
    assert two_speakers == ["2 in mono"]


def test_what_was_corrected_outlives_another_upload_and_another_transcript(app, clip, two_speakers):
    task = accept(app, clip, "2")
    app.recording_speakers.rename(EVERYONE, task.recording_id, "speaker_1", "Anna")
    accept(app, clip)
    accept(app, clip, force=True)
    assert names(app, task) == {"speaker_1": "Anna", "speaker_2": ""}

    app.recording_speakers.find(EVERYONE, task.recording_id, "auto")
    drive.perform_all(app)
    assert names(app, task) == {"speaker_1": "", "speaker_2": ""}
    assert two_speakers == ["2 in mono", "auto in mono"]


def test_the_same_sound_of_somebody_else_is_listened_to_once(app, clip, two_speakers):
    accept(app, clip)
    other = accept(app, clip, principal=Principal("other"))

    assert labels(app, other) == ["speaker_1", "speaker_2"]
    assert len(two_speakers) == 1


@pytest.mark.slow
def test_channels_are_speakers_unless_a_number_is_asked_for(app, two_speakers):
    call = DATA / "call_stereo.opus"
    task = accept(app, call, "auto", split_channels=True)
    assert set(labels(app, task)) == {"left", "right"}
    assert two_speakers == []
    view = app.recording_speakers.view(EVERYONE, task.recording_id)
    assert {one.label for one in view.speakers} == {"left", "right"}
    assert sum(one.share for one in view.speakers) == pytest.approx(1, abs=0.01)

    app.recording_speakers.rename(EVERYONE, task.recording_id, "left", "Anna")
    assert names(app, task) == {"left": "Anna", "right": ""}

    accept(app, call, "1-3", split_channels=True)
    assert two_speakers == ["1-3 in left,right"]


def test_a_name_is_in_everything_that_is_taken_away_and_in_the_search(app, clip, two_speakers):
    task = accept(app, clip)
    app.recording_speakers.rename(EVERYONE, task.recording_id, "speaker_2", " Anna  Petrova ")
    drive.perform_all(app)

    for kind in export.FORMATS:
        content = views.exported(app.recordings, app.transcripts, EVERYONE, task.recording_id, kind)
        if kind != "docx":  # a zip
            assert "Anna Petrova" in content.decode().replace("Anna_", "Anna "), kind
    assert names(app, task) == {"speaker_1": "", "speaker_2": "Anna Petrova"}
    matches = app.searcher.search(EVERYONE, "thank you", mode="words").matches
    assert [match.row.speaker for match in matches] == ["Anna Petrova"]


def test_a_name_is_taken_back(app, clip, two_speakers):
    task = accept(app, clip)
    for name in ("Anna", ""):
        app.recording_speakers.rename(EVERYONE, task.recording_id, "speaker_1", name)

    assert names(app, task) == {"speaker_1": "", "speaker_2": ""}


@pytest.mark.parametrize("name", ["mono", "left", "speaker_9", "x" * 101])
def test_a_label_is_no_name(app, clip, two_speakers, name):
    task = accept(app, clip)
    with pytest.raises(Rejected) as refused:
        app.recording_speakers.rename(EVERYONE, task.recording_id, "speaker_1", name)
    assert refused.value.code == Code.SPEAKER_NAME


def test_who_does_not_speak_cannot_be_corrected(app, clip, two_speakers):
    task = accept(app, clip)
    service, recording_id = app.recording_speakers, task.recording_id
    for step in (
        lambda: service.rename(EVERYONE, recording_id, "speaker_3", "Anna"),
        lambda: service.merge(EVERYONE, recording_id, "speaker_3", "speaker_1"),
        lambda: service.merge(EVERYONE, recording_id, "speaker_1", "left"),
        lambda: service.move(EVERYONE, recording_id, "speaker_1", "speaker_9", 0.0),
    ):
        with pytest.raises(NotFound):
            step()
    with pytest.raises(Rejected):
        service.move(EVERYONE, recording_id, "speaker_1", "speaker_2", 2.0, 1.0)


def test_every_correction_can_be_undone_step_by_step(app, clip, two_speakers):
    task = accept(app, clip)
    service, recording_id = app.recording_speakers, task.recording_id
    states = []

    def state():
        view = service.view(EVERYONE, recording_id)
        return [(one.label, one.name, one.words, one.speaking_s) for one in view.speakers]

    for step in (
        lambda: service.rename(EVERYONE, recording_id, "speaker_2", "Anna"),
        lambda: service.move(EVERYONE, recording_id, "speaker_2", "new", 2.0),
        lambda: service.rename(EVERYONE, recording_id, "speaker_3", "Boris"),
        lambda: service.move(EVERYONE, recording_id, "speaker_1", "speaker_2", 0.0, 0.6),
        lambda: service.merge(EVERYONE, recording_id, "speaker_3", "speaker_1"),
    ):
        states.append(state())
        step()
        assert state() != states[-1]
    assert names(app, task) == {"speaker_1": "Boris", "speaker_2": "Anna"}
    for before in reversed(states):
        assert service.undo(EVERYONE, recording_id) is not None
        assert state() == before
    assert service.undo(EVERYONE, recording_id) is None
    assert not service.view(EVERYONE, recording_id).can_undo


def test_words_that_were_moved_are_found_under_who_says_them_now(app, clip, two_speakers):
    task = accept(app, clip)
    app.recording_speakers.move(EVERYONE, task.recording_id, "speaker_2", "speaker_1", 0.0)
    drive.perform_all(app)

    assert set(labels(app, task)) == {"speaker_1"}
    matches = app.searcher.search(EVERYONE, "thank you", mode="words").matches
    assert [match.row.speaker for match in matches] == ["speaker_1"]


def test_without_models_the_words_are_there_and_the_reason_is_kept(app, clip, monkeypatch):
    def off(*_):
        raise SpeakersOff(reason="no_wheel", file="")

    monkeypatch.setattr(finder, "find", off)
    task = accept(app, clip)

    assert task.status == "completed"
    assert labels(app, task) == ["mono"]
    view = app.recording_speakers.view(EVERYONE, task.recording_id)
    assert view.error is not None
    assert view.error["code"] == Code.SPEAKER_MODELS_MISSING
    assert view.speakers == []

    script(monkeypatch)  # the models come
    app.recording_speakers.find(EVERYONE, task.recording_id)
    drive.perform_all(app)
    assert labels(app, task) == ["speaker_1", "speaker_2"]


def test_a_deleted_recording_takes_its_speakers_along(app, clip, two_speakers):
    task = accept(app, clip)
    app.recording_speakers.rename(EVERYONE, task.recording_id, "speaker_1", "Anna")
    app.deletion.delete_recording(EVERYONE, task.recording_id)

    assert names(app, accept(app, clip))["speaker_1"] == ""


def test_a_segment_without_times_of_words_is_its_longest_speakers():
    segment = TranscribedSegment(0, "mono", 1.0, 4.0, "all of it", ())
    result = by_speaker([segment], Speaking(TURNS, {"speaker_2": "Boris"}))
    assert [(one.channel, one.label, one.text) for one in result] == [("Boris", "speaker_2", "all of it")]


def test_a_segment_of_two_speakers_is_split_at_its_words():
    words = (Word("yes", 0.2, 0.9), Word("no", 1.5, 1.9), Word("maybe", 2.0, 2.5))
    segment = TranscribedSegment(0, "mono", 0.0, 3.0, "Yes. No, maybe.", words)
    result = by_speaker([segment], Speaking(TURNS))
    assert [(one.n, one.channel, one.text, one.start_s, one.end_s) for one in result] == [
        (0, "speaker_1", "yes", 0.2, 0.9),
        (1, "speaker_2", "no maybe", 1.5, 2.5),
    ]


def test_what_two_say_at_once_is_marked():
    words = (Word("yes", 0.2, 0.9), Word("no", 1.5, 1.9))
    segment = TranscribedSegment(0, "mono", 0.0, 3.0, "Yes. No.", words)
    result = by_speaker([segment], Speaking((Turn(0.0, 2.0, 0), Turn(1.4, 2.0, 1))))
    marked = {word.text: one.overlapped for one in result for word in one.words}
    assert marked["no"]


@pytest.mark.parametrize("speakers", ["3", "2-5", "auto"])
def test_numbers_of_speakers_are_understood(speakers):
    options = finder._options(speakers)
    expected = {"3": (3, 3), "2-5": (2, 5), "auto": (None, None)}[speakers]
    assert (options.at_least, options.at_most) == expected


def test_programs_ask_for_speakers_name_and_correct_them(tmp_path, clip, two_speakers):
    with serve(generous(tmp_path / "home")) as served, served.client() as me:
        refused = upload(me, clip, language="en", speakers="many")
        assert refused.status_code == 400
        task_id = done(served, me, clip, speakers="2")
        recording_id = served.app.recordings.task(EVERYONE, task_id).recording_id
        recording = f"/api/v1/recordings/{recording_id}/speakers"
        answer = me.get(recording).json()
        assert (answer["error"], answer["looked_for"], answer["can_undo"]) == (None, True, False)
        first, second = answer["speakers"]
        assert (first["label"], second["label"]) == ("speaker_1", "speaker_2")
        assert first["share"] + second["share"] == pytest.approx(1)
        assert second["words_per_min"] > 0
        assert all(one["end_s"] > one["start_s"] for one in second["samples"])

        def named(response):
            assert response.status_code == 200, response.text
            return {one["label"]: one["name"] for one in response.json()["speakers"]}

        anna = me.patch(f"{recording}/speaker_1", json={"name": "Anna"})
        assert named(anna) == {"speaker_1": "Anna", "speaker_2": ""}
        moved = me.post(f"{recording}/move", json={"source": "speaker_2", "target": "new", "start_s": 2.0})
        assert named(moved) == {"speaker_1": "Anna", "speaker_2": "", "speaker_3": ""}
        assert named(me.post(f"{recording}/undo")) == {"speaker_1": "Anna", "speaker_2": ""}
        assert named(me.patch(f"{recording}/speaker_2", json={"merge_into": "speaker_1"})) == {
            "speaker_1": "Anna"
        }
        assert me.patch(f"{recording}/speaker_7", json={"name": "Anna"}).status_code == 404
        assert me.patch(f"{recording}/speaker_1", json={"name": "mono"}).status_code == 400
        assert me.post(f"{recording}/find", json={"speakers": "off"}).status_code == 400
        with served.client() as stranger:
            assert stranger.get(recording).status_code == 404
            assert stranger.post(f"{recording}/undo").status_code == 404


def test_results_webhooks_and_the_form_of_openai_carry_speakers(tmp_path, clip, two_speakers):
    with serve(generous(tmp_path / "home")) as served, served.client() as me:
        task_id = done(served, me, clip, speakers="auto")
        payload = me.get(f"/api/v1/tasks/{task_id}").json()  # what a webhook gets
        assert [one["label"] for one in payload["speakers"]] == ["speaker_1", "speaker_2"]
        assert me.get("/api/v1/tasks").json()["tasks"][0]["speakers"] is None
        result = me.get(f"/api/v1/tasks/{task_id}/result").json()
        assert [one["speaker"] for one in result["segments"]] == ["speaker_1", "speaker_2"]
        recording_id = payload["recording_id"]
        me.patch(f"/api/v1/recordings/{recording_id}/speakers/speaker_2", json={"name": "Анна"})
        drive.perform_all(served.app)

        answer = me.post(
            "/v1/audio/transcriptions",
            files={"file": (clip.name, clip.read_bytes())},
            data={"language": "en", "response_format": "diarized_json"},
        ).json()
        assert [one["speaker"] for one in answer["segments"]] == ["A", "Анна"]
        assert answer["segments"][0]["type"] == "transcript.text.segment"
        assert answer["segments"][1]["start"] >= answer["segments"][0]["start"]


@pytest.mark.parametrize(
    "question", ["speaker:Anna thank you", 'thank you speaker:"anna petrova"', "speaker:петрова"]
)
def test_a_search_asks_for_what_somebody_says(app, clip, two_speakers, question):
    task = accept(app, clip)
    called = "Анна Петрова" if "петрова" in question else "Anna Petrova"
    for label, name in (("speaker_1", "Boris"), ("speaker_2", called)):
        app.recording_speakers.rename(EVERYONE, task.recording_id, label, name)
    drive.perform_all(app)

    assert app.passages.speakers(EVERYONE) == {called: 1, "Boris": 1}
    assert app.passages.speakers(Principal("stranger")) == {}
    for mode in ("words", "hybrid"):
        matches = app.searcher.search(EVERYONE, question, mode=mode).matches
        assert [match.row.speaker for match in matches] == [called]
    boris = app.searcher.search(EVERYONE, "thank you", mode="words", speaker="boris")
    assert all(match.row.speaker == "Boris" for match in boris.matches)
    assert app.searcher.search(EVERYONE, "speaker:Vera thank you").notice is not None
