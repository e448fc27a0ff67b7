"""Sync against batch, part by part, and what an hour of waiting decides between them.

A bill has two parts: transcription and vectors. Either may be bought at once or left to the provider's
batch; nothing here asks whether a key is set, a leg says what it lacks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise

from core.billing import pace
from core.billing.money import Note, Usd, money
from core.billing.pace import Pace, shown_s, span
from core.billing.prices import UNITS
from core.billing.stages import SPEED, Leg, Part, Terms, embedding_legs, engine_legs, total
from core.billing.tokens import Workload, measure, work_of_documents, work_of_hours
from core.errors import BadRequest, Code

LOW_PRIORITY = "low priority"
"""RunPod's later mode: the same rate, without workers that are started for it."""
VOLUMES = tuple(step * 10**power for power in range(7) for step in (1, 2, 5))
"""Between these the volume is looked for from which batch pays."""
SCENARIOS = (10, 1_000, 10_000, 100_000)
"""Documents of the four scenarios: by hand, an import, a knowledge base, an archive."""
SCENARIO_TOKENS = 500
ONCE_USD = (Decimal("0.025"), Decimal("0.0125"))
"""What a million tokens cost when the scenarios were first written down, sync and batch."""
ONCE_PRINTED_USD = {
    10: (Decimal("0.0125"), Decimal("0.00625")),
    1_000: (Decimal("1.25"), Decimal("0.625")),
    10_000: (Decimal("12.50"), Decimal("6.25")),
    100_000: (Decimal(125), Decimal("62.50")),
}
"""What was printed for them then: a hundred times what those prices make."""


@dataclass(frozen=True)
class Bill:
    """Both parts by one lane; `transcription` is None for texts that are there already."""

    transcription: Leg | None
    vectors: Leg
    usd: Decimal | None
    p50_s: float | None
    p90_s: float | None

    @property
    def legs(self) -> tuple[Leg, ...]:
        """The parts of the bill."""
        return (self.vectors,) if self.transcription is None else (self.transcription, self.vectors)


@dataclass(frozen=True)
class Comparison:
    """The same work at once and by batch, USD and seconds.

    `longer_s`: how much later batch is ready (below zero: sooner), by medians where both are known, else
    by what holds 9 times in 10. `worth_until_usd`: batch pays while an hour of waiting is worth less than
    that; None where it never or always does. `pays_from`: the smallest number of documents, or of hours
    of sound, from which batch pays at `waiting_usd` an hour; None if it never does.
    """

    sync: Bill
    batch: Bill
    times_per_year: int
    waiting_usd: Decimal
    saved_usd: Decimal | None
    saved_share: Decimal | None
    yearly_saved_usd: Decimal | None
    longer_s: float
    worth_until_usd: Decimal | None
    pays_from: int | None
    take: str
    advice: Note


@dataclass(frozen=True)
class Scenario:
    """So many documents of 500 tokens: vectors at today's prices and at those of the first sketch, USD."""

    documents: int
    tokens: int
    sync_usd: Decimal | None
    batch_usd: Decimal | None
    once_sync_usd: Decimal
    once_batch_usd: Decimal
    printed_sync_usd: Decimal
    printed_batch_usd: Decimal


def pairs(work: Workload, terms: Terms) -> dict[str, tuple[Leg, Leg]]:
    """Who may transcribe, by `provider/model`: at once, and later where that is sold.

    Own machines have no batch: they stand on both sides.
    """
    legs = engine_legs(measure(work, terms.book), terms)
    legs_by_key = {(leg.provider, leg.model, leg.mode): leg for leg in legs if _offered(leg, terms)}
    both = {}
    for (provider, model, mode), leg in legs_by_key.items():
        if mode == "":
            both[f"{provider}/{model}"] = (leg, leg)
        elif provider == "runpod":
            both[f"{provider}/{model}"] = (leg, _at_low_priority(leg, terms))
        elif mode == "sync" and (provider, model, "batch") in legs_by_key:
            both[f"{provider}/{model}"] = (leg, legs_by_key[provider, model, "batch"])
    return both


