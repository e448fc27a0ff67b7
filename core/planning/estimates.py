"""Price and finish as this installation can have them: one function for pages, programs and uploads.

The price book, then what was measured here, then what people typed in; and which routes can be taken
from here at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from core import billing
from core.billing import Answer, Book, History, Limit, Quote, shipped
from core.billing.prices import MEASURED
from core.billing.tariffs import Tariffs
from core.database.database import Database
from core.database.states import EmbeddingMode
from core.database.tables import Plan
from core.embedding import embedder as embed
from core.embedding.embedder import Embedder
from core.embedding.embedders import gemini
from core.library.recordings import TranscriptionOptions
from core.planning import links
from core.planning.measured import Measured, measured
from core.planning.samples import Samples
from core.settings import Settings
from core.speech.engine import Engine, RemoteEngine

MEASURE_EVERY_S = 30.0
UNMEASURED = {"whisper-base": Decimal(5)}
"""Sound a second of work, of engines that the price book does not know, until they were measured."""
SPOKEN = ("ru", "en")
"""Languages whose tokens the price book tells apart."""
BY_ROUTE = {("groq", "sync"): "groq", ("groq", "batch"): "groq-batch", ("runpod", "sync"): "runpod"}
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
        self.samples = Samples(database, gemini(settings))
        self._measured: tuple[float, Measured] = (float("-inf"), Measured())

    def answer(self, *, language: str = "ru", own: str = "", **asked: Any) -> Answer:
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
            words_only=asked.get("documents") is None and not embed.understands(embedder, language),
            **{"model": self.model, **asked},
        )

    def estimate(self, **asked: Any) -> dict[str, Any]:
        """The same as JSON."""
        return billing.described(self.answer(**asked))

    @property
    def model(self) -> str:
        """The model whose vectors are bought here, if the book knows it."""
        mine = self._settings.embedding_model
        return mine if shipped().price("gemini", mine, "sync") else "gemini-embedding-2"

    def book(self, language: str = "ru", own: str = "") -> Book:
        """The price book, with what was measured, with what is yours, or (`own`) what a link says."""
        known = self._known()
        speeds = {f"times_real_time:{name}": speed for name, speed in self._speeds(language).items()}
        guessed = {name: speed for name, speed in speeds.items() if name not in shipped().assumptions}
        local = {engine: f"times_real_time:{leg}" for engine, leg in self._local(language).items()}
        fast = {local[engine]: speed for engine, speed in known.speeds.items() if engine in local}
        book = shipped().with_assumptions(guessed, source="assumption, until it is measured here")
        book = book.with_assumptions({**known.figures, **fast}, source=MEASURED)
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

    def of_engine(self, said: Answer, engine: str, mode: EmbeddingMode) -> Quote | None:
        """The cheapest quote with this engine of ours and this embedding mode; None if the book has none."""
        fitting = (
            quote
            for quote in said.quotes
            if quote.blocked is None and self.engine(quote, said.work.language) == engine
        )
        return next(
            (quote for quote in fitting if quote.lane == mode.lane or quote.embedder != self.model), None
        )

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
        mine = self._settings
        if old is None:
            return []
        own = replace(old, enqueued_tokens=mine.batch_enqueued_tokens, at_once=mine.batch_max_jobs)
        return [replace(own, requests_per_job=mine.batch_max_requests)]

    def _local(self, language: str) -> dict[str, str]:
        """Engines of this machine by name, with their leg: GigaAM, else what would be taken instead."""
        device = "gpu" if Path("/dev/nvidiactl").exists() else "cpu"
        real = next(name for name in self._engines if name.startswith("gigaam-"))
        local = {real: f"gigaam/{device}"}
        for name, engine in self._engines.items():
            if name in UNMEASURED and language in engine.languages and not self._can(real, language):
                local[name] = f"{name}/cpu"
        return local

    def _speeds(self, language: str) -> dict[str, Decimal]:
        """Speeds of local engines that the book does not know."""
        return {leg: UNMEASURED[name] for name, leg in self._local(language).items() if name in UNMEASURED}

    def _can(self, engine: str, language: str) -> bool:
        known = self._engines.get(engine)
        return known is not None and language in known.languages and known.readiness().ready

    def _not_ready(self, language: str) -> dict[str, str]:
        """Why some routes cannot be taken from here now."""
        return {**self._local_reasons(language), **self._provider_reasons(language), **self._lane_reasons()}

    def _local_reasons(self, language: str) -> dict[str, str]:
        local = self._local(language)
        app = next(leg for leg in local.values() if leg.startswith("gigaam/"))
        other = "gigaam/cpu" if app.endswith("gpu") else "gigaam/gpu"
        missing = "this machine works on its GPU" if app.endswith("gpu") else "this machine has no GPU"
        reasons = {leg: self._reason(name, language) for name, leg in local.items()}
        return {other: missing, **{leg: reason for leg, reason in reasons.items() if reason}}

    def _provider_reasons(self, language: str) -> dict[str, str]:
        reasons = {
            f"{provider}/{mode}": self._reason(name, language) for (provider, mode), name in BY_ROUTE.items()
        }
        mine = {"groq": self._settings.groq_model, "runpod": self._settings.runpod_gpu}
        for price in shipped().prices:
            if price.provider in mine and price.model != mine[price.provider]:
                setting = {"groq": "GROQ_MODEL", "runpod": "RUNPOD_GPU"}[price.provider]
                reasons.setdefault(f"{price.provider}/{price.model}", f"{setting} names another")
        return {name: reason for name, reason in reasons.items() if reason}

    def _reason(self, engine: str, language: str) -> str:
        """Why an engine cannot work here; empty if it can."""
        known = self._engines.get(engine)
        if known is None:
            return "it is not set up here"
        if language not in known.languages:
            return "it does not understand this language"
        return known.readiness().reason if not known.readiness().ready else ""

    def _lane_reasons(self) -> dict[str, str]:
        if embed.batching(self._embedder()) is not None:
            return {"local": "Gemini makes the vectors here"}
        return {"gemini": "the local embedder makes the vectors here"}


def today() -> date:
    """The day whose prices hold."""
    return date.today()
