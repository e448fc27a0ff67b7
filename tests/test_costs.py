"""Quotes: exact money, honest times, and a sentence for every senseless question."""

from __future__ import annotations

import csv
import io
import json
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import billing
from core.billing import pace
from core.errors import BadRequest

BOOK = billing.shipped()
DAY = date(2026, 11, 22)
FREE = [billing.Limit("gemini", "sync", "no limit", DAY), billing.Limit("gemini", "batch", "no limit", DAY)]

SEED = {"sync_price": "0.025", "batch_price": "0.0125"}
TODAY = {"sync_price": None, "batch_price": None}


@pytest.mark.parametrize(
    ("documents", "prices", "sync_usd", "batch_usd"),
    [
        (10, SEED, "0.000125", "0.0000625"),
        (1_000, SEED, "0.0125", "0.00625"),
        (10_000, SEED, "0.125", "0.0625"),
        (100_000, SEED, "1.25", "0.625"),
        (10, TODAY, "0.001", "0.0005"),
        (1_000, TODAY, "0.1", "0.05"),
        (10_000, TODAY, "1", "0.5"),
        (100_000, TODAY, "10", "5"),
    ],
)
def test_documents_of_500_tokens_cost(documents, prices, sync_usd, batch_usd):
    answer = billing.estimate(documents=documents, tokens_per_document=500, **prices, on=DAY)["embedding"]

    assert answer["sync_usd"] == sync_usd
    assert answer["batch_usd"] == batch_usd
    assert Decimal(answer["saved_usd"]) * 2 == Decimal(sync_usd)


def test_a_year_pays_for_every_re_indexing():
    answer = billing.estimate(documents=10_000, tokens_per_document=500, **SEED, times_per_year=12, on=DAY)

    assert answer["embedding"]["yearly_sync_usd"] == "1.5"
    assert answer["embedding"]["yearly_saved_usd"] == "0.75"


@pytest.mark.parametrize(
    ("engine", "usd"),
    [
        # 1,000 h = 60,000 min = 3,600,000 s = 240,000 × 15 s
        ("gigaam/gpu/", "3.704746281"),  # 12.5 h × (2000 / (3 × 8766 × 0.3) + 0.49 kWh × 7 / 80)
        ("gigaam/cpu/", "3.873306430"),  # 50 h × (800 / (5 × 8766 × 0.3) + 0.19 kWh × 7 / 80)
        ("runpod/24 GB L4/sync", "6.84665"),  # (36,000 s + 35 s) × 0.00019
        ("groq/whisper-large-v3/sync", "111"),
        ("groq/whisper-large-v3/batch", "55.5"),
        ("groq/whisper-large-v3-turbo/sync", "40"),
        ("groq/whisper-large-v3-turbo/batch", "20"),
        ("fireworks/whisper-v3/sync", "90"),
        ("fireworks/whisper-v3/batch", "54"),
        ("fireworks/whisper-v3-turbo/sync", "54"),
        ("fireworks/whisper-v3-turbo/batch", "32.4"),
        ("openai/gpt-transcribe/sync", "270"),
        ("openai/whisper-1/sync", "360"),
        ("openai/gpt-4o-mini-transcribe/sync", "180"),
        ("deepgram/nova-3, one language/sync", "462"),
        ("deepgram/nova-3, many languages/sync", "552"),
        ("assemblyai/universal-2/sync", "150"),
        ("yandex/general/sync", "487.8"),  # 39,024 RUB / 80
        ("yandex/general/async", "454.5"),
        ("yandex/deferred-general/deferred", "114.3"),
    ],
)
def test_a_thousand_hours_cost_by_each_engine(engine, usd):
    engines = billing.estimate(hours=1000, on=DAY)["transcription"]["engines"]

    prices = {f"{row['engine']}/{row['model']}/{row['mode']}": row for row in engines}
    assert len(prices) == 21
    assert Decimal(prices[engine]["usd"]) == Decimal(usd)


@pytest.mark.parametrize(
    ("lane", "usd"),
    [("gemini/gemini-embedding-2/sync", "3.456"), ("gemini/gemini-embedding-2/batch", "1.728")],
)
def test_a_thousand_hours_are_17_280_000_tokens(lane, usd):
    answer = billing.estimate(hours=1000, on=DAY)

    route = next(row for row in answer["routes"] if row["id"] == f"groq/whisper-large-v3/sync + {lane}")
    assert answer["work"]["tokens"] == 17_280_000
    assert route["embedding_usd"] == usd
    assert Decimal(route["total_usd"]) == 111 + Decimal(usd)


