"""How long: rate limits, measured speeds and the waits of batches, as a median and a 90 % bound.

Times are seconds. A bound is the slowest of all that must be kept at once: 100,000 requests at 1,500 a
minute take 66.7 minutes, whatever a single call takes.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from core.billing.prices import Assumption, Limit, Wait

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
ENOUGH = 5
"""So many waits of our own say more than the provider's documentation."""


@dataclass(frozen=True)
class Pace:
    """When something is done: median and 90 % bound, None where nobody knows.

    `tail` is what remains to do after the last input has arrived, for work that goes on meanwhile.
    """

    p50_s: float | None
    p90_s: float | None
    bound_by: str = ""
    tail50_s: float = 0.0
    tail90_s: float = 0.0


UNKNOWN = Pace(None, None)
AT_ONCE = Pace(0.0, 0.0)


@dataclass(frozen=True)
class History:
    """Waits of this installation's own finished batches, in seconds, by `provider/mode`."""

    waits_s: Mapping[str, Sequence[float]] = field(default_factory=dict)

    def of(self, provider: str, mode: str) -> Sequence[float]:
        """Our own waits there, or nothing while there are too few to say anything."""
        waits_s = self.waits_s.get(f"{provider}/{mode}", ())
        return waits_s if len(waits_s) >= ENOUGH else ()


def slowest(bounds: Mapping[str, float]) -> tuple[float, str]:
    """The longest of several times and its name."""
    name = max(bounds, key=lambda which: bounds[which])
    return bounds[name], name


def rate_bounds(requests: int, tokens: int, audio_s: float, limit: Limit | None) -> dict[str, float]:
    """How long each known rate limit stretches the work, by the limit's name."""
    if limit is None:
        return {}
    rates = {
        "requests a minute": (requests, limit.rpm, MINUTE_S),
        "tokens a minute": (tokens, limit.tpm, MINUTE_S),
        "sound an hour": (audio_s, limit.audio_s_per_hour, HOUR_S),
    }
    quotas = {"requests a day": (requests, limit.rpd), "sound a day": (audio_s, limit.audio_s_per_day)}
    bounds = {name: amount / most * window for name, (amount, most, window) in rates.items() if most}
    return bounds | {name: _days(amount, most) for name, (amount, most) in quotas.items() if most}


def embed_now(texts: int, tokens: int, limit: Limit | None, call: Assumption, at_once: Decimal) -> Pace:
    """Through the sync lane: rate limits, or calls one after the other (`at_once` of them in parallel)."""
    calls = math.ceil(texts / (limit.texts_per_call if limit else 1))
    bounds = rate_bounds(texts, tokens, 0, limit)
    p50_s, bound_by = slowest({**bounds, "time of a call": calls * float(call.value / at_once)})
    p90_s, _ = slowest({**bounds, "time of a call": calls * float(call.high / at_once)})
    return Pace(p50_s, p90_s, bound_by, float(call.value), float(call.high))


def transcribe_now(
    audio_s: Decimal, requests: int, limit: Limit | None, speed: Assumption | None, at_once: Decimal
) -> Pace:
    """As it comes, at so many times real time; the 90 % bound takes the speed's low end."""
    if speed is None:
        return UNKNOWN
    bounds = rate_bounds(requests, 0, float(audio_s), limit)
    p50_s, bound_by = slowest({**bounds, "speed of the engine": float(audio_s / speed.value / at_once)})
    p90_s, _ = slowest({**bounds, "speed of the engine": float(audio_s / speed.low / at_once)})
    return Pace(p50_s, p90_s, bound_by)


def rounds(requests: int, tokens: int, limit: Limit | None) -> int:
    """How many times batches are sent and waited for, as only so much may be enqueued at once."""
    if limit is None:
        return 1
    jobs = math.ceil(requests / limit.requests_per_job) if limit.requests_per_job else 1
    by_jobs = math.ceil(jobs / limit.at_once) if limit.at_once else 1
    by_tokens = math.ceil(tokens / limit.enqueued_tokens) if limit.enqueued_tokens else 1
    return max(by_jobs, by_tokens, 1)


def batch(times: int, wait: Wait | None, own_s: Sequence[float]) -> Pace:
    """So many rounds of a batch, one after the other.

    Medians add up; the distance to the 90 % bound grows with the root of the number of rounds, as
    for independent waits.
    """
    p50_s, p90_s = _one_round(wait, own_s)
    if p50_s is None or p90_s is None:
        return Pace(None, None if p90_s is None else times * p90_s, "the provider's promise")
    late_s = math.sqrt(times) * (p90_s - p50_s)
    bound_by = "waits of batches here" if own_s else "typical wait of a batch"
    return Pace(times * p50_s, times * p50_s + late_s, bound_by, p50_s, p90_s)


def join(first: Pace, second: Pace, *, gradual: bool) -> tuple[float | None, float | None]:
    """Median and 90 % bound of two steps; if the first delivers gradually, the second keeps up with it."""
    if not gradual:
        return _add(first.p50_s, second.p50_s), _add(first.p90_s, second.p90_s)
    p50_s = _longer(_add(first.p50_s, second.tail50_s), second.p50_s)
    return p50_s, _longer(_add(first.p90_s, second.tail90_s), second.p90_s)


def later(work: Pace, start_s: float) -> Pace:
    """The same work, begun so much later."""
    return replace(work, p50_s=_add(work.p50_s, start_s), p90_s=_add(work.p90_s, start_s))


def span(seconds: float) -> str:
    """A time for people: 45 s, 12 min, 3 h 20 min, 4 d 2 h."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s" if seconds >= 1 else f"{seconds:.1f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours, rest = divmod(minutes, 60)
    return f"{hours} h {rest} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def shown_s(seconds: float) -> float:
    """So many seconds as `catalogue.wait` names: what is reckoned from it fits what people read."""
    step_s = 3600 if round(seconds / 3600) >= 24 else 60 if round(seconds) >= 600 else 1
    return round(seconds / step_s) * float(step_s)


def _days(amount: float, most: int) -> float:
    """Whole days spent waiting for the next day's quota."""
    return (math.ceil(amount / most) - 1) * DAY_S if amount > most else 0.0


def _one_round(wait: Wait | None, own_s: Sequence[float]) -> tuple[float | None, float | None]:
    if own_s:
        return statistics.median(own_s), statistics.quantiles(own_s, n=10, method="inclusive")[8]
    if wait is None:
        return None, None
    if wait.typical_low_s is None or wait.typical_high_s is None:
        return None, wait.promised_s
    return (wait.typical_low_s + wait.typical_high_s) / 2, wait.typical_high_s


def _add(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _longer(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else max(one, other)
