"""The cost page answers one question in both languages, keeps its scenario in a link, and never breaks."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from urllib.parse import parse_qsl

import pytest

from core.database.states import EmbeddingMode
from core.i18n import catalogue
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE
from core.settings import ROOT
from jobs import installation
from jobs.installation import application
from tests import drive
from tests.conftest import DATA
from tests.test_pages import texts, visit

MODEL = "gemini-embedding-2"


@pytest.fixture
def app(tmp_path, monkeypatch):
    """The journey that pages see, empty, with a folder that may be read."""
    monkeypatch.setenv("STENOGRAM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IMPORT_ROOTS", str(tmp_path / "in"))
    (tmp_path / "in").mkdir()
    installation.serve(None)
    yield application()
    installation.serve(None)


@pytest.fixture
def english_only(monkeypatch, app):
    """Vectors of Russian can only be bought."""
    monkeypatch.setenv("LOCAL_EMBEDDING_MODEL", "all-MiniLM-L6-v2")
    installation.serve(None)
    return application()


def prices(at) -> list[str]:
    return [metric.value for metric in at.metric]


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("view", ["plan", "proof", "prices"])
def test_every_view_opens_in_both_languages(app, language, view):
    assert visit("costs", language, view=view).title[0].value == {"en": "Costs", "ru": "Расходы"}[language]


def test_the_first_screen_says_price_and_time_of_the_cheapest_way(app):
    at = visit("costs", hours="1000")

    answer = app.estimates.answer(hours=1000)
    assert [metric.label for metric in at.metric] == ["Price", "Usually ready in", "9 times in 10 within"]
    assert prices(at)[0] == f"${answer.best.total_usd:,.2f}"


def test_page_and_programs_say_the_same(english_only):
    at = visit("costs", by="documents", documents="100000", tokens="1000")

    told = english_only.estimates.estimate(documents=100_000, tokens_per_document=1000)
    batch = next(row for row in told["routes"] if row["lane"] == "batch")
    assert prices(at)[0] == f"${Decimal(batch['total_usd']):,.2f}" == "$10.00"
    assert "No way can be taken from here yet" in texts(at)


def test_the_link_reproduces_the_scenario(app):
    at = visit("costs", "ru", by="documents", documents="5000", tokens="700", currency="RUB", ready="3600")

    said = dict(parse_qsl(at.code[0].value.partition("?")[2]))
    again = visit("costs", "ru", **said)

    assert said == {
        "by": "documents",
        "documents": "5000",
        "tokens": "700",
        "currency": "RUB",
        "ready": "3600",
    }
    assert prices(again) == prices(at)
    assert "₽" in prices(at)[0]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"hours": "-5"}, "Hours of sound must be above zero."),
        ({"hours": "0"}, "Hours of sound must be above zero."),
        ({"hours": "1000000000"}, "Hours of sound is too large: at most 10,000,000."),
        ({"by": "documents", "documents": "-1"}, "The number of documents must be above zero."),
        ({"most": "-3"}, "The most it may cost must not be negative."),
    ],
)
def test_senseless_numbers_are_a_sentence(app, said, sentence):
    at = visit("costs", **said)

    assert [error.value.replace("\\", "") for error in at.error] == [sentence]


@pytest.mark.parametrize("nonsense", ["nan", "inf", "1e400", "many", ""])
def test_nonsense_in_a_link_counts_as_nothing(app, nonsense):
    at = visit("costs", hours=nonsense, by=nonsense, currency=nonsense, ready=nonsense, view=nonsense)

    assert not at.error
    assert at.number_input(key="hours").value == 100


def test_advice_and_reasons_name_the_currency_that_was_chosen(app):
    at = visit("costs", "ru", by="documents", documents="100000", tokens="500", currency="RUB", most="50")

    reasons = next(table.value["why"] for table in at.dataframe if "why" in table.value)
    shown = texts(at) + "\n".join(reasons)
    assert re.search(r"он дешевле на [\d,\xa0]+\xa0₽", shown)
    assert reasons.str.contains(r"больше 50\xa0₽").any()
    assert "$" not in shown


def test_little_money_in_roubles_is_not_nothing(app):
    at = visit("costs", by="documents", documents="1", tokens="50", currency="RUB")

    assert re.fullmatch(r"0\.000\d+\xa0₽", prices(at)[0])


def test_a_deadline_that_nobody_keeps_is_said(app):
    at = visit("costs", hours="1000000", ready="3600")

    assert "No way fits" in at.warning[0].value


def test_dropped_files_are_quoted_and_run_through_the_route(app):
    at = visit("costs", by="files")
    at.file_uploader[0].upload("a.opus", (DATA / "ru_meeting.opus").read_bytes())
    at.file_uploader[0].upload("b.opus", (DATA / "ru_meeting.opus").read_bytes())
    at.file_uploader[0].upload("c.wav", b"hello, this is text")
    at.run()
    shown = texts(at)
    assert "1 new file" in shown
    assert "1 repeated file" in shown
    assert "neither sound nor video" in shown
    assert app.recordings.find(EVERYONE)[0] == 0

    at.button(key="run").click().run()
    assert not at.exception
    drive.perform_all(app)

    [proved] = app.proof.plans()
    assert app.recordings.find(EVERYONE)[1][0].title == "a.opus"
    assert (proved.recordings, proved.complete) == (1, True)
    assert "Plans that were run" in texts(visit("costs", view="proof"))


def test_a_folder_of_the_server_is_read_only_where_it_may_be(app, tmp_path):
    (tmp_path / "in" / "a.opus").write_bytes((DATA / "ru_meeting.opus").read_bytes())
    at = visit("costs", by="files")

    at.button(key="read-folder").click().run()
    assert "1 new file" in texts(at)

    at.text_input(key="plan-folder").set_value("/etc").run()
    at.button(key="read-folder").click().run()
    assert "This folder may not be read" in texts(at)

    at.text_input(key="plan-folder").set_value(str(tmp_path / "in" / "nowhere")).run()
    at.button(key="read-folder").click().run()
    assert "There is no such folder" in texts(at)


def test_the_upload_page_says_the_price_from_the_same_function(app):
    at = visit("upload", "ru")
    at.file_uploader[0].upload("a.opus", (DATA / "ru_meeting.opus").read_bytes())
    at.run()

    quote = app.estimates.of_engine(
        app.estimates.answer(durations_s=[52.2275]), "gigaam-v3_ctc", EmbeddingMode.SYNC
    )
    assert quote.total_usd < Decimal("0.01")
    assert f"Меньше цента  ·  готово примерно через {catalogue.duration(quote.p50_s, 'ru')}" in texts(at)


def test_a_cap_is_set_and_taken_back_on_the_page(app):
    at = visit("costs", view="proof")

    at.number_input(key="cap-").set_value(5.0).run()
    assert app.ledger.month().cap == Decimal(5)

    at.number_input(key="cap-").set_value(-1.0).run()
    assert "must not be negative" in texts(at)
    assert app.ledger.month().cap == Decimal(5)

    at.number_input(key="cap-").set_value(None).run()
    assert app.ledger.month().cap is None


def test_your_price_shows_as_yours_and_changes_the_quote(english_only):
    english_only.tariffs.set_price("gemini", MODEL, "batch", "1")
    at = visit("costs", by="documents", documents="1000", tokens="1000")

    assert prices(at)[0] == "$0.20"  # now is cheaper than this batch
    table = visit("costs", view="prices").dataframe[0].value
    assert list(table[table["state"] == "yours"]["price"]) == [1.0]


def test_stale_prices_are_flagged(app):
    shown = texts(visit("costs", view="prices"))

    assert "fireworks whisper-v3" in shown


def test_proof_shows_every_call_with_its_error(app):
    from core.billing.ledger import Call

    with app.database.write() as session:
        call = app.ledger.reserve(session, Call("gemini", MODEL, "sync", {("r", "pages"): 1_500_000}))
    with app.database.write() as session:
        app.ledger.settle(session, call, {"r": 1_000_000})

    at = visit("costs", view="proof")

    assert prices(at)[0] == "$0.20"
    [sums, calls] = [table.value for table in at.dataframe]
    assert (sums["promised"][0], sums["usd"][0], sums["error"][0]) == ("$0.30", "$0.20", "+50 %")
    assert calls["quantity"][0] == "1,500,000 → 1,000,000"


def test_pages_stay_short_and_define_nothing():
    text = Path(ROOT / "pages" / "costs.py").read_text()

    assert len(text.splitlines()) <= 60
    assert "def " not in text


def test_the_table_can_be_taken_along(app):
    from core import billing

    answer = app.estimates.answer(hours=10)

    rows = billing.as_csv(answer.quotes).splitlines()
    told = json.loads(json.dumps(billing.described(answer)))
    assert len(rows) - 1 == len(told["routes"]) == len(answer.quotes)


def test_the_link_carries_your_prices_and_says_when_they_differ_from_those_here(app):
    app.tariffs.set_price("gemini", MODEL, "batch", "1")
    app.tariffs.set_figure("rub_per_usd", "100")
    app.tariffs.set_limit("gemini", "", "sync", rpm=7)
    at = visit("costs", by="documents", documents="1000", tokens="1000", currency="RUB")
    said = dict(parse_qsl(at.code[0].value.partition("?")[2]))
    same = visit("costs", **said)
    app.tariffs.take_back_price("gemini", MODEL, "batch")
    app.tariffs.take_back_figure("rub_per_usd")
    app.tariffs.take_back_limit("gemini", "", "sync")

    again = visit("costs", **said)

    assert prices(again) == prices(same) == prices(at)
    assert "the prices in the link" not in texts(same)
    assert "the prices in the link" in " ".join(info.value for info in again.info)
    again.button(key="forget-own").click().run()
    assert prices(again) == prices(visit("costs", **{**said, "own": ""})) != prices(at)


@pytest.mark.parametrize(
    "own",
    [
        "{",
        "[]",
        "[" * 3000,
        '{"prices":[{"provider":1}]}',
        '{"figures":{"rub_per_usd":"-1"}}',
        '{"figures":{"rub_per_usd":"x"}}',
        '{"limits":[{"provider":"gemini","model":"","mode":"sync","rpm":-1,"set_at":0}]}',
        '{"limits":[{"provider":"gemini","model":"","mode":"sync","rpm":1,"set_at":1e30}]}',
    ],
)
def test_nonsense_for_prices_in_a_link_counts_as_nothing(app, own):
    at = visit("costs", own=own)

    assert not at.exception
    assert prices(at) == prices(visit("costs"))


def test_a_sample_is_refused_with_a_sentence_without_a_key(app):
    at = visit("costs")

    at.text_area(key="sample").set_value("слово за слово " * 20).run()
    at.button(key="count-sample").click().run()

    assert "needs a key: set GEMINI" in texts(at).replace("\\", "")


def test_held_work_is_sent_a_cheaper_way_by_a_button(app, monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "nobody is asked")
    installation.serve(None)
    app = application()
    app.proof.set_cap("", "0")
    with (DATA / "ru_meeting.opus").open("rb") as file:
        task = app.intake.accept(EVERYONE, file, "a.opus", TranscriptionOptions(engine="groq"))
    drive.perform_all(app)

    at = visit("costs", view="proof")
    assert "$0.00 instead of" in texts(at).replace("\\", "")
    at.button(key="cheaper-0").click().run()
    drive.perform_all(app)

    assert app.recordings.task(EVERYONE, task.id).status == "completed"
    assert not visit("costs", view="proof").warning
