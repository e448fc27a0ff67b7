"""The comparison behind the costs page: exact bills, what waiting decides, and ways that matter."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import billing
from core.billing import comparison, pace
from core.i18n import catalogue
from core.planning import recommendations, sheet
from core.planning.needs import Need
from core.planning.recommendations import Role
from core.planning.sheet import Sheet, Table
from jobs import installation
from jobs.installation import application

DAY = date(2026, 11, 22)
TURBO = "groq/whisper-large-v3-turbo"


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """An installation as it is after the first start, without anybody's key."""
    monkeypatch.setenv("STENOGRAM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GIGAAM_MODEL", "v3_e2e_rnnt")
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    installation.serve(None)
    yield application()
    installation.serve(None)


@pytest.mark.parametrize(
    ("by", "sync_usd", "batch_usd"),
    [
        # 500 h = 1,800,000 s; 8,640,000 tokens at 0.20 and 0.10: 1.728 and 0.864
        (TURBO, "21.728", "10.864"),  # 500 × 0.04 and 500 × 0.02
        ("groq/whisper-large-v3", "57.228", "28.614"),  # 500 × 0.111 and half of it
        ("runpod/24 GB L4", "5.15465", "4.284"),  # (18,000 + 35) s × 0.00019, and without the start
    ],
)
def test_both_bills_of_500_hours_have_two_parts(by, sync_usd, batch_usd):
    compared = billing.answer(hours=500, times_per_year=12, on=DAY).compared(by)

    assert (compared.sync.usd, compared.batch.usd) == (Decimal(sync_usd), Decimal(batch_usd))
    for bill in (compared.sync, compared.batch):
        assert bill.usd == sum(leg.usd for leg in bill.legs)
        assert [leg.provider for leg in bill.legs] == [by.split("/")[0], "gemini"]
    assert (
        compared.yearly_saved_usd == 12 * compared.saved_usd == 12 * (compared.sync.usd - compared.batch.usd)
    )


def test_an_own_machine_costs_the_same_either_way_and_only_its_vectors_are_cheaper():
    compared = billing.answer(hours=500, on=DAY).compared("gigaam/gpu")

    assert compared.sync.transcription == compared.batch.transcription
    assert compared.saved_usd == Decimal("0.864")


@given(
    hours=st.integers(1, 100_000),
    waiting=st.decimals("0", "100", places=2),
    by=st.sampled_from([TURBO, "groq/whisper-large-v3", "runpod/24 GB L4", "gigaam/cpu"]),
)
@settings(max_examples=60, deadline=None)
def test_advice_and_the_worth_of_an_hour_say_the_same(hours, waiting, by):
    compared = billing.answer(hours=hours, waiting_usd_per_hour=str(waiting), on=DAY).compared(by)

    until = compared.worth_until_usd
    if until is not None and abs(until - waiting) > Decimal("0.0001"):
        assert compared.take == ("batch" if waiting < until else "sync")
    assert compared.batch.usd <= compared.sync.usd
    assert str(compared.advice).endswith(".")


@pytest.mark.parametrize("stated", [{"hours": 7}, {"documents": 7, "tokens_per_document": 500}])
def test_batch_pays_from_the_very_volume_that_is_named(stated):
    def compared(volume: int) -> comparison.Comparison:
        [name] = {"hours", "documents"} & set(stated)
        return billing.answer(**{**stated, name: volume}, waiting_usd_per_hour="0.1", on=DAY).compared(TURBO)

    turn = compared(7).pays_from

    assert (compared(turn - 1).take, compared(turn).take) == ("sync", "batch")


def test_a_withdrawn_service_is_compared_once_it_is_switched_on(fresh, monkeypatch):
    names = fresh.estimates.estimate(hours=1)["comparison"]["may_be_by"]
    monkeypatch.setenv("FIREWORKS_ENABLED", "true")
    installation.serve(None)

    again = application().estimates.estimate(hours=1)["comparison"]["may_be_by"]

    assert {name for name in again if name not in names} == {
        "fireworks/whisper-v3",
        "fireworks/whisper-v3-turbo",
    }


