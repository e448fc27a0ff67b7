"""All engines, and which of them a recording gets, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from core.errors import BadRequest, Code, Rejected
from core.i18n.messages import N_
from core.settings import Settings
from core.speech.engine import BATCH, Engine, RemoteEngine, TunableEngine, refuse_unready
from core.speech.engines import gigaam, whisper
from core.speech.engines.fireworks import FireworksBatchEngine, FireworksEngine
from core.speech.engines.gigaam_package import GigaAMPackageEngine
from core.speech.engines.groq import GroqBatchEngine, GroqEngine
from core.speech.engines.runpod import RunPodEngine
from core.speech.language import AUTO
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
    """Where the language is not known yet, the one that would cost most."""
    message: str
    facts: Mapping[str, str] = field(default_factory=dict)
    candidates: tuple[Engine, ...] = ()
    """Where the language is not known yet, all that it may lead to."""

    @property
    def possible(self) -> tuple[Engine, ...]:
        """Every engine that may get the recording."""
        return self.candidates or (self.engine,)

    @property
    def reason(self) -> str:
        """The sentence for a person, in English."""
        return self.message.format(**self.facts)


def all(settings: Settings) -> dict[str, Engine]:  # noqa: A001 - `engines.all` reads as it should
    """Every engine by its name, the preferred first. Cheap: nothing is loaded."""
    real = gigaam.real(settings)
    engines = [real, *remote_engines(settings), whisper.engine(settings), GigaAMPackageEngine(real)]
    return {engine.name: engine for engine in engines}


def remote_engines(settings: Settings) -> Sequence[RemoteEngine]:
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


def choose(engines: Mapping[str, Engine], name: str, language: str) -> Choice:
    """The named engine, or with `auto` the first ready one for the language.

    Where the language is `auto`, what that may come to. Raise BadRequest for an unknown name, Rejected
    where what is wanted cannot work now.
    """
    if language == AUTO and name == AUTO:
        return _undecided(engines)
    if name == AUTO:
        able = [engine for engine in engines.values() if language in engine.languages]
        return _first_ready([engine for engine in able if _may_be_automatic(engine)], language)
    if name not in engines:
        raise BadRequest(Code.ENGINE_UNKNOWN, name=name, names=", ".join(engines))
    return _named(engines[name], language)


def able(
    engines: Mapping[str, Engine], engine_name: str, *, translate: bool, temperature: float
) -> Mapping[str, Engine]:
    """Those that can do what is asked for. Raise Rejected where the one that was named cannot.

    Where none was named, a temperature decides about none: those that take none are as good without it.
    """
    named = engines.get(engine_name)
    if named is not None and translate and not _translates(named):
        raise Rejected(Code.TRANSLATION_NOT_OF_ENGINE, title=named.title)
    if named is not None and temperature and not _varies(named):
        raise Rejected(Code.TEMPERATURE_NOT_OF_ENGINE, title=named.title)
    return {name: engine for name, engine in engines.items() if _translates(engine) or not translate}


def _translates(engine: Engine) -> bool:
    return isinstance(engine, TunableEngine) and engine.translates


def _varies(engine: Engine) -> bool:
    return isinstance(engine, TunableEngine) and engine.varies


def by_batch(engines: Mapping[str, Engine], name: str) -> str:
    """The engine that is this one's batch mode (perhaps the same); "" if it has none."""
    mode = name if name.endswith(BATCH) else name + BATCH
    return mode if mode in engines else ""


def _may_be_automatic(engine: Engine) -> bool:
    """Sound leaves this machine, and money is spent, only where somebody has allowed it."""
    return not isinstance(engine, RemoteEngine) or (engine.auto and engine.readiness().ready)


def for_language(engines: Mapping[str, Engine], name: str, language: str) -> Engine:
    """The engine for a language that was identified: the named one whatever it is, else as by `choose`."""
    if name == AUTO:
        return choose(engines, AUTO, language).engine
    return choose(engines, name, AUTO).engine


BY_LANGUAGE = N_("The language decides: {titles}.")
BY_LANGUAGE_SENT = N_("The language decides: {titles}. The recording may be sent away.")


def _undecided(engines: Mapping[str, Engine]) -> Choice:
    """Every engine that is the best for some language."""
    languages = dict.fromkeys(code for engine in engines.values() for code in engine.languages)
    choices: dict[str, Choice] = {}
    problem: Rejected | None = None
    for language in languages:
        try:
            choice = choose(engines, AUTO, language)
        except Rejected as error:
            problem = problem or error
        else:
            choices.setdefault(choice.engine.name, choice)
    if not choices:
        raise problem or Rejected(Code.LANGUAGE_UNSUPPORTED, language=AUTO)
    if len(choices) == 1:
        return next(iter(choices.values()))
    found = tuple(choice.engine for choice in choices.values())
    paid = [engine for engine in found if isinstance(engine, RemoteEngine)]
    titles = ", ".join(engine.title for engine in found)
    message = BY_LANGUAGE_SENT if paid else BY_LANGUAGE
    return Choice((paid or found)[-1], message, {"titles": titles}, found)


def _named(engine: Engine, language: str) -> Choice:
    if language not in {AUTO, *engine.languages}:
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
