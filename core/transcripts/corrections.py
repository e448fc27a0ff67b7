"""How people correct a text: steps that put other segments in the place of some.

A step names the segments that it takes and holds those that stand there then, with ids of their own. So
steps follow each other without looking at anything else, what was heard is never overwritten, and a step
can be taken out as long as no later one is built on it. Words keep their times: old and new ones are
aligned, and only what has no counterpart gets a place between its neighbours.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from enum import StrEnum
from typing import Any, Final

from core.speech.engine import Mark, Word
from core.transcripts.segments import TranscribedSegment

_PUNCTUATION: Final = ".,!?;:…—–-«»\"'()[]"
_LEAST_S: Final = 0.02
"""A gap that is shorter for each new word is no room for them: the word before gives half of its time."""
_CONTEXT: Final = 1
"""Words beside an insertion that must agree, too, where it is taken over."""
_REACH_S: Final = 2.0
"""How far the same words may stand from where another engine heard them."""


class How(StrEnum):
    """What a step does."""

    REWRITE = "rewrite"
    SPLIT = "split"
    JOIN = "join"
    MOVE = "move"
    REPLACE = "replace"
    """In many recordings at once."""
    REAPPLY = "reapply"
    """What was corrected in an earlier transcript."""
    RETRANSCRIBE = "retranscribe"
    """What another engine heard, taken over."""
    DECIDED = "decided"
    """Changes nothing: somebody has decided what becomes of corrections of an earlier transcript."""


@dataclass(frozen=True)
class TextStep:
    """`into` stands where the segments `of` stood, in their order."""

    how: How
    of: tuple[str, ...] = ()
    into: tuple[TranscribedSegment, ...] = ()


def to_json(step: TextStep) -> dict[str, Any]:
    """A step as it is kept."""
    return {"how": step.how, "of": list(step.of), "into": [_segment_json(one) for one in step.into]}


def from_json(stored: Mapping[str, Any]) -> TextStep:
    """What `to_json` made."""
    return TextStep(How(stored["how"]), tuple(stored["of"]), tuple(map(_segment, stored["into"])))


def _segment_json(one: TranscribedSegment) -> dict[str, Any]:
    words = [[w.text, w.start_s, w.end_s, w.confidence, w.mark] for w in one.words]
    return {
        "id": one.segment_id,
        "channel": one.channel,
        "start_s": one.start_s,
        "end_s": one.end_s,
        "text": one.text,
        "words": words,
        "language": one.language,
        "engine": one.engine,
        "begins": one.begins,
        "edited": one.edited,
    }


def _segment(stored: Mapping[str, Any]) -> TranscribedSegment:
    facts = dict(stored)
    words = tuple(
        Word(text, start_s, end_s, confidence, Mark(mark))
        for text, start_s, end_s, confidence, mark in facts.pop("words")
    )
    return TranscribedSegment(n=0, segment_id=facts.pop("id"), words=words, **facts)


def fresh() -> str:
    """An id for a segment that a person made; those of engines are numbers."""
    return "e" + secrets.token_hex(6)


def replay(segments: Sequence[TranscribedSegment], steps: Iterable[TextStep]) -> list[TranscribedSegment]:
    """What was heard, after all corrections, in order and numbered anew."""
    stands, replaced_ids = _current_segments(steps)
    found = [one for segment in segments for one in _expanded(segment, stands, replaced_ids)]
    return [replace(one, n=n) for n, one in enumerate(found)]


def effective_segments(steps: Sequence[TextStep]) -> tuple[list[TranscribedSegment], set[str]]:
    """Segments that people made and that hold, and the ids of all that something else stands for."""
    stands, replaced_ids = _current_segments(steps)
    new_segments = [one for step in steps for one in step.into]
    return [
        one for one in new_segments if one.segment_id not in stands and one.segment_id not in replaced_ids
    ], replaced_ids | {*stands}


def _current_segments(
    steps: Iterable[TextStep],
) -> tuple[dict[str, tuple[TranscribedSegment, ...]], set[str]]:
    """What stands in place of a segment, and those for which another one's stand-ins stand."""
    stands: dict[str, tuple[TranscribedSegment, ...]] = {}
    replaced_ids: set[str] = set()
    for step in steps:
        if step.of:
            stands[step.of[0]] = step.into
            replaced_ids.update(step.of[1:])
    return stands, replaced_ids


def _expanded(
    segment: TranscribedSegment, stands: Mapping[str, Sequence[TranscribedSegment]], replaced_ids: set[str]
) -> Iterator[TranscribedSegment]:
    if segment.segment_id in stands:
        for one in stands[segment.segment_id]:
            yield from _expanded(one, stands, replaced_ids)
    elif segment.segment_id not in replaced_ids:
        yield segment


