"""What follows from quotes: sync or batch, and what matters most."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from core.billing.money import Note, Usd
from core.billing.pace import History, span
from core.billing.prices import Assumption, Book
from core.billing.quote import Quote, routes
from core.billing.stages import WORDS, Leg, Terms, embedding_legs
from core.billing.tokens import Workload, measure, work_of_documents
from core.errors import BadRequest, Code

MODEL = "gemini-embedding-2"


@dataclass(frozen=True)
class Embedding:
    """Vectors by both lanes of one model; a year pays for every re-indexing anew."""

    model: str
    passages: int
    tokens: int
    tokens_error: Decimal
    sync_usd: Decimal | None
    batch_usd: Decimal | None
    saved_usd: Decimal | None
    yearly_sync_usd: Decimal | None
    yearly_batch_usd: Decimal | None
    yearly_saved_usd: Decimal | None
    sync_p50_s: float | None
    sync_p90_s: float | None
    batch_p50_s: float | None
    batch_p90_s: float | None
    bound_by: str
    advice: Note


@dataclass(frozen=True)
class Sensitivity:
    """What a route costs if one assumption lies at either end of its range."""

    assumption: Assumption
    low_usd: Decimal
    high_usd: Decimal

    @property
    def width_usd(self) -> Decimal:
        """How much this assumption moves the price."""
        return abs(self.high_usd - self.low_usd)


def embedding(
    documents: object,
    tokens_per_document: object,
    book: Book,
    *,
    on: date,
    model: str = MODEL,
    times_per_year: int = 1,
    history: History | None = None,
) -> Embedding:
    """So many documents of so many tokens, sync and batch. Raise BadRequest for senseless numbers."""
    work = work_of_documents(documents, tokens_per_document)
    return vectors(work, book, on=on, model=model, times_per_year=times_per_year, history=history)


def vectors(
    work: Workload,
    book: Book,
    *,
    on: date,
    model: str = MODEL,
    times_per_year: int = 1,
    history: History | None = None,
) -> Embedding:
    """Any work's vectors, sync and batch. Raise BadRequest for a model without a price."""
    size = measure(work, book)
    sync, batch = _lanes(work, book, on, model, history)
    saved = _minus(sync.usd, batch.usd)
    yearly = [None if usd is None else usd * times_per_year for usd in (sync.usd, batch.usd, saved)]
    return Embedding(
        model=model,
        passages=size.passages,
        tokens=size.tokens,
        tokens_error=size.error.quantize(Decimal("0.01")),
        sync_usd=sync.usd,
        batch_usd=batch.usd,
        saved_usd=saved,
        yearly_sync_usd=yearly[0],
        yearly_batch_usd=yearly[1],
        yearly_saved_usd=yearly[2],
        sync_p50_s=sync.pace.p50_s,
        sync_p90_s=sync.pace.p90_s,
        batch_p50_s=batch.pace.p50_s,
        batch_p90_s=batch.pace.p90_s,
        bound_by=sync.pace.bound_by,
        advice=_advice(sync, batch, book),
    )


def tornado(work: Workload, book: Book, quote: Quote, *, on: date) -> tuple[Sensitivity, ...]:
    """Which assumption moves this route's price most: each at both ends of its range, widest first."""
    engine = (quote.engine, quote.engine_model, quote.mode)
    prices = tuple(price for price in book.prices if price.key == engine or price.model == quote.embedder)

    def usd(name: str, value: Decimal) -> Decimal:
        moved = replace(book.assumptions[name], value=value)
        trial = replace(book, prices=prices, assumptions={**book.assumptions, name: moved})
        quotes = routes(
            work, trial, on=on, embedding_models=(quote.embedder,), words_only=quote.embedder == WORDS
        )
        return next((each.total_usd for each in quotes if each.id == quote.id), None) or Decimal(0)

    ranges = [
        Sensitivity(it, usd(it.name, it.low), usd(it.name, it.high)) for it in book.assumptions.values()
    ]
    return tuple(sorted((each for each in ranges if each.width_usd), key=lambda each: -each.width_usd))


def _lanes(work: Workload, book: Book, on: date, model: str, history: History | None) -> tuple[Leg, Leg]:
    """The sync and the batch leg of a model."""
    terms = Terms(book, on, history or History(), embedding_models=(model,))
    legs = {leg.mode: leg for leg in embedding_legs(measure(work, book), work.language, terms)}
    if "sync" not in legs or "batch" not in legs:
        raise BadRequest(Code.SYNC_OR_BATCH_UNPRICED, model=model[:60])
    return legs["sync"], legs["batch"]


def _minus(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    return None if one is None or other is None else one - other


def _longer_s(sync: Leg, batch: Leg) -> float:
    """How much longer batch takes than sync; below zero where it is the faster one."""
    return (batch.pace.p50_s or batch.pace.p90_s or 0.0) - (sync.pace.p50_s or 0.0)


def _slower(sync: Leg, batch: Leg) -> bool:
    return _longer_s(sync, batch) < 0


def _pays(sync: Leg, batch: Leg, book: Book) -> bool:
    """Whether the saving is worth the waiting."""
    saved = _minus(sync.usd, batch.usd)
    hours = Decimal(max(_longer_s(sync, batch), 0.0)) / 3600
    return saved is not None and saved > hours * book.assume("waiting_usd_per_hour").value


def _advice(sync: Leg, batch: Leg, book: Book) -> Note:
    saved = _minus(sync.usd, batch.usd)
    if saved is None:
        return Note("A price is not known, so there is nothing to compare.")
    facts = {"saved": Usd(abs(saved)), "longer": span(abs(_longer_s(sync, batch)))}
    if not _pays(sync, batch, book):
        return Note("Take sync: batch saves {saved} for {longer} more, which is not worth it.", facts)
    if _slower(sync, batch):
        return Note("Take batch: it saves {saved}, and rate limits make sync {longer} slower.", facts)
    return Note("Take batch if it may take {longer} more: it saves {saved}.", facts)