def test_1500_requests_a_minute_take_66_7_minutes_for_100_000():
    limit = billing.Limit("gemini", "sync", "the seed", DAY, rpm=1500, texts_per_call=100)

    steps = pace.embed_now(100_000, 50_000_000, limit, BOOK.assume("call_s"), Decimal(1))

    assert round(steps.p50_s / 60, 1) == 66.7
    assert steps.bound_by == "requests a minute"


@pytest.mark.parametrize(
    ("limit", "seconds", "bound_by"),
    [
        ({}, 20.0, "time of a call"),  # 100 calls of 200 ms
        ({"texts_per_call": 100, "rpm": 1500}, 4.0, "requests a minute"),
        ({"texts_per_call": 100, "tpm": 1000}, 3000.0, "tokens a minute"),
        ({"texts_per_call": 100, "rpd": 30}, 3 * 86_400.0, "requests a day"),
    ],
)
def test_100_texts_take_as_long_as_the_tightest_limit(limit, seconds, bound_by):
    rule = billing.Limit("gemini", "sync", "test", DAY, **limit)

    steps = pace.embed_now(100, 50_000, rule, BOOK.assume("call_s"), Decimal(1))

    assert (steps.p50_s, steps.bound_by) == (seconds, bound_by)


def test_sound_is_held_back_by_the_hourly_allowance():
    """1,000 h through 200,000 s an hour take 18 h, though the engine is 189 times real time."""
    quotes = billing.routes(billing.work_of_hours(1000), BOOK, on=DAY)

    groq = next(
        quote
        for quote in quotes
        if quote.id.startswith("groq/whisper-large-v3/sync + gemini") and quote.lane == "now"
    )
    assert groq.p50_s == pytest.approx(18 * 3600, abs=1)
    assert groq.bound_by == "sound an hour"


@pytest.mark.parametrize(
    ("requests", "tokens", "times"),
    [(1, 1, 1), (10_000, 500_000, 1), (10_001, 500_001, 2), (100_000, 50_000_000, 100), (600_000, 1, 2)],
)
def test_batches_go_in_as_many_rounds_as_the_caps_ask_for(requests, tokens, times):
    assert pace.rounds(requests, tokens, BOOK.limit("gemini", "gemini-embedding-2", "batch")) == times


def test_rounds_add_up_and_their_lateness_by_the_root():
    one = pace.batch(1, BOOK.wait("gemini", "batch"), ())
    four = pace.batch(4, BOOK.wait("gemini", "batch"), ())

    assert (one.p50_s, one.p90_s) == (1200, 1800)
    assert (four.p50_s, four.p90_s) == (4800, 4800 + 2 * 600)


def test_our_own_history_replaces_the_documented_wait_once_there_is_enough():
    few = billing.History({"gemini/batch": [60.0] * 4})
    enough = billing.History({"gemini/batch": [60.0, 61.0, 62.0, 63.0, 64.0]})

    assert billing.embedding(1, 500, BOOK, on=DAY, history=few).batch_p50_s == 1200
    assert billing.embedding(1, 500, BOOK, on=DAY, history=enough).batch_p50_s == 62
    assert billing.embedding(1, 500, BOOK, on=DAY, history=enough).batch_p90_s == pytest.approx(63.6)


def test_a_batch_without_a_typical_wait_promises_only():
    quotes = billing.routes(billing.work_of_hours(1), BOOK, on=DAY)

    groq = next(
        quote
        for quote in quotes
        if quote.id.startswith("groq/whisper-large-v3/batch + gemini") and quote.lane == "now"
    )
    assert groq.p50_s is None
    assert groq.p90_s >= 86_400


@pytest.mark.parametrize("language", ["", "xx"])
def test_a_language_nobody_knows_counts_as_russian(language):
    def counted(language):
        return billing.routes(billing.work_of_hours(10, language), BOOK, on=DAY)

    assert [quote.parts for quote in counted(language)] == [quote.parts for quote in counted("ru")]


def test_measured_speeds_replace_assumed_ones():
    speeds = billing.Speeds({"gigaam/gpu": Decimal(1000), "runpod/80 GB H100": Decimal(8000)})

    quotes = billing.routes(billing.work_of_hours(1000), BOOK, speeds, on=DAY)

    own = next(quote for quote in quotes if quote.id == "gigaam/gpu + gemini/gemini-embedding-2/sync")
    assert own.p50_s == pytest.approx(3600, rel=0.01)
    assert not any("not measured" in str(note) for note in own.notes)
    rented = next(quote for quote in quotes if quote.engine_model == "80 GB H100")
    assert rented.parts[0].usd == Decimal("0.522")  # 450 s × 0.00116
    assert all(quote.engine_model != "48 GB L40S" for quote in quotes), (
        "a speed that nobody knows is no quote"
    )


