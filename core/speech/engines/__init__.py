"""All engines, and which of them a recording gets, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.errors import BadRequest, Code, Rejected
from core.i18n.messages import N_
from core.settings import Settings
from core.speech.engine import BATCH, Engine, RemoteEngine, refuse_unready
from core.speech.engines import gigaam, whisper
from core.speech.engines.fireworks import FireworksBatchEngine, FireworksEngine
from core.speech.engines.gigaam_package import GigaAMPackageEngine
from core.speech.engines.groq import GroqBatchEngine, GroqEngine
from core.speech.engines.runpod import RunPodEngine
from core.storage.object_store import ObjectStore

REASONS = {
    (False, False): N_("{title}: the best there is for this language."),
    (False, True): N_("{title}, because {missing}."),
    (True, False): N_("{title}: the best there is for this language. The recording is sent there."),
    (True, True): N_("{title}, because {missing}. The recording is sent there."),
}
"""Why an engine was chosen by itself: whether it is elsewhere, whether a better one is missing."""


@dataclass(frozen=True)
class Choice:
    """The engine that will be used, and why: a template (the key of its translation) and its facts."""

    engine: Engine
    message: str
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def reason(self) -> str:
        """The sentence for a person, in English."""
        return self.message.format(**self.facts)


def all(settings: Settings) -> dict[str, Engine]:  # noqa: A001 - `engines.all` reads as it should
    """Every engine by its name, the preferred first. Cheap: nothing is loaded."""
    real = gigaam.real(settings)
    known = [real, *elsewhere(settings), whisper.engine(settings), GigaAMPackageEngine(real)]
    return {engine.name: engine for engine in known}


def elsewhere(settings: Settings) -> Sequence[RemoteEngine]:
    """Engines at providers; each is ready once it has what it needs."""
    storage = ObjectStore(settings)
    engines: list[RemoteEngine] = [
        RunPodEngine(settings, storage),
        GroqEngine(settings),
        GroqBatchEngine(settings, storage),
        FireworksEngine(settings),
        FireworksBatchEngine(settings),
    ]
    for engine in engines:
        engine.auto = engine.auto and settings.engine_auto_remote
    return engines


def choose(engines: Mapping[str, Engine], wanted: str, language: str) -> Choice:
    """The named engine, or with `auto` the first ready one for the language.

    Raise BadRequest for an unknown name, Rejected where what is wanted cannot work now.
    """
    if wanted == "auto":
        known = [engine for engine in engines.values() if language in engine.languages]
        return _first_ready([engine for engine in known if _may_be_automatic(engine)], language)
    if wanted not in engines:
        raise BadRequest(Code.ENGINE_UNKNOWN, name=wanted, names=", ".join(engines))
    return _named(engines[wanted], language)


def by_batch(engines: Mapping[str, Engine], name: str) -> str:
    """The engine that is this one's batch mode (perhaps the same); "" if it has none."""
    mode = name if name.endswith(BATCH) else name + BATCH
    return mode if mode in engines else ""


def _may_be_automatic(engine: Engine) -> bool:
    """Sound leaves this machine, and money is spent, only where somebody has allowed it."""
    return not isinstance(engine, RemoteEngine) or (engine.auto and engine.readiness().ready)


def _named(engine: Engine, language: str) -> Choice:
    if language not in engine.languages:
        raise Rejected(Code.LANGUAGE_NOT_OF_ENGINE, title=engine.title, language=language)
    refuse_unready(engine)
    return Choice(engine, "{title}, as you asked.", {"title": engine.title})


def _first_ready(candidates: list[Engine], language: str) -> Choice:
    """The first in the order of preference that can work; the reason names the better one that cannot."""
    passed = ""
    for engine in candidates:
        readiness = engine.readiness()
        if readiness.ready:
            reason = REASONS[isinstance(engine, RemoteEngine), bool(passed)]
            return Choice(engine, reason, {"title": engine.title, "missing": passed})
        passed = passed or f"{engine.title} is not ready ({readiness.reason})"
    raise Rejected(
        Code.NO_ENGINE_READY if passed else Code.LANGUAGE_UNSUPPORTED,
        language=language,
        missing=passed,
    )
