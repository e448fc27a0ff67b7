"""What a described fleet makes of so many hours, from figures whose ground is said."""

from __future__ import annotations

import pytest

from core import billing
from core.errors import BadRequest
from core.planning.fleets import CORES, FIGURES, GPUS, Fleet, Plan, Route, Sound, Vectors, simulate
from tools.simulate import grounds, lines

ANSWER = billing.answer(hours=10_000, language="ru")
CASES = {
    "a GPU": (Fleet(1, 16, 1), Plan(), GPUS),
    "GPUs for few cores": (Fleet(1, 2, 8), Plan(), CORES),
    "cores alone": (Fleet(4, 16), Plan(vectors=Vectors.LOCAL), CORES),
    "a provider's limits": (Fleet(9, 64), Plan("groq", speakers=False), "groq"),
    "a provider's batches": (Fleet(9, 64, 9), Plan(route=Route.BATCH), "gemini"),
}


@pytest.mark.parametrize(("fleet", "plan", "bottleneck"), CASES.values(), ids=CASES)
def test_the_slowest_resource_decides_and_only_own_ones_grow_with_the_fleet(fleet, plan, bottleneck):
    found = simulate(ANSWER, fleet, plan)
    twice = simulate(ANSWER, Fleet(2 * fleet.machines, fleet.cores, fleet.gpus), plan)

    assert found.bottleneck.startswith(bottleneck)
    assert found.p90_s >= max(found.bounds_s.values()) * 0.999
    assert twice.usd == found.usd, "more machines cost no more: each is paid for while it works"
    for name, seconds in found.bounds_s.items():
        most_s = seconds / 2 if name in (CORES, GPUS) else seconds
        assert twice.bounds_s[name] <= most_s * 1.001 or name not in twice.bounds_s


def test_what_is_compressed_takes_less_room_and_all_figures_say_whence_they_are():
    found = {sound: simulate(ANSWER, Fleet(1, 16, 1), Plan(sound=sound)) for sound in Sound}
    media = [found[sound].disk_bytes["media"] for sound in Sound]

    assert media == sorted(media, reverse=True)
    assert media[0] == 10_000 * 3600 * 32_000
    assert sum(map(len, grounds(found[Sound.OPUS].figures).values())) == len(found[Sound.OPUS].figures)
    assert all(figure.source for figure in FIGURES.values())
    text = "\n".join(lines(found[Sound.OPUS], Fleet(1, 16, 1)))
    assert "← the bottleneck" in text
    assert "assumed:" in text


def test_an_engine_that_nobody_knows_is_refused():
    with pytest.raises(BadRequest, match="gigaam/gpu"):
        simulate(ANSWER, Fleet(), Plan("abacus"))
