"""The cost page answers one question in both languages, keeps its scenario in a link, and never breaks."""

from __future__ import annotations

import json
import re
from decimal import Decimal
from html import unescape
from pathlib import Path
from urllib.parse import parse_qsl

import pyarrow as pa
import pytest

from core.billing.ledger import Call
from core.database.states import EmbeddingMode
from core.library.recordings import TranscriptionOptions
from core.planning.recommendations import Role
from core.principal import EVERYONE
from core.settings import ROOT
from jobs import installation
from jobs.installation import application
from pages.components import charts, recommended
from pages.components import prices as own_prices
from tests import drive
from tests.conftest import DATA
from tests.installation import bring
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


def html(at) -> str:
    """Everything that stands in figures, as the browser shows it."""
    page_html = "\n".join(each.proto.body for each in at.get("html"))
    return unescape(re.sub(r"<style>.*?</style>|<[^>]+>", "\n", page_html, flags=re.DOTALL))


def prices(at) -> list[str]:
    """The two bills, at once and by batch."""
    bodies = "".join(each.proto.body for each in at.get("html"))
    return [unescape(price).strip() for price in re.findall(r'class="bill-price">([^<]+)', bodies)]


@pytest.mark.parametrize("language", ["en", "ru"])
@pytest.mark.parametrize("view", ["plan", "sheet", "proof", "prices"])
def test_every_view_opens_in_both_languages(app, language, view):
    assert visit("costs", language, view=view).title[0].value == {"en": "Costs", "ru": "Расходы"}[language]


def test_the_first_screen_compares_sync_and_batch_before_anything_is_set_up(app):
    at = visit("costs", hours="500")

    compared = app.estimates.answer(hours=500, times_per_year=12).compared()
    assert prices(at) == [f"${compared.sync.usd:,.2f}", f"${compared.batch.usd:,.2f}"] == ["$21.73", "$10.86"]
    page_html = html(at)
    assert "$130.44" in page_html, "a year"
    assert "Take batch: it saves $10.87" in page_html
    assert "Batch pays from 12 hours of sound on, with an hour of waiting at $0.01." in page_html
    needed = [link.proto.label for link in at.get("page_link")]
    assert needed.count("needs a Gemini key") == needed.count("needs a Groq key") == 2
    assert needed.count("needs an object store") == 1


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"who": "runpod/24 GB L4"}, ["$5.15", "$4.28", "RunPod 24 GB L4"]),
        ({"who": "gigaam/cpu"}, ["$3.66", "$2.80", "GigaAM v3, own processor"]),
        (
            {"wait": "10"},
            ["22 h 40 min more of waiting (9 times in 10) at $10.00 an hour costs you $226.67"],
        ),
        ({"wait": "0"}, ["Waiting costs you nothing"]),
        ({"by": "documents", "documents": "10"}, ["Take it at once", "Batch pays from 67 documents on"]),
    ],
)
def test_who_transcribes_and_what_waiting_is_worth_change_the_answer(app, query, words):
    page_html = html(visit("costs", hours="500", **query))

    assert [each for each in words if each not in page_html] == []


@pytest.mark.parametrize("currency", ["USD", "RUB"])
@pytest.mark.parametrize("hours", ["500", "730", "9990"])
def test_figures_that_are_shown_add_up(app, hours, currency):
    at = visit("costs", hours=hours, currency=currency)
    bodies = [each.proto.body for each in at.get("html")]
    bills = [body for body in bodies if 'class="bill ' in body]

    sums = []
    for bill in bills:
        *parts, _usually, _late = re.findall(r"<span>([^<]+)</span></div>", bill)
        shown = re.findall(r'bill-price">(.+?) <small>', bill)
        assert sum(map(amount, parts)) == amount(shown[0])
        sums.append(amount(shown[0]))
    month, year = re.findall(r"<b>(.+?)</b>", next(body for body in bodies if 'class="saving"' in body))
    assert (amount(month), amount(year)) == (sums[0] - sums[1], 12 * (sums[0] - sums[1]))
    assert re.search(rf"saves (only )?{re.escape(month)}[ ,.]", html(at))


