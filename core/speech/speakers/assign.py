"""Words with times and turns of speakers → who said each word, and utterances that never mix two speakers."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, Protocol

from core.speech.speakers.turns import Turn

REACH_S: Final = 1.0
"""How far from every turn a word may be and still belong to the nearest: detectors disagree at the edges."""
_CONTINUITY: Final = 0.25
"""Where two speak at once, who said the word before has this share of a word in advance."""
_MIN_WORD_S: Final = 0.04
PAUSE_S: Final = 2.0
"""A longer pause between two words of one speaker starts a new utterance."""


class Timed(Protocol):
    """Anything with a place in the recording."""

    @property
    def start_s(self) -> float:
        """Where it begins."""

    @property
    def end_s(self) -> float:
        """Where it ends."""


@dataclass(frozen=True)
class WordSpeaker:
    """Who said a word."""

    speaker: int | None
    """None where nobody was heard within `REACH_S`."""
    overlapped: bool = False
    """Somebody else spoke during at least half of the word, so its text may be wrong, too."""


@dataclass(frozen=True)
class Utterance:
    """Words of one speaker in a row: `words[first:end]`."""

    speaker: int | None
    first: int
    end: int
    start_s: float
    end_s: float
    overlapped: bool
    """At least half of its words are."""


def speakers_of_words(words: Sequence[Timed], turns: Sequence[Turn]) -> list[WordSpeaker]:
    """Whoever speaks longest during a word said it; where nobody does, the nearest turn within `REACH_S`.

    `words` and `turns` are in order of their starts.
    """
    starts = [turn.start_s for turn in turns]
    ends = list(accumulate((turn.end_s for turn in turns), max))
    found: list[WordSpeaker] = []
    before: int | None = None
    for word in words:
        near = turns[bisect_left(ends, word.start_s - REACH_S) : bisect_right(starts, word.end_s + REACH_S)]
        speaker = _speaker_of(word, near, before)
        before = speaker.speaker if speaker.speaker is not None else before
        found.append(speaker)
    return found


def _speaker_of(word: Timed, near: Sequence[Turn], before: int | None) -> WordSpeaker:
    """Who of some turns said a word; `before` said the last one."""
    length = max(word.end_s - word.start_s, _MIN_WORD_S)
    middle = (word.start_s + word.end_s) / 2
    start, end = middle - length / 2, middle + length / 2
    spoken: dict[int, float] = {}
    for turn in near:
        during = min(turn.end_s, end) - max(turn.start_s, start)
        if during > 0:
            spoken[turn.speaker] = spoken.get(turn.speaker, 0.0) + during
    if spoken:
        best = max(spoken, key=lambda who: spoken[who] + (_CONTINUITY * length if who == before else 0))
        return WordSpeaker(best, any(s >= length / 2 for who, s in spoken.items() if who != best))
    distance = {turn: max(turn.start_s - end, start - turn.end_s) for turn in near}
    nearest = min(distance, key=lambda turn: distance[turn], default=None)
    if nearest is None or distance[nearest] > REACH_S:
        return WordSpeaker(None)
    return WordSpeaker(nearest.speaker)


def utterances(
    words: Sequence[Timed], speakers: Sequence[WordSpeaker], pause_s: float = PAUSE_S
) -> list[Utterance]:
    """Words in a row of one speaker, cut at long pauses.

    A word of nobody joins what it stands next to: it is rather part of a sentence than a speaker of its own.
    """
    who = _filled([one.speaker for one in speakers])
    joined: list[Utterance] = []
    first = 0
    for at in range(1, len(words) + 1):
        if at < len(words) and who[at] == who[first] and words[at].start_s - words[at - 1].end_s <= pause_s:
            continue
        overlapped = sum(one.overlapped for one in speakers[first:at]) * 2 >= at - first
        end_s = max(word.end_s for word in words[first:at])
        joined.append(Utterance(who[first], first, at, words[first].start_s, end_s, overlapped))
        first = at
    return joined


def _filled(speakers: Sequence[int | None]) -> list[int | None]:
    """Gaps take the speaker before them, those at the beginning the first one."""
    last_speaker: int | None = next((one for one in speakers if one is not None), None)
    filled: list[int | None] = []
    for speaker in speakers:
        last_speaker = last_speaker if speaker is None else speaker
        filled.append(last_speaker)
    return filled
