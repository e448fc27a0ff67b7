"""Rates: so many requests in any minute, for each asker alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clients.rate_limits import SWEEP_ABOVE, Limit
from core.errors import TooMany
from tests.clock import StoppedClock


def test_the_next_one_is_refused_and_told_when_to_come_back():
    clock = StoppedClock()
    limit = Limit(3, clock)
    for _ in range(3):
        limit.take("a")
        clock.now += 10

    with pytest.raises(TooMany) as refused:
        limit.take("a")

    assert refused.value.retry_after_s == 30
    clock.now += 30
    limit.take("a")


def test_askers_do_not_share():
    limit = Limit(1, StoppedClock())
    limit.take("a")

    limit.take("b")


def test_refused_requests_do_not_lengthen_the_wait():
    clock = StoppedClock()
    limit = Limit(1, clock)
    limit.take("a")
    for _ in range(59):
        clock.now += 1
        with pytest.raises(TooMany):
            limit.take("a")

    clock.now += 1
    limit.take("a")


@given(st.lists(st.floats(0, 30), min_size=1, max_size=200))
def test_no_minute_ever_holds_more(gaps):
    clock, taken_at = StoppedClock(), []
    limit = Limit(5, clock)

    for gap in gaps:
        clock.now += gap
        try:
            limit.take("a")
        except TooMany:
            continue
        taken_at.append(clock.now)

    assert all(later - first >= 60.0 for first, later in zip(taken_at, taken_at[5:], strict=False))


def test_those_who_fell_silent_are_forgotten():
    clock = StoppedClock()
    limit = Limit(5, clock)
    for n in range(SWEEP_ABOVE + 1):
        limit.take(f"asker {n}")
    clock.now += 61

    limit.take("new")

    assert len(limit._times) == 1
