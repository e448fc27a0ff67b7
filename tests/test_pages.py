"""Every page opens in both languages, says what is so, and does what its buttons say."""

from __future__ import annotations

import io
import re
import wave
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.application import Application
from core.embedding.embedders import e5
from core.library.recordings import TranscriptionOptions
from core.monitor import live
from core.principal import EVERYONE
from core.settings import ROOT
from jobs import installation
from jobs.installation import application
from pages.components import common
from tests import drive

DATA = Path(__file__).parent / "data"
FRAME = ROOT / "pages" / "_frame.py"
PAGES = ("dashboard", "upload", "library", "search", "monitor", "costs", "settings", "recording")
TITLES = {
    "en": ("Stenogram", "Upload", "Library", "Search", "Monitor", "Costs", "Settings", "Not found."),
    "ru": ("Stenogram", "Загрузка", "Записи", "Поиск", "Ход работы", "Расходы", "Настройки", "Не найдено."),
}
RUDE = "**bold** :red[x] [link](http://evil.example) <b>html</b> :material/home: $x^2$.opus"


def _open(home: Path, monkeypatch: pytest.MonkeyPatch) -> Application:
    monkeypatch.setenv("STENOGRAM_HOME", str(home))
    installation.serve(None)
    return application()


@pytest.fixture
def app(tmp_path, monkeypatch):
    """The journey that pages see, empty."""
    yield _open(tmp_path / "home", monkeypatch)
    installation.serve(None)


@pytest.fixture
def with_gemini(tmp_path, monkeypatch):
    """A journey whose vectors Gemini makes; nobody answers there."""
    monkeypatch.setenv("GEMINI_API_KEY", "a-long-secret")
    monkeypatch.setenv("GEMINI_BASE_URL", "http://127.0.0.1:9")
    yield _open(tmp_path / "home", monkeypatch)
    installation.serve(None)


@pytest.fixture
def heard_then_gemini(tmp_path, monkeypatch):
    """A journey with a recording, to which a key came later."""
    before = _open(tmp_path / "home", monkeypatch)
    send(before, "call_stereo.opus", TranscriptionOptions())
    drive.perform_all(before)
    monkeypatch.setenv("GEMINI_API_KEY", "a-long-secret")
    monkeypatch.setenv("GEMINI_BASE_URL", "http://127.0.0.1:9")
    yield _open(tmp_path / "home", monkeypatch)
    installation.serve(None)


@pytest.fixture(scope="module")
def heard(tmp_path_factory):
    """One journey with a recording that was transcribed."""
    with pytest.MonkeyPatch.context() as patch:
        app = _open(tmp_path_factory.mktemp("heard"), patch)
        send(app, "call_stereo.opus", TranscriptionOptions(tags=("Звонки",), split_channels=True))
        drive.perform_all(app)
        yield app
    installation.serve(None)


def send(app: Application, name: str, options: TranscriptionOptions, as_name: str = "") -> str:
    with (DATA / name).open("rb") as file:
        return app.intake.accept(EVERYONE, file, as_name or name, options).recording_id


def send_silence(app: Application, options: TranscriptionOptions) -> str:
    quiet = io.BytesIO()
    with wave.open(quiet, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes(2 * 16_000 * 3))
    quiet.seek(0)
    return app.intake.accept(EVERYONE, quiet, "quiet.wav", options).recording_id


def visit(page: str, language: str = "en", **query: str) -> AppTest:
    at = AppTest.from_file(str(FRAME), default_timeout=30)
    at.context = {"locale": {"en": "en-GB", "ru": "ru-RU"}[language], "timezone": "Europe/Moscow"}
    at.run()
    at.switch_page(f"{page}.py")
    for name, value in query.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception, at.exception
    return at