def amount(text: str) -> Decimal:
    """Of money as it is shown in English."""
    return Decimal(re.sub(r"[^\d.]", "", unescape(text)))


def test_charts_name_their_axes_in_a_colour_that_can_be_read(app):
    charted = visit("costs").get("arrow_vega_lite_chart") + visit("costs").get("vega_lite_chart")
    looks = [json.loads(chart.proto.spec)["config"] for chart in charted]

    assert looks
    for look in looks:
        for part in ("axis", "legend"):
            assert contrast(look[part]["labelColor"], "#FFFFFF") >= 4.5


def contrast(*colours: str) -> float:
    """Of two colours, as WCAG reckons."""

    def light(part: str) -> float:
        share = int(part, 16) / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    low, high = sorted(
        0.2126 * light(each[1:3]) + 0.7152 * light(each[3:5]) + 0.0722 * light(each[5:7]) for each in colours
    )
    return (high + 0.05) / (low + 0.05)


def test_page_and_programs_say_the_same(english_only):
    at = visit("costs", by="documents", documents="100000", tokens="1000")

    comparison = english_only.estimates.estimate(documents=100_000, tokens_per_document=1000)["comparison"]
    assert prices(at) == [f"${Decimal(comparison[lane]['usd']):,.2f}" for lane in ("sync", "batch")]
    assert prices(at) == ["$20.00", "$10.00"]


def test_the_ways_that_matter_name_quality_beside_the_price_and_never_a_toy(app):
    page_html = html(visit("costs", hours="500"))

    assert "the best for Russian" in page_html
    assert "11.2% of words wrong" in page_html
    assert "on your own machine" in page_html
    assert "toy" not in page_html.lower()


@pytest.mark.parametrize(
    ("roles", "labels"),
    [
        ((Role.CHEAPEST, Role.OWN), ["cheapest", "on your own machine"]),
        ((Role.OWN, Role.BEST), ["cheapest on your own machine", "recognises best"]),
    ],
)
def test_cheapest_is_not_said_twice_of_one_way(roles, labels):
    assert [*recommended.labels(roles)] == labels


def test_the_chart_names_what_could_be_chosen_with_local_digits_and_no_name_upon_another(app):
    [chart, *_] = visit("costs", "ru", hours="500").get("vega_lite_chart")

    spec = json.loads(chart.proto.spec)
    rows = pa.ipc.open_stream(chart.proto.datasets[0].data.data).read_pandas()
    assert spec["config"]["locale"]["number"]["decimal"] == ","
    assert {"GigaAM v3, свой процессор", "Groq whisper-large-v3-turbo", "RunPod 24 GB L4"} <= set(
        rows["name"]
    )
    assert not rows["name"].str.contains("toy|OpenAI|Deepgram|Fireworks|AssemblyAI|Yandex").any()
    placed: list[tuple[float, float, float]] = []
    for n in range(len(rows)):
        charts._place(rows, n, placed)
    for n, (x, y, wide) in enumerate(placed):
        for other_x, other_y, other_wide in placed[n + 1 :]:
            assert abs(y - other_y) >= charts.LINE_PX or x + wide < other_x or other_x + other_wide < x


def test_the_four_scenarios_stand_beside_the_prices_they_were_first_told_with(app):
    at = visit("costs")
    assert "$62.50" not in html(at)

    at.toggle(key="once").set_value(True).run()

    page_html = html(at)
    assert all(
        each in page_html
        for each in ("A company archive", "100,000", "$10.00", "$125.00 → $62.50", "$1.25 → $0.625")
    )


def test_the_page_for_the_boss_is_one_page_of_word_with_figures_sources_and_days(app):
    at = visit("costs", "ru", view="sheet", hours="500")

    page_html = html(at)
    assert "500 ч звука в месяц — сразу или пакетом?" in page_html
    assert "https://ai.google.dev/gemini-api/docs/pricing" in page_html
    assert "21 нояб. 2026" in page_html


