"""What a part of a bill still lacks here before it can be bought."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import StrEnum

from pydantic import SecretStr

from core.billing import Quote
from core.billing.comparison import LOW_PRIORITY, Bill
from core.embedding import embedder as embed
from core.embedding.embedder import Embedder
from core.settings import Settings
from core.speech.engine import Engine
from core.storage.object_store import ObjectStore


class Need(StrEnum):
    """One thing that somebody has to do first."""

    KEY = "key"
    """A provider's key."""
    STORE = "store"
    """An object store that the provider can reach."""
    ENDPOINT = "endpoint"
    """The address of an endpoint, or the account it belongs to."""
    SETTING = "setting"
    """Another value of a setting: its model, its GPU, its priority."""
    MODEL = "model"
    """The files of a model."""
    SWITCH = "switch"
    """Another embedder makes the vectors now."""


class Needs:
    """What is missing, by the settings and engines of this installation."""

    def __init__(
        self, settings: Settings, engines: Mapping[str, Engine], embedder: Callable[[], Embedder]
    ) -> None:
        self._settings = settings
        self._engines = engines
        self._embedder = embedder

    def of_bill(self, bill: Bill) -> dict[str, tuple[Need, ...]]:
        """By provider, what its part of the bill lacks; providers that lack nothing are left out."""
        by_provider = {leg.provider: self.of(leg.provider, leg.model, leg.mode) for leg in bill.legs}
        return {provider: needs for provider, needs in by_provider.items() if needs}

    def of_quote(self, quote: Quote) -> dict[str, tuple[Need, ...]]:
        """The same for a way through the tool."""
        by_provider = {}
        if quote.engine:
            by_provider[quote.engine] = self.of(quote.engine, quote.engine_model, quote.mode)
        if quote.lane == "batch" or quote.embedder.startswith("gemini"):
            by_provider["gemini"] = self.of("gemini", quote.embedder, quote.lane)
        return {provider: needs for provider, needs in by_provider.items() if needs}

    def of(self, provider: str, model: str, mode: str) -> tuple[Need, ...]:
        """What one part lacks, the key first."""
        asks: dict[str, Callable[[str, str], dict[Need, bool]]] = {
            "gemini": self._gemini,
            "groq": self._groq,
            "runpod": self._runpod,
            "fireworks": self._fireworks,
        }
        missing = asks[provider](model, mode) if provider in asks else self._own(provider)
        return tuple(need for need, lacking in missing.items() if lacking)

    def _gemini(self, *_: str) -> dict[Need, bool]:
        no_key = _empty(self._settings.gemini_api_key)
        elsewhere = embed.batching(self._embedder()) is None
        return {Need.KEY: no_key, Need.SWITCH: elsewhere and not no_key}

    def _groq(self, model: str, mode: str) -> dict[Need, bool]:
        settings = self._settings
        return {
            Need.KEY: _empty(settings.groq_api_key) and not settings.groq_base_url,
            Need.STORE: mode == "batch" and not ObjectStore(settings).can_share,
            Need.SETTING: model != settings.groq_model,
        }

    def _runpod(self, model: str, mode: str) -> dict[Need, bool]:
        settings = self._settings
        hurried = mode == LOW_PRIORITY and not settings.runpod_low_priority
        return {
            Need.KEY: _empty(settings.runpod_api_key),
            Need.ENDPOINT: not settings.runpod_url,
            Need.SETTING: hurried or model != settings.runpod_gpu,
        }

    def _fireworks(self, model: str, mode: str) -> dict[Need, bool]:
        settings = self._settings
        return {
            Need.KEY: _empty(settings.fireworks_api_key),
            Need.ENDPOINT: mode == "batch" and not settings.fireworks_account_id,
            Need.SETTING: model != settings.fireworks_model,
        }

    def _own(self, provider: str) -> dict[Need, bool]:
        own_engines = [engine for name, engine in self._engines.items() if name.startswith(provider)]
        return {Need.MODEL: not any(engine.readiness().ready for engine in own_engines)}


def _empty(secret: SecretStr) -> bool:
    return not secret.get_secret_value()