def built_on(step: TextStep, later: Iterable[TextStep]) -> bool:
    """Whether a later step takes what this one made."""
    new_ids = {one.segment_id for one in step.into}
    return any(new_ids & set(other.of) for other in later)


def timed(segment: TranscribedSegment) -> tuple[Word, ...]:
    """Its words; where nobody heard them apart, each has its share of the time, by letters."""
    if segment.words:
        return segment.words
    return tuple(distribute_words(segment.text.split(), segment.start_s, segment.end_s))


def distribute_words(texts: Sequence[str], start_s: float, end_s: float) -> list[Word]:
    """New words between two moments, each with its share of the time, by letters."""
    letters = sum(len(text) for text in texts) or 1
    found, done = [], 0
    for text in texts:
        first = start_s + (end_s - start_s) * done / letters
        done += len(text)
        last = start_s + (end_s - start_s) * done / letters
        found.append(Word(text, round(first, 3), round(last, 3), mark=Mark.INTERPOLATED))
    return found


def folded(text: str) -> str:
    """A word as it is compared: without case and punctuation, ё as е."""
    return text.casefold().replace("ё", "е").strip(_PUNCTUATION)


def aligned(old: Sequence[Word], texts: Sequence[str]) -> list[tuple[Word, int]]:
    """New words with times, each with the place of the old word that it stands at.

    Equal words keep all; as many new as old ones in a row keep the times one by one; else they share them.
    """
    matcher = SequenceMatcher(
        None, [folded(word.text) for word in old], [folded(text) for text in texts], autojunk=False
    )
    aligned_words: list[tuple[Word, int]] = []
    for tag, a, a_end, b, b_end in matcher.get_opcodes():
        new = texts[b:b_end]
        if tag == "insert":
            aligned_words += _inserted(old, a, new, aligned_words)
        elif tag != "delete" and a_end - a == b_end - b:
            pairs = zip(old[a:a_end], new, range(a, a_end), strict=True)
            aligned_words += [(_as(word, text), at) for word, text, at in pairs]
        elif tag != "delete":
            words = distribute_words(new, old[a].start_s, old[a_end - 1].end_s)
            aligned_words += [(word, min(a + n, a_end - 1)) for n, word in enumerate(words)]
    return aligned_words


def _as(word: Word, text: str) -> Word:
    """The word as it reads now; what a person wrote nobody doubts."""
    if word.text == text:
        return word
    mark = word.mark if word.mark == Mark.INTERPOLATED else Mark.CORRECTED
    return Word(text, word.start_s, word.end_s, None, mark)


def _inserted(
    old: Sequence[Word], at: int, texts: Sequence[str], aligned_words: list[tuple[Word, int]]
) -> list[tuple[Word, int]]:
    """Words before the old word number `at`, in the gap; if there is none, the word before makes room."""
    start_s = aligned_words[-1][0].end_s if aligned_words else (old[at].start_s if old else 0.0)
    end_s = old[at].start_s if at < len(old) else start_s
    if aligned_words and end_s - start_s < _LEAST_S * len(texts):
        before, place = aligned_words[-1]
        start_s, end_s = (before.start_s + before.end_s) / 2, max(before.end_s, end_s)
        aligned_words[-1] = (replace(before, end_s=round(start_s, 3)), place)
    return [(word, max(0, at - 1)) for word in distribute_words(texts, start_s, end_s)]


Whole = Mapping[str, TranscribedSegment]
"""Segments as they are before they are cut by speakers, by id."""


def rewrite(whole: Whole, pieces: Sequence[TranscribedSegment], text: str, how: How) -> list[TextStep]:
    """What was said in these pieces reads as `text`; no step where it does. Empty: nothing was said."""
    owners = [(n, word) for n, piece in enumerate(pieces) for word in timed(piece)]
    texts = text.split()
    if texts == " ".join(piece.text for piece in pieces).split():
        return []
    new: list[list[Word]] = [[] for _ in pieces]
    for word, at in aligned([word for _, word in owners], texts):
        new[owners[at][0] if owners else 0].append(word)
    return reworded_steps(whole, list(zip(pieces, new, strict=True)), how)


def merged(pieces: Sequence[TranscribedSegment], heard: Sequence[Word]) -> list[list[Word]]:
    """What another engine heard in these pieces, at its own times: the words of each piece.

    Somebody has compared both, so nobody doubts any of them; words that are equal stay as they are otherwise.
    """
    owners = [(n, word) for n, piece in enumerate(pieces) for word in timed(piece)]
    old = [word for _, word in owners]
    matcher = SequenceMatcher(None, [w.text for w in old], [w.text for w in heard], autojunk=False)
    new: list[list[Word]] = [[] for _ in pieces]
    for tag, a, a_end, b, b_end in matcher.get_opcodes():
        if tag == "equal":
            for n, word in owners[a:a_end]:
                new[n].append(replace(word, confidence=None))
            continue
        first = owners[max(0, a - 1 if a == a_end else a)][0] if owners else 0
        last = owners[a_end - 1][0] if a_end else 0
        for word in heard[b:b_end]:
            first = _piece_at(pieces, first, last, (word.start_s + word.end_s) / 2)
            new[first].append(_within(pieces[first], word))
    return new


