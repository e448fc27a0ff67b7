"""The ledger proves the quote: errors, savings, caps that eight processes cannot overshoot, other routes."""

from __future__ import annotations

import multiprocessing
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import update

from core.application import Application
from core.billing.ledger import Call, CapReached, Ledger
from core.billing.tariffs import ALL, Tariffs
from core.database.database import Database
from core.database.tables import Job, PassageRow, Payment, new_id
from core.embedding.embedder import tokens_at_most
from core.embedding.embedders.gemini import passage_form
from core.errors import BadRequest, ProviderRefused
from core.library.recordings import TranscriptionOptions
from core.planning import proof
from core.principal import EVERYONE
from core.settings import Settings
from tests import drive, racing
from tests.batching import recording, sentences
from tests.conftest import DATA
from tools.gemini_emulator import vectors
from tools.gemini_emulator.handle import GeminiEmulator

MODEL = "gemini-embedding-2"
TEXTS = sentences(12)


@pytest.fixture
def gemini(tmp_path):
    """A journey whose vectors come from the emulator."""
    with GeminiEmulator(tmp_path / "emulator") as emulator:
        yield Application(
            Settings(
                stenogram_home=tmp_path / "home",
                gemini_api_key="emulated",
                gemini_base_url=emulator.url,
                embedding_dim=64,
            )
        )


def pay(app: Application, promised: int, counted: int, mode: str = "sync", owner: str = "pages") -> None:
    """One call, from its promise to its end."""
    recording_id = new_id()
    with app.database.write() as session:
        call_id = app.ledger.reserve(session, Call("gemini", MODEL, mode, {(recording_id, owner): promised}))
    with app.database.write() as session:
        app.ledger.settle(session, call_id, {recording_id: counted})


def test_each_paid_call_shows_its_estimate_what_came_and_the_error(app):
    pay(app, promised=1_500_000, counted=1_000_000)

    [call] = app.proof.paid(EVERYONE)

    assert (call.promised, call.counted) == (1_500_000, 1_000_000)
    assert (call.promised_usd, call.usd) == (Decimal("0.3"), Decimal("0.2"))
    assert proof.error(call.promised_usd, call.usd) == pytest.approx(0.5)
    assert call.waited_s is not None
    assert call.waited_s >= 0


def test_sums_by_month_provider_and_key_add_up_to_the_month(app):
    pay(app, 1_000_000, 1_000_000)
    pay(app, 1_000_000, 500_000, mode="batch", owner="abcd1234")

    for by in ("month", "provider", "owner"):
        assert sum(each.usd for each in app.proof.sums(by)) == app.ledger.month().spent == Decimal("0.25")


def test_what_batching_saved_is_the_difference_of_the_lanes(app):
    pay(app, 1_000_000, 1_000_000, mode="batch")

    assert app.proof.saved().by_batching == Decimal("0.1")


def test_the_second_recording_of_the_same_words_is_not_paid_twice(gemini):
    gemini.ledger.buy(gemini.active_embedder.embedder(), "first", "pages", TEXTS)
    first, second = (recording(gemini, TEXTS, "sync", title) for title in ("a", "b"))
    with gemini.database.write() as session:
        session.execute(update(PassageRow).values(embedding_status="done"))
        session.execute(update(Payment).values(recording_id=first))

    saved = gemini.proof.saved().by_not_paying_twice

    tokens = sum(map(tokens_at_most, TEXTS))
    counted = gemini.proof.paid(EVERYONE)[0].counted
    assert saved == gemini.ledger.cost_usd("gemini", MODEL, "sync", int(tokens * (counted / tokens)))
    assert second != first


def test_a_cap_said_on_the_page_holds_over_the_setting_and_can_be_taken_back(tmp_path):
    app = Application(Settings(stenogram_home=tmp_path, monthly_cap_usd=Decimal("0.1")))

    with pytest.raises(CapReached):
        pay(app, 1_000_000, 1_000_000)
    app.proof.set_cap(EVERYONE, ALL, "0.5")
    pay(app, 1_000_000, 1_000_000)
    app.proof.set_cap(EVERYONE, ALL, None)
    with pytest.raises(CapReached):
        pay(app, 1_000_001, 1_000_000)

    assert app.ledger.month().spent == Decimal("0.2")


