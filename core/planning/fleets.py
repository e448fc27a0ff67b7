"""What a described fleet makes of so many hours: when, for how much, on how much disk, and what holds it up.

Money, and times of what is done at providers, are the estimate's (`core.billing`); here its stages are laid
out over cores and GPUs. All stages run beside each other, so the slowest resource decides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from core.billing import Answer, Assumption, comparison, pace
from core.billing.pace import Pace
from core.billing.prices import MEASURED, Book
from core.billing.stages import SPEED, Leg, embedding_legs, total
from core.billing.tokens import HOUR_S
from core.errors import BadRequest, Code
from core.speech.cores import physical_cores

CORES, GPUS = "cores", "GPUs"
JOBS_A_RECORDING = 4
"""Prepare, transcribe, index, embed; looking for speakers is one more."""


class Sound(StrEnum):
    """How recordings are compressed."""

    WAV = "wav"
    FLAC = "flac"
    MP3 = "mp3"
    OPUS = "opus"


class Vectors(StrEnum):
    """Who makes the vectors."""

    GEMINI = "gemini"
    LOCAL = "local"


class Route(StrEnum):
    """Whether providers do it at once or by their batch mode."""

    SYNC = "sync"
    BATCH = "batch"


@dataclass(frozen=True)
class Fleet:
    """Machines of one kind; cores and GPUs are of each."""

    machines: int = 1
    cores: int = 2
    gpus: int = 0


@dataclass(frozen=True)
class Plan:
    """How the hours are to be done; `engine` is a name of `comparison.pairs`, or how one begins."""

    engine: str = "gigaam"
    route: Route = Route.SYNC
    vectors: Vectors = Vectors.GEMINI
    sound: Sound = Sound.OPUS
    speakers: bool = True


@dataclass(frozen=True)
class Load:
    """A stage and what it takes: seconds of one core or GPU, or of waiting for a provider."""

    stage: str
    resource: str
    work_s: float
    most_s: float
    """Nine times in ten it takes no more."""


@dataclass(frozen=True)
class Simulation:
    """What comes of it."""

    loads: tuple[Load, ...]
    bounds_s: Mapping[str, float]
    """By resource, how long it is busy where all of its kind share the work."""
    bottleneck: str
    p50_s: float | None
    p90_s: float | None
    usd: Decimal | None
    disk_bytes: Mapping[str, int]
    figures: tuple[Assumption, ...]
    """What this is based on, each with its source."""


def _figure(name: str, value: str, unit: str, about: str, source: str) -> tuple[str, Assumption]:
    number = Decimal(value)
    return name, Assumption(name, number, number, number, unit, about, source)


HERE = "benchmarks/README.md: two cores"
FIGURES: Mapping[str, Assumption] = dict(
    (
        _figure("prepare:wav", "352", "× real time", "open and cut wav, a core", f"{HERE}, 2026-11-29"),
        _figure("prepare:flac", "352", "× real time", "open and cut flac, a core", "assumption: as wav"),
        _figure("prepare:mp3", "373", "× real time", "open and cut mp3, a core", f"{HERE}, 2026-11-29"),
        _figure("prepare:opus", "242", "× real time", "open and cut opus, a core", f"{HERE}, 2026-11-29"),
        _figure("gigaam/cpu", "9.9", "× real time", "GigaAM v3, float32, a core", f"{HERE}, 2026-11-22"),
        _figure("whisper-base/cpu", "9.2", "× real time", "Whisper base, a core", f"{HERE}, 2026-11-28"),
        _figure("speakers", "20", "× real time", "find speakers, a core", f"{HERE}, 2026-11-28"),
        _figure("index", "16000", "× real time", "write the index of words, a core", f"{HERE}, 2026-11-29"),
        _figure("job_s", "0.0204", "s", "carry a job, servers included", f"{HERE}, 2026-11-29"),
        _figure("bytes:wav", "115200000", "bytes an hour", "wav, 16 kHz, one channel", "definition"),
        _figure("bytes:flac", "71000000", "bytes an hour", "flac, 16 kHz", f"{HERE}, 2026-11-29"),
        _figure("bytes:mp3", "29000000", "bytes an hour", "mp3, 64 kbit/s", f"{HERE}, 2026-11-29"),
        _figure("bytes:opus", "15000000", "bytes an hour", "opus, 32 kbit/s", f"{HERE}, 2026-11-29"),
        _figure("index_bytes", "8100", "bytes a passage", "the index, at most", f"{HERE}, 2026-11-28"),
        _figure("record_bytes", "2000000", "bytes an hour", "records: words with times", "assumption"),
    )
)
"""What benchmarks have measured of the stages beside the recogniser, and of engines on one core."""

OF_WORK = ("recording_s", "passage_s")
OF_TOKENS = ("words_per_minute", "tokens_per_word", "passage_overlap")
OF_CALLS = ("call_s", "calls_at_once")
OF_MACHINES = ("purchase_usd", "life_years", "power_w", "idle_w", "utilisation")


def simulate(answer: Answer, fleet: Fleet, plan: Plan) -> Simulation:
    """An estimate of so many hours, laid out over a fleet. Raise BadRequest for an engine nobody knows."""
    answer = _by_whole_fleet(answer, fleet)
    engine, vectors = _legs(answer, fleet, plan)
    loads = (*_beside(answer, plan), *_models(answer, engine, vectors))
    counts = {CORES: fleet.machines * fleet.cores, GPUS: fleet.machines * fleet.gpus}
    bounds, late = (
        _bounds_s(loads, counts),
        _bounds_s([replace(one, work_s=one.most_s) for one in loads], counts),
    )
    here = Pace(max(bounds.get(name, 0.0) for name in counts), max(late.get(name, 0.0) for name in counts))
    first = Pace(_longer(engine.pace.p50_s, here.p50_s), _longer(engine.pace.p90_s, here.p90_s))
    p50_s, p90_s = pace.join(
        first if engine.mode else here,
        vectors.pace if vectors.mode else pace.AT_ONCE,
        gradual=engine.mode in {"", "sync"},
    )
    return Simulation(
        loads=loads,
        bounds_s=bounds,
        bottleneck=pace.slowest(bounds)[1],
        p50_s=p50_s,
        p90_s=p90_s,
        usd=total((*engine.parts, *vectors.parts)),
        disk_bytes=_disk_bytes(answer, plan),
        figures=tuple(_figures(answer, plan, engine, vectors)),
    )


def _by_whole_fleet(answer: Answer, fleet: Fleet) -> Answer:
    """The same with as many calls at once as all machines make, and with engines that are not here."""
    calls = answer.book.assume("calls_at_once")
    book = answer.book.with_assumptions({calls.name: calls.value * fleet.machines}, source=calls.source)
    return replace(answer, terms=replace(answer.terms, book=book, not_ready={}))


def _bounds_s(loads: Sequence[Load], counts: Mapping[str, int]) -> dict[str, float]:
    return {
        resource: sum(load.work_s for load in loads if load.resource == resource) / counts.get(resource, 1)
        for resource in dict.fromkeys(load.resource for load in loads)
    }


def _legs(answer: Answer, fleet: Fleet, plan: Plan) -> tuple[Leg, Leg]:
    """Who transcribes and who makes vectors."""
    known = comparison.pairs(answer.work, answer.terms)
    able = [
        name for name in known if name.startswith(plan.engine) and (fleet.gpus or not name.endswith("/gpu"))
    ]
    if not able:
        raise BadRequest(Code.ENGINE_UNKNOWN, name=plan.engine[:40], names=", ".join(known))
    sync, batch = known[min(able, key=lambda name: (not name.endswith("/gpu"), name))]
    lanes = embedding_legs(answer.size, answer.work.language, answer.terms)
    by_mode = {leg.mode or Vectors.LOCAL: leg for leg in lanes}
    lane = by_mode[plan.vectors if plan.vectors == Vectors.LOCAL else plan.route]
    return (sync if plan.route == Route.SYNC else batch), lane


def _beside(answer: Answer, plan: Plan) -> Iterator[Load]:
    """What every recording takes of cores, whoever recognises it."""
    audio_s = float(answer.size.audio_s)
    jobs = (JOBS_A_RECORDING + plan.speakers) * answer.size.recordings
    work_s = {
        "prepare": audio_s / _value(f"prepare:{plan.sound}"),
        "index": audio_s / _value("index"),
        "speakers": audio_s / _value("speakers") if plan.speakers else 0.0,
        "queue": jobs * _value("job_s"),
    }
    return (Load(stage, CORES, seconds, seconds) for stage, seconds in work_s.items() if seconds)


def _models(answer: Answer, engine: Leg, vectors: Leg) -> Iterator[Load]:
    """Recognition and vectors: on cores, on GPUs, or at a provider."""
    if engine.mode:
        yield _waited("transcribe", engine, f"{engine.provider}, {engine.pace.bound_by}")
    else:
        audio_s, speed = answer.size.audio_s, _speed(answer.book, engine)
        resource = GPUS if engine.model == "gpu" else CORES
        yield Load("transcribe", resource, float(audio_s / speed.value), float(audio_s / speed.low))
    name = f"{vectors.provider}, {vectors.pace.bound_by}" if vectors.mode else CORES
    yield _waited("vectors", vectors, name)


def _waited(stage: str, leg: Leg, resource: str) -> Load:
    """By its median; where nobody knows that, by what holds 9 times in 10."""
    late_s = leg.pace.p90_s or 0.0
    return Load(stage, resource, late_s if leg.pace.p50_s is None else leg.pace.p50_s, late_s)


def _speed(book: Book, engine: Leg) -> Assumption:
    """Of one GPU as the book knows it; of one core as it was measured here, else by the benchmarks."""
    known = book.assumptions[f"{SPEED}{engine.provider}/{engine.model}"]
    if engine.model != "cpu":
        return known
    if known.source != MEASURED:
        return FIGURES[f"{engine.provider}/cpu"]
    cores = physical_cores()
    value, low = known.value / cores, known.low / cores
    return replace(known, value=value, low=low, about=f"{known.about}, a core")


def _disk_bytes(answer: Answer, plan: Plan) -> dict[str, int]:
    hours = float(answer.size.audio_s / HOUR_S)
    return {
        "media": round(hours * _value(f"bytes:{plan.sound}")),
        "index": round(answer.size.passages * _value("index_bytes")),
        "records": round(hours * _value("record_bytes")),
    }


def _figures(answer: Answer, plan: Plan, engine: Leg, vectors: Leg) -> Iterator[Assumption]:
    """What was used of the benchmarks and of the price book."""
    names = [f"prepare:{plan.sound}", "index", "job_s", f"bytes:{plan.sound}", "index_bytes", "record_bytes"]
    names += ["speakers"] * plan.speakers
    yield from (FIGURES[name] for name in names)
    if not engine.mode:
        yield _speed(answer.book, engine)
        yield from (answer.book.assume(f"{engine.model}_{name}") for name in OF_MACHINES)
    elif speed := answer.book.speed(engine.provider, engine.model):
        yield speed
    yield from (answer.book.assume(name, answer.work.language) for name in OF_WORK)
    if vectors.mode:
        yield from (answer.book.assume(name, answer.work.language) for name in (*OF_TOKENS, *OF_CALLS))
    else:
        yield answer.book.assume("local_passages_per_s")


def _value(name: str) -> float:
    return float(FIGURES[name].value)


def _longer(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)