def test_programs_are_told_what_each_bill_still_needs(fresh):
    estimate = fresh.estimates.estimate(hours=500)

    assert estimate["comparison"]["by"] == TURBO
    assert estimate["comparison"]["sync"]["needs"] == {"groq": [Need.KEY], "gemini": [Need.KEY]}
    assert estimate["comparison"]["batch"]["needs"] == {"groq": [Need.KEY, Need.STORE], "gemini": [Need.KEY]}


def test_500_hours_cost_the_same_on_every_fresh_installation_and_by_published_speeds(fresh):
    answer = fresh.estimates.answer(hours=500)

    quotes_by_role = {way.roles: way.quote for way in fresh.estimates.recommendations(answer)}
    cheapest = next(quote for roles, quote in quotes_by_role.items() if Role.CHEAPEST in roles)
    assert cheapest.engine == "gigaam"
    assert cheapest.p50_s == pytest.approx(500 * 3600 / 20, rel=0.01)
    assert all("toy" not in quote.id for quote in answer.quotes)
    assert fresh.estimates.quality(cheapest, "ru").wrong_percent == Decimal("11.2")


def test_at_most_five_ways_matter_and_none_that_cannot_be_had(fresh):
    for language in ("ru", "en"):
        answer = fresh.estimates.answer(hours=500, language=language)
        ways = fresh.estimates.recommendations(answer)

        assert 1 <= len(ways) <= 5
        assert {role for way in ways for role in way.roles} == set(Role)
        assert all(recommendations.may_be_chosen(way.quote) for way in ways)
        assert not {way.quote.engine for way in ways} & {"openai", "deepgram", "fireworks", "yandex"}


def test_the_scenarios_have_todays_prices_and_those_they_were_first_told_with():
    scenarios = comparison.scenarios(billing.answer(hours=1, on=DAY).terms)

    assert [each.documents for each in scenarios] == [10, 1_000, 10_000, 100_000]
    assert [each.batch_usd for each in scenarios] == [Decimal(x) for x in ("0.0005", "0.05", "0.5", "5")]
    assert all(each.printed_sync_usd == 100 * each.once_sync_usd for each in scenarios)
    assert all(each.printed_batch_usd == 100 * each.once_batch_usd for each in scenarios)


def test_the_page_to_sign_opens_in_word_with_all_it_says():
    import io

    import docx

    page = Sheet(
        "500 ч",
        "Пакетом.",
        ["Экономия"],
        [Table("Счёт", ["", "Сразу"], [["Векторы", "1,73 $"]])],
        "Источники",
        ["a"],
    )

    read = docx.Document(io.BytesIO(sheet.as_docx(page)))

    paragraphs = [paragraph.text for paragraph in read.paragraphs]
    assert paragraphs == ["500 ч", "Пакетом.", "Экономия", "Счёт", "Источники", "a"]
    assert [cell.text for row in read.tables[0].rows for cell in row.cells] == [
        "",
        "Сразу",
        "Векторы",
        "1,73 $",
    ]


@pytest.mark.parametrize(("hours", "by"), [(20, TURBO), (500, TURBO), (730, TURBO), (500, "gigaam/gpu")])
def test_the_longer_wait_is_the_difference_of_the_times_that_are_shown(hours, by):
    compared = billing.answer(hours=hours, on=DAY).compared(by)
    bills, which = (compared.sync, compared.batch), compared.advice.facts["which"]
    times_s = [bill.p50_s if which == "usually" else bill.p90_s for bill in bills]
    shown_s = [pace.shown_s(each) for each in times_s]

    assert compared.advice.facts["longer"] == billing.span(abs(shown_s[1] - shown_s[0]))
    assert [catalogue.wait(each, "en") for each in shown_s] == [
        catalogue.wait(each, "en") for each in times_s
    ]


def test_documents_say_from_which_row_the_wait_is_reckoned():
    advice = billing.answer(documents=10_000, on=DAY).compared("").advice

    assert "({which})" in advice.message
    assert advice.facts["which"] == "usually"