def test_a_key_with_a_cap_stops_alone(app):
    app.proof.set_cap(EVERYONE, "abcd1234", "0.1")

    with pytest.raises(CapReached, match="this key"):
        pay(app, 1_000_000, 1_000_000, owner="abcd1234")
    pay(app, 1_000_000, 1_000_000, owner="other")

    budgets = {each.scope: each for each in app.proof.budgets()}
    assert budgets["abcd1234"].spent == budgets["abcd1234"].reserved == 0
    assert budgets["other"].spent == budgets[ALL].spent == Decimal("0.2")


@pytest.mark.parametrize("nonsense", ["-1", "nan", "a lot", 10**12])
def test_a_cap_must_be_a_sensible_number(app, nonsense):
    with pytest.raises(BadRequest):
        app.proof.set_cap(EVERYONE, ALL, nonsense)


def test_eight_processes_racing_never_overshoot_the_cap_of_a_key(tmp_path: Path):
    url = f"sqlite:///{tmp_path}/records.sqlite"
    Tariffs(Database(url)).set_cap(EVERYONE, "abcd1234", "1")  # 50 calls of $0.02; 96 are tried
    spawn = multiprocessing.get_context("spawn")
    start = spawn.Event()
    options = (url, "abcd1234", 100_000, start)
    racers = [spawn.Process(target=racing.spend, args=options) for _ in range(8)]
    for racer in racers:
        racer.start()
    start.set()
    for racer in racers:
        racer.join()

    assert Ledger(Database(url)).month().reserved == Decimal(1)


def test_work_held_by_a_cap_waits_and_goes_on_when_it_is_raised(gemini):

    id_ = recording(gemini, TEXTS, "sync", "held")
    [task] = gemini.recordings.tasks(EVERYONE, recording_id=id_)[1]
    with gemini.database.write() as session:
        session.add(Job(task_id=task.id, kind="embed", queue="io"))
    gemini.proof.set_cap(EVERYONE, ALL, "0")

    drive.perform_all(gemini)
    assert gemini.proof.held() == 1
    assert not drive.ready(gemini)

    gemini.proof.set_cap(EVERYONE, ALL, "10")
    drive.perform_all(gemini)
    assert gemini.proof.held() == 0
    assert gemini.recordings.get(EVERYONE, id_).embedding_status == "done"


def test_a_plan_that_was_run_is_compared_with_what_its_recordings_cost(gemini):
    answer = gemini.estimates.answer(durations_s=[720.0], language="ru")
    quote = next(each for each in answer.quotes if each.lane == "now" and each.blocked is None)
    id_ = recording(gemini, TEXTS, "sync", "planned")
    gemini.estimates.keep(quote, answer.size.tokens, [id_])
    bought = gemini.ledger.buy(gemini.active_embedder.embedder(), id_, "pages", TEXTS)

    [proved] = gemini.proof.plans()

    assert len(bought) == len(TEXTS)
    assert proved.quoted_usd == quote.embedding_usd
    assert proved.usd == gemini.ledger.of_recording(id_) > 0
    assert proved.tokens == gemini.proof.paid(EVERYONE)[0].counted


def test_tokens_are_calibrated_by_what_the_provider_counted(gemini):
    id_ = recording(gemini, TEXTS * 3, "sync", "calibrated")
    gemini.ledger.buy(gemini.active_embedder.embedder(), id_, "pages", TEXTS * 3)

    figure = gemini.estimates.book("ru").assumptions["chars_per_token:ru"]

    [call] = gemini.proof.paid(EVERYONE)
    letters = 2 * Decimal(call.promised) / call.counted
    assert figure.value == pytest.approx(letters, rel=Decimal("0.001"))
    assert figure.source == "measured on this machine"


