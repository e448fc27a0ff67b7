"""The speakers of a recording: who said which words, and what people call them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.tables import Diarization, SpeakerName
from core.errors import Code, NotFound, Rejected, StenogramError, record
from core.speech.speakers.assign import speakers_of_words, utterances
from core.speech.speakers.turns import Turn, speaking_s

if TYPE_CHECKING:
    from core.transcripts.transcripts import TranscribedSegment

LABEL: Final = "speaker_"
"""How the label of a speaker begins; a number from 1 follows."""
RESERVED: Final = ("mono", "left", "right")
MAX_NAME: Final = 100


def label(speaker: int) -> str:
    """How programs call a speaker: `speaker_1` is the first who speaks."""
    return f"{LABEL}{speaker + 1}"


@dataclass(frozen=True)
class SpeakerSummary:
    """One speaker of a recording."""

    label: str
    name: str
    """Empty while nobody has named them."""
    speaking_s: float
    share: float
    """Of everybody's speaking time, 0 to 1."""
    turns: int


class Speakers:
    """Turns that were found in transcripts, and names that people gave."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def found(self, transcript_id: str) -> bool:
        """Whether speakers were looked for already."""
        with self._database.read() as session:
            return session.get(Diarization, transcript_id) is not None

    def error(self, transcript_id: str) -> Mapping[str, Any] | None:
        """Why nobody could be found, as an error is stored; None where nothing stood in the way."""
        with self._database.read() as session:
            row = session.get(Diarization, transcript_id)
        return row.error if row else None

    def summaries(self, recording_id: str, transcript_id: str) -> list[SpeakerSummary]:
        """The speakers in order of their first turns; none where nobody looked, or nobody speaks."""
        with self._database.read() as session:
            turns = turns_of(session, transcript_id)
            names = names_of(session, recording_id)
        spoken = speaking_s(turns)
        total = sum(spoken.values())
        return [
            SpeakerSummary(
                label(speaker),
                names.get(label(speaker), ""),
                round(seconds, 2),
                round(seconds / total, 4),
                sum(turn.speaker == speaker for turn in turns),
            )
            for speaker, seconds in sorted(spoken.items())
        ]

    def rename(self, recording_id: str, transcript_id: str, who: str, name: str) -> None:
        """Call a speaker by a name; an empty one takes it back.

        Raise NotFound where the recording has no such speaker, Rejected for a name that is no name.
        """
        name = " ".join(name.split())
        if name in RESERVED or name.startswith(LABEL) or len(name) > MAX_NAME:
            raise Rejected(Code.SPEAKER_NAME, name=name[:MAX_NAME])
        with self._database.write() as session:
            if who not in {label(turn.speaker) for turn in turns_of(session, transcript_id)}:
                raise NotFound
            known = session.get(SpeakerName, (recording_id, who))
            if known is not None and name:
                known.name = name
            elif known is not None:
                session.delete(known)
            elif name:
                session.add(SpeakerName(recording_id=recording_id, label=who, name=name))


def keep(
    session: Session, transcript_id: str, turns: Iterable[Turn], error: StenogramError | None = None
) -> None:
    """Remember who speaks when; what is remembered already stays."""
    if session.get(Diarization, transcript_id) is None:
        packed = [[round(turn.start_s, 3), round(turn.end_s, 3), turn.speaker] for turn in turns]
        kept = record(error.code, **error.facts) if error else None
        session.add(Diarization(transcript_id=transcript_id, turns=packed, error=kept))


def turns_of(session: Session, transcript_id: str) -> list[Turn]:
    """Who speaks when, in order."""
    row = session.get(Diarization, transcript_id)
    return [Turn(*packed) for packed in row.turns] if row else []


def names_of(session: Session, recording_id: str) -> dict[str, str]:
    """Names by label."""
    named = select(SpeakerName).where(SpeakerName.recording_id == recording_id)
    return {row.label: row.name for row in session.scalars(named)}


def by_speaker(
    segments: Sequence[TranscribedSegment], turns: Sequence[Turn], names: Mapping[str, str]
) -> list[TranscribedSegment]:
    """Segments that hold one speaker each, whose name or label is their channel."""
    if not turns:
        return list(segments)
    pieces = [piece for segment in segments for piece in _split(segment, turns, names)]
    return [replace(piece, n=n) for n, piece in enumerate(pieces)]


def _split(
    segment: TranscribedSegment, turns: Sequence[Turn], names: Mapping[str, str]
) -> Iterator[TranscribedSegment]:
    """One segment by speakers; one without times of words goes to whoever speaks longest in it."""
    words = segment.words or (segment,)
    said = utterances(words, speakers_of_words(words, turns), pause_s=float("inf"))
    for one in said:
        channel = segment.channel if one.speaker is None else label(one.speaker)
        channel = names.get(channel, channel)
        if len(said) == 1:
            yield replace(segment, channel=channel)
            continue
        mine = segment.words[one.first : one.end]
        text = " ".join(word.text for word in mine)
        yield replace(segment, channel=channel, start_s=one.start_s, end_s=one.end_s, text=text, words=mine)
