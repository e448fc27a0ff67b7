"""How people correct the speakers of a recording: steps that are replayed over what was found.

Nothing is overwritten: who speaks when follows from the turns that were found and the steps in their order,
so the last step can always be undone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from core.speech.speakers.turns import Turn

LABEL: Final = "speaker_"
"""How the label of a speaker begins; a number from 1 follows."""
_TOUCHING_S: Final = 0.05


def label(speaker: int) -> str:
    """How programs call a speaker: `speaker_1` is the first who speaks."""
    return f"{LABEL}{speaker + 1}"


def number(who: str) -> int:
    """The speaker of a label. Raises ValueError for what is none."""
    if not who.startswith(LABEL):
        raise ValueError(f"{who!r} is no speaker")
    return int(who.removeprefix(LABEL)) - 1


@dataclass(frozen=True)
class Rename:
    """A speaker gets a name; an empty one takes it back."""

    label: str
    name: str


@dataclass(frozen=True)
class Merge:
    """Two speakers are one, who goes by the label of `target`."""

    source: str
    target: str


@dataclass(frozen=True)
class Move:
    """What `source` says between two moments, `target` says; without an end: from there on."""

    source: str
    target: str
    start_s: float
    end_s: float | None = None


Edit = Rename | Merge | Move
_KINDS: Final[Mapping[str, type[Rename] | type[Merge] | type[Move]]] = {
    "rename": Rename,
    "merge": Merge,
    "move": Move,
}


def to_json(edit: Edit) -> dict[str, Any]:
    """A step as it is kept."""
    kind = next(name for name, kind_class in _KINDS.items() if isinstance(edit, kind_class))
    return {"what": kind, **vars(edit)}


def from_json(stored: Mapping[str, Any]) -> Edit:
    """What `to_json` made."""
    facts = dict(stored)
    return _KINDS[facts.pop("what")](**facts)


@dataclass(frozen=True)
class Speaking:
    """Who speaks when, and what they are called."""

    turns: tuple[Turn, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    """By label."""
    known: int = 0
    """Numbers that were ever used: the next speaker gets this one."""

    @property
    def labels(self) -> list[str]:
        """Everybody who speaks, in the order of their numbers."""
        return [label(speaker) for speaker in sorted({turn.speaker for turn in self.turns})]


def replay(turns: Sequence[Turn], edits: Iterable[Edit], names: Mapping[str, str] | None = None) -> Speaking:
    """What was found, after all corrections."""
    speaker_count = max((turn.speaker for turn in turns), default=-1) + 1
    speaking = Speaking(tuple(turns), dict(names or {}), speaker_count)
    for edit in edits:
        speaking = _after(speaking, edit)
    return speaking


def _after(speaking: Speaking, edit: Edit) -> Speaking:
    match edit:
        case Rename():
            names = {**speaking.names, edit.label: edit.name}
            return replace(speaking, names={who: name for who, name in names.items() if name})
        case Merge():
            turns = _moved(speaking.turns, number(edit.source), number(edit.target), 0.0, math.inf)
            named = dict(speaking.names)
            left = named.pop(edit.source, "")
            if left and edit.target not in named:
                named[edit.target] = left
            return replace(speaking, turns=turns, names=named)
        case Move():
            source, target = number(edit.source), number(edit.target)
            end_s = math.inf if edit.end_s is None else edit.end_s
            turns = _moved(speaking.turns, source, target, edit.start_s, end_s)
            if edit.end_s is not None:  # also words that stood beside every turn
                channel = next((t.channel for t in speaking.turns if t.speaker == source), "mono")
                turns = _joined([*turns, Turn(edit.start_s, edit.end_s, target, channel)])
            return replace(speaking, turns=turns, known=max(speaking.known, target + 1))


def _moved(turns: Iterable[Turn], source: int, target: int, start_s: float, end_s: float) -> tuple[Turn, ...]:
    """Turns where `target` speaks in place of `source` between two moments."""
    moved: list[Turn] = []
    for turn in turns:
        first, last = max(turn.start_s, start_s), min(turn.end_s, end_s)
        if turn.speaker != source or last <= first:
            moved.append(turn)
            continue
        moved.append(replace(turn, start_s=first, end_s=last, speaker=target))
        moved += [replace(turn, end_s=first)] if turn.start_s < first else []
        moved += [replace(turn, start_s=last)] if last < turn.end_s else []
    return _joined(moved)


def _joined(turns: Iterable[Turn]) -> tuple[Turn, ...]:
    """Turns in order; those of one speaker that touch are one."""
    joined: list[Turn] = []
    last: dict[tuple[int, str], int] = {}
    for turn in sorted(turns):
        key = (turn.speaker, turn.channel)
        before = last.get(key)
        if before is not None and turn.start_s <= joined[before].end_s + _TOUCHING_S:
            joined[before] = replace(joined[before], end_s=max(joined[before].end_s, turn.end_s))
            continue
        last[key] = len(joined)
        joined.append(turn)
    return tuple(joined)