def texts(at: AppTest) -> str:
    shown = [*at.title, *at.subheader, *at.markdown, *at.caption, *at.text, *at.error, *at.warning, *at.info]
    return re.sub(r"\\(\W)", r"\1", "\n".join(str(element.value) for element in shown))


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize(("n", "page"), list(enumerate(PAGES)))
def test_an_empty_installation_shows_every_page(app, n, page, language):
    assert visit(page, language).title[0].value.replace("\\", "") == TITLES[language][n]


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_with_recordings(heard, page, language):
    id_ = library_ids(heard)[0]

    visit(page, language, id=id_, q="бюджет")


def library_ids(app: Application) -> list[str]:
    return [recording.id for recording in app.recordings.find(EVERYONE)[1]]


def test_the_link_chooses_the_language_over_the_visitors_own(app):
    at = AppTest.from_file(str(FRAME), default_timeout=30)
    at.context = {"locale": "en-GB"}
    at.query_params["lang"] = "ru"
    at.run()

    assert "Загрузите записи" in texts(at)


def test_the_switch_changes_the_language(app):
    at = visit("upload", "en")

    at.segmented_control(key="lang").set_value("ru").run()

    assert at.title[0].value == "Загрузка"


def test_the_upload_page_says_which_engine_and_why_before_anything_is_sent(app):
    at = visit("upload", "ru")
    assert "без пунктуации, самый быстрый" in texts(at)

    at.selectbox(key="upload-language").set_value("en").run()
    assert "Whisper" in texts(at)
    assert at.button(key="transcribe").disabled

    at.selectbox(key="upload-engine").select_index(1).run()
    assert "не понимает этот язык" in at.warning[0].value


def test_an_upload_becomes_a_task_and_each_bad_file_a_sentence(app):
    at = visit("upload", "ru")

    at.file_uploader[0].upload("разговор.opus", (DATA / "call_stereo.opus").read_bytes())
    at.file_uploader[0].upload("пусто.mp3", b"")
    at.file_uploader[0].upload("notes.wav", b"hello, this is text")
    at.run()
    at.button(key="transcribe").click().run()

    assert not at.exception
    assert [error.value for error in at.error] == [
        r"Файл пустой\. Проверьте\, скопировался ли он целиком\, и выберите его снова\.",
        r"Этот файл не удаётся прочитать как запись\: это не звук и не видео\. "
        r"Подойдёт звук или видео\: MP3\, M4A\, WAV\, OGG\, FLAC\, MP4\, WebM и тому подобное\.",
    ]
    assert [recording.title for recording in app.recordings.find(EVERYONE)[1]] == ["разговор.opus"]
    assert at.page_link[0].value == r"разговор\.opus"


def test_before_an_upload_the_page_names_what_will_not_be_transcribed(heard):
    at = visit("upload", "en")
    at.file_uploader[0].upload("again.opus", (DATA / "call_stereo.opus").read_bytes())
    at.file_uploader[0].upload("new.opus", (DATA / "en_meeting.opus").read_bytes())
    at.file_uploader[0].upload("notes.wav", b"hello, this is text")
    at.selectbox(key="upload-language").set_value("ru")
    at.run()
    assert "Here already, transcribed anew: again.opus" in texts(at)
    assert "Cannot be read: notes.wav" in texts(at)
    assert at.button(key="transcribe").label == "Transcribe 2 files"

    at.checkbox(key="upload-split").check().run()
    assert "Here with this very text, not transcribed again: again.opus" in texts(at)
    assert at.button(key="transcribe").label == "Transcribe 1 file"


def test_a_recording_can_be_renamed_tagged_and_deleted(app):
    id_ = send(app, "call_stereo.opus", TranscriptionOptions())

    at = visit("recording", id=id_)
    at.text_input[0].set_value("Sales call")
    at.multiselect[0].set_value(["calls", "июнь"])
    at.form_submit_button[0].click().run()
    renamed = app.recordings.get(EVERYONE, id_)
    assert (renamed.title, renamed.tags) == ("Sales call", ["calls", "июнь"])
    assert at.title[0].value == "Sales call"

    delete = at.button(key="delete")
    assert (delete.proto.type, ":red" in delete.label) == ("secondary", True)
    delete.click().run()
    assert not at.exception
    assert [toast.value for toast in at.toast] == ["“Sales call” is deleted."]
    assert app.recordings.find(EVERYONE)[0] == 0


