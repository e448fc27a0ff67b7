"""Price and finish as this installation can have them: one function for pages, programs and uploads.

The price book, then what was measured here, then what people typed in; and which routes can be taken
from here at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from core import billing
from core.billing import Answer, Book, History, Limit, Quote, shipped
from core.billing.prices import MEASURED, Quality
from core.billing.stages import SPEED
from core.billing.tariffs import Tariffs
from core.database.database import Database
from core.database.states import EmbeddingMode
from core.database.tables import Plan
from core.embedding import embedder as embed
from core.embedding.embedder import Embedder
from core.embedding.embedders import gemini
from core.errors import BadRequest, Rejected
from core.library.recordings import TranscriptionOptions
from core.planning import links, recommendations
from core.planning.measured import Measured, measured
from core.planning.needs import Needs
from core.planning.recommendations import Recommendation
from core.planning.samples import Samples
from core.settings import Settings
from core.speech import engines
from core.speech.engine import Engine, RemoteEngine
from core.speech.engines.gigaam import GigaAMEngine
from core.speech.language import AUTO

MEASURE_EVERY_S = 30.0
SPOKEN = ("ru", "en")
"""Languages whose tokens the price book tells apart."""
BY_ROUTE = {
    ("groq", "sync"): "groq",
    ("groq", "batch"): "groq-batch",
    ("runpod", "sync"): "runpod",
    ("fireworks", "sync"): "fireworks",
    ("fireworks", "batch"): "fireworks-batch",
}
"""Our engine for a provider and its mode."""


class Estimates:
    """What work costs here, and when it is ready."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        tariffs: Tariffs,
        engines: Mapping[str, Engine],
        embedder: Callable[[], Embedder],
    ) -> None:
        self._settings = settings
        self._database = database
        self._tariffs = tariffs
        self._engines = engines
        self._embedder = embedder
        self.needs = Needs(settings, engines, embedder)
        self.samples = Samples(database, gemini(settings))
        self._measured: tuple[float, Measured] = (float("-inf"), Measured())

    def answer(self, *, language: str = "ru", own: str = "", **workload: Any) -> Answer:
        """`costs.answer` with what is known of this installation. Raise BadRequest, with a sentence.

        With `own` (`links.packed`) those prices hold instead of what people typed in here.
        """
        embedder = self._embedder()
        return billing.answer(
            language=language,
            book=self.book(language, own),
            history=self.history(),
            not_ready=self._not_ready(language),
            local_languages=embedder.languages if embed.batching(embedder) is None else ("en",),
            words_only=workload.get("documents") is None and not embed.understands(embedder, language),
            out_of_reach=self._out_of_reach(language),
            transcriber=f"groq/{self._settings.groq_model}",
            **{"model": self.model, **workload},
        )

    def estimate(self, by: str = "", **workload: Any) -> dict[str, Any]:
        """The same as JSON; `by` transcribes where sync and batch are compared."""
        answer = self.answer(**workload)
        report = billing.described(answer, by)
        compared = answer.compared(by)
        for lane, bill in (("sync", compared.sync), ("batch", compared.batch)):
            report["comparison"][lane]["needs"] = {
                who: list(what) for who, what in self.needs.of_bill(bill).items()
            }
        return {**report, "ways": [self._recommended(one, answer) for one in self.recommendations(answer)]}

    def _recommended(self, one: Recommendation, answer: Answer) -> dict[str, Any]:
        quality = self.quality(one.quote, answer.work.language)
        return {"id": one.quote.id, "roles": list(one.roles), "quality": billing.as_json(quality)}

    def recommendations(self, answer: Answer) -> tuple[Recommendation, ...]:
        """The few routes that matter for this work."""
        if not answer.work.audio_s:
            return ()

        def error_rate(quote: Quote) -> Decimal | None:
            quality = self.quality(quote, answer.work.language)
            return quality.wrong_percent if quality else None

        return recommendations.recommend(answer.quotes, error_rate, self._used_now(answer))

    def quality(self, quote: Quote, language: str) -> Quality | None:
        """How well a way recognises a language; None where nobody has said."""
        worker = "gigaam" if self._settings.runpod_worker == "gigaam" else self._settings.runpod_model
        model_name = quote.engine_model.replace("whisper-v3", "whisper-large-v3")
        model = {"runpod": worker}.get(quote.engine, model_name if quote.mode else quote.engine)
        return shipped().quality(model, language)

    def _used_now(self, answer: Answer) -> Quote | None:
        """The way a recording would go now if nobody said anything."""
        mode = EmbeddingMode.of_lane(self._settings.embedding_lane) or EmbeddingMode.SYNC
        try:
            engine = engines.choose(self._engines, self._settings.engine, answer.work.language).engine
        except (BadRequest, Rejected):
            return None
        return self.of_engine(answer, engine.name, mode)

    @property
    def model(self) -> str:
        """The model whose vectors are bought here, if the book knows it."""
        model = self._settings.embedding_model
        return model if shipped().price("gemini", model, "sync") else "gemini-embedding-2"

    def book(self, language: str = "ru", own: str = "") -> Book:
        """The price book, with what was measured, with what is yours, or (`own`) what a link says."""
        measured_speeds = self._known()
        local = {engine: f"times_real_time:{leg}" for engine, leg in self._local(language).items()}
        fast = {
            local[name]: speed
            for name, speed in measured_speeds.speeds.items()
            if name in local and not self._toy(name)
        }
        book = self._enabled(shipped()).with_assumptions({**measured_speeds.figures, **fast}, source=MEASURED)
        for counted in filter(None, map(self.samples.known, SPOKEN)):
            book = book.with_assumptions(counted.figures, source=counted.source)
        book = book.with_assumptions(
            {"calls_at_once": self._settings.workers_io}, source="WORKERS_IO of this installation"
        )
        book = book.with_limits(self._limits())
        return links.unpacked(own, book) if own else self._tariffs.over(book)

    def history(self) -> History:
        """Waits of batches here."""
        return History(self._known().waits_s)

    def options(self, quote: Quote, language: str) -> TranscriptionOptions:
        """What to ask for so that a recording takes this route."""
        batches = embed.batching(self._embedder()) is not None
        mode = EmbeddingMode.of_lane(quote.lane) if batches else None
        return TranscriptionOptions(
            language=language, engine=self.engine(quote, language), embedding_mode=mode
        )

    def engine(self, quote: Quote, language: str) -> str:
        """Our engine's name for a route."""
        if quote.mode:
            return BY_ROUTE.get((quote.engine, quote.mode), quote.engine)
        leg = f"{quote.engine}/{quote.engine_model}"
        return next((name for name, each in self._local(language).items() if each == leg), quote.engine)

    def providers(self) -> dict[str, str]:
        """Engines here whose transcripts are paid for, and the provider of each in the price book."""
        return {name: each.provider for name, each in self._engines.items() if isinstance(each, RemoteEngine)}

    def of_engine(self, answer: Answer, engine: str, mode: EmbeddingMode) -> Quote | None:
        """The cheapest quote with this engine of ours and this embedding mode; None if the book has none."""
        fitting = (
            quote
            for quote in answer.quotes
            if quote.blocked is None and self.engine(quote, answer.work.language) == engine
        )
        return next(
            (quote for quote in fitting if quote.lane == mode.lane or quote.embedder != self.model), None
        )

    def of_engines(self, answer: Answer, engines: Sequence[str], mode: EmbeddingMode) -> Quote | None:
        """What it comes to at most, where the language decides which of these engines is used.

        The dearest of their quotes, ready when the slowest is; None if the book has none for one of them.
        """
        quotes = [self.of_engine(answer, engine, mode) for engine in engines]
        found_quotes = [quote for quote in quotes if quote is not None]
        if not found_quotes or len(found_quotes) < len(quotes):
            return None
        dearest = max(found_quotes, key=_usd)
        slowest = max(found_quotes, key=lambda quote: quote.p50_s or 0.0)
        return replace(dearest, p50_s=slowest.p50_s, p90_s=slowest.p90_s)

    def payable(self, quote: Quote) -> Decimal | None:
        """What of a quote is paid to others, USD; None where no price is known.

        The ledger knows nothing of wear and electricity here.
        """
        transcription = quote.transcription_usd if quote.mode else Decimal(0)
        embedding = quote.embedding_usd if quote.embedder == self.model else Decimal(0)
        return None if transcription is None or embedding is None else transcription + embedding

    def keep(self, quote: Quote, tokens: int, recordings: Sequence[str]) -> None:
        """Remember what was promised of these recordings, so that it can be compared with what came.

        Without a price nothing was promised.
        """
        usd = self.payable(quote)
        if usd is None:
            return
        with self._database.write() as session:
            session.add(
                Plan(
                    route=quote.id,
                    usd=billing.plain(usd),
                    tokens=tokens,
                    p50_s=quote.p50_s,
                    p90_s=quote.p90_s,
                    recordings=list(recordings),
                )
            )

    # What is known of this installation

    def _known(self) -> Measured:
        at, known = self._measured
        if time.monotonic() - at > MEASURE_EVERY_S:
            known = measured(self._database)
            self._measured = (time.monotonic(), known)
        return known

    def _limits(self) -> list[Limit]:
        old = shipped().limit("gemini", "", "batch")
        settings = self._settings
        if old is None:
            return []
        own_limit = replace(
            old, enqueued_tokens=settings.batch_enqueued_tokens, at_once=settings.batch_max_jobs
        )
        return [replace(own_limit, requests_per_job=settings.batch_max_requests)]

    def _local(self, language: str) -> dict[str, str]:
        """Engines of this machine by name, with their leg."""
        device = "gpu" if Path("/dev/nvidiactl").exists() else "cpu"
        real = next(name for name in self._engines if name.startswith("gigaam-"))
        local = {real: f"gigaam/{device}"}
        for name, engine in self._engines.items():
            if shipped().speed(name, "cpu") and _understands(engine, language):
                local[name] = f"{name}/cpu"
        return local

    def _toy(self, name: str) -> bool:
        """Whether an engine's model is far too small to be a published one: its speed says nothing."""
        engine = self._engines.get(name)
        return isinstance(engine, GigaAMEngine) and not engine.full_size

    def _enabled(self, book: Book) -> Book:
        """A service that was withdrawn counts again for those who have switched it on."""
        if not self._settings.fireworks_enabled:
            return book
        again = (
            replace(price, status="current", ends_on=None)
            for price in book.prices
            if price.provider == "fireworks"
        )
        return book.with_overrides(again)

    def _not_ready(self, language: str) -> dict[str, str]:
        """Why some routes cannot be taken from here now."""
        return {**self._local_reasons(language), **self._provider_reasons(language), **self._lane_reasons()}

    def _local_reasons(self, language: str) -> dict[str, str]:
        local = self._local(language)
        app = next(leg for leg in local.values() if leg.startswith("gigaam/"))
        other = "gigaam/cpu" if app.endswith("gpu") else "gigaam/gpu"
        missing = "this machine works on its GPU" if app.endswith("gpu") else "this machine has no GPU"
        reasons = {leg: self._reason(name, language) for name, leg in local.items()}
        absent = {leg: "it is not set up here" for leg in _own_legs() if leg not in reasons}
        return {**absent, other: missing, **{leg: reason for leg, reason in reasons.items() if reason}}

    def _out_of_reach(self, language: str) -> set[str]:
        """Ways here that no setting opens: the other device, engines without this language."""
        local = self._local(language)
        absent = _own_legs() - set(local.values())
        deaf = {leg for name, leg in local.items() if not _understands(self._engines[name], language)}
        remote = {
            f"{provider}/{mode}"
            for (provider, mode), name in BY_ROUTE.items()
            if name in self._engines and not _understands(self._engines[name], language)
        }
        return absent | deaf | remote

    def _provider_reasons(self, language: str) -> dict[str, str]:
        reasons = {
            f"{provider}/{mode}": self._reason(name, language) for (provider, mode), name in BY_ROUTE.items()
        }
        models = {"groq": self._settings.groq_model, "runpod": self._settings.runpod_gpu}
        for price in shipped().prices:
            if price.provider in models and price.model != models[price.provider]:
                setting = {"groq": "GROQ_MODEL", "runpod": "RUNPOD_GPU"}[price.provider]
                reasons.setdefault(f"{price.provider}/{price.model}", f"{setting} names another")
        return {name: reason for name, reason in reasons.items() if reason}

    def _reason(self, engine: str, language: str) -> str:
        """Why an engine cannot work here; empty if it can."""
        known = self._engines.get(engine)
        if known is None:
            return "it is not set up here"
        if not _understands(known, language):
            return "it does not understand this language"
        return known.readiness().reason if not known.readiness().ready else ""

    def _lane_reasons(self) -> dict[str, str]:
        if embed.batching(self._embedder()) is not None:
            return {"local": "Gemini makes the vectors here"}
        if not self._settings.gemini_api_key.get_secret_value():
            return {"gemini": "GEMINI_API_KEY is not set"}
        return {"gemini": "the local embedder makes the vectors here"}


def _understands(engine: Engine, language: str) -> bool:
    """Whether an engine may get a recording in this language; one that is to be identified may be in any."""
    return language in {AUTO, *engine.languages}


def _usd(quote: Quote) -> Decimal:
    """What a quote comes to; one that nobody knows the price of counts as the dearest."""
    return Decimal("Infinity") if quote.total_usd is None else quote.total_usd


def _own_legs() -> set[str]:
    """Engines on own machines whose speed the price book knows, as `engine/device`."""
    names = (name.removeprefix(SPEED) for name in shipped().assumptions if name.startswith(SPEED))
    return {name for name in names if name.endswith(("/cpu", "/gpu"))}
