"""The whole answer for the cost page and for programs: one function, one JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from core.billing import comparison
from core.billing.comparison import Comparison
from core.billing.forecast import MODEL, Embedding, vectors
from core.billing.money import amount, as_json, money, plain, whole_number
from core.billing.pace import History
from core.billing.prices import CURRENCIES, Book, Limit, Price, shipped
from core.billing.quote import Choice, Quote, Speeds, quotes, recommend
from core.billing.stages import Leg, Terms, engine_legs
from core.billing.tokens import (
    HOUR_S,
    Size,
    Workload,
    measure,
    work_of_documents,
    work_of_files,
    work_of_hours,
)
from core.errors import BadRequest, Code
from core.spreadsheets import without_formulas

MAX_USD = Decimal(1_000_000_000_000)
MAX_WAIT_S = Decimal(3_000_000_000)
COLUMNS = ("id", "transcription_usd", "embedding_usd", "total_usd", "p50_s", "p90_s", "bound_by", "blocked")


@dataclass(frozen=True)
class Answer:
    """Everything that can be said about some work: by route, by engine, by lane, and what it stands on."""

    work: Workload
    size: Size
    quotes: tuple[Quote, ...]
    choice: Choice
    embedding: Embedding
    engines: tuple[Leg, ...]
    terms: Terms
    currency: str
    times_per_year: int = 1

    @property
    def best(self) -> Quote | None:
        """The cheapest route that fits."""
        return self.choice.best

    @property
    def book(self) -> Book:
        """Prices and assumptions that it stands on."""
        return self.terms.book

    @property
    def on(self) -> date:
        """The day whose prices hold."""
        return self.terms.on

    def compared(self, by: str = "") -> Comparison:
        """Sync against batch, with this transcriber (`comparison.pairs`) or the usual one."""
        return comparison.compare(self.work, self.terms, by, self.times_per_year)


def estimate(**workload: Any) -> dict[str, Any]:
    """The same as `answer`, ready for JSON."""
    return described(answer(**workload))


def answer(
    *,
    hours: object = None,
    documents: object = None,
    tokens_per_document: object = None,
    durations_s: Iterable[object] | None = None,
    speech_s: object = None,
    sync_price: object = None,
    batch_price: object = None,
    times_per_year: object = 1,
    language: str = "ru",
    model: str = MODEL,
    ready_by_s: object = None,
    at_most_usd: object = None,
    currency: str = "USD",
    on: date | None = None,
    book: Book | None = None,
    speeds: Speeds | None = None,
    limits: Iterable[Limit] = (),
    history: History | None = None,
    not_ready: Mapping[str, str] | None = None,
    local_languages: Sequence[str] | None = ("en",),
    words_only: bool = False,
    out_of_reach: Iterable[str] = (),
    transcriber: str = "",
    waiting_usd_per_hour: object = None,
) -> Answer:
    """Price and finish of so many hours, files, or documents, by every route.

    Say exactly one of `hours`, `durations_s`, `documents`. `sync_price` and `batch_price` are dollars
    for 1M tokens of `model`; `waiting_usd_per_hour` is what an hour of waiting is worth. Raise
    BadRequest, with a sentence, for whatever makes no sense.
    """
    day = on or date.today()
    prices = _priced(book or shipped(), model, {"sync": sync_price, "batch": batch_price}, day)
    known = _waiting((speeds or Speeds()).applied(prices).with_limits(limits), waiting_usd_per_hour)
    if currency not in CURRENCIES:
        raise BadRequest(Code.CURRENCY_UNKNOWN, currency=currency[:40])
    work = _job_queue(hours, documents, tokens_per_document, durations_s, speech_s, language, known)
    languages, reasons = None if local_languages is None else tuple(local_languages), dict(not_ready or {})
    terms = Terms(known, day, history or History(), reasons, (model,), languages, words_only)
    terms = replace(terms, out_of_reach=frozenset(out_of_reach), transcriber=transcriber)
    all_quotes = quotes(work, terms)
    choice = recommend(all_quotes, _seconds(ready_by_s), _usd(at_most_usd))
    return _answer(
        work, terms, all_quotes, choice, whole_number(times_per_year, "Times a year", 8766), currency
    )


def _answer(
    work: Workload, terms: Terms, found: Sequence[Quote], choice: Choice, times: int, currency: str
) -> Answer:
    size, [model] = measure(work, terms.book), terms.embedding_models
    return Answer(
        work=work,
        size=size,
        quotes=tuple(found),
        choice=choice,
        embedding=vectors(
            work, terms.book, on=terms.on, model=model, times_per_year=times, history=terms.history
        ),
        engines=tuple(engine_legs(size, terms)) if work.audio_s else (),
        terms=terms,
        currency=currency,
        times_per_year=times,
    )


def described(answer: Answer, by: str = "") -> dict[str, Any]:
    """An answer as JSON: money as decimal strings, notes as sentences; `by` transcribes in the comparison."""
    return {
        "work": _described(answer.work, answer.size),
        "embedding": as_json(answer.embedding),
        "transcription": _transcription(answer),
        "routes": [_row(quote, answer.currency, answer.book) for quote in answer.quotes],
        "comparison": _compared(answer, by),
        "scenarios": as_json(comparison.scenarios(answer.terms)),
        **_chosen(answer.choice),
        **_ground(answer.book, answer.currency, answer.on),
    }


def _compared(answer: Answer, by: str) -> dict[str, Any]:
    """Both lanes side by side, and the names that `by` may have."""
    names = list(comparison.pairs(answer.work, answer.terms)) if answer.work.audio_s else []
    who = comparison.transcriber(answer.work, answer.terms, by)
    return {"by": who, "may_be_by": names, **as_json(answer.compared(by))}


def as_csv(quotes: Iterable[Quote]) -> str:
    """The table of routes for a spreadsheet; unknown is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for quote in quotes:
        row = as_json(quote)
        writer.writerow([_cell(row[name]) for name in COLUMNS])
    return text.getvalue()


