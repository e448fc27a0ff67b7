"""The overview: first steps while nothing is here, then what is new and what needs somebody."""

from __future__ import annotations

import re
import time

import pytest
import yaml

from core.application import Application
from core.database.tables import Diarization, EditRow, Job, Transcript
from core.errors import GEMINI, Code, NotFound, ProviderBusy, ProviderResting
from core.library import views
from core.library.recordings import TranscriptionOptions
from core.monitor import failures, metrics
from core.principal import EVERYONE, Principal
from core.settings import ROOT, Settings, load
from core.speech.engine import AsyncRemoteEngine, RemoteEngine
from core.transcripts import export
from core.transcripts.speaker_edits import Merge, Rename, to_json
from pages.components import providers
from tests import drive, test_pages
from tests.conftest import DATA
from tests.test_pages import app as empty  # noqa: F401 - a fixture
from tests.test_pages import texts, visit
from tools import demo_batch
from tools.sample import RECORDINGS

VOICE = [0, 9.5, ""]
RULES = ROOT / "deploy" / "prometheus" / "alerts.yml"


def bring(app, name="ru_meeting.opus", title=""):
    options = TranscriptionOptions(language="ru", engine="gigaam-v3_ctc", title=title)
    with (DATA / name).open("rb") as file:
        return app.intake.accept(EVERYONE, file, name, options).recording_id


@pytest.mark.parametrize(("language", "step"), [("en", "Enter a Gemini key"), ("ru", "Добавьте ключ Gemini")])
def test_an_empty_installation_shows_the_first_steps_until_they_are_put_away(empty, language, step):  # noqa: F811
    at = visit("dashboard", language)
    assert step in texts(at)
    assert {button.key for button in at.button} >= {"start-upload", "start-sample", "put-away"}

    at.button(key="put-away").click().run()

    assert step not in texts(at)
    assert step not in texts(visit("dashboard", language))


@pytest.mark.parametrize("place", ["dashboard", "settings"])
def test_a_gemini_key_is_kept_where_nobody_else_comes_and_never_shown(empty, monkeypatch, tmp_path, place):  # noqa: F811
    file, key = tmp_path / ".env", "AIzaSyNobodysKey0123456789"
    file.write_text("PORT=9000\nexport GEMINI_API_KEY=old\n")
    monkeypatch.setattr(providers, "ENV_FILE", file)
    for typed in ("no key\nPORT=1", key):
        at = visit(place)
        at.text_input(key="gemini-typed").input(typed)
        next(each for each in at.button if each.label == "Keep the key").click().run()

    assert file.read_text() == f"PORT=9000\nGEMINI_API_KEY={key}\n"
    assert file.stat().st_mode & 0o077 == 0
    assert any("kept in .env" in each.value for each in at.success)
    assert key not in str(at.main)
    assert Settings(_env_file=file).gemini_api_key.get_secret_value() == key


@pytest.mark.parametrize(
    ("settings", "private"),
    [
        ({}, True),
        ({"host": "::1"}, True),
        ({"host": "localhost"}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "scribe.example.com"}, False),
        ({"allowed_hosts": "scribe.example.com"}, False),
        ({"trusted_proxies": "127.0.0.1"}, False),
    ],
)
def test_a_key_is_taken_only_where_no_proxy_brings_others(settings, private):
    assert Settings(**settings).private == private


def test_the_sample_is_one_click_away(empty):  # noqa: F811
    visit("dashboard").button(key="start-sample").click().run()

    (recording,) = empty.recordings.find(EVERYONE)[1]
    assert recording.tags == ["sample"]


def test_what_ended_since_the_last_visit_is_counted(app):
    before = time.time() - 1
    bring(app)
    drive.perform_all(app)
    bring(app, "call_stereo.opus")
    bring(app, "two_languages.opus")
    job = drive.ready(app)[0]
    app.job_queue.fail(app.job_queue.claim(job.id, "w"), NotFound(Code.STORED_FILE_GONE))

    news = views.news(app.database, EVERYONE, before)

    assert (news.ready, news.failed, news.open) == (1, 1, 1)
    assert news.ready_s > 10
    assert views.news(app.database, EVERYONE, time.time() + 60).ready == 0
    assert views.news(app.database, Principal("somebody else"), before).open == 0


def test_a_recording_under_way_stands_in_both_lists(empty):  # noqa: F811
    bring(empty, title="Under way")
    assert empty.job_queue.claim(drive.ready(empty)[-1].id, "w")

    at = visit("dashboard")

    assert not at.exception
    assert [link.proto.label for link in at.get("page_link")].count("Under way") == 2