@pytest.mark.parametrize(("name", "channels"), [("call_stereo.opus", 2), ("ru_meeting.opus", 1)])
def test_another_transcript_is_asked_for_in_the_way_of_the_present_one(app, name, channels):
    id_ = send(app, name, TranscriptionOptions(split_channels=True))
    drive.perform_all(app)

    at = visit("recording", id=id_)
    usual = {box.key.rpartition("-")[2]: box.value for box in at.checkbox}
    next(box for box in at.checkbox if box.key.endswith("-subtitles")).check()
    at.button(key="again").click().run()

    task = app.recordings.tasks(EVERYONE)[1][0]
    wanted = app.transcripts.get(task.transcript_id)
    assert usual == {"subtitles": False, **({"split": True} if channels == 2 else {})}
    assert (wanted.subtitles, wanted.split_channels) == (True, channels == 2)
    assert wanted.id != app.recordings.get(EVERYONE, id_).transcript_id


def test_language_and_engine_of_the_present_transcript_are_kept_whatever_came_first(app):
    id_ = send_silence(app, TranscriptionOptions(language="ru"))
    app.intake.transcribe_again(EVERYONE, id_, TranscriptionOptions(language="en", engine="whisper-base"))
    drive.perform_all(app)

    at = visit("recording", "ru", id=id_)
    assert "Английский  ·  Whisper" in texts(at)
    assert "Нынешний текст останется" in texts(at)
    assert "Меньше цента" in texts(at)
    at.button(key="again").click().run()

    task = app.recordings.tasks(EVERYONE, recording_id=id_)[1][0]
    wanted = app.transcripts.get(task.transcript_id)
    assert (wanted.language, wanted.engine) == ("en", "whisper-base")


def test_the_library_says_of_a_silent_recording_that_nobody_speaks_in_it(app):
    id_ = send_silence(app, TranscriptionOptions())
    drive.perform_all(app)

    for page in ("library", "recording"):
        told = texts(visit(page, "ru", id=id_))
        assert "речи не нашлось" in told
        assert "ищется" not in told


@pytest.mark.parametrize("page", ["upload", "recording"])
def test_tags_are_asked_for_in_the_language_of_the_visit(heard, page):
    at = visit(page, "ru", id=library_ids(heard)[0])

    assert at.multiselect[0].proto.placeholder == "Выберите или впишите"


def test_blanks_that_hold_a_number_together_stay():
    assert common.plain("about\n 1\u00a0234\u00a0₽ ") == "about 1\u00a0234\u00a0₽"


def test_names_from_people_are_shown_as_they_are(app):
    send(app, "call_stereo.opus", TranscriptionOptions(title=RUDE, tags=("*tag*",)))

    for page in ("dashboard", "library", "monitor"):
        at = visit(page)
        labels = [link.value for link in at.page_link] + [caption.value for caption in at.caption]
        rude = [label for label in labels if "bold" in label or "tag" in label]
        assert all(r"\*" in label and "[x]" not in label and "<b>" not in label for label in rude), rude
        assert rude or page == "monitor"


def test_a_waiting_task_can_be_cancelled_and_tried_again(app):
    id_ = send(app, "call_stereo.opus", TranscriptionOptions())

    at = visit("recording", id=id_)
    at.button(key="cancel").click().run()
    assert app.recordings.tasks(EVERYONE)[1][0].status == "cancelled"

    at = visit("recording", id=id_)
    at.button(key="retry").click().run()
    assert app.recordings.tasks(EVERYONE)[1][0].status == "queued"


def test_the_monitor_names_what_waits(app):
    send(app, "call_stereo.opus", TranscriptionOptions())

    assert visit("monitor", "ru").title[0].value == "Ход работы"
    (waiting,) = live.draw(app.database, EVERYONE, "ru")["waiting"]

    assert waiting["title"] == "Чтение файлов"
    assert "1 задание" in waiting["facts"]
    assert "23 с звука" in waiting["facts"]


