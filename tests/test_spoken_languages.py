"""A language that nobody named is identified, and decides who transcribes which stretch; once, whoever asks.

Russian goes to the toy here, which understands no natural voice: what it says is noise, and is called so.
"""

from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy import func, select

from core.application import Application
from core.database.tables import Job, Segment, Task, Transcript
from core.errors import Code, Rejected
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE, Principal
from core.settings import Settings
from core.speech.language import AUTO, UNDETERMINED
from core.transcripts import warnings
from core.transcripts.warnings import WarningCode
from jobs import actors
from tests import drive, voices
from tests.clock import Clock
from tests.conftest import DATA
from tests.installation import cut, generous
from tests.serve import serve
from tests.test_pages import send_silence

ASK = TranscriptionOptions(language=AUTO)
TOY = "gigaam-v3_ctc"


def bring(app: Application, path, options=ASK, principal: Principal = EVERYONE) -> Task:
    with path.open("rb") as file:
        return app.intake.accept(principal, file, path.name, options)


def done(app: Application, path, options=ASK, principal: Principal = EVERYONE) -> Task:
    task = bring(app, path, options, principal)
    drive.perform_all(app)
    return app.recordings.task(EVERYONE, task.id)


def transcript_of(app: Application, task: Task) -> Transcript:
    return app.transcripts.get(app.recordings.task(EVERYONE, task.id).transcript_id)


def codes(app: Application, task: Task) -> list[str]:
    return [each.code for each in warnings.of(transcript_of(app, task))]


def test_what_nobody_named_is_heard_and_kept_with_its_probability(app, clip):
    task = bring(app, clip)
    assert (task.language, task.engine) == (AUTO, AUTO)

    drive.perform_all(app)

    ended = app.recordings.task(EVERYONE, task.id)
    recording = app.recordings.get(EVERYONE, task.recording_id)
    assert (ended.language, ended.engine, recording.language) == ("en", "whisper-base", "en")
    assert recording.language_probability > 0.8
    assert transcript_of(app, task).identified["languages"] == ["en"]
    assert codes(app, task) == []


def test_a_guest_is_transcribed_by_the_engine_for_their_language(app):
    task = done(app, DATA / "guest_meeting.opus")

    segments = app.transcripts.segments(task.transcript_id)
    english = [each for each in segments if each.language == "en"]
    assert transcript_of(app, task).identified["languages"] == ["ru", "en"]
    assert {each.engine for each in english} == {"whisper-base"}
    assert {each.engine for each in segments if each.language == "ru"} == {TOY}
    text = " ".join(each.text for each in english)
    guest = " ".join((DATA / "guest_meeting.txt").read_text().splitlines()[4:7])
    assert voices.word_errors(guest, text) <= 0.2


def test_each_channel_of_a_call_has_its_language(app):
    options = dataclasses.replace(ASK, split_channels=True)
    task = done(app, DATA / "two_languages.opus", options)

    spoken = {(each.channel, each.language) for each in app.transcripts.segments(task.transcript_id)}
    assert spoken == {("left", "ru"), ("right", "en")}


@pytest.mark.parametrize("first", [AUTO, "en"])
@pytest.mark.parametrize("then", [AUTO, "en"])
def test_what_was_transcribed_is_not_transcribed_again_whoever_named_the_language(app, clip, first, then):
    anna, boris = Principal("anna"), Principal("boris")
    one = done(app, clip, TranscriptionOptions(language=first), anna)
    other = done(app, clip, TranscriptionOptions(language=then), boris)

    assert other.transcript_id == one.transcript_id
    with app.database.read() as session:
        assert session.scalar(select(func.count()).select_from(Transcript)) == 1


def test_what_was_identified_once_is_known_at_once(app, clip):
    done(app, clip)
    again = bring(app, clip)
    assert (again.status, again.language, again.engine) == ("completed", "en", "whisper-base")


def test_forced_work_is_done_again_and_the_new_text_takes_the_place(app, clip):
    one = done(app, clip)
    other = done(app, clip, dataclasses.replace(ASK, force=True))
    assert other.transcript_id != one.transcript_id
    assert done(app, clip).transcript_id == other.transcript_id