def _piece_at(pieces: Sequence[TranscribedSegment], first: int, last: int, at_s: float) -> int:
    """The first piece, from `first` to `last`, that is not over at a moment."""
    return next((n for n in range(first, last) if at_s < pieces[n].end_s), max(first, last))


def _within(piece: TranscribedSegment, word: Word) -> Word:
    start_s, end_s = (min(max(at_s, piece.start_s), piece.end_s) for at_s in (word.start_s, word.end_s))
    return Word(word.text, round(start_s, 3), round(end_s, 3), None, Mark.CORRECTED)


def reworded_steps(
    whole: Whole, words_of_segments: Sequence[tuple[TranscribedSegment, Sequence[Word]]], how: How
) -> list[TextStep]:
    """Each piece has these words now: a step for each segment that changes."""
    changed = [(piece, words) for piece, words in words_of_segments if tuple(words) != timed(piece)]
    steps = []
    for id_ in dict.fromkeys(piece.segment_id for piece, _ in changed):
        words = list(timed(whole[id_]))
        changes_of_segment = [each for each in changed if each[0].segment_id == id_]
        for piece, new in sorted(changes_of_segment, key=lambda each: -each[0].first_word):
            words[piece.first_word : piece.first_word + len(timed(piece))] = new
        steps.append(TextStep(how, (id_,), (_with(whole[id_], words),) if words else ()))
    return steps


def _with(segment: TranscribedSegment, words: Sequence[Word], **changes: Any) -> TranscribedSegment:
    """The segment with these words, corrected by a person."""
    fields = {"log_probability": None, "no_speech": None, "doubtful": False, "edited": True, **changes}
    text = " ".join(word.text for word in words)
    return replace(segment, segment_id=fresh(), words=tuple(words), text=text, **fields)


def split(whole: Whole, piece: TranscribedSegment, word: int) -> TextStep | None:
    """A new utterance begins with a word of a piece; None where one begins there already."""
    segment = whole[piece.segment_id]
    words = timed(segment)
    at = piece.first_word + word
    if not 0 <= word < len(timed(piece)) or (at == 0 and segment.begins) or (at and not word):
        return None
    if at == 0:
        return TextStep(How.SPLIT, (segment.segment_id,), (_cut(segment, begins=True),))
    first = _with(segment, words[:at], end_s=words[at - 1].end_s, edited=segment.edited)
    second = _with(segment, words[at:], start_s=words[at].start_s, begins=True, edited=segment.edited)
    return TextStep(How.SPLIT, (segment.segment_id,), (first, second))


def _cut(segment: TranscribedSegment, *, begins: bool) -> TranscribedSegment:
    return replace(segment, segment_id=fresh(), begins=begins)


def join(whole: Whole, pieces: Sequence[TranscribedSegment]) -> TextStep | None:
    """The first two pieces are one utterance, and what follows goes on with it."""
    first, second = (whole[piece.segment_id] for piece in pieces[:2])
    rest = [whole[id_] for id_ in dict.fromkeys(piece.segment_id for piece in pieces[2:])]
    rest = [one for one in rest if one.segment_id not in {first.segment_id, second.segment_id}]
    following = [_cut(one, begins=False) for one in rest]
    if first.segment_id == second.segment_id:
        of = tuple(one.segment_id for one in rest)
        return TextStep(How.JOIN, of, tuple(following)) if rest else None
    edited = first.edited or second.edited
    end_s = max(first.end_s, second.end_s)
    joined = _with(first, timed(first) + timed(second), end_s=end_s, edited=edited)
    of = tuple(one.segment_id for one in (first, second, *rest))
    return TextStep(How.JOIN, of, (joined, *following))


def move(
    whole: Whole, before: TranscribedSegment, after: TranscribedSegment, words: int
) -> tuple[TextStep | None, tuple[Word, ...]]:
    """The first `words` of `after` go to the end of `before`; fewer than 0: the last ones back to `after`.

    Returns the step (None where both are of one segment) and the words; none if that many are not there.
    """
    giving = timed(after if words > 0 else before)
    if not 0 < abs(words) < len(giving):
        return None, ()
    moved = giving[:words] if words > 0 else giving[words:]
    if before.segment_id == after.segment_id:
        return None, moved
    first, second = whole[before.segment_id], whole[after.segment_id]
    left, right = timed(first), timed(second)
    left, right = (left + moved, right[words:]) if words > 0 else (left[:words], moved + right)
    into = (
        _with(first, left, end_s=max(left[-1].end_s, first.start_s), edited=first.edited),
        _with(second, right, start_s=right[0].start_s, edited=second.edited, begins=True),
    )
    return TextStep(How.MOVE, (first.segment_id, second.segment_id), into), moved