def compare(work: Workload, terms: Terms, by: str = "", times_per_year: int = 1) -> Comparison:
    """Both bills with this transcriber (a name of `pairs`; empty or unknown: the usual one)."""
    who = transcriber(work, terms, by)
    sync, batch = _bills(work, terms, who)
    waiting = terms.book.assume("waiting_usd_per_hour").value
    saved = None if sync.usd is None or batch.usd is None else sync.usd - batch.usd
    longer_s = _longer_s(sync, batch)
    take = "batch" if _pays(sync, batch, waiting) else "sync"
    return Comparison(
        sync=sync,
        batch=batch,
        times_per_year=times_per_year,
        waiting_usd=waiting,
        saved_usd=saved,
        saved_share=None if saved is None or not sync.usd else (saved / sync.usd).quantize(Decimal("0.001")),
        yearly_saved_usd=None if saved is None else saved * times_per_year,
        longer_s=longer_s,
        worth_until_usd=_worth_until(saved, longer_s),
        pays_from=_pays_from(work, _only(terms, who), who, waiting),
        take=take,
        advice=_advice(saved, _shown_longer_s(sync, batch), waiting, take, usual=_usual(sync, batch)),
    )


def scenarios(terms: Terms) -> tuple[Scenario, ...]:
    """The four scenarios, today and as they were first told."""
    found = []
    for documents in SCENARIOS:
        work = work_of_documents(documents, SCENARIO_TOKENS, "ru")
        sync, batch = _vectors(work, terms)
        tokens = documents * SCENARIO_TOKENS
        once_sync, once_batch = (price * tokens / UNITS["1M tokens"] for price in ONCE_USD)
        printed = ONCE_PRINTED_USD[documents]
        found.append(
            Scenario(documents, tokens, sync.usd, batch.usd, once_sync, once_batch, printed[0], printed[1])
        )
    return tuple(found)


def transcriber(work: Workload, terms: Terms, by: str = "") -> str:
    """Who is compared: as asked, else the usual one of this installation, else the first that is known."""
    known_pairs = pairs(work, terms) if work.audio_s else {}
    return next((name for name in (by, terms.transcriber, *known_pairs) if name in known_pairs), "")


def _bills(work: Workload, terms: Terms, who: str) -> tuple[Bill, Bill]:
    engines: tuple[Leg | None, Leg | None] = pairs(work, terms)[who] if who else (None, None)
    vectors = _vectors(work, terms)
    return _bill(engines[0], vectors[0]), _bill(engines[1], vectors[1])


def _vectors(work: Workload, terms: Terms) -> tuple[Leg, Leg]:
    legs = {leg.mode: leg for leg in embedding_legs(measure(work, terms.book), work.language, terms)}
    if "sync" not in legs or "batch" not in legs:
        raise BadRequest(Code.SYNC_OR_BATCH_UNPRICED, model=terms.embedding_models[0][:60])
    return legs["sync"], legs["batch"]


def _bill(engine: Leg | None, vectors: Leg) -> Bill:
    legs = (vectors,) if engine is None else (engine, vectors)
    gradual = engine is not None and engine.mode in {"sync", ""}
    p50_s, p90_s = pace.join(engine.pace if engine else pace.AT_ONCE, vectors.pace, gradual=gradual)
    return Bill(engine, vectors, total([part for leg in legs for part in leg.parts]), p50_s, p90_s)


def _offered(leg: Leg, terms: Terms) -> bool:
    """Whether it could be had here at all: connected, and not withdrawn."""
    price = terms.book.price(leg.provider, leg.model, leg.mode)
    return price is None or (terms.book.provider(price.provider).connected and not price.ended(terms.on))


def _at_low_priority(leg: Leg, terms: Terms) -> Leg:
    """A rented GPU at low priority: only the work is paid, as soon as a running worker has time."""
    parts = tuple(part for part in leg.parts if part.name == "GPU at work")
    wait = terms.book.wait(leg.provider, LOW_PRIORITY)
    late_s = None if wait is None or leg.pace.p90_s is None else wait.promised_s + leg.pace.p90_s
    steps = Pace(None, late_s, "the provider's promise")
    return replace(leg, mode=LOW_PRIORITY, parts=_paid(parts), pace=steps)


def _paid(parts: Sequence[Part]) -> tuple[Part, ...]:
    return tuple(replace(part, usd=money(part.usd)) for part in parts)