def test_last_month_by_another_route_replays_what_was_done(app):

    with (DATA / "ru_meeting.opus").open("rb") as file:
        app.intake.accept(EVERYONE, file, "a.opus", TranscriptionOptions())
    drive.perform_all(app)

    paid, quotes = app.proof.replay(app.ledger.month().month)

    groq = next(
        quote for quote in quotes if quote.engine_model == "whisper-large-v3" and quote.mode == "sync"
    )
    sound_s = Decimal(str(app.recordings.find(EVERYONE)[1][0].duration_s))
    assert paid == 0
    assert groq.transcription_usd == pytest.approx(Decimal("0.111") * sound_s / 3600, rel=Decimal("0.0001"))


def test_nothing_was_done_in_a_month_without_recordings(app):
    assert app.proof.replay("2020-01") == (Decimal(0), [])


# Your own figures


def test_your_price_holds_in_every_quote_and_can_be_taken_back(app):
    work = {"documents": 1000, "tokens_per_document": 1000}
    before = app.estimates.estimate(**work)["embedding"]["sync_usd"]

    app.tariffs.set_price(EVERYONE, "gemini", MODEL, "sync", "1")
    estimate = app.estimates.estimate(**work)
    own_row = next(row for row in estimate["prices"] if (row["model"], row["mode"]) == (MODEL, "sync"))
    app.tariffs.take_back_price(EVERYONE, "gemini", MODEL, "sync")

    assert (before, estimate["embedding"]["sync_usd"]) == ("0.2", "1")
    assert own_row["yours"]
    assert app.estimates.estimate(**work)["embedding"]["sync_usd"] == before


def test_your_price_is_what_the_ledger_books(app):
    app.tariffs.set_price(EVERYONE, "gemini", MODEL, "sync", "2")

    pay(app, 1_000_000, 1_000_000)

    assert app.ledger.month().spent == Decimal(2)


def test_a_route_of_your_own_stands_beside_the_others(app):
    app.tariffs.set_price(EVERYONE, "neighbour", "big-box", "sync", "0.01", unit="audio hour")

    quotes = app.estimates.answer(hours=100).quotes

    own_quote = next(quote for quote in quotes if quote.engine == "neighbour")
    assert own_quote.transcription_usd == Decimal(1)
    assert str(own_quote.blocked) == "For comparison only: this tool is not connected to neighbour."


def test_the_rate_of_the_rouble_is_yours_to_change(app):
    app.tariffs.set_figure(EVERYONE, "rub_per_usd", "100")

    estimate = app.estimates.estimate(hours=1, currency="RUB")

    assert estimate["currency"] == {"code": "RUB", "per_usd": "100", "source": "yours"}
    app.tariffs.take_back_figure(EVERYONE, "rub_per_usd")
    assert app.tariffs.figures() == {}


@pytest.mark.parametrize(
    ("name", "value"), [("rub_per_usd", "-5"), ("rub_per_usd", "nan"), ("no such thing", "1")]
)
def test_a_figure_must_make_sense(app, name, value):
    with pytest.raises(BadRequest):
        app.tariffs.set_figure(EVERYONE, name, value)


@pytest.mark.parametrize("price", ["-1", "nan", "cheap", "1e9"])
def test_a_price_must_make_sense(app, price):
    with pytest.raises(BadRequest):
        app.tariffs.set_price(EVERYONE, "gemini", MODEL, "sync", price)


# Your own tier


def test_your_rate_limits_hold_in_every_quote_field_by_field(app):
    work = {"documents": 100_000, "tokens_per_document": 500}
    before = app.estimates.answer(**work).embedding

    app.tariffs.set_limit(EVERYONE, "gemini", "", "sync", rpm=300)
    app.tariffs.set_limit(EVERYONE, "gemini", "", "sync", tier="free")
    slower = app.estimates.answer(**work)

    [own_limit] = [limit for limit in slower.book.limits if limit.yours]
    assert (own_limit.rpm, own_limit.tpm, own_limit.tier, own_limit.source) == (
        300,
        1_000_000,
        "free",
        "yours",
    )
    assert slower.embedding.sync_p50_s == 100_000 / 300 * 60 > before.sync_p50_s
    app.tariffs.set_limit(EVERYONE, "gemini", "", "sync", rpm=None)
    app.tariffs.set_limit(EVERYONE, "gemini", "", "sync", tier=None)
    assert app.estimates.answer(**work).embedding == before