@settings(deadline=None)
@given(
    documents=st.integers(1, 1_000_000),
    times=st.integers(1, 1000),
    tokens=st.integers(1, 8192),
    model=st.sampled_from(["gemini-embedding-2", "gemini-embedding-001"]),
)
def test_embedding_is_linear_in_volume_and_batch_never_dearer(documents, times, tokens, model):
    once = billing.embedding(documents, tokens, BOOK, on=DAY, model=model)
    often = billing.embedding(documents * times, tokens, BOOK, on=DAY, model=model)

    assert often.sync_usd == once.sync_usd * times
    assert often.batch_usd == once.batch_usd * times
    assert often.batch_usd * 2 == often.sync_usd


@settings(deadline=None)
@given(hours=st.integers(1, 10_000), times=st.integers(1, 100))
def test_services_are_linear_in_hours_and_their_batch_never_dearer(hours, times):
    def bought(many: int) -> dict[str, Decimal]:
        rows = billing.estimate(hours=many, on=DAY)["transcription"]["engines"]
        services = [row for row in rows if row["engine"] in {"groq", "openai", "yandex", "fireworks"}]
        return {f"{row['engine']}/{row['model']}/{row['mode']}": Decimal(row["usd"]) for row in services}

    once, often = bought(hours), bought(hours * times)

    for name, usd in once.items():
        assert abs(often[name] - usd * times) <= times * Decimal("0.000000001")
        if name.endswith("/batch"):
            assert usd <= once[name.removesuffix("batch") + "sync"]


@settings(deadline=None)
@given(hours=st.decimals("0.001", 100_000, places=3), currency=st.sampled_from(["USD", "RUB"]))
def test_totals_are_the_sum_of_what_is_shown_and_no_money_is_a_float(hours, currency):
    answer = billing.estimate(hours=hours, currency=currency, on=DAY)

    for route in answer["routes"]:
        assert sum(Decimal(part["usd"]) for part in route["parts"]) == Decimal(route["total_usd"])
        assert Decimal(route["transcription_usd"]) + Decimal(route["embedding_usd"]) == Decimal(
            route["total_usd"]
        )
        assert ("total_rub" in route) == (currency == "RUB")
    for name, value in leaves(answer):
        if any(
            word in name for word in ("usd", "rub", "price", "value", "low", "high")
        ) and not name.endswith("_s"):
            assert value is None or isinstance(value, str), name
            assert "E" not in str(value) or not str(value)[:1].isdigit(), name
    json.dumps(answer, allow_nan=False)


def leaves(tree, name=""):
    """Every scalar with the name of the field it stands in."""
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield from leaves(value, key)
    elif isinstance(tree, list):
        for value in tree:
            yield from leaves(value, name)
    else:
        yield name, tree


def test_money_is_decimal_all_the_way():
    for quote in billing.routes(billing.work_of_hours("0.1"), BOOK, on=DAY):
        amounts = [
            quote.total_usd,
            quote.transcription_usd,
            quote.embedding_usd,
            *(part.usd for part in quote.parts),
        ]
        assert all(isinstance(amount, Decimal) for amount in amounts)


def test_short_recordings_pay_the_minimum():
    """A hundred recordings of 2 s are billed as 10 s each by Groq, as 15 s by Yandex."""
    rows = billing.estimate(durations_s=[2] * 100, on=DAY)["transcription"]["engines"]
    usd = {f"{row['engine']}/{row['model']}/{row['mode']}": Decimal(row["usd"]) for row in rows}

    assert usd["groq/whisper-large-v3-turbo/sync"] == (1000 * Decimal("0.04") / 3600).quantize(
        Decimal("1e-9")
    )
    assert usd["yandex/general/sync"] == Decimal("0.20325")  # 100 × 0.1626 RUB / 80


def test_measured_speech_makes_fewer_tokens_but_the_same_bill():
    whole = billing.estimate(durations_s=[3600], on=DAY)
    half = billing.estimate(durations_s=[3600], speech_s=1800, on=DAY)

    assert half["work"]["tokens"] * 2 == whole["work"]["tokens"] == 17_280
    assert half["transcription"] == whole["transcription"]


