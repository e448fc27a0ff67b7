"""Transcript → passages: stretches of about 45 seconds that are searched as one.

An utterance is cut into sentences, and sentences are put together again: long enough to carry a
thought, short enough to point at a moment. A sentence inside an utterance has no time of its own,
so it gets its share of the utterance by its letters.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

PAUSE_S = 5.0
"""Silence that ends a passage. People answer within a second and breathe within two; five seconds
of nothing is a turned page, a new item or a held line, and a player should not start in it."""

OVERLAP_S = 10.0
"""Longest sentence that is repeated at the start of the next passage."""

MAX_LETTERS = 4096
"""Longest text of a passage: 2,048 tokens at two letters each, which every hosted embedder reads whole.
A minute of speech has a quarter of it; what is longer would silently lose its end there."""

_SENTENCE_END = re.compile(r"(?:(?<=[.!?…])|(?<=[.!?…][\"»”)]))\s+(?=[\"«“(—–-]*\s*[A-ZА-ЯЁ0-9])")


@dataclass(frozen=True)
class Utterance:
    """One transcribed segment with its place in the recording."""

    start_s: float
    end_s: float
    text: str
    speaker: str = ""


@dataclass(frozen=True)
class Passage:
    """A stretch of transcript that is searched as one."""

    start_s: float
    end_s: float
    text: str
    speaker: str = ""


def passages(
    utterances: Sequence[Utterance],
    *,
    target_s: float = 45.0,
    max_s: float = 60.0,
    pause_s: float = PAUSE_S,
) -> list[Passage]:
    """Passages in order of time, none longer than `max_s`; each begins with the last sentence before it.

    Each is of one speaker, whose words go on over what others throw in. None crosses a pause of `pause_s`,
    and nothing is repeated across one. Empty utterances are dropped. No text is longer than `MAX_LETTERS`.
    """
    speakers: dict[str, list[Utterance]] = {}
    for sentence in _sentences(utterances, target_s):
        speakers.setdefault(sentence.speaker, []).append(sentence)
    found = [
        passage
        for sentences in speakers.values()
        for stretch in _stretches(sentences, pause_s)
        for group in _groups(stretch, target_s, max_s)
        for passage in _readable(_passage(group))
    ]
    return sorted(found, key=lambda passage: passage.start_s)


def language(text: str) -> str:
    """`ru` if Cyrillic letters outnumber Latin ones, else `en`."""
    cyrillic = len(re.findall(r"[А-Яа-яЁё]", text))
    latin = len(re.findall(r"[A-Za-z]", text))
    return "ru" if cyrillic > latin else "en"


def _sentences(utterances: Sequence[Utterance], longest_s: float) -> list[Utterance]:
    """Every utterance as sentences; what is longer than a passage should be is cut between words."""
    sentences = [
        part
        for utterance in utterances
        for sentence in _shares(utterance, _SENTENCE_END.split(utterance.text))
        for part in _shares(sentence, _equal_parts(sentence, longest_s))
    ]
    return sorted(sentences, key=lambda sentence: sentence.start_s)


def _shares(utterance: Utterance, texts: Sequence[str]) -> Iterator[Utterance]:
    """The utterance once a text, its time shared by length of text."""
    texts = [text for text in (" ".join(text.split()) for text in texts) if text]
    letters = sum(map(len, texts))
    start_s, done = utterance.start_s, 0
    for text in texts:
        done += len(text)
        end_s = utterance.start_s + (utterance.end_s - utterance.start_s) * done / letters
        yield replace(utterance, start_s=start_s, end_s=end_s, text=text)
        start_s = end_s


def _equal_parts(sentence: Utterance, longest_s: float) -> list[str]:
    words = sentence.text.split()
    parts = min(len(words), int((sentence.end_s - sentence.start_s) // longest_s) + 1)
    edges = [len(words) * part // parts for part in range(parts + 1)]
    return [" ".join(words[start:end]) for start, end in pairwise(edges)]


def _stretches(sentences: Sequence[Utterance], pause_s: float) -> Iterator[list[Utterance]]:
    """Runs of sentences without a long pause."""
    stretch: list[Utterance] = []
    end_s = 0.0
    for sentence in sentences:
        if stretch and sentence.start_s - end_s >= pause_s:
            yield stretch
            stretch = []
        end_s = max(end_s, sentence.end_s) if stretch else sentence.end_s
        stretch.append(sentence)
    if stretch:
        yield stretch


def _groups(stretch: Sequence[Utterance], target_s: float, max_s: float) -> list[list[Utterance]]:
    groups = [[stretch[0]]]
    for sentence in stretch[1:]:
        group = groups[-1]
        if _is_full(group, sentence, target_s, max_s):
            groups.append([*_carried(group[-1], sentence, max_s), sentence])
        else:
            group.append(sentence)
    return _without_stub(groups, max_s)


def _is_full(group: Sequence[Utterance], sentence: Utterance, target_s: float, max_s: float) -> bool:
    return _length_s(group) >= target_s or _length_s([*group, sentence]) > max_s


def _carried(last: Utterance, sentence: Utterance, max_s: float) -> list[Utterance]:
    """The sentence before the cut, if it is short."""
    short = last.end_s - last.start_s <= OVERLAP_S and sentence.end_s - last.start_s <= max_s
    return [last] if short else []


def _without_stub(groups: list[list[Utterance]], max_s: float) -> list[list[Utterance]]:
    """The last words of a stretch join the passage before them if they fit there."""
    if len(groups) > 1:
        before, last = groups[-2:]
        whole = before + [sentence for sentence in last if sentence is not before[-1]]
        if _length_s(whole) <= max_s:
            return [*groups[:-2], whole]
    return groups


def _length_s(group: Sequence[Utterance]) -> float:
    return max(sentence.end_s for sentence in group) - group[0].start_s


def _passage(group: Sequence[Utterance]) -> Passage:
    return Passage(
        start_s=group[0].start_s,
        end_s=group[0].start_s + _length_s(group),
        text=" ".join(sentence.text for sentence in group),
        speaker=group[0].speaker,
    )


def _readable(passage: Passage) -> Iterator[Passage]:
    """The passage, or parts of it that an embedder reads to their end."""
    if len(passage.text) <= MAX_LETTERS:
        yield passage
        return
    whole = Utterance(passage.start_s, passage.end_s, passage.text, passage.speaker)
    for part in _shares(whole, textwrap.wrap(passage.text, MAX_LETTERS, break_on_hyphens=False)):
        yield Passage(part.start_s, part.end_s, part.text, part.speaker)