def test_your_cap_on_enqueued_tokens_holds_over_the_setting(app):
    work = {"documents": 10_000, "tokens_per_document": 500}  # 5 M tokens: ten rounds of 500,000
    before = app.estimates.answer(**work).embedding.batch_p50_s

    app.tariffs.set_limit(EVERYONE, "gemini", "", "batch", enqueued_tokens="5000000")

    assert app.estimates.answer(**work).embedding.batch_p50_s == before / 10
    app.tariffs.take_back_limit(EVERYONE, "gemini", "", "batch")
    assert app.estimates.answer(**work).embedding.batch_p50_s == before


def test_no_more_calls_at_once_than_the_provider_allows(tmp_path):
    app = Application(Settings(stenogram_home=tmp_path, workers_io=8))
    workload = {"documents": 1000, "tokens_per_document": 10}
    app.tariffs.set_limit(EVERYONE, "gemini", "", "sync", at_once=2, rpm=10**9)

    hundred_each = app.estimates.answer(**workload).embedding.sync_p50_s

    assert hundred_each == pytest.approx(10 * 0.2 / 2)


@pytest.mark.parametrize(
    ("limit", "changed"),
    [
        (("gemini", "", "sync"), {"rpm": -1}),
        (("gemini", "", "sync"), {"tpm": 0}),
        (("gemini", "", "sync"), {"at_once": "many"}),
        (("gemini", "", "batch"), {"enqueued_tokens": 1.5}),
        (("nobody", "", "sync"), {"rpm": 1}),
    ],
)
def test_a_rate_limit_must_make_sense(app, limit, changed):
    with pytest.raises(BadRequest):
        app.tariffs.set_limit(EVERYONE, *limit, **changed)

    assert not any(each.yours for each in app.tariffs.book().limits)


# Tokens counted on a sample


def test_a_counted_sample_holds_for_estimates_with_its_day_until_it_is_dropped(gemini):
    recording(gemini, TEXTS, "sync", "sample")
    before = gemini.estimates.book("ru").assumptions["tokens_per_word:ru"]

    counted = gemini.estimates.samples.count(EVERYONE, "ru", on=date(2026, 11, 22))

    forms = [passage_form(MODEL, text) for text in TEXTS]
    assert counted.tokens == sum(map(vectors.count_tokens, forms))
    book = gemini.estimates.book("ru")
    assert book.assumptions["chars_per_token:ru"].value == counted.letters_a_token
    figure = book.assumptions["tokens_per_word:ru"]
    assert figure.value == pytest.approx(
        Decimal(counted.tokens) / sum(len(text.split()) for text in TEXTS), abs=Decimal("0.001")
    )
    assert figure.source == f"{counted.letters} characters counted by {MODEL} on 2026-11-22"
    assert gemini.ledger.payments() == []
    gemini.estimates.samples.drop(EVERYONE, "ru")
    assert gemini.estimates.book("ru").assumptions["tokens_per_word:ru"] == before


def test_any_text_may_be_the_sample_and_your_own_figure_holds_over_it(gemini):
    gemini.estimates.samples.count(EVERYONE, "en", "We agreed to move the budget to next week. " * 5)
    gemini.tariffs.set_figure(EVERYONE, "tokens_per_word:en", "9")

    book = gemini.estimates.book("en")

    assert book.assumptions["tokens_per_word:en"].value == 9
    assert "counted by" in book.assumptions["chars_per_token:en"].source


@pytest.mark.parametrize(("text", "why"), [("", "no passages"), ("too few words", "at least 20 words")])
def test_a_sample_that_says_nothing_is_refused(gemini, text, why):
    with pytest.raises(BadRequest, match=why):
        gemini.estimates.samples.count(EVERYONE, "ru", text)


def test_counting_without_a_key_is_refused_with_a_sentence(app):
    with pytest.raises(ProviderRefused, match="GEMINI_API_KEY"):
        app.estimates.samples.count(EVERYONE, "ru", " ".join(TEXTS))

    assert app.estimates.samples.known("ru") is None
