"""Words in all texts at once: found in their context, replaced where somebody says so, put back as one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select

from core.database.database import Database
from core.database.owned import visible_to
from core.database.states import EditSubject
from core.database.tables import EditRow, Recording, Segment, new_id
from core.errors import Code, NotFound, Rejected
from core.library.recording_text import RecordingText, Replacement
from core.principal import Principal
from core.transcripts import corrections
from core.transcripts.segments import TranscribedSegment
from core.transcripts.transcripts import Transcripts

CONTEXT = 60
"""Letters on each side of a place."""
MOST = 1000
"""Places that are found at a time."""
LONGEST = 200
"""Letters of what is looked for, and of what replaces it."""


@dataclass(frozen=True)
class TextPlace:
    """Where something is said: in an utterance, which is named as corrections name it."""

    recording_id: str
    title: str
    n: int
    version: str
    at: int
    """Letters before it in the utterance."""
    before: str
    found: str
    after: str
    play_s: float


@dataclass(frozen=True)
class Replaced:
    """What became of places: an action that can be taken back, and how many places read otherwise now."""

    action_id: str
    places: int
    skipped: int
    """Places that had changed meanwhile, and were left."""
    recordings: list[str]


@dataclass(frozen=True)
class UndoneReplacement:
    """Where a replacement was taken back, and where not: somebody has corrected the same words since."""

    recordings: list[str]
    left: list[str]


class ArchiveText:
    """Texts of all recordings that a principal may see."""

    def __init__(self, database: Database, transcripts: Transcripts, recording_text: RecordingText) -> None:
        self._database = database
        self._transcripts = transcripts
        self._recording_text = recording_text

    def find(
        self,
        principal: Principal,
        phrases: Sequence[str],
        *,
        whole_words: bool = True,
        recording_id: str = "",
        limit: int = MOST,
    ) -> list[TextPlace]:
        """Places where any of these is said, newest recordings first; case and ё do not matter.

        Raises Rejected for nothing, or what is too long.
        """
        phrases = [" ".join(one.split()) for one in phrases if one.strip()]
        if not phrases or any(len(one) > LONGEST for one in phrases):
            raise Rejected(Code.REPLACEMENT, limit=LONGEST)
        pattern = _pattern(phrases, whole_words=whole_words)
        places: list[TextPlace] = []
        for recording in self._candidates(principal, phrases, recording_id):
            segments = self._transcripts.segments(recording.transcript_id or "", recording.id)
            places += _places(recording, segments, pattern)
            if len(places) >= limit:
                break
        return places[:limit]

    def replace(self, principal: Principal, places: Iterable[TextPlace], right: str) -> Replaced:
        """These places read `right`, as one action everywhere. Raises Rejected where it is too long."""
        right = " ".join(right.split())
        if len(right) > LONGEST:
            raise Rejected(Code.REPLACEMENT, limit=LONGEST)
        action_id, done, count, attempted = new_id(), [], 0, 0
        grouped: dict[str, list[TextPlace]] = {}
        for place in places:
            grouped.setdefault(place.recording_id, []).append(place)
            attempted += 1
        for recording_id, own_places in grouped.items():
            texts = _by_utterance(own_places, right)
            taken = self._recording_text.replace(principal, recording_id, texts, action_id)
            changed = sum(place.n in taken for place in own_places)
            count += changed
            done += [recording_id] if changed else []
        return Replaced(action_id, count, attempted - count, done)

    def undo(self, principal: Principal, action_id: str) -> UndoneReplacement:
        """Take a replacement back where no later correction is built on it. Raises NotFound without one."""
        with self._database.read() as session:
            statement = select(EditRow.recording_id).where(EditRow.action_id == action_id)
            statement = statement.join(Recording, Recording.id == EditRow.recording_id)
            ids = list(session.scalars(visible_to(statement.distinct(), principal, Recording)))
        if not ids:
            raise NotFound
        back = [id_ for id_ in ids if self._recording_text.undo_replacement(principal, id_, action_id)]
        return UndoneReplacement(back, [id_ for id_ in ids if id_ not in back])

    def _candidates(self, principal: Principal, phrases: Sequence[str], recording_id: str) -> list[Recording]:
        """Recordings whose text may have it: as it was heard, or as people wrote it."""
        with self._database.read() as session:
            statement = select(Recording).where(Recording.transcript_id.is_not(None))
            statement = visible_to(statement, principal, Recording).order_by(Recording.created_at.desc())
            if recording_id:
                return list(session.scalars(statement.where(Recording.id == recording_id)))
            matching = select(Segment.transcript_id).where(_like(phrases))
            edited = select(EditRow.recording_id).where(EditRow.subject == EditSubject.TEXT)
            statement = statement.where(or_(Recording.transcript_id.in_(matching), Recording.id.in_(edited)))
            return list(session.scalars(statement))


def _like(phrases: Sequence[str]) -> ColumnElement[bool]:
    """Segments that may hold any of these: SQLite knows no case of Cyrillic letters, so only their middle."""
    parts = {re.sub(r"[её]", "_", word.lower()[1:]) for one in phrases for word in one.split()[:1]}
    return or_(*(Segment.text.ilike(f"%{_escaped(part)}%", escape="\\") for part in parts))


def _escaped(part: str) -> str:
    return part.replace("\\", "\\\\").replace("%", r"\%")


def _pattern(phrases: Sequence[str], *, whole_words: bool) -> re.Pattern[str]:
    """Any of these, the longest first."""
    ordered = sorted(phrases, key=len, reverse=True)
    parts = [r"\s+".join(re.sub("[её]", "[её]", re.escape(word)) for word in one.split()) for one in ordered]
    either = "|".join(parts)
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)" if whole_words else either, re.IGNORECASE)


def _places(
    recording: Recording, segments: Sequence[TranscribedSegment], pattern: re.Pattern[str]
) -> Iterator[TextPlace]:
    for one in segments:
        text = " ".join(one.text.split())
        for match in pattern.finditer(text):
            words = corrections.timed(one)
            n = min(len(text[: match.start()].split()), len(words) - 1)
            first, end = match.span()
            yield TextPlace(
                recording.id,
                recording.title,
                one.n,
                one.version,
                first,
                text[max(0, first - CONTEXT) : first],
                match[0],
                text[end : end + CONTEXT],
                words[n].start_s,
            )


def _by_utterance(places: Sequence[TextPlace], right: str) -> dict[int, Replacement]:
    """By utterance: its version, and what stands there from which letter to which."""
    found: dict[int, list[tuple[int, int, str]]] = {}
    for place in places:
        new = right[:1].upper() + right[1:] if _starts(place) else right
        found.setdefault(place.n, []).append((place.at, place.at + len(place.found), new))
    versions = {place.n: place.version for place in places}
    return {n: (versions[n], parts) for n, parts in found.items()}


def _starts(place: TextPlace) -> bool:
    """Whether it is written with a capital because a sentence begins there."""
    return place.found[:1].isupper() and (not place.before or place.before.rstrip()[-1:] in ".!?…")


__all__ = ["LONGEST", "MOST", "ArchiveText", "Replaced", "TextPlace", "UndoneReplacement"]