def test_the_link_reproduces_the_scenario(app):
    at = visit("costs", "ru", by="documents", documents="5000", tokens="700", currency="RUB", ready="3600")

    query = dict(parse_qsl(at.code[0].value.partition("?")[2]))
    again = visit("costs", "ru", **query)

    assert query == {
        "by": "documents",
        "documents": "5000",
        "tokens": "700",
        "currency": "RUB",
        "ready": "3600",
    }
    assert prices(again) == prices(at)
    assert "₽" in prices(at)[0]


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ({"hours": "-5"}, "Hours of sound must be above zero."),
        ({"hours": "0"}, "Hours of sound must be above zero."),
        ({"hours": "1000000000"}, "Hours of sound is too large: at most 10,000,000."),
        ({"by": "documents", "documents": "-1"}, "The number of documents must be above zero."),
        ({"most": "-3"}, "The most it may cost must not be negative."),
    ],
)
def test_senseless_numbers_are_a_sentence(app, value, sentence):
    at = visit("costs", **value)

    assert [error.value.replace("\\", "") for error in at.error] == [sentence]


@pytest.mark.parametrize("nonsense", ["nan", "inf", "1e400", "many", ""])
def test_nonsense_in_a_link_counts_as_nothing(app, nonsense):
    at = visit("costs", hours=nonsense, by=nonsense, currency=nonsense, ready=nonsense, view=nonsense)

    assert not at.error
    assert at.number_input(key="hours").value == 500


def test_advice_and_reasons_name_the_currency_that_was_chosen(app):
    at = visit("costs", "ru", by="documents", documents="100000", tokens="500", currency="RUB", most="50")

    page_html = html(at)
    assert re.search(r"он экономит [\d,\xa0]+\xa0₽", page_html)
    assert "больше 50,00\xa0₽" in page_html
    assert "$" not in page_html


@pytest.mark.parametrize(("currency", "text"), [("RUB", "Less than a kopeck"), ("USD", "Less than a cent")])
def test_next_to_nothing_is_said_in_words_and_not_in_zeros(app, currency, text):
    at = visit("costs", by="documents", documents="1", tokens="50", currency=currency)

    assert prices(at) == [text, text]


def test_a_deadline_that_nobody_keeps_is_said(app):
    at = visit("costs", hours="1000000", ready="3600")

    assert "No way fits" in at.warning[0].value


def test_dropped_files_are_quoted_and_run_through_the_route(app):
    at = visit("costs", by="files")
    at.file_uploader[0].upload("a.opus", (DATA / "ru_meeting.opus").read_bytes())
    at.file_uploader[0].upload("b.opus", (DATA / "ru_meeting.opus").read_bytes())
    at.file_uploader[0].upload("c.wav", b"hello, this is text")
    at.run()
    page_texts = texts(at)
    assert "1 new file" in page_texts
    assert "1 repeated file" in page_texts
    assert "neither sound nor video" in page_texts
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
    bring(at, app, "a.opus", (DATA / "ru_meeting.opus").read_bytes())
    at.run()

    quote = app.estimates.of_engine(
        app.estimates.answer(durations_s=[52.2275]), "gigaam-v3_ctc", EmbeddingMode.SYNC
    )
    assert quote.total_usd < Decimal("0.01")
    assert "Меньше цента\u00a0· готово примерно через " in texts(at)


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
    english_only.tariffs.set_price(EVERYONE, "gemini", MODEL, "batch", "1")
    at = visit("costs", by="documents", documents="1000", tokens="1000")

    assert prices(at) == ["$0.20", "$1.00"]
    assert "nothing of it is cheaper by batch" in html(at)
    table = visit("costs", view="prices").dataframe[0].value
    assert [price.strip() for price in table[table["state"] == "yours"]["price"]] == ["1"]