def _cell(value: object) -> object:
    return "" if value is None else without_formulas(value) if isinstance(value, str) else value


def _priced(book: Book, model: str, prices: Mapping[str, object], on: date) -> Book:
    """The book with the embedding prices that were asked for."""
    priced = {mode: price for mode, price in prices.items() if price is not None}
    book_prices = {mode: book.price("gemini", model, mode) for mode in priced}
    if None in book_prices.values():
        raise BadRequest(Code.EMBEDDING_MODEL_UNPRICED, model=model[:60])
    return book.with_overrides(old.overridden(priced[mode], on) for mode, old in book_prices.items() if old)


def _waiting(book: Book, usd_per_hour: object) -> Book:
    """The book with what an hour of waiting is worth, if somebody has said it."""
    overrides = {} if usd_per_hour is None else {"waiting_usd_per_hour": usd_per_hour}
    return book.with_assumptions(overrides, source="as asked")


def _job_queue(
    hours: object,
    documents: object,
    tokens_per_document: object,
    durations_s: Iterable[object] | None,
    speech_s: object,
    language: str,
    book: Book,
) -> Workload:
    if sum(amount is not None for amount in (hours, documents, durations_s)) != 1:
        raise BadRequest(Code.HOURS_OR_DOCUMENTS)
    if hours is not None:
        return work_of_hours(hours, language)
    if durations_s is not None:
        return work_of_files(durations_s, language, speech_s)
    tokens = book.assume("tokens_per_document").value if tokens_per_document is None else tokens_per_document
    return work_of_documents(documents, tokens, language)


def _described(work: Workload, size: Size) -> dict[str, Any]:
    return {
        "hours": plain(money(work.audio_s / HOUR_S) or Decimal(0)),
        "recordings": size.recordings,
        "documents": work.documents,
        "passages": size.passages,
        "tokens": size.tokens,
        "tokens_error": plain(size.error.quantize(Decimal("0.01"))),
        "language": work.language,
    }


def _transcription(answer: Answer) -> dict[str, Any]:
    """Engines without their embedding lane, and the cheapest service that can be used, by its mode."""
    return {
        "sync_usd": _cheapest(answer.engines, "sync"),
        "batch_usd": _cheapest(answer.engines, "batch"),
        "engines": [_engine(leg, answer.work.audio_s / HOUR_S) for leg in answer.engines],
    }


def _engine(leg: Leg, hours: Decimal) -> dict[str, Any]:
    per_hour = None if leg.usd is None else money(leg.usd / hours)
    names = {"engine": leg.provider, "model": leg.model, "mode": leg.mode}
    times = {"p50_s": leg.pace.p50_s, "p90_s": leg.pace.p90_s}
    facts = {"usd": leg.usd, "usd_per_hour": per_hour, "parts": leg.parts, "blocked": leg.blocked}
    return {**names, **times, **as_json(facts)}


def _cheapest(legs: Iterable[Leg], mode: str) -> str | None:
    able = [leg.usd for leg in legs if leg.mode == mode and leg.blocked is None]
    prices_usd = [usd for usd in able if usd is not None]
    return plain(min(prices_usd)) if prices_usd else None


def _row(quote: Quote, currency: str, book: Book) -> dict[str, Any]:
    row: dict[str, Any] = as_json(quote)
    if currency != "USD" and quote.total_usd is not None:
        rate = book.assume(f"{currency.lower()}_per_usd").value
        row[f"total_{currency.lower()}"] = as_json(money(quote.total_usd * rate))
    return row


def _chosen(choice: Choice) -> dict[str, Any]:
    best = choice.best.id if choice.best else None
    return {"recommended": best, "fitting": list(choice.fitting), "out": as_json(choice.out)}


def _ground(book: Book, currency: str, on: date) -> dict[str, Any]:
    """What the answer stands on: rate, prices with their age, assumptions with their sources."""
    rate = book.assume(f"{currency.lower()}_per_usd")
    return {
        "currency": {"code": currency, "per_usd": plain(rate.value), "source": rate.source},
        "prices": [_price(price, on) for price in book.prices],
        "limits": as_json(book.limits),
        "assumptions": as_json(tuple(book.assumptions.values())),
        "stale": ["/".join(price.key) for price in book.stale(on)],
    }


def _price(price: Price, on: date) -> dict[str, Any]:
    return {**as_json(price), "stale": price.stale(on), "ended": price.ended(on)}


def _seconds(value: object) -> float | None:
    return None if value is None else float(amount(value, "The time until it must be ready", MAX_WAIT_S))


def _usd(value: object) -> Decimal | None:
    return None if value is None else amount(value, "The most it may cost", MAX_USD, zero=True)