def test_search_finds_an_inflected_word_and_links_to_its_second(heard):
    at = visit("search", "ru", q="бюджетом")

    assert ":primary-background[бюджет]" in texts(at)
    assert any(link.value.startswith("0:") for link in at.page_link)


def test_a_search_without_result_says_what_to_do(heard):
    at = visit("search", q="zzqqxx")
    at.session_state["mode"] = "words"

    assert "Try other words" in texts(at.run())


@pytest.mark.skipif(bool(e5.reason()), reason="search by meaning needs the model of this machine")
def test_what_nobody_said_is_shown_apart_from_answers(heard):
    assert "Nothing says that; nearest by meaning:" in texts(visit("search", q="zzqqxx"))
    assert "nearest by meaning" not in texts(visit("search", q="бюджетом"))


def test_the_library_can_be_filtered_whatever_the_capitals(heard):
    at = visit("library", "ru", title="CALL")
    assert [link.value for link in at.page_link] == [r"call\_stereo\.opus"]

    assert "ничего не подходит" in texts(visit("library", "ru", title="нет такого"))


def test_keys_are_shown_once_and_can_be_revoked(app):
    at = visit("settings")
    at.text_input[0].set_value("phone")
    at.form_submit_button[0].click().run()
    key = at.code[0].value
    assert app.keys.check(key)

    at.run()
    assert not at.code

    id_ = app.keys.all()[0].id
    at.button(key=f"revoke-{id_}").click().run()
    assert app.keys.check(key) is None


def test_costs_follow_the_numbers_asked_for(app):
    at = visit("costs", by="documents")
    for documents, usd in ((10_000, "$0.0054"), (100_000, "$0.054")):  # power and wear of this machine
        at.number_input(key="documents").set_value(documents).run()
        assert at.metric[0].value == usd


def test_without_a_batch_the_page_says_why_and_asks_nothing(app):
    at = visit("upload", "ru")

    assert not at.radio
    assert "Пакета нет" in texts(at)


def test_a_batch_can_be_asked_for_where_gemini_makes_the_vectors(with_gemini):
    at = visit("upload", "ru")
    at.file_uploader[0].upload("call.opus", (DATA / "call_stereo.opus").read_bytes())
    at.run()
    at.radio(key="lane").set_value("batch").run()
    at.button(key="transcribe").click().run()

    assert not at.exception
    assert with_gemini.recordings.tasks(EVERYONE)[1][0].embedding_mode == "batch"


def test_a_key_that_came_later_offers_its_vectors_with_price_and_number(heard_then_gemini):
    at = visit("settings", "ru")
    assert "Перевести поиск по смыслу на Gemini" in texts(at)
    assert "отрыв" in texts(at)
    assert "$" in at.button(key="switch-batch").label

    at.button(key="switch-now").click().run()

    assert not at.exception
    assert heard_then_gemini.active_embedder.embedder().name.startswith("gemini")


def test_providers_show_their_state_and_never_a_whole_key(with_gemini):
    at = visit("settings")
    shown = texts(at)
    assert "…cret" in shown
    assert "a-long-secret" not in shown

    at.button(key="test-gemini").click().run()

    assert not at.exception
    assert at.error


def test_a_download_can_be_asked_for_and_stopped(tmp_path, monkeypatch):
    monkeypatch.setenv("GIGAAM_MODEL", "v3_e2e_rnnt")
    app = _open(tmp_path / "home", monkeypatch)
    at = visit("settings")
    assert "v3_e2e_rnnt_tokenizer.model" in texts(at)

    at.button(key="bring-v3_e2e_rnnt").click().run()
    assert app.model_downloads.all()[0].state == "asked"

    at.button(key="stop-v3_e2e_rnnt").click().run()
    assert app.model_downloads.all()[0].state == "missing"
    installation.serve(None)
