"""Who speaks from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True, order=True)
class Turn:
    """One speaker speaks without a pause."""

    start_s: float
    end_s: float
    speaker: int
    """From 0, in order of who speaks first."""
    channel: str = "mono"

    @property
    def duration_s(self) -> float:
        """How long it is."""
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Overlap:
    """Two or more speak at once."""

    start_s: float
    end_s: float
    speakers: tuple[int, ...]


def overlaps(turns: Sequence[Turn]) -> list[Overlap]:
    """Where two or more speakers speak at once, in order; each with the same speakers throughout."""
    edges = sorted({edge for turn in turns for edge in (turn.start_s, turn.end_s)})
    ordered = sorted(turns)
    found: list[Overlap] = []
    active: list[Turn] = []
    upcoming = iter(ordered)
    following = next(upcoming, None)
    for start, end in pairwise(edges):
        active = [turn for turn in active if turn.end_s > start]
        while following is not None and following.start_s <= start:
            active.append(following)
            following = next(upcoming, None)
        speakers = tuple(sorted({turn.speaker for turn in active}))
        if len(speakers) < 2:
            continue
        if found and found[-1].end_s == start and found[-1].speakers == speakers:
            found[-1] = Overlap(found[-1].start_s, end, speakers)
        else:
            found.append(Overlap(start, end, speakers))
    return found


def overlapped_s(turn: Turn, overlaps: Sequence[Overlap]) -> float:
    """For how long of a turn somebody else speaks, too."""
    return sum(
        max(0.0, min(turn.end_s, one.end_s) - max(turn.start_s, one.start_s))
        for one in overlaps
        if turn.speaker in one.speakers
    )


def speaking_s(turns: Sequence[Turn]) -> dict[int, float]:
    """How long each speaker speaks, overlaps counted for each."""
    total: dict[int, float] = {}
    for turn in turns:
        total[turn.speaker] = total.get(turn.speaker, 0.0) + turn.duration_s
    return total
