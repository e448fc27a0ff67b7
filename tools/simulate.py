"""`make simulate HOURS=100000`: days, money, disk and the bottleneck of an archive on a described fleet.

    python -m tools.simulate --hours 100000 --machines 2 --cores 16 --gpus 1 --route batch --sound opus

Figures that this installation has measured stand before those of the benchmarks and the price book; each
is printed with where it was measured, published or assumed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator

from core.application import Application
from core.billing import Assumption, plain, shown, span
from core.billing.prices import MEASURED
from core.errors import StenogramError
from core.planning.fleets import CORES, GPUS, Fleet, Plan, Route, Simulation, Sound, Vectors, simulate
from core.settings import load
from core.storage.blobs import human_bytes
from jobs.entry import explained


def options() -> argparse.ArgumentParser:
    """What a fleet and its work are described by."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--hours", default="100000", help="of sound")
    parser.add_argument("--language", default="ru")
    parser.add_argument("--machines", type=int, default=1)
    parser.add_argument("--cores", type=int, default=16, help="of each machine")
    parser.add_argument("--gpus", type=int, default=1, help="of each machine")
    parser.add_argument("--engine", default="gigaam", help="gigaam, whisper-base, groq, runpod, …")
    parser.add_argument("--route", type=Route, choices=list(Route), default=Route.SYNC)
    parser.add_argument("--vectors", type=Vectors, choices=list(Vectors), default=Vectors.GEMINI)
    parser.add_argument("--sound", type=Sound, choices=list(Sound), default=Sound.OPUS)
    parser.add_argument("--no-speakers", action="store_true", help="do not look for who speaks")
    return parser


def lines(found: Simulation, fleet: Fleet) -> Iterator[str]:
    """What comes of it, for people."""
    yield f"{fleet.machines} machines, each with {fleet.cores} cores and {fleet.gpus} GPUs"
    counts = {CORES: fleet.machines * fleet.cores, GPUS: fleet.machines * fleet.gpus}
    for load_ in found.loads:
        number = f"{counts[load_.resource]} " if load_.resource in counts else ""
        yield f"  {load_.stage:12}{span(load_.work_s):>14}  of {number}{load_.resource}"
    yield "busy:"
    for resource, seconds in sorted(found.bounds_s.items(), key=lambda one: -one[1]):
        mark = "  ← the bottleneck" if resource == found.bottleneck else ""
        yield f"  {span(seconds):>14}  {resource}{mark}"
    yield f"ready after:  {_when(found.p50_s)}, 9 times in 10 after {_when(found.p90_s)}"
    yield f"money:        {'nobody knows a price' if found.usd is None else f'${shown(found.usd)}'}"
    sizes = ", ".join(f"{what} {human_bytes(size)}" for what, size in found.disk_bytes.items())
    yield f"disk:         {human_bytes(sum(found.disk_bytes.values()))} ({sizes})"
    for ground, figures in grounds(found.figures).items():
        yield f"{ground}:"
        yield from (f"  {plain(one.value)} {one.unit}: {one.about} ({one.source})" for one in figures)


def grounds(figures: Iterable[Assumption]) -> dict[str, list[Assumption]]:
    """Figures by how well they are known."""
    found: dict[str, list[Assumption]] = {
        "measured here": [],
        "measured elsewhere": [],
        "published": [],
        "assumed": [],
    }
    for figure in dict.fromkeys(figures):
        found[_ground(figure.source)].append(figure)
    return {ground: some for ground, some in found.items() if some}


def _ground(source: str) -> str:
    if source == MEASURED:
        return "measured here"
    if source.startswith("assumption"):
        return "assumed"
    return "published" if source.startswith("http") else "measured elsewhere"


def _when(seconds: float | None) -> str:
    return "nobody knows when" if seconds is None else span(seconds)


def main() -> int:
    """Print one simulation."""
    asked = options().parse_args()
    fleet = Fleet(asked.machines, asked.cores, asked.gpus)
    plan = Plan(asked.engine, asked.route, asked.vectors, asked.sound, not asked.no_speakers)
    with explained():
        app = Application(load())
    try:
        answer = app.estimates.answer(hours=asked.hours, language=asked.language)
        found = simulate(answer, fleet, plan)
    except StenogramError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{asked.hours} hours, {plan.sound}, by {plan.engine}, {plan.route}, vectors by {plan.vectors}:")
    print("\n".join(lines(found, fleet)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