def test_ten_thousand_files_are_one_quote():
    answer = billing.estimate(durations_s=[60 + n % 977 for n in range(10_000)], on=DAY)

    assert answer["work"]["recordings"] == 10_000
    assert len(answer["routes"]) == 63


def test_the_cheapest_that_fits_is_chosen_and_the_others_say_why():
    quotes = billing.routes(
        billing.work_of_hours(1000), BOOK, on=DAY, not_ready={"gigaam": "no GPU is visible"}
    )

    choice = billing.recommend(quotes, ready_by_s=20 * 3600, at_most_usd=Decimal(43))

    why = {out.id: [str(reason) for reason in out.reasons] for out in choice.out}
    assert choice.best.id == "groq/whisper-large-v3-turbo/sync + gemini/gemini-embedding-2/batch"
    assert why["gigaam/gpu + gemini/gemini-embedding-2/sync"][0] == "Not ready: no GPU is visible"
    assert why["groq/whisper-large-v3-turbo/sync + gemini/gemini-embedding-2/sync"] == [
        "Costs $43.46, more than $43.00."
    ]
    assert why["groq/whisper-large-v3-turbo/batch + gemini/gemini-embedding-2/batch"][0].startswith(
        "Takes up to"
    )
    assert (
        why["fireworks/whisper-v3/sync + gemini/gemini-embedding-2/sync"][0]
        == "Fireworks withdrew this on 2026-06-10."
    )
    assert why["assemblyai/universal-2/sync + gemini/gemini-embedding-2/sync"][0].startswith(
        "For comparison only"
    )
    assert set(choice.fitting) | set(why) == {quote.id for quote in quotes}


@pytest.mark.parametrize(("language", "blocked"), [("ru", True), ("en", False)])
def test_the_local_embedder_is_offered_for_its_languages_only(language, blocked):
    quotes = billing.routes(billing.work_of_documents(10, 500, language), BOOK, on=DAY)

    local = next(quote for quote in quotes if quote.embedder == "local")
    assert (local.blocked is not None) is blocked


def test_nothing_fits_an_impossible_wish():
    quotes = billing.routes(billing.work_of_hours(1000), BOOK, on=DAY)

    assert billing.recommend(quotes, ready_by_s=1).best is None
    assert billing.recommend(quotes, at_most_usd=Decimal("0.01")).best is None


def test_an_unknown_price_is_last_and_never_chosen():
    from dataclasses import replace

    unknown = replace(BOOK.price("groq", "whisper-large-v3-turbo", "batch"), price=None)

    quotes = billing.routes(billing.work_of_hours(1000), BOOK.with_overrides([unknown]), on=DAY)

    assert [quote.total_usd is None for quote in quotes] == [False] * 60 + [True] * 3
    assert billing.recommend(quotes[-3:]).best is None


def test_waiting_longer_buys_a_lower_price_along_the_frontier():
    best = billing.frontier(billing.routes(billing.work_of_hours(1000), BOOK, on=DAY))

    assert len(best) > 2
    assert [quote.p90_s for quote in best] == sorted(quote.p90_s for quote in best)
    assert [quote.total_usd for quote in best] == sorted((quote.total_usd for quote in best), reverse=True)
    assert all(quote.blocked is None for quote in best)


def test_few_documents_go_now_many_by_batch():
    advice = [
        str(billing.embedding(documents, 500, BOOK, on=DAY).advice) for documents in (10, 1000, 100_000)
    ]

    assert advice[0].startswith("Take sync")
    assert advice[1].startswith("Take batch if it may take 20 min more")
    assert advice[2].startswith("Take batch")


def test_rate_limits_make_sync_the_slower_one_for_many_documents():
    """1,500 requests a minute against one batch of 20 minutes, were there no cap on enqueued tokens."""
    limits = [billing.Limit("gemini", "sync", "the seed", DAY, rpm=1500, texts_per_call=100), FREE[1]]

    assert "rate limits make sync" in str(
        billing.embedding(100_000, 500, BOOK.with_limits(limits), on=DAY).advice
    )


def test_the_tornado_is_led_by_how_busy_the_own_gpu_is():
    work = billing.work_of_hours(1000)
    own = next(
        q
        for q in billing.routes(work, BOOK, on=DAY)
        if q.id == "gigaam/gpu + gemini/gemini-embedding-2/batch"
    )

    swings = billing.tornado(work, BOOK, own, on=DAY)

    assert swings[0].assumption.name == "gpu_utilisation"
    assert (
        min(swings[0].low_usd, swings[0].high_usd)
        < own.total_usd
        < max(swings[0].low_usd, swings[0].high_usd)
    )
    assert [each.width_usd for each in swings] == sorted((each.width_usd for each in swings), reverse=True)
    assert "runpod_cold_start_s" not in {each.assumption.name for each in swings}