@dataclass(frozen=True)
class Change:
    """Words that read otherwise than they were heard: `before` … `after` are the words beside them."""

    start_s: float
    end_s: float
    old: tuple[str, ...]
    new: tuple[str, ...]
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    segments: frozenset[str] = frozenset()
    """Ids of the segments as they stand now."""


def changes(recognised: Sequence[TranscribedSegment], steps: Sequence[TextStep]) -> list[Change]:
    """All that reads otherwise than it was heard, in order; where it was only cut otherwise is left out."""
    groups = _groups(steps)
    now = replay(recognised, steps)
    found: list[Change] = []
    done: set[int] = set()
    old_of, new_of = (_by_group(segments, groups) for segments in (recognised, now))
    for segment in recognised:
        group = groups.get(segment.segment_id)
        if group is None or group in done:
            continue
        done.add(group)
        found += _changes(old_of.get(group, []), new_of.get(group, []))
    return found


def _groups(steps: Iterable[TextStep]) -> dict[str, int]:
    """Segments that follow from each other have one number."""
    groups: dict[str, int] = {}
    for n, step in enumerate(steps):
        ids = [*step.of, *(one.segment_id for one in step.into)]
        same = {groups[id_] for id_ in ids if id_ in groups}
        for id_ in [*ids, *(id_ for id_, group in groups.items() if group in same)]:
            groups[id_] = n
    return groups


def _by_group(
    segments: Iterable[TranscribedSegment], groups: Mapping[str, int]
) -> dict[int, list[TranscribedSegment]]:
    found: dict[int, list[TranscribedSegment]] = {}
    for one in segments:
        if one.segment_id in groups:
            found.setdefault(groups[one.segment_id], []).append(one)
    return found


def _changes(old: Sequence[TranscribedSegment], new: Sequence[TranscribedSegment]) -> Iterator[Change]:
    was = [word for one in old for word in timed(one)]
    texts = [word.text for word in was]
    reads = [word.text for one in new for word in timed(one)]
    ids = frozenset(one.segment_id for one in new)
    for tag, a, a_end, b, b_end in SequenceMatcher(None, texts, reads, autojunk=False).get_opcodes():
        if tag == "equal":
            continue
        at = was[min(a, len(was) - 1)]
        end_s = was[a_end - 1].end_s if a_end > a else at.start_s
        before, after = tuple(texts[max(0, a - _CONTEXT) : a]), tuple(texts[a_end : a_end + _CONTEXT])
        old_words, new_words = tuple(texts[a:a_end]), tuple(reads[b:b_end])
        yield Change(at.start_s, end_s, old_words, new_words, before, after, ids)


def taken_over(
    segments: Sequence[TranscribedSegment], changes: Iterable[Change]
) -> tuple[list[TextStep], list[Change], list[Change]]:
    """Corrections of an earlier transcript over this one: steps, which fitted, and which did not.

    One fits where the words that it corrects were heard again at about that time; what reads as corrected
    already needs nothing, and counts as fitting.
    """
    texts = {one.segment_id: [word.text for word in timed(one)] for one in segments}
    fitting: list[Change] = []
    left: list[Change] = []
    for change in changes:
        near = [
            one
            for one in segments
            if one.start_s < change.end_s + _REACH_S and one.end_s > change.start_s - _REACH_S
        ]
        (fitting if any(_fits(texts[one.segment_id], one, change) for one in near) else left).append(change)
    whole = {one.segment_id: one for one in segments}
    steps = [
        step
        for one in segments
        for step in rewrite(whole, [one], " ".join(texts[one.segment_id]), How.REAPPLY)
    ]
    return steps, fitting, left


def _fits(texts: list[str], segment: TranscribedSegment, change: Change) -> bool:
    """Whether the change has a place in the words of a segment; if so, they are changed."""
    beside = not change.old
    before, after = (change.before, change.after) if beside else ((), ())
    expected = [*before, *change.new, *after]
    for pattern in ([*before, *change.old, *after], expected):
        looked = [folded(text) for text in pattern]
        for at in range(len(texts) - len(looked) + 1):
            if not looked or [folded(text) for text in texts[at : at + len(looked)]] != looked:
                continue
            if len(texts) == len(segment.words) and not _near(segment.words[at], change):
                continue
            texts[at : at + len(looked)] = expected
            return True
    return False


def _near(word: Word, change: Change) -> bool:
    return abs(word.start_s - change.start_s) <= _REACH_S + (change.end_s - change.start_s)