def test_warnings_and_nameless_speakers_are_counted_and_found(app):
    id_ = bring(app)
    drive.perform_all(app)
    assert views.attention(app.database, EVERYONE) == views.Attention(0, 0)

    with app.database.write() as session:
        session.query(Transcript).one().warnings = [{"code": "media_damaged", "facts": {"at": "0:03"}}]
        session.add(Diarization(recording_id=id_, speakers="auto", turns=[[0, 1, 0, ""]], voices=[VOICE] * 3))

    assert views.attention(app.database, EVERYONE) == views.Attention(1, 1)
    assert views.attention(app.database, Principal("somebody else")) == views.Attention(0, 0)
    for state in views.NEEDS:
        assert views.cards(app.database, EVERYONE, status=state)[0] == 1


@pytest.mark.parametrize(
    ("voices", "steps", "asked"),
    [
        (1, [], False),
        (2, [], True),
        (2, [Rename("speaker_1", "Анна")], False),
        (2, [Merge("speaker_2", "speaker_1")], False),
        (3, [Rename("speaker_1", "Ана"), Rename("speaker_1", "Анна")], True),
        (3, [Rename("speaker_1", "Анна"), Rename("speaker_2", "Олег")], False),
    ],
)
def test_names_are_asked_for_where_two_speakers_have_none(app, voices, steps, asked):
    id_ = bring(app)
    with app.database.write() as session:
        session.add(Diarization(recording_id=id_, speakers="auto", turns=[], voices=[VOICE] * voices))
        session.add_all(EditRow(recording_id=id_, n=n, edit=to_json(step)) for n, step in enumerate(steps))
        session.add(EditRow(recording_id=id_, n=99, edit=to_json(Rename("speaker_2", "X")), undone=True))

    assert views.attention(app.database, EVERYONE).unnamed == asked
    assert views.cards(app.database, EVERYONE, status="unnamed")[0] == asked


def test_one_outage_is_one_group_of_failures(app):
    for name, error in (
        ("ru_meeting.opus", ProviderBusy(GEMINI, "no answer in 30 s")),
        ("call_stereo.opus", ProviderResting(GEMINI, "no answer in 30 s", 60.0)),
    ):
        bring(app, name)
        job = drive.ready(app)[0]
        app.job_queue.try_later(app.job_queue.claim(job.id, "w"), error)
        with app.database.write() as session:
            session.get_one(Job, job.id).run_at = time.time() + 3600

    (group,) = failures.groups(app.database, EVERYONE)

    assert group.jobs == 2
    assert len(failures.tasks(app.database, EVERYONE, group.code, group.kind)) == 2


def test_a_lost_file_says_so_and_what_to_do(app):
    id_ = bring(app)
    app.blobs.path(app.recordings.get(EVERYONE, id_).sha256).unlink()
    drive.perform_all(app)

    (group,) = failures.groups(app.database, EVERYONE)

    assert group.code == Code.STORED_FILE_GONE
    assert group.fix
    assert "Upload the recording again" in group.fix["message"]


@pytest.mark.parametrize(
    ("filename", "title", "called"),
    [
        ("rec01.mp3", "", "rec01.srt"),
        ("rec01.mp3", "rec01.mp3", "rec01.srt"),
        ("rec01.mp3", "Планёрка 14.03", "Планёрка 14.03.srt"),
        ("rec01.mp3", "a/b: c?", "a_b_ c.srt"),
        ("rec01.mp3", "...", "transcript.srt"),
    ],
)
def test_an_export_is_called_as_people_call_the_recording(filename, title, called):
    assert export.name(filename, "srt", title) == called


def test_settings_begin_with_what_works(empty):  # noqa: F811
    at = visit("settings")
    badges = [element.value for element in at.markdown]

    assert any("not set up" in expander.label for expander in at.expander)
    assert badges


def test_every_alert_asks_for_a_number_that_there_is(app):
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    metric_names = {name for rule in rules for name in re.findall(r"stenogram_\w+", rule["expr"])}

    text = metrics.text(app).decode()

    assert len(metric_names) >= 7
    assert [name for name in sorted(metric_names) if name not in text] == []


def test_a_picture_is_offered_only_where_one_could_be_made(empty):  # noqa: F811
    id_ = test_pages.send(empty, "call_stereo.opus", TranscriptionOptions())
    at = visit("recording", id=id_)

    assert "Make pictures" not in {str(getattr(button, "label", "")) for button in at.button}


def test_the_demonstration_sends_nothing_away_whatever_the_environment_says(tmp_path, monkeypatch):
    for name, value in {
        "GROQ_API_KEY": "gsk-secret",
        "ENGINE": "groq",
        "ENGINE_AUTO_REMOTE": "true",
        "DATABASE_URL": "postgresql+psycopg://elsewhere/records",
        "GEMINI_BASE_URL": "https://example.com",
    }.items():
        monkeypatch.setenv(name, value)
    for name, value in demo_batch.pinned(tmp_path / "demo", "http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)

    app = Application(load())

    for _, options in RECORDINGS:
        assert not isinstance(app.intake.choose_engine(options).engine, RemoteEngine | AsyncRemoteEngine)
    assert app.settings.sqlalchemy_url.startswith("sqlite:///")
    assert app.settings.gemini_base_url == "http://127.0.0.1:9"