@pytest.mark.parametrize(
    ("text", "tokens", "low", "high"),
    [
        ("", 0, 0, 0),
        ("а" * 300, 100, 75, 150),
        ("a" * 400, 100, 84, 115),
        ("а" * 300 + "a" * 400, 200, 159, 265),
    ],
)
def test_tokens_of_a_text_are_a_range_with_a_method(text, tokens, low, high):
    counted = billing.tokens_of_text(text, BOOK)

    assert (counted.tokens, counted.low, counted.high) == (tokens, low, high)
    assert "3.0 for Cyrillic" in str(counted.method)


SENSELESS = [
    "-1",
    "0",
    "NaN",
    "sNaN",
    "inf",
    "-Infinity",
    "1e9",
    "many",
    "",
    True,
    float("nan"),
    [],
    "1" * 400,
]


@pytest.mark.parametrize("hours", SENSELESS, ids=repr)
def test_senseless_hours_are_refused_with_a_sentence(hours):
    with pytest.raises(BadRequest, match=r"^Hours of sound .*\.$"):
        billing.estimate(hours=hours if hours != "1e9" else 10**9, on=DAY)


@pytest.mark.parametrize(
    "question",
    [
        {},
        {"hours": 1, "documents": 1},
        {"documents": "1.5"},
        {"documents": 0},
        {"documents": 10**10},
        {"documents": 10, "tokens_per_document": -5},
        {"documents": 10, "tokens_per_document": "NaN"},
        {"durations_s": []},
        {"durations_s": [1, -1]},
        {"durations_s": ["long"]},
        {"durations_s": [10], "speech_s": 11},
        {"hours": 1, "sync_price": -1},
        {"hours": 1, "batch_price": "free"},
        {"hours": 1, "sync_price": 1, "model": "unheard-of"},
        {"hours": 1, "model": "unheard-of"},
        {"hours": 1, "currency": "EUR"},
        {"hours": 1, "times_per_year": 0},
        {"hours": 1, "ready_by_s": "NaN"},
        {"hours": 1, "at_most_usd": -1},
    ],
    ids=repr,
)
def test_senseless_questions_are_refused_with_a_sentence(question):
    with pytest.raises(BadRequest, match=r"\.$"):
        billing.estimate(**question, on=DAY)


@settings(deadline=None)
@given(
    hours=st.one_of(st.text(max_size=20), st.floats(), st.integers(), st.decimals(), st.none(), st.booleans())
)
def test_any_input_gives_an_answer_or_a_sentence(hours):
    try:
        answer = json.dumps(billing.estimate(hours=hours, on=DAY), allow_nan=False)
    except BadRequest as refusal:
        answer = str(refusal)

    assert answer.endswith((".", "}"))


@pytest.mark.parametrize(
    ("usd", "text"),
    [("0", "0.00"), ("0.0000625", "0.0000625"), ("0.5", "0.50"), ("0.02", "0.02"), ("1234.567", "1,234.57")],
)
def test_dollars_are_shown_as_people_write_them(usd, text):
    assert billing.shown(Decimal(usd)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0.2 s"), (45, "45 s"), (1200, "20 min"), (4002, "1 h 7 min"), (200_000, "2 d 7 h")],
)
def test_times_are_shown_as_people_say_them(seconds, text):
    assert billing.span(seconds) == text


def test_the_table_can_be_opened_in_a_spreadsheet():
    quotes = billing.routes(billing.work_of_hours(10), BOOK, on=DAY)

    rows = list(csv.DictReader(io.StringIO(billing.as_csv(quotes))))

    assert len(rows) == 63
    assert rows[0]["id"] == quotes[0].id
    assert Decimal(rows[0]["total_usd"]) == quotes[0].total_usd


def test_the_answer_names_its_ground():
    answer = billing.estimate(hours=1, currency="RUB", on=DAY)

    assert answer["currency"]["per_usd"] == "80"
    assert answer["currency"]["source"].startswith("assumption of 2026-11-21")
    assert "runpod/24 GB L4/sync" in answer["stale"]
    assert all(row["source"] for row in [*answer["prices"], *answer["assumptions"], *answer["limits"]])
    assert next(row for row in answer["prices"] if row["provider"] == "fireworks")["ended"]
