"""Captions: what was said, cut into cues that can be read in the time they are shown.

A cue has two lines of 42 characters at most and is shown for 1 to 7 seconds, at 17 characters a second
where there is time and 20 where there is not (the limits that EBU-TT-D guides, the BBC and Netflix have in
common). Within an utterance the cheapest division is found by dynamic programming over its words, as a
paragraph is broken into lines (Knuth and Plass, 1981): it prefers breaks behind sentences and clauses and
avoids cues of one word. Each channel is cut by itself; the cues of all are in order of time.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from core.speech.engine import Word
from core.transcripts.export.channels import channel_name, in_time
from core.transcripts.export.clauses import CLAUSE, PAUSE_S, SENTENCE, break_penalty, ends_sentence
from core.transcripts.segments import TranscribedSegment

LINE_CHARS = 42
MIN_S, MAX_S = 1.0, 7.0
READING_CPS, MAX_CPS = 17.0, 20.0
LONG_PAUSE_S = 1.5
"""No cue spans a longer pause; one of PAUSE_S only to leave no word alone."""
LAG_S = 1.0
"""So long a cue may wait for the one before it, whose text needs longer to be read than to be said."""
SHORTEST_S = 0.1
"""Of a cue that has no time at all: words without length, one behind another."""
CUE, SLACK, ONE_WORD, ONE_WORD_SENTENCE, PAUSE, HASTE, BLINK = 5.0, 4.0, 40.0, 6.0, 15.0, 3.0, 10.0
"""Penalties: of any cue, of an empty one, of one word, of one word that is a sentence, of each pause within,
of each character a second above MAX_CPS, of less than MIN_S."""


@dataclass(frozen=True)
class Cue:
    """One caption: seconds from the start of the recording, who speaks ("" in mono), one or two lines."""

    start_s: float
    end_s: float
    speaker: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """What was said, in one line."""
        return " ".join(self.lines)


def lead(speaker: str) -> str:
    """What stands before the text of a cue where a format has no field for the speaker."""
    return f"{speaker}: " if speaker else ""


def cues(segments: Iterable[TranscribedSegment], language: str = "en") -> list[Cue]:
    """Captions of segments by their start, with the channels' names in `language`."""
    channels: dict[str, list[Word]] = {}
    for segment in in_time(segments):
        channels.setdefault(segment.channel, []).extend(_words(segment))
    all_cues: list[Cue] = []
    for channel, words in channels.items():
        speaker = channel_name(channel, language)
        room = max(LINE_CHARS - len(lead(speaker)), LINE_CHARS // 2)
        short = [part for word in words for part in _split_long_word(word, room)]
        short.sort(key=lambda word: word.start_s)
        divided = [words for utterance in _utterances(short) for words in _Division(utterance, room).cues()]
        all_cues += _timed(divided, speaker, room)
    return sorted(all_cues, key=lambda cue: (cue.start_s, cue.end_s))


def _words(segment: TranscribedSegment) -> Sequence[Word]:
    """The words of a segment; where their times are not known, by their share of its characters."""
    if segment.words:
        return segment.words
    texts = segment.text.split()
    ends = list(accumulate(len(text) + 1 for text in texts))
    pace_s = (segment.end_s - segment.start_s) / ends[-1] if ends else 0.0
    return [
        Word(text, segment.start_s + (end - len(text) - 1) * pace_s, segment.start_s + end * pace_s)
        for text, end in zip(texts, ends, strict=True)
    ]


def _split_long_word(word: Word, room: int) -> Iterator[Word]:
    """A word in parts that fit a line (addresses, words without end), without what would end a cue."""
    parts = [
        whole[at : at + room]
        for whole in word.text.replace("-->", "→").split()
        for at in range(0, len(whole), room)
    ]
    pace_s = max(0.0, word.end_s - word.start_s) / len(parts) if parts else 0.0
    for n, part in enumerate(parts):
        yield Word(part, word.start_s + n * pace_s, word.start_s + (n + 1) * pace_s, word.confidence)


def _utterances(words: Iterable[Word]) -> Iterator[list[Word]]:
    """Words between long pauses."""
    run: list[Word] = []
    for word in words:
        if run and word.start_s - run[-1].end_s > LONG_PAUSE_S:
            yield run
            run = []
        run.append(word)
    if run:
        yield run


class _Division:
    """The best division of one utterance into cues. `room` is what the first line holds."""

    def __init__(self, words: Sequence[Word], room: int) -> None:
        self._words = words
        self._room = room
        self._ends = [0, *accumulate(len(word.text) + 1 for word in words)]
        """Characters before each word, with the spaces between."""
        paused = [following.start_s - word.end_s > PAUSE_S for word, following in pairwise(words)]
        self._pauses = [0, *accumulate(paused), sum(paused)]
        """Pauses before each word."""
        self._breaks = [
            min(break_penalty(word.text, following.text), CLAUSE if pause else math.inf)
            for pause, (word, following) in zip(paused, pairwise(words), strict=True)
        ]
        self._breaks.append(SENTENCE)
        self._keep_sentences_whole()

    def cues(self) -> list[list[Word]]:
        """The words of each cue."""
        count = len(self._words)
        costs = [0.0] + [math.inf] * count
        starts = [0] * (count + 1)
        for end in range(1, count + 1):
            for start in range(end - 1, -1, -1):
                if end - start > 1 and not self._fits(start, end):
                    break
                cost = costs[start] + self._cost(start, end)
                if cost < costs[end]:
                    costs[end], starts[end] = cost, start
        divided: list[list[Word]] = []
        while count:
            divided.append(list(self._words[starts[count] : count]))
            count = starts[count]
        return divided[::-1]

    def _keep_sentences_whole(self) -> None:
        """Neither the first word of a sentence is left behind nor its last one carried over."""
        ends = [True, *(ends_sentence(word.text) for word in self._words)]
        for at in range(1, len(self._words)):
            if not ends[at] and (ends[at - 1] or ends[at + 1]):
                self._breaks[at - 1] += ONE_WORD / 2

    def _chars(self, start: int, end: int) -> int:
        return self._ends[end] - self._ends[start] - 1

    def _fits(self, start: int, end: int) -> bool:
        """Whether words make one cue: in time, and on two lines whichever way they are broken best."""
        if self._words[end - 1].end_s - self._words[start].start_s > MAX_S:
            return False
        if self._chars(start, end) <= self._room:
            return True
        full = bisect_right(self._ends, self._ends[start] + self._room + 1) - 1
        return self._chars(full, end) <= LINE_CHARS

    def _cost(self, start: int, end: int) -> float:
        words, chars = self._words, self._chars(start, end)
        cost = CUE + self._breaks[end - 1] + SLACK * (1 - chars / (self._room + LINE_CHARS)) ** 2
        cost += PAUSE * (self._pauses[end - 1] - self._pauses[start])
        if end - start == 1 and len(words) > 1:
            alone = ends_sentence(words[start].text) and (start == 0 or ends_sentence(words[start - 1].text))
            cost += ONE_WORD_SENTENCE if alone else ONE_WORD
        if end < len(words):  # behind the last word there is a pause to go on reading
            shown_s = max(words[end].start_s - words[start].start_s, SHORTEST_S)
            cost += HASTE * max(0.0, chars / shown_s - MAX_CPS) + BLINK * (shown_s < MIN_S)
        return cost


def _timed(divided: Sequence[list[Word]], speaker: str, room: int) -> list[Cue]:
    """Cues one after another: each from its first word to its last, and longer where reading takes longer."""
    cues: list[Cue] = []
    free_s = 0.0
    for n, words in enumerate(divided):
        next_s = divided[n + 1][0].start_s if n + 1 < len(divided) else math.inf
        lines = _lines([word.text for word in words], room)
        chars = len(lead(speaker)) + len(" ".join(lines))
        start_s = max(words[0].start_s, free_s)
        unhurried_s, hurried_s = (min(max(chars / cps, MIN_S), MAX_S) for cps in (READING_CPS, MAX_CPS))
        end_s = max(words[-1].end_s, min(start_s + unhurried_s, next_s), start_s + hurried_s)
        end_s = max(min(end_s, next_s + LAG_S, start_s + MAX_S), start_s + SHORTEST_S)
        cues.append(Cue(round(start_s, 3), round(end_s, 3), speaker, lines))
        free_s = end_s
    return cues


def _lines(words: Sequence[str], room: int) -> tuple[str, ...]:
    """One line, or two broken where it disturbs least, of about the same length."""
    whole = " ".join(words)
    if len(whole) <= room:
        return (whole,)

    def penalty(at: int) -> float:
        first, second = " ".join(words[:at]), " ".join(words[at:])
        if len(first) > room or len(second) > LINE_CHARS:
            return math.inf
        alone = ONE_WORD_SENTENCE if len(words) > 2 and 1 in {at, len(words) - at} else 0.0
        return break_penalty(words[at - 1], words[at]) + abs(len(first) - len(second)) / 4 + alone

    at = min(range(1, len(words)), key=penalty)
    return " ".join(words[:at]), " ".join(words[at:])