def test_two_that_identify_at_the_same_time_share_one_transcript(database_url, tmp_path, clip):
    settings = Settings(stenogram_home=tmp_path / "home", database_url=database_url)
    app = Application(settings, clock=Clock())
    try:
        tasks = [bring(app, clip, ASK, Principal(name)) for name in ("anna", "boris")]
        for job in drive.ready(app):
            actors.perform(app, job.id)
        drive.perform_all(app)
        ended = [app.recordings.task(EVERYONE, task.id) for task in tasks]
    finally:
        app.database.close()
    assert {task.transcript_id for task in ended} == {ended[0].transcript_id}
    assert [task.language for task in ended] == ["en", "en"]


def test_where_results_are_not_shared_everybody_has_their_own(tmp_path, clip):
    app = Application(Settings(stenogram_home=tmp_path / "home", share_results=False), clock=Clock())
    tasks = [done(app, clip, ASK, Principal(name)) for name in ("anna", "boris", "anna")]
    ids = [task.transcript_id for task in tasks]
    assert ids[0] == ids[2] != ids[1]


def test_work_that_dies_while_it_identifies_is_settled_once(app, clip):
    task = bring(app, clip)
    (job,) = drive.ready(app)
    claim = app.job_queue.claim(job.id, "w")
    app.pipeline.stages[claim.kind].run(claim)
    transcript = transcript_of(app, task)
    with app.database.write() as session:  # the answer was lost: the job is done once more
        session.get_one(Job, job.id).state = "running"

    app.pipeline.stages[claim.kind].run(dataclasses.replace(claim, epoch=_epoch(app, job.id)))

    assert transcript_of(app, task).id == transcript.id
    with app.database.read() as session:
        count = select(func.count()).select_from(Segment).where(Segment.transcript_id == transcript.id)
        assert session.scalar(count) == 1


def _epoch(app: Application, job_id: str) -> int:
    with app.database.read() as session:
        return session.get_one(Job, job_id).epoch


def test_where_nobody_speaks_no_language_is_claimed(app):
    recording_id = send_silence(app, ASK)
    drive.perform_all(app)
    recording = app.recordings.get(EVERYONE, recording_id)
    assert (recording.language, recording.language_probability) == (UNDETERMINED, None)


def test_a_correction_transcribes_again_only_where_the_text_would_be_another(app, clip):
    task = done(app, clip)
    same = app.intake.correct_language(EVERYONE, task.recording_id, "en")
    recording = app.recordings.get(EVERYONE, task.recording_id)
    assert same is None
    assert (recording.language, recording.language_probability) == ("en", None)

    other = app.intake.correct_language(EVERYONE, task.recording_id, "ru")

    assert (other.language, other.engine) == ("ru", TOY)
    drive.perform_all(app)
    recording = app.recordings.get(EVERYONE, task.recording_id)
    assert (recording.language, recording.transcript_id) == ("ru", other.transcript_id)


def test_another_language_than_the_named_one_is_noticed(app, clip):
    task = done(app, clip, TranscriptionOptions(language="ru"))
    (warning,) = warnings.of(transcript_of(app, task))
    assert (warning.code, warning.facts["heard"]) == (WarningCode.OTHER_LANGUAGE, "en")
    assert "English" in warning.sentence("en")
    assert "Английский" in warning.sentence("ru")
    assert all(each.doubtful for each in app.transcripts.segments(task.transcript_id))


def test_an_engine_that_was_named_for_a_language_it_lacks_says_so(app, clip):
    task = done(app, clip, TranscriptionOptions(language=AUTO, engine=TOY))
    assert (task.language, task.engine) == ("en", TOY)
    assert codes(app, task) == [WarningCode.ENGINE_LACKS_LANGUAGE]


