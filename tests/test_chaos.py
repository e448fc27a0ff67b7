"""Two machines through every fault there is, once each: nothing lost, nothing twice, nothing of nobody."""

from __future__ import annotations

import pytest

from tools import chaos

SEED, LASTS_S, PAUSE_S = 1, 2.0, 0.5


def test_a_seed_makes_the_same_plan_again():
    one, again, another = (list(chaos.plan(seed, 10)) for seed in (1, 1, 2))

    assert one == again != another
    assert {fault.name for fault in one} <= set(chaos.FAULTS)
    assert {fault.name for fault in chaos.one_of_each(SEED, LASTS_S, PAUSE_S)} == set(chaos.FAULTS)


@pytest.mark.road
def test_all_survives_every_fault(tmp_path, postgres_server):
    """`make chaos` is the long one."""
    world = chaos.Cluster(tmp_path, postgres_server)
    faults = list(chaos.one_of_each(SEED, LASTS_S, PAUSE_S))
    try:
        _, wrong = chaos.trial(world, faults, list(chaos.recordings(8)), faults[-1].at_s)
    finally:
        world.close()

    assert not wrong
