"""Every provider as it stands: has it a key, does it answer, what does it cost. A real call finds out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from core.audit import audited
from core.billing import Limit, Price, shipped
from core.database.database import Database
from core.database.states import AuditAction, AuditSubject
from core.database.tables import Breaker
from core.embedding.embedders.gemini import refuses_key
from core.errors import GEMINI, OBJECT_STORE, Code, NotFound, ProviderRefused, Rejected, StenogramError
from core.http_client import Answer, HttpClient, error_message
from core.i18n.messages import N_
from core.orders.breakers import Breakers, ProviderAccount
from core.orders.pictures import Pictures
from core.principal import Principal
from core.settings import Settings, keep_secret
from core.speech.engine import Readiness
from core.speech.engines.fireworks import FireworksEngine
from core.speech.engines.groq import GroqEngine
from core.speech.engines.runpod import RunPodEngine
from core.storage.object_store import ObjectStore

GEMINI_URL = "https://generativelanguage.googleapis.com"

State = Literal["missing", "withdrawn", "refused", "resting", "ok", "ready"]
"""ok: it answered a test; ready: it has what it needs, and nobody has asked it yet."""

STATES: Mapping[State, str] = {
    "missing": N_("Not set up"),
    "withdrawn": N_("Withdrawn provider"),
    "refused": N_("Paused: the key is refused"),
    "resting": N_("Left alone for a while"),
    "ok": N_("Works"),
    "ready": N_("Configured"),
}
"""How a state is said to people."""


@dataclass(frozen=True)
class Provider:
    """One provider, with everything that a settings page shows about it."""

    name: str
    title: str
    state: State
    message: str
    """A template (the key of its translation), or ""; `facts` fill it."""
    facts: Mapping[str, object]
    setting: str
    """What holds its key."""
    key: str
    """The key's last four characters behind an ellipsis, or ""."""
    tested_at: float | None
    latency_s: float | None
    prices: tuple[Price, ...] = ()
    limits: tuple[Limit, ...] = ()

    @property
    def reason(self) -> str:
        """The message in English."""
        return self.message.format(**self.facts)


@dataclass(frozen=True)
class Tested:
    """What a test of the connection found."""

    ok: bool
    latency_s: float | None = None
    error: StenogramError | None = None

    @property
    def message(self) -> str:
        """In English; a page translates `error`."""
        return str(self.error) if self.error else f"{self.latency_s:.2f} s"


@dataclass(frozen=True)
class _Known:
    """How to look at a provider, and how to ask it something cheap."""

    name: str
    title: str
    line: ProviderAccount
    key: str
    readiness: Readiness
    ask: Callable[[], float]
    book: str = ""
    withdrawn: bool = field(default=False)


def all(settings: Settings, breakers: Breakers) -> list[Provider]:  # noqa: A001 - `providers.all` reads as it should
    """Every provider, as it stands. Asks nobody."""
    return [_provider(provider, breakers.state(provider.name)) for provider in _known(settings)]


@audited(AuditAction.CHANGED, AuditSubject.INSTALLATION, "name", outside_database=True)
def keep_key(
    principal: Principal,
    database: Database,  # noqa: ARG001 - where it is recorded
    name: str,
    key: str,
    file: Path,
) -> None:
    """Write a provider's key into a file of settings. Raises AdminsOnly, and what `keep_secret` raises."""
    principal.must_administer()
    keep_secret(name, key, file)


@audited(AuditAction.CHANGED, AuditSubject.INSTALLATION, "name")
def test(principal: Principal, settings: Settings, breakers: Breakers, name: str) -> Tested:
    """Make the cheapest real call, and remember how it went. Raises AdminsOnly, NotFound."""
    principal.must_administer()
    provider = next((provider for provider in _known(settings) if provider.name == name), None)
    if provider is None:
        raise NotFound
    if not provider.readiness.ready:
        return Tested(False, error=Rejected(Code.PROVIDER_NOT_READY, reason=provider.readiness.reason))
    try:
        latency_s = provider.ask()
    except StenogramError as error:
        breakers.failed_test(name, error, provider.line.fingerprint)
        return Tested(False, error=error)
    breakers.record_success(name, latency_s, provider.line.fingerprint)
    return Tested(True, latency_s)


def _provider(provider: _Known, breaker: Breaker) -> Provider:
    same_key = breaker.fingerprint in ("", provider.line.fingerprint)
    state, message, facts = _state(provider, breaker if same_key else Breaker(failures=0, refused=False))
    book = shipped()
    return Provider(
        provider.name,
        provider.title,
        state,
        message,
        facts,
        provider.line.setting,
        provider.key,
        breaker.tested_at if same_key else None,
        breaker.latency_s if same_key else None,
        tuple(price for price in book.prices if price.provider == provider.book),
        tuple(limit for limit in book.limits if limit.provider == provider.book),
    )


def _state(provider: _Known, breaker: Breaker) -> tuple[State, str, Mapping[str, object]]:
    error = breaker.error or {"message": "", "facts": {}}
    if provider.withdrawn:
        return "withdrawn", provider.readiness.reason, {}
    if not provider.readiness.ready:
        return "missing", provider.readiness.reason, {}
    if breaker.refused:
        return "refused", error["message"], error["facts"]
    if breaker.error:
        return "resting", error["message"], error["facts"]
    return ("ok" if breaker.tested_at else "ready"), "", {}


def _known(settings: Settings) -> list[_Known]:
    storage = ObjectStore(settings)
    groq, fireworks = GroqEngine(settings), FireworksEngine(settings)
    runpod, pictures = RunPodEngine(settings, storage), Pictures(settings)
    return [
        _gemini(settings),
        _engine(groq, groq.test),
        _engine(runpod, runpod.test),
        _Known(
            "runpod-images",
            "RunPod, pictures",
            pictures.http,
            pictures.http.masked,
            pictures.readiness(),
            lambda: pictures.test().took_s,
            "runpod",
        ),
        _engine(fireworks, fireworks.test),
        _store(settings, storage),
    ]


def _engine(engine: GroqEngine | RunPodEngine | FireworksEngine, ask: Callable[[], Answer]) -> _Known:
    readiness = engine.readiness()
    return _Known(
        engine.provider,
        engine.http.provider.display_name,
        engine.http,
        engine.http.masked,
        readiness,
        lambda: ask().took_s,
        engine.provider,
        readiness.withdrawn,
    )


def _gemini(settings: Settings) -> _Known:
    http = HttpClient(GEMINI, settings.gemini_api_key, "GEMINI_API_KEY", scheme="", header="x-goog-api-key")
    address = f"{(settings.gemini_base_url or GEMINI_URL).rstrip('/')}/v1beta/models?pageSize=1"

    def ask() -> float:
        answer = http.ask("GET", address, accept={400})
        if answer.status == 400 and refuses_key(answer.body):
            raise ProviderRefused(GEMINI, "GEMINI_API_KEY")
        if answer.status == 400:
            raise Rejected(Code.REQUEST_REFUSED, provider="Gemini", detail=error_message(answer.body)[:200])
        return answer.took_s

    missing = "" if http.has_key else "GEMINI_API_KEY is not set"
    return _Known("gemini", "Gemini", http, http.masked, Readiness(http.has_key, missing), ask, "gemini")


def _store(settings: Settings, storage: ObjectStore) -> _Known:
    line = HttpClient(OBJECT_STORE, settings.s3_access_key, "S3_ACCESS_KEY")
    return _Known("storage", storage.title, line, line.masked, Readiness(True), storage.test)