def test_words_that_nobody_could_have_said_are_called_so(app, tmp_path):
    path = cut(tmp_path, "ru_planning.opus", 12)
    task = done(app, path, TranscriptionOptions(language="ru"))
    assert task.engine == TOY
    assert codes(app, task) == [WarningCode.ENGINE_DOES_NOT_UNDERSTAND]


def test_the_toys_own_voices_are_understood(app):
    task = done(app, DATA / "call_stereo.opus", TranscriptionOptions(language="ru"))
    assert codes(app, task) == []


def test_a_language_without_an_engine_fails_with_a_sentence(tmp_path, clip):
    app = Application(Settings(stenogram_home=tmp_path / "home", whisper_model="small"), clock=Clock())
    task = done(app, clip)
    assert task.status == "failed"
    assert Rejected.restored(task.error).code == Code.NO_ENGINE_READY


def remote(tmp_path, **settings) -> Application:
    keys = {"groq_api_key": "k", "groq_base_url": "http://127.0.0.1:9", **settings}
    return Application(Settings(stenogram_home=tmp_path / "home", **keys), clock=Clock())


def test_what_may_be_sent_away_is_estimated_as_if_it_were(tmp_path):
    allowed = remote(tmp_path, engine_auto_remote=True)
    choice = allowed.intake.choose_engine(ASK)
    estimate = allowed.estimates.answer(hours=1, language=AUTO)
    mode = allowed.active_embedder.mode(None)
    quotes = {e.name: allowed.estimates.of_engine(estimate, e.name, mode) for e in choice.possible}

    assert choice.engine.name == "groq"
    assert quotes.keys() == {TOY, "groq"} or quotes.keys() == {TOY, "groq", "whisper-base"}
    most = allowed.estimates.of_engines(estimate, list(quotes), mode)
    assert most.total_usd == max(quote.total_usd for quote in quotes.values()) > 0
    assert "sent" in choice.reason


def test_nothing_is_sent_away_that_nobody_allowed(tmp_path):
    choice = remote(tmp_path).intake.choose_engine(ASK)
    assert {engine.name for engine in choice.possible} == {TOY, "whisper-base"}


def test_the_api_says_language_probability_and_what_is_doubtful(served, me, clip):
    with clip.open("rb") as file:
        sent = me.post("/api/v1/transcribe", files={"file": file}, data={"language": "auto"}).json()
    assert (sent["engine"], "decides" in sent["engine_reason"]) == ("auto", True)
    drive.perform_all(served.app)

    task = me.get(f"/api/v1/tasks/{sent['task_id']}").json()
    result = me.get(f"/api/v1/tasks/{sent['task_id']}/result").json()
    recording = me.get(f"/api/v1/recordings/{sent['recording_id']}").json()

    for answer in (task, result, recording):
        assert answer["language"] == "en"
        assert answer["language_probability"] > 0.8
    assert task["warnings"] == result["warnings"] == []
    assert result["languages"] == ["en"]
    (segment,) = result["segments"]
    assert (segment["language"], segment["engine"], segment["doubtful"]) == ("en", "whisper-base", False)
    assert segment["log_probability"] < 0 <= segment["no_speech"] < 0.5


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serve(generous(tmp_path_factory.mktemp("api") / "home")) as here:
        yield here


@voices.REAL
@pytest.mark.voices
@pytest.mark.parametrize("path", voices.files(), ids=lambda path: path.name)
def test_people_are_heard_in_their_language_and_not_warned_of(tmp_path, path):
    settings = Settings(stenogram_home=tmp_path / "home", gigaam_model="v3_e2e_rnnt")
    app = Application(settings, clock=Clock())
    task = done(app, path)
    assert (task.language, task.engine) == (voices.language(path.name), "whisper-base")
    assert codes(app, task) == []


@voices.REAL
@pytest.mark.voices
@pytest.mark.parametrize("path", voices.files(), ids=lambda path: path.name)
def test_an_engine_that_understands_nobody_is_noticed(tmp_path, path):
    app = Application(Settings(stenogram_home=tmp_path / "home"), clock=Clock())
    task = done(app, path, TranscriptionOptions(language="ru", engine=TOY))
    assert len(codes(app, task)) == 1
