"""The price book: dated, sourced, exact; unknown is never free."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from core import billing
from core.billing import prices
from core.errors import BadRequest

BOOK = billing.shipped()
DAY = date(2026, 11, 22)
YOURS = billing.yours("groq", "whisper-large-v3", "sync", "0.2", DAY)


@pytest.mark.parametrize("price", BOOK.prices, ids=lambda price: "/".join(price.key))
def test_every_price_says_what_it_is_where_and_when_it_was_read(price):
    assert price.unit in prices.UNITS
    assert price.currency in prices.CURRENCIES
    assert len(price.source) > 10
    assert date(2025, 1, 1) < price.read_on <= date(2026, 11, 30)
    assert price.stale_after_days > 0
    assert price.price is None or (isinstance(price.price, Decimal) and price.price > 0)
    assert price.status in {"current", "deprecated", "withdrawn"}
    assert price.status == "current" or price.ends_on


@pytest.mark.parametrize(
    "limit", [*BOOK.limits, *BOOK.waits], ids=lambda limit: f"{limit.provider}/{limit.mode}"
)
def test_every_limit_and_wait_has_a_source(limit):
    assert len(limit.source) > 10
    assert limit.provider in BOOK.providers


OURS = ("benchmarks of this tool", "README of this tool")


@pytest.mark.parametrize("it", BOOK.assumptions.values(), ids=lambda it: it.name)
def test_every_assumption_has_a_range_and_a_source_or_the_label(it):
    assert it.low <= it.value <= it.high
    assert it.about
    assert it.source.startswith(
        ("assumption", "https://", "definition", "how this tool", "WORKERS_IO", *OURS)
    )


@pytest.mark.parametrize(
    ("key", "price"),
    [
        ("gemini/gemini-embedding-2/sync", "0.20"),
        ("gemini/gemini-embedding-2/batch", "0.10"),
        ("gemini/gemini-embedding-001/sync", "0.15"),
        ("gemini/gemini-embedding-001/batch", "0.075"),
        ("groq/whisper-large-v3/sync", "0.111"),
        ("groq/whisper-large-v3/batch", "0.0555"),
        ("groq/whisper-large-v3-turbo/sync", "0.04"),
        ("groq/whisper-large-v3-turbo/batch", "0.02"),
        ("fireworks/whisper-v3/batch", "0.0009"),
        ("runpod/80 GB H100/sync", "0.00116"),
        ("openai/gpt-transcribe/sync", "0.0045"),
        ("deepgram/nova-3, one language/sync", "0.0077"),
        ("assemblyai/universal-2/sync", "0.15"),
        ("yandex/general/sync", "0.1626"),
        ("yandex/deferred-general/deferred", "0.0381"),
    ],
)
def test_the_book_holds(key, price):
    assert BOOK.price(*key.split("/")).price == Decimal(price)


@pytest.mark.parametrize(
    ("on", "some_stale", "some_fresh"),
    [
        (date(2026, 8, 31), "fireworks/whisper-v3/sync", "runpod/24 GB L4/sync"),
        (date(2026, 9, 7), "runpod/24 GB L4/sync", "openai/whisper-1/sync"),
        (DAY, "openai/whisper-1/sync", "groq/whisper-large-v3/sync"),
        (date(2027, 2, 20), "gemini/gemini-embedding-2/sync", "nothing"),
    ],
)
def test_stale_prices_are_listed_for_the_day_asked_about(on, some_stale, some_fresh):
    stale = {"/".join(price.key) for price in BOOK.stale(on)}

    assert some_stale in stale
    assert some_fresh not in stale


def test_a_price_is_fresh_through_its_last_day():
    last = YOURS.read_on + timedelta(days=YOURS.stale_after_days)

    assert not YOURS.stale(last)
    assert YOURS.stale(last + timedelta(days=1))


@pytest.mark.parametrize(
    ("key", "on", "ended"),
    [
        ("fireworks/whisper-v3/sync", DAY, True),
        ("openai/whisper-1/sync", date(2027, 2, 25), False),
        ("openai/whisper-1/sync", date(2027, 2, 26), True),
        ("groq/whisper-large-v3/sync", DAY, False),
    ],
)
def test_a_price_ends_on_its_day(key, on, ended):
    assert BOOK.price(*key.split("/")).ended(on) is ended


def test_your_price_replaces_the_books_and_a_new_one_is_added():
    own_price = billing.yours("nearby", "whisper", "sync", "0.01", DAY)

    book = BOOK.with_overrides([YOURS, own_price])

    assert book.price("groq", "whisper-large-v3", "sync").price == Decimal("0.2")
    assert book.price("groq", "whisper-large-v3", "sync").yours
    assert book.price("nearby", "whisper", "sync") == own_price
    assert len(book.prices) == len(BOOK.prices) + 1
    assert BOOK.price("groq", "whisper-large-v3", "sync").price == Decimal("0.111"), (
        "the shipped book is untouched"
    )


def test_your_price_brings_a_withdrawn_service_back():
    old = BOOK.price("fireworks", "whisper-v3", "sync")

    assert old.ended(DAY)
    assert not old.overridden("0.002", DAY).ended(DAY)


@pytest.mark.parametrize(
    "price", ["-1", "NaN", "sNaN", "Infinity", "a lot", "", None, True, "1e30", object()]
)
def test_a_senseless_price_is_refused_with_a_sentence(price):
    with pytest.raises(BadRequest, match="A price"):
        billing.yours("groq", "whisper-large-v3", "sync", price, DAY)


@pytest.mark.parametrize(
    "facts",
    [
        {"unit": "parsec"},
        {"currency": "EUR"},
        {"minimum_s": -1},
        {"model": "=HYPERLINK(1)"},
        {"provider": ""},
    ],
)
def test_a_senseless_route_is_refused(facts):
    row = {"provider": "nearby", "model": "whisper", "mode": "sync", "price": "1", "on": DAY, **facts}

    with pytest.raises(BadRequest):
        billing.yours(**row)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rub_per_usd", 0),
        ("gpu_utilisation", 2),
        ("gpu_life_years", "NaN"),
        ("times_real_time:x/y", 0),
        ("moon", 1),
    ],
)
def test_a_senseless_assumption_is_refused(name, value):
    with pytest.raises(BadRequest):
        BOOK.with_assumptions({name: value})


def test_your_assumption_holds_and_says_that_it_is_yours():
    book = BOOK.with_assumptions({"rub_per_usd": "100", "gpu_purchase_usd": 0})

    assert book.usd(Decimal(50), "RUB") == Decimal("0.5")
    assert book.assume("rub_per_usd").source == "yours"
    assert book.assume("gpu_purchase_usd").value == 0


def test_an_unknown_price_stays_unknown():
    from dataclasses import replace

    unknown = replace(YOURS, price=None)

    assert unknown.cost(Decimal(3600)) is None
    assert BOOK.usd(None, "RUB") is None


@pytest.mark.parametrize(
    ("length_s", "minimum_s", "increment_s", "billed_s"),
    [
        (3, 10, 0, 10),
        (10, 10, 0, 10),
        (10.5, 10, 0, 10.5),
        (1, 0, 15, 15),
        (15, 0, 15, 15),
        (15.1, 0, 15, 30),
    ],
)
def test_bills_know_minimum_and_increment(length_s, minimum_s, increment_s, billed_s):
    from dataclasses import replace

    price = replace(YOURS, minimum_s=Decimal(minimum_s), increment_s=Decimal(increment_s))

    assert price.billed_s(Decimal(str(length_s))) == Decimal(str(billed_s))


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ('{ model = "m", mode = "sync", price = "0" }', "price of 0"),
        ('{ model = "m", mode = "sync", price = "1", minmum_s = 3 }', "unknown fields"),
    ],
)
def test_a_careless_book_is_not_read(tmp_path: Path, row, reason):
    head = 'title="X"\nconnected=true\nunit="audio hour"\ncurrency="USD"\nsource="s"\nread_on=2026-01-01\n'
    book = tmp_path / "prices.toml"
    book.write_text(f"[provider.x]\n{head}stale_after_days=9\nprices=[{row}]\n[assumption]\n")

    with pytest.raises(ValueError, match=reason):
        prices.load(book)


def test_a_price_without_source_is_not_read(tmp_path: Path):
    book = tmp_path / "prices.toml"
    book.write_text(
        '[provider.x]\ntitle="X"\nconnected=true\nunit="audio hour"\ncurrency="USD"\nread_on=2026-01-01\n'
        'stale_after_days=9\nprices=[{ model="m", mode="sync", price="1" }]\n[assumption]\n'
    )

    with pytest.raises(TypeError, match="source"):
        prices.load(book)
