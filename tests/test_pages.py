"""Every page opens in both languages, says what is so, and does what its buttons say."""

from __future__ import annotations

import io
import re
import wave
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.navigation.page import StreamlitPage
from streamlit.runtime.scriptrunner import RerunData, RerunException, get_script_run_ctx
from streamlit.testing.v1 import AppTest

from core.application import Application
from core.embedding.embedders import e5
from core.library import moments
from core.library.kept_moments import Stretch
from core.library.recordings import TranscriptionOptions
from core.monitor import live
from core.principal import EVERYONE
from core.settings import ROOT
from jobs import installation
from jobs.installation import application
from pages.components import common
from tests import drive
from tests.installation import bring
from tests.test_speakers_of_recordings import script
from tools import scenes

DATA = Path(__file__).parent / "data"
FRAME = ROOT / "pages" / "_frame.py"
PAGES = (
    "dashboard", "upload", "library", "search", "moments", "voices", "words", "monitor", "costs", "settings",
    "recording",
)  # fmt: skip
TITLES = {
    "en": (
        "Stenogram",
        "Upload",
        "Library",
        "Search",
        "Moments",
        "Voices",
        "Words and names",
        "Monitor",
        "Costs",
        "Settings",
        "Not found.",
    ),
    "ru": (
        "Stenogram",
        "Загрузка",
        "Записи",
        "Поиск",
        "Моменты",
        "Голоса",
        "Слова и имена",
        "Ход работы",
        "Расходы",
        "Настройки",
        "Не найдено.",
    ),
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
def transcribed_then_gemini(tmp_path, monkeypatch):
    """A journey with a recording, to which a key came later."""
    before = _open(tmp_path / "home", monkeypatch)
    send(before, "call_stereo.opus", TranscriptionOptions())
    drive.perform_all(before)
    monkeypatch.setenv("GEMINI_API_KEY", "a-long-secret")
    monkeypatch.setenv("GEMINI_BASE_URL", "http://127.0.0.1:9")
    yield _open(tmp_path / "home", monkeypatch)
    installation.serve(None)


@pytest.fixture(scope="module")
def library_app(tmp_path_factory):
    """One journey with a recording that was transcribed."""
    with pytest.MonkeyPatch.context() as patch:
        app = _open(tmp_path_factory.mktemp("heard"), patch)
        send(app, "call_stereo.opus", TranscriptionOptions(tags=("Звонки",), split_channels=True))
        drive.perform_all(app)
        yield app
    installation.serve(None)


def test_moments_have_tags_that_no_recording_has(library_app):
    id_ = library_app.recordings.find(EVERYONE)[1][0].id
    library_app.kept_moments.keep(EVERYONE, Stretch(id_, 1.0, 4.0, tags=("важно",)))

    assert "важно" in {tag for chosen in visit("moments").multiselect for tag in chosen.value}


@pytest.mark.slow
def test_speakers_are_named_proposed_and_forgotten_through_the_pages(app, monkeypatch):
    script(monkeypatch)
    options = TranscriptionOptions(language="en", speakers="auto")
    first, second = (send(app, name, options) for name in ("en_meeting.opus", "ru_meeting.opus"))
    drive.perform_all(app)
    app.recording_speakers.rename(EVERYONE, first, "speaker_1", "Anna")

    page = visit("recording", id=first)
    assert not page.exception
    page.button(key="voices-yes").click().run()
    assert app.voices.on
    assert app.recording_speakers.view(EVERYONE, second).speakers[0].maybe is not None

    page = visit("voices")
    next(b for b in page.button if str(b.key).startswith("forget-")).click().run()
    assert app.voices.all(EVERYONE) == []
    page.button(key="off").click().run()
    assert not app.voices.on


def test_speakers_of_all_older_recordings_are_found_on_request(app, monkeypatch):
    script(monkeypatch)
    id_ = send(app, "en_meeting.opus", TranscriptionOptions(language="en", speakers="off"))
    drive.perform_all(app)
    assert set(app.recording_speakers.unsearched(EVERYONE)) == {id_}

    visit("voices").button(key="find-all").click().run()
    assert app.recording_speakers.unsearched(EVERYONE) == {}
    drive.perform_all(app)
    assert len(app.recording_speakers.view(EVERYONE, id_).speakers) == 2
    assert "find-all" not in {button.key for button in visit("voices").button}


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
    at.switch_page(f"{page}.py")
    for name, value in query.items():
        at.query_params[name] = value
    at.run()
    assert not at.exception, at.exception
    return at


def texts(at: AppTest) -> str:
    all_texts = [
        *at.title,
        *at.header,
        *at.subheader,
        *at.markdown,
        *at.caption,
        *at.text,
        *at.error,
        *at.warning,
        *at.info,
    ]
    return re.sub(r"\\(\W)", r"\1", "\n".join(str(element.value) for element in all_texts))


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize(("n", "page"), list(enumerate(PAGES)))
def test_an_empty_installation_shows_every_page(app, n, page, language):
    assert visit(page, language).title[0].value.replace("\\", "") == TITLES[language][n]


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("page", PAGES)
def test_every_page_opens_with_recordings(library_app, page, language):
    id_ = library_ids(library_app)[0]

    visit(page, language, id=id_, q="бюджет")


def library_ids(app: Application) -> list[str]:
    return [recording.id for recording in app.recordings.find(EVERYONE)[1]]


def test_the_link_chooses_the_language_over_the_visitors_own(app):
    at = AppTest.from_file(str(FRAME), default_timeout=30)
    at.context = {"locale": "en-GB"}
    at.query_params["lang"] = "ru"
    at.run()

    assert "Загрузите записи" in texts(at)


@pytest.mark.parametrize(("page", "name", "key", "old", "new", "other"), [
    ("costs", "view", "view", "proof", "plan", ("by", "documents")),
    ("monitor", "view", "view", "batches", "jobs", ("by-since", "day")),
    ("monitor", "kind", "by-kind", "index", "embed", ("by-since", "day")),
])  # fmt: skip
def test_a_click_that_overtakes_the_address_is_not_taken_for_back(
    library_app, page, name, key, old, new, other
):
    at = visit(page, **{"view": "jobs", name: old})
    assert widget(at, key).value == old

    widget(at, key).set_value(new)
    at.query_params[name] = old
    at.run()
    widget(at, other[0]).set_value(other[1])
    at.query_params[name] = old  # the browser has not yet written what the last run told it
    at.run()
    assert (widget(at, key).value, widget(at, other[0]).value) == (new, other[1])

    at.query_params[name] = old  # nothing is clicked: a person goes back
    at.run()
    assert widget(at, key).value == old


@pytest.mark.parametrize(("page", "query", "click", "key", "value"), [
    ("costs", {"by": "documents"}, ("by", "hours"), "view", "plan"),
    ("costs", {"currency": "RUB"}, ("by", "documents"), "currency", "RUB"),
    ("costs", {"spoken": "en"}, ("currency", "RUB"), "spoken", "en"),
    ("costs", {"hours": "20"}, ("currency", "RUB"), "hours", 20.0),
    ("monitor", {"view": "jobs", "kind": "embed"}, ("by-since", "day"), "by-kind", "embed"),
    ("library", {"state": "completed"}, ("by-sort", "title"), "by-state", "completed"),
    ("search", {"q": "бюджет", "sort": "newest"}, ("mode", "words"), "by-sort", "newest"),
])  # fmt: skip
def test_a_click_that_cuts_a_run_short_empties_no_widget(
    library_app, monkeypatch, page, query, click, key, value
):
    """What that run drew was never sent, so the next one has to send the value of each widget."""
    at = visit(page, **query)
    at.run()
    assert not widget(at, key).proto.set_value  # the browser has it
    run, cut_short = StreamlitPage.run, iter([True])

    def click_meanwhile(self: StreamlitPage) -> None:
        try:
            run(self)
        finally:
            if next(cut_short, False):
                context = get_script_run_ctx()
                raise RerunException(
                    RerunData(context.query_string, page_script_hash=context.page_script_hash)
                )

    monkeypatch.setattr(StreamlitPage, "run", click_meanwhile)
    widget(at, click[0]).set_value(click[1]).run()

    assert next(cut_short, None) is None
    assert (widget(at, key).value, widget(at, key).proto.set_value) == (value, True)


def widget(at: AppTest, key: str) -> Any:
    all_widgets = (*at.segmented_control, *at.selectbox, *at.number_input)
    return next(each for each in all_widgets if each.key == key)


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

    bring(at, app, "разговор.opus", (DATA / "call_stereo.opus").read_bytes())
    bring(at, app, "notes.wav", b"hello, this is text")
    at.run()
    assert at.button(key="split-calls").label == "Считать каналы разными собеседниками"
    at.button(key="split-calls").click().run()
    assert at.checkbox(key="upload-split").value
    at.button(key="transcribe").click().run()

    assert not at.exception
    assert [error.value for error in at.error] == [
        r"Этот файл не удаётся прочитать как запись\: это не звук и не видео\. "
        r"Подойдёт звук или видео\: MP3\, M4A\, WAV\, OGG\, FLAC\, MP4\, WebM и тому подобное\.",
    ]
    assert [recording.title for recording in app.recordings.find(EVERYONE)[1]] == ["разговор.opus"]
    assert at.page_link[0].value == r"разговор\.opus"
    assert [file.name for file in app.resumable_uploads.held(EVERYONE, at.session_state["held files"])] == [
        "notes.wav"
    ]
    assert at.button(key="transcribe").disabled
    assert at.button(key="transcribe").label == "Ни один из этих файлов не читается"


def test_before_an_upload_the_page_names_what_will_not_be_transcribed(library_app):
    at = visit("upload", "en")
    bring(at, library_app, "again.opus", (DATA / "call_stereo.opus").read_bytes())
    bring(at, library_app, "new.opus", (DATA / "en_meeting.opus").read_bytes())
    bring(at, library_app, "notes.wav", b"hello, this is text")
    at.selectbox(key="upload-language").set_value("ru")
    at.run()
    assert "Here already, transcribed anew: again.opus" in texts(at)
    assert "Cannot be read: notes.wav" in texts(at)
    assert at.button(key="transcribe").label == "Transcribe 2 files"

    at.checkbox(key="upload-split").check().run()
    assert "Here with this very text, not transcribed again: again.opus" in texts(at)
    assert at.button(key="transcribe").label == "Transcribe 1 file"


def test_the_button_tells_files_to_transcribe_from_transcripts_to_take_in(app):
    at = visit("upload", "en")
    bring(at, app, "talk.srt", b"1\n00:00:01,000 --> 00:00:02,000\nHello.\n")
    at.run()
    assert at.button(key="transcribe").label == "Take in 1 transcript"
    assert not at.button(key="transcribe").disabled

    bring(at, app, "new.opus", (DATA / "en_meeting.opus").read_bytes())
    at.run()
    assert at.button(key="transcribe").label == "Transcribe 1 file, take in 1"


@pytest.mark.parametrize(("rows", "shown"), [(3, 3), (55, common.ROWS)])
def test_a_grid_has_whole_rows_and_columns_for_its_longest_text_wherever_that_stands(rows, shown):
    error = "Groq refuses the key. Check GROQ_API_KEY, then try again."
    frame = pd.DataFrame([{"why": "", "n": n} for n in range(rows - 1)] + [{"why": error, "n": rows}])

    options = common.grid(frame, {"column_config": {"why": "Why"}})

    assert options["height"] == common.ROW_PX * (1 + shown) + 2
    assert options["column_config"]["why"]["label"] == "Why"
    assert options["column_config"]["why"]["width"] > 7 * len(error)
    assert "n" not in options["column_config"]


def test_figures_of_a_column_stand_with_their_points_in_line(monkeypatch):
    monkeypatch.setattr(common, "language", lambda: "ru")
    filled = common.aligned(["0,2\u00a0$", "0,0555\u00a0$", "3\u00a0$", "–"])

    assert [text.rstrip("\u00a0$") for text in filled] == [
        "0,2\u2007\u2007\u2007",
        "0,0555",
        "3\u2008" + "\u2007" * 4,
        "–",
    ]


def test_prices_and_limits_of_providers_are_read_without_a_grid(app):
    at = visit("settings", "ru")
    tables = "".join(each.proto.body for each in at.get("html"))

    assert not at.dataframe
    assert "https://ai.google.dev/gemini-api/docs/pricing" in tables
    assert "\u00a0$" in tables
    assert "USD" not in tables
    assert "10\u00a0000" in tables


def test_every_page_is_photographed():
    paths = {each.path.partition("?")[0] for each in (*scenes.FULL.values(), *scenes.EMPTY.values())}
    pages = {path.stem for path in (ROOT / "pages").glob("*.py") if not path.name.startswith("_")}

    assert pages - paths - {"dashboard", "job", "keys"} == set()  # at "", of a job, and the list of API keys


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
    assert "“Sales call” is deleted." in texts(at)
    assert app.recordings.find(EVERYONE)[0] == 0
    assert [row.id for row in app.recycle_bin.recordings(EVERYONE)] == [id_]
    at.switch_page("library.py").run()
    at.button(key="undo-delete").click().run()
    assert app.recordings.get(EVERYONE, id_).title == "Sales call"

    app.recycle_bin.put(EVERYONE, id_)
    at = visit("library", view="bin")
    assert at.title[0].value == "Bin"
    at.button(key=f"delete-{id_}").click().run()
    assert "The bin is empty." in texts(at)


@pytest.mark.parametrize(("name", "channels"), [("call_stereo.opus", 2), ("ru_meeting.opus", 1)])
def test_another_transcript_is_asked_for_in_the_way_of_the_present_one(app, name, channels):
    id_ = send(app, name, TranscriptionOptions(split_channels=True))
    drive.perform_all(app)

    at = visit("recording", id=id_)
    usual = {box.key.rpartition("-")[2]: box.value for box in at.checkbox}
    next(box for box in at.checkbox if box.key.endswith("-subtitles")).check()
    at.button(key="again").click().run()

    task = app.recordings.tasks(EVERYONE)[1][0]
    transcript = app.transcripts.get(task.transcript_id)
    assert usual == {"subtitles": False, "translate": False, **({"split": True} if channels == 2 else {})}
    assert (transcript.subtitles, transcript.split_channels) == (True, channels == 2)
    assert transcript.id != app.recordings.get(EVERYONE, id_).transcript_id


def test_language_and_engine_of_the_present_transcript_are_kept_whatever_came_first(app):
    id_ = send_silence(app, TranscriptionOptions(language="ru"))
    app.intake.transcribe_again(EVERYONE, id_, TranscriptionOptions(language="en", engine="whisper-base"))
    drive.perform_all(app)

    at = visit("recording", "ru", id=id_)
    assert "Английский\u00a0· Whisper" in texts(at)
    assert "Нынешний текст останется" in texts(at)
    assert "Меньше цента" in texts(at)
    at.button(key="again").click().run()

    task = app.recordings.tasks(EVERYONE, recording_id=id_)[1][0]
    transcript = app.transcripts.get(task.transcript_id)
    assert (transcript.language, transcript.engine) == ("en", "whisper-base")


def test_the_library_says_of_a_silent_recording_that_nobody_speaks_in_it(app):
    id_ = send_silence(app, TranscriptionOptions())
    drive.perform_all(app)

    for page in ("library", "recording"):
        shown_texts = texts(visit(page, "ru", id=id_))
        assert "речь не найдена" in shown_texts
        assert "ищется" not in shown_texts


@pytest.mark.parametrize("page", ["upload", "recording"])
def test_tags_are_asked_for_in_the_language_of_the_visit(library_app, page):
    at = visit(page, "ru", id=library_ids(library_app)[0])

    assert at.multiselect[0].proto.placeholder == "Выберите или введите"


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
    (waiting,) = live.draw(app, EVERYONE, "ru")["waiting"]

    assert waiting["title"] == "Чтение файлов"
    assert "1 задание" in waiting["facts"]
    assert "23 с звука" in waiting["facts"]


def test_search_finds_an_inflected_word_and_links_to_its_second(library_app):
    at = visit("search", "ru", q="бюджетом")

    assert ":primary-background[бюджет]" in texts(at)
    assert any(link.value.startswith("0:") for link in at.page_link)


def test_the_bar_of_a_recording_points_where_the_words_are_said(library_app):
    drawn = [each.proto.body for each in visit("search", "ru", q="бюджетом", mode="words").get("html")]
    (bar,) = [each for each in drawn if 'class="hits"' in each]
    found = moments.find(
        library_app.searcher, library_app.recordings, EVERYONE, "бюджетом", mode="words", limit=30
    ).results

    assert any(each.play_s > each.start_s + 1 for each in found)
    for each in found:
        assert f"left:{100 * each.play_s / each.duration_s:.2f}%" in bar


def test_a_search_is_narrowed_by_choice_and_widened_by_a_click(library_app):
    at = visit("search", "ru", q="бюджетом", mode="words")
    box = next(box for box in at.selectbox if box.key == "filter-Длина")
    box.select("shorter:10")
    next(button for button in at.button if button.label == "Применить").click()
    at.run()
    assert at.query_params["q"] in ("бюджетом shorter:10", ["бюджетом shorter:10"])
    assert ":primary-background[бюджет]" in texts(at)
    assert any("shorter" in link.value for link in at.page_link)


def test_a_search_without_result_says_what_to_do(library_app):
    at = visit("search", q="zzqqxx")
    at.session_state["mode"] = "words"

    assert "Try other words" in texts(at.run())


@pytest.mark.skipif(bool(e5.reason()), reason="search by meaning needs the model of this machine")
def test_what_nobody_said_is_shown_apart_from_answers(library_app):
    assert "Nothing says that; nearest by meaning:" in texts(visit("search", q="zzqqxx"))
    assert "nearest by meaning" not in texts(visit("search", q="бюджетом"))


def test_the_library_is_a_table_too_whose_rows_are_worked_on_at_once(library_app):
    at = visit("library", "ru", view="table")
    (table,) = at.dataframe
    assert list(table.value["Название"]) == ["call_stereo.opus"]
    assert at.button(key="several-delete").disabled


def test_the_library_can_be_filtered_whatever_the_capitals(library_app):
    at = visit("library", "ru", title="CALL")
    assert [link.value for link in at.page_link] == ["Звонки (1)", r"call\_stereo\.opus"]  # a folder, and it

    assert "ничего не нашлось" in texts(visit("library", "ru", title="нет такого"))


FIELDS = (
    "text_input",
    "text_area",
    "number_input",
    "selectbox",
    "multiselect",
    "checkbox",
    "toggle",
    "radio",
    "slider",
)


def test_every_field_of_the_settings_has_help(app):
    at = visit("settings")
    fields = [field for kind in FIELDS for field in at.get(kind)]

    assert len(fields) >= 2
    assert [field.label for field in fields if field.help.count(". ") < 1] == [], "two sentences each"


def test_keys_are_shown_once_and_can_be_revoked(app):
    at = visit("settings")
    next(field for field in at.text_input if field.label == "Name of a new key").set_value("phone")
    next(button for button in at.form_submit_button if button.label == "Create key").click().run()
    key = at.code[0].value
    assert app.keys.check(key)

    at.run()
    assert not at.code

    id_ = app.keys.all(EVERYONE)[0].id
    at.button(key=f"renew-{id_}").click().run()
    assert app.keys.check(at.code[0].value) == app.keys.check(key)
    at.button(key=f"revoke-{id_}").click().run()
    assert app.keys.check(key) is None


def test_without_a_batch_the_page_says_why_and_asks_nothing(app):
    at = visit("upload", "ru")

    assert not at.radio
    assert "Пакета нет" in texts(at)


def test_a_batch_can_be_asked_for_where_gemini_makes_the_vectors(with_gemini):
    at = visit("upload", "ru")
    bring(at, with_gemini, "call.opus", (DATA / "call_stereo.opus").read_bytes())
    at.run()
    at.radio(key="lane").set_value("batch").run()
    at.button(key="transcribe").click().run()

    assert not at.exception
    assert with_gemini.recordings.tasks(EVERYONE)[1][0].embedding_mode == "batch"


def test_a_key_that_came_later_offers_its_vectors_with_price_and_number(transcribed_then_gemini):
    at = visit("settings", "ru")
    assert "Перевести поиск по смыслу на Gemini" in texts(at)
    assert "отрыв" in texts(at)
    assert "$" in at.button(key="switch-batch").label

    at.button(key="switch-now").click().run()

    assert not at.exception
    assert transcribed_then_gemini.active_embedder.embedder().name.startswith("gemini")


def test_providers_show_their_state_and_never_a_whole_key(with_gemini):
    at = visit("settings")
    page_texts = texts(at)
    assert "…cret" in page_texts
    assert "a-long-secret" not in page_texts

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


def test_a_language_is_corrected_with_one_choice_and_only_once(app):
    id_ = send(app, "call_stereo.opus", TranscriptionOptions())
    drive.perform_all(app)
    at = visit("recording", id=id_)
    key = f"language-{app.recordings.get(EVERYONE, id_).transcript_id}"

    at.selectbox(key=key).select("en").run()
    at.run()

    total, (newest, _) = app.recordings.tasks(EVERYONE, recording_id=id_)
    assert (total, newest.language, newest.engine) == (2, "en", "whisper-base")


def test_what_was_not_understood_is_said_on_the_page(app):
    id_ = send(app, "en_meeting.opus", TranscriptionOptions(language="ru"))
    drive.perform_all(app)

    at = visit("recording", id=id_)

    assert any("English" in warning.value for warning in at.warning)


def test_every_component_says_when_it_is_drawn():
    """What stands below one that does not is hidden until `head.html` gives up waiting."""
    scripts = {path.name: path.read_text() for path in (FRAME.parent / "components").glob("*.js")}
    mounted = {name: script for name, script in scripts.items() if "export default function" in script}
    beside = {"frame.js"}  # in the sidebar nothing stands below it

    assert len(mounted) > 5
    assert [name for name, script in mounted.items() if '"data-drawn"' not in script] == sorted(beside)
