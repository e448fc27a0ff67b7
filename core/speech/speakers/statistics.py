"""How people talk to each other, in numbers: shares, longest turns, interruptions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from core.speech.speakers.turns import Turn, speaking_s

PAUSE_S: Final = 1.5
"""A speaker who goes on within this time is still at the same turn."""
INTERRUPTED_S: Final = 0.3
"""Whoever begins while another speaks, and still speaks this long (a syllable or two) after that one fell
silent, interrupted; who does not, only nodded along."""


@dataclass(frozen=True)
class TalkTime:
    """One speaker's part in a conversation."""

    speaking_s: float
    share: float
    """Of everybody's speaking time, 0 to 1."""
    turns: int
    longest_turn_s: float
    words: int
    words_per_min: float
    """While they speak; 0 where nobody knows the words."""
    interruptions: int
    """How often they began while another spoke, and went on when that one had stopped."""


def statistics(turns: Sequence[Turn], words: dict[int, int]) -> dict[int, TalkTime]:
    """Every speaker's part, by number. `words` are how many each of them says."""
    spoken = speaking_s(turns)
    total_s = sum(spoken.values())
    whole = _whole_turns(turns)
    interrupted = _interruptions(whole)
    return {
        speaker: TalkTime(
            round(seconds, 2),
            round(seconds / total_s, 4) if total_s else 0.0,
            sum(turn.speaker == speaker for turn in whole),
            round(max(turn.duration_s for turn in whole if turn.speaker == speaker), 2),
            words.get(speaker, 0),
            round(60 * words.get(speaker, 0) / seconds, 1) if seconds else 0.0,
            interrupted.get(speaker, 0),
        )
        for speaker, seconds in sorted(spoken.items())
    }


def _whole_turns(turns: Iterable[Turn]) -> list[Turn]:
    """Turns by start, those of one speaker joined over short pauses in which nobody else begins."""
    whole_turns: list[Turn] = []
    last: dict[int, int] = {}
    latest = -1
    for turn in sorted(turns):
        before = last.get(turn.speaker)
        goes_on = before is not None and turn.start_s - whole_turns[before].end_s <= PAUSE_S
        if before is not None and goes_on and before == latest:
            whole_turns[before] = Turn(
                whole_turns[before].start_s,
                max(whole_turns[before].end_s, turn.end_s),
                turn.speaker,
                turn.channel,
            )
            continue
        whole_turns.append(turn)
        latest = last[turn.speaker] = len(whole_turns) - 1
    return whole_turns


def _interruptions(turns: Sequence[Turn]) -> dict[int, int]:
    """How often each speaker took the word while another had it."""
    counts: dict[int, int] = {}
    for n, turn in enumerate(turns):
        cut_short = any(
            other.speaker != turn.speaker
            and other.start_s < turn.start_s < other.end_s
            and turn.end_s >= other.end_s + INTERRUPTED_S
            for other in turns[max(0, n - 20) : n]
        )
        if cut_short:
            counts[turn.speaker] = counts.get(turn.speaker, 0) + 1
    return counts