def _longer_s(sync: Bill, batch: Bill) -> float:
    """By how much batch is later usually, else 9 times in 10."""
    at_once_s, batch_s = _both_s(sync, batch)
    return batch_s - at_once_s


def _shown_longer_s(sync: Bill, batch: Bill) -> float:
    """The same between both times as people read them."""
    at_once_s, batch_s = map(shown_s, _both_s(sync, batch))
    return batch_s - at_once_s


def _both_s(sync: Bill, batch: Bill) -> tuple[float, float]:
    if sync.p50_s is not None and batch.p50_s is not None:
        return sync.p50_s, batch.p50_s
    return sync.p90_s or 0.0, batch.p90_s or 0.0


def _usual(sync: Bill, batch: Bill) -> bool:
    """Whether it is known when both are usually ready."""
    return batch.p50_s is not None and sync.p50_s is not None


def _pays(sync: Bill, batch: Bill, waiting: Decimal) -> bool:
    """Whether the saving is worth the waiting."""
    if sync.usd is None or batch.usd is None:
        return False
    hours = Decimal(max(_longer_s(sync, batch), 0.0)) / 3600
    return sync.usd - batch.usd > hours * waiting


def _worth_until(saved: Decimal | None, longer_s: float) -> Decimal | None:
    if saved is None or saved <= 0 or longer_s <= 0:
        return None
    return (saved / (Decimal(longer_s) / 3600)).quantize(Decimal("0.0001"))


def _pays_from(work: Workload, terms: Terms, who: str, waiting: Decimal) -> int | None:
    """In documents, or in hours of sound in recordings of the usual length."""

    def pays(volume: int) -> bool:
        some = (
            work_of_documents(volume, work.tokens_per_document, work.language)
            if work.documents
            else work_of_hours(volume, work.language)
        )
        return _pays(*_bills(some, terms, who), waiting)

    return first(pays, VOLUMES)


def _only(terms: Terms, who: str) -> Terms:
    """The same terms with the prices of one transcriber: the search asks many times."""
    provider = who.partition("/")[0]
    prices = tuple(
        price for price in terms.book.prices if price.provider == provider or price.kind == "embedding"
    )
    speeds = {name for name in terms.book.assumptions if name.startswith(SPEED)}
    others = {name for name in speeds if not name.startswith(f"{SPEED}{provider}/")}
    assumptions = {name: each for name, each in terms.book.assumptions.items() if name not in others}
    return replace(terms, book=replace(terms.book, prices=prices, assumptions=assumptions))


def _advice(saved: Decimal | None, longer_s: float, waiting: Decimal, take: str, *, usual: bool) -> Note:
    """One sentence with its reason."""
    if saved is None:
        return Note("A price is not known, so there is nothing to compare.")
    if saved <= 0:
        return Note("Take it at once: nothing of it is cheaper by batch.")
    facts: Mapping[str, object] = {
        "saved": Usd(saved),
        "longer": span(abs(longer_s)),
        "which": "usually" if usual else "9 times in 10",
        "waiting": Usd(waiting),
        "worth": Usd(_worth_until(saved, longer_s) or Decimal(0)),
        "costs": Usd(money(Decimal(max(longer_s, 0.0)) / 3600 * waiting) or Decimal(0)),
    }
    if longer_s <= 0:
        return Note("Take batch: it saves {saved}, and rate limits make “now” {longer} slower.", facts)
    if take == "batch":
        return Note(
            "Take batch: it saves {saved} for {longer} more of waiting ({which}), "
            "so it pays while an hour of waiting costs you less than {worth}.",
            facts,
        )
    return Note(
        "Take it at once: {longer} more of waiting ({which}) at {waiting} an hour costs you {costs}, "
        "and batch saves only {saved}.",
        facts,
    )


def first(holds: Callable[[int], bool], volumes: Sequence[int]) -> int | None:
    """The smallest number from which it holds, between the points where that changes first."""
    if holds(volumes[0]):
        return volumes[0]
    step = next(((low, high) for low, high in pairwise(volumes) if not holds(low) and holds(high)), None)
    if step is None:
        return None
    low, high = step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