@pytest.mark.parametrize(("typed", "held"), [("0,25", "0.25"), (None, "0.2")])
def test_a_price_is_typed_with_the_comma_of_the_language(app, monkeypatch, typed, held):
    shipped = next(one for one in app.tariffs.book().prices if (one.model, one.mode) == (MODEL, "sync"))
    app.tariffs.set_price(EVERYONE, *shipped.key, "3")
    monkeypatch.setattr(own_prices.st, "session_state", {"t-0": {"edited_rows": {0: {"price": typed}}}})

    own_prices._change_prices("t-0", [shipped])

    assert app.tariffs.book().price(*shipped.key).price == Decimal(held)


def test_stale_prices_are_flagged(app):
    [warning] = visit("costs", view="prices").warning

    assert "RunPod 24 GB L4" in warning.value
    assert "Fireworks" not in warning.value, "nobody can buy there"


def test_proof_shows_every_call_with_its_error(app):
    with app.database.write() as session:
        call = app.ledger.reserve(session, Call("gemini", MODEL, "sync", {("r", "pages"): 1_500_000}))
    with app.database.write() as session:
        app.ledger.settle(session, call, {"r": 1_000_000})

    at = visit("costs", view="proof")

    assert at.metric[0].value == "$0.20"
    [calls] = [table.value for table in at.dataframe]
    assert (calls["promised"][0], calls["usd"][0], calls["error"][0]) == ("$0.30", "$0.20", "+50%")
    assert calls["quantity"][0] == "1,500,000 → 1,000,000"
    assert "The provider counted another quantity" in html(at)


def test_an_error_below_a_cent_is_no_error_and_no_percent(app):
    with app.database.write() as session:
        call = app.ledger.reserve(session, Call("gemini", MODEL, "sync", {("r", "pages"): 840}))
    with app.database.write() as session:
        app.ledger.settle(session, call, {"r": 500})

    at = visit("costs", view="proof")

    assert "minimums and rounding weigh more than the work" in html(at)
    assert "%" not in html(at)
    assert at.metric[0].value == "Less than a cent"


def test_pages_stay_short_and_define_nothing():
    text = Path(ROOT / "pages" / "costs.py").read_text()

    assert len(text.splitlines()) <= 60
    assert "def " not in text


def test_the_table_can_be_taken_along(app):
    from core import billing

    answer = app.estimates.answer(hours=10)

    rows = billing.as_csv(answer.quotes).splitlines()
    described = json.loads(json.dumps(billing.described(answer)))
    assert len(rows) - 1 == len(described["routes"]) == len(answer.quotes)


def test_the_link_carries_your_prices_and_says_when_they_differ_from_those_here(app):
    app.tariffs.set_price(EVERYONE, "gemini", MODEL, "batch", "1")
    app.tariffs.set_figure(EVERYONE, "rub_per_usd", "100")
    app.tariffs.set_limit(EVERYONE, "gemini", "", "sync", rpm=7)
    at = visit("costs", by="documents", documents="1000", tokens="1000", currency="RUB")
    query = dict(parse_qsl(at.code[0].value.partition("?")[2]))
    same = visit("costs", **query)
    app.tariffs.take_back_price(EVERYONE, "gemini", MODEL, "batch")
    app.tariffs.take_back_figure(EVERYONE, "rub_per_usd")
    app.tariffs.take_back_limit(EVERYONE, "gemini", "", "sync")

    again = visit("costs", **query)

    assert prices(again) == prices(same) == prices(at)
    assert "the prices in the link" not in texts(same)
    assert "the prices in the link" in " ".join(info.value for info in again.info)
    again.button(key="forget-own").click().run()
    assert prices(again) == prices(visit("costs", **{**query, "own": ""})) != prices(at)


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
    app.proof.set_cap(EVERYONE, "", "0")
    with (DATA / "ru_meeting.opus").open("rb") as file:
        task = app.intake.accept(EVERYONE, file, "a.opus", TranscriptionOptions(engine="groq"))
    drive.perform_all(app)

    at = visit("costs", view="proof")
    assert "$0.00 instead of" in texts(at).replace("\\", "")
    at.button(key="cheaper-0").click().run()
    drive.perform_all(app)

    assert app.recordings.task(EVERYONE, task.id).status == "completed"
    assert not visit("costs", view="proof").warning
