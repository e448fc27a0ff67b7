"""The speakers of a recording: who said which words, and what people call them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import EditSubject
from core.database.tables import (
    SPEAKERS_OFF,
    Diarization,
    EditRow,
    Recording,
    Task,
    Transcript,
    VoiceRejection,
    VoiceSample,
)
from core.errors import Code, NotFound, Rejected, StenogramError, record
from core.speech.speakers.assign import speakers_of_words, utterances
from core.speech.speakers.finder import FoundSpeaker, FoundSpeakers
from core.speech.speakers.statistics import TalkTime, statistics
from core.speech.speakers.turns import Turn
from core.transcripts import edit_log
from core.transcripts.edit_log import Step
from core.transcripts.segments import TranscribedSegment
from core.transcripts.speaker_edits import (
    LABEL,
    Edit,
    Merge,
    Move,
    Rename,
    Speaking,
    from_json,
    label,
    number,
    replay,
    to_json,
)

if TYPE_CHECKING:
    from core.transcripts.importing import Cue

CHANNEL_LABELS: Final = ("left", "right")
RESERVED: Final = ("mono", *CHANNEL_LABELS)
NEW: Final = "new"
"""In place of a label: a speaker who was not there before."""
MAX_NAME: Final = 100


@dataclass(frozen=True)
class SpeakerSummary(TalkTime):
    """One speaker of a recording, and their part in it."""

    label: str
    name: str
    """Empty while nobody has named them."""


def wants_speakers(task: Task, transcript: Transcript) -> bool:
    """Whether a task asks for speakers: channels are speakers already, unless a number is asked for."""
    return task.speakers != SPEAKERS_OFF and not (transcript.split_channels and task.speakers == "auto")


class Speakers:
    """Turns that were found in recordings, and how people corrected them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def missing(self, task: Task, transcript: Transcript) -> bool:
        """Whether speakers are still to be found for a task."""
        with self._database.read() as session:
            return missing(session, task, transcript)

    def same_sound(self, recording: Recording, task: Task, transcript: Transcript) -> Diarization | None:
        """What was found in the same bytes of somebody else's."""
        same = (
            select(Diarization)
            .join(Recording, Recording.id == Diarization.recording_id)
            .where(Recording.sha256 == recording.sha256)
            .where(Diarization.speakers == task.speakers)
            .where(Diarization.split_channels == transcript.split_channels)
        )
        with self._database.read() as session:
            return next((row for row in session.scalars(same) if row.error is None), None)

    def row(self, recording_id: str) -> Diarization | None:
        """What was found in a recording; None where nobody looked."""
        with self._database.read() as session:
            return session.get(Diarization, recording_id)

    def speaking(self, recording_id: str) -> Speaking:
        """Who speaks when, after all corrections."""
        with self._database.read() as session:
            return speaking_of(session, recording_id)

    def steps(self, recording_id: str) -> list[Edit]:
        """Corrections in their order."""
        with self._database.read() as session:
            return _edits(session, recording_id)

    def edit(self, recording_id: str, edit: Edit, who: str = "") -> Edit:
        """Take a step; a target `new` becomes the label of a new speaker. The step as it was taken.

        Raise NotFound where the recording has no such speaker, Rejected for a name that is no name and for
        a step that goes nowhere.
        """
        with self._database.write() as session:
            self._database.advisory_lock(session, recording_id)
            speaking = speaking_of(session, recording_id)
            taken = checked(session, recording_id, speaking, edit)
            if replay(speaking.turns, [taken], speaking.names) != speaking:
                edit_log.add(session, recording_id, [step(taken)], who)
        return taken

    def undo(self, recording_id: str, who: str) -> Edit | None:
        """Take the last step back; None if there is none. Raises Conflict where somebody else took it."""
        with self._database.write() as session:
            self._database.advisory_lock(session, recording_id)
            undone = edit_log.undo(session, recording_id, who, EditSubject.SPEAKERS)
            edits = [from_json(row.edit) for row in undone if row.subject == EditSubject.SPEAKERS]
        return edits[-1] if edits else None

    def voices(self, recording_id: str) -> dict[str, FoundSpeaker]:
        """The voices that were found, by label: those of merged speakers are under the one they became."""
        with self._database.read() as session:
            return voices_of(session, recording_id)


def missing(session: Session, task: Task, transcript: Transcript) -> bool:
    """Whether speakers are still to be found for a task; `auto` is content with what is there."""
    if not wants_speakers(task, transcript):
        return False
    row = session.get(Diarization, task.recording_id)
    if row is None or row.error is not None or row.split_channels != transcript.split_channels:
        return True
    return task.speakers not in {row.speakers, "auto"}


def keep(
    session: Session,
    task: Task,
    transcript: Transcript,
    speakers: FoundSpeakers,
    error: StenogramError | None = None,
    took_s: float = 0.0,
) -> None:
    """Remember who speaks when. Corrections of what was found before mean nothing any more."""
    for table in (Diarization, VoiceSample, VoiceRejection):
        session.execute(delete(table).where(table.recording_id == task.recording_id))
    of_speakers = EditRow.recording_id == task.recording_id, EditRow.subject == EditSubject.SPEAKERS
    session.execute(delete(EditRow).where(*of_speakers))
    session.add(
        Diarization(
            recording_id=task.recording_id,
            speakers=task.speakers,
            split_channels=transcript.split_channels,
            turns=[[round(t.start_s, 3), round(t.end_s, 3), t.speaker, t.channel] for t in speakers.turns],
            voices=[
                [one.number, round(one.alone_s, 2), base64.b64encode(one.vector).decode()]
                for one in speakers.speakers
            ],
            error=record(error.code, **error.facts) if error else None,
            took_s=took_s,
        )
    )


def keep_named(session: Session, task: Task, transcript: Transcript, cues: Sequence[Cue]) -> None:
    """The speakers that a file names, in order of their first words; what is known already stays."""
    names = list(dict.fromkeys(cue.speaker for cue in cues if cue.speaker))
    if not names or session.get(Diarization, task.recording_id) is not None:
        return
    turns = (Turn(cue.start_s, cue.end_s, names.index(cue.speaker)) for cue in cues if cue.speaker)
    keep(session, task, transcript, FoundSpeakers(tuple(turns)))
    named = [(label(n), " ".join(name.split())[:MAX_NAME]) for n, name in enumerate(names)]
    for who, name in named:
        if not name.startswith(LABEL):
            edit_log.add(session, task.recording_id, [step(Rename(who, name))], "")


def found_in(row: Diarization) -> FoundSpeakers:
    """What `keep` remembered."""
    turns = tuple(Turn(*packed) for packed in row.turns)
    speakers = (FoundSpeaker(n, alone_s, base64.b64decode(vector)) for n, alone_s, vector in row.voices)
    return FoundSpeakers(turns, tuple(speakers))


def speaking_of(session: Session, recording_id: str) -> Speaking:
    """Who speaks when in a recording, after all corrections."""
    row = session.get(Diarization, recording_id)
    turns = found_in(row).turns if row else ()
    return replay(turns, _edits(session, recording_id))


def voices_of(session: Session, recording_id: str) -> dict[str, FoundSpeaker]:
    """The voices that were found, by label; of merged speakers the one with the most speech counts."""
    row = session.get(Diarization, recording_id)
    speakers = {label(one.number): one for one in found_in(row).speakers} if row else {}
    for edit in _edits(session, recording_id):
        if isinstance(edit, Merge) and edit.source in speakers:
            both = [speakers.pop(edit.source), *([speakers[edit.target]] if edit.target in speakers else [])]
            speakers[edit.target] = max(both, key=lambda one: one.alone_s)
    return speakers


def _edits(session: Session, recording_id: str) -> list[Edit]:
    return [from_json(row.edit) for row in edit_log.steps(session, recording_id, EditSubject.SPEAKERS)]


def step(edit: Edit) -> Step:
    """A correction as the log keeps it."""
    return Step(EditSubject.SPEAKERS, to_json(edit))


def checked(session: Session, recording_id: str, speaking: Speaking, edit: Edit) -> Edit:
    """The step with what it leaves open filled in. Raises what `Speakers.edit` raises."""
    labels = set(speaking.labels)
    if isinstance(edit, Rename):
        name = " ".join(edit.name.split())
        if name in RESERVED or name.startswith(LABEL) or len(name) > MAX_NAME:
            raise Rejected(Code.SPEAKER_NAME, name=name[:MAX_NAME])
        if edit.label not in labels and not (
            edit.label in CHANNEL_LABELS and _is_split(session, recording_id)
        ):
            raise NotFound
        return replace(edit, name=name)
    if isinstance(edit, Move) and edit.target == NEW:
        edit = replace(edit, target=label(speaking.known))
    elif edit.target not in labels:
        raise NotFound
    if edit.source not in labels:
        raise NotFound
    if edit.source == edit.target or (isinstance(edit, Move) and not _forwards(edit)):
        raise Rejected(Code.SPEAKER_STEP)
    return edit


def _forwards(move: Move) -> bool:
    return move.start_s >= 0 and (move.end_s is None or move.end_s > move.start_s)


def _is_split(session: Session, recording_id: str) -> bool:
    split = select(Transcript.split_channels).join(Recording, Recording.transcript_id == Transcript.id)
    return bool(session.scalar(split.where(Recording.id == recording_id)))


def summaries(segments: Sequence[TranscribedSegment], speaking: Speaking) -> list[SpeakerSummary]:
    """Every speaker's part, in the order of their numbers; channels of a call are speakers, too.

    `segments` are as `by_speaker` gives them.
    """
    words: dict[str, int] = {}
    for one in segments:
        words[one.label] = words.get(one.label, 0) + len(one.words or one.text.split())
    labels = [who for who in words if who != "mono"]
    turns = speaking.turns if _matches_segments(segments, speaking) else ()
    if not turns:  # channels
        turns = tuple(
            Turn(one.start_s, one.end_s, labels.index(one.label)) for one in segments if one.label in labels
        )
        by_number = dict(enumerate(labels))
    else:
        by_number = {turn.speaker: label(turn.speaker) for turn in turns}
    measures = statistics(turns, {n: words.get(who, 0) for n, who in by_number.items()})
    return [
        SpeakerSummary(**asdict(talk), label=by_number[n], name=speaking.names.get(by_number[n], ""))
        for n, talk in measures.items()
    ]


def _matches_segments(segments: Iterable[TranscribedSegment], speaking: Speaking) -> bool:
    """Whether what was found is of these segments, and not of other channels."""
    return bool(speaking.turns) and any(segment.label.startswith(LABEL) for segment in segments)


def by_speaker(segments: Sequence[TranscribedSegment], speaking: Speaking) -> list[TranscribedSegment]:
    """Segments that hold one speaker each, whose name or label is their channel."""
    turns: dict[str, list[Turn]] = {}
    for turn in speaking.turns:
        turns.setdefault(turn.channel, []).append(turn)
    pieces = [
        piece
        for segment in segments
        for piece in _split(segment, turns.get(segment.channel, ()), speaking.names)
    ]
    return [replace(piece, n=n) for n, piece in enumerate(pieces)]


def _split(
    segment: TranscribedSegment, turns: Sequence[Turn], names: Mapping[str, str]
) -> Iterator[TranscribedSegment]:
    """One segment by speakers; one without times of words goes to whoever speaks longest in it."""
    if not turns:
        yield replace(segment, channel=names.get(segment.channel, segment.channel), label=segment.channel)
        return
    words = segment.words or (segment,)
    parts = utterances(words, speakers_of_words(words, turns), pause_s=float("inf"))
    for one in parts:
        who = segment.channel if one.speaker is None else label(one.speaker)
        spoken = replace(segment, channel=names.get(who, who), label=who, overlapped=one.overlapped)
        if len(parts) == 1:
            yield spoken
            continue
        words_of_part = segment.words[one.first : one.end]
        text = " ".join(word.text for word in words_of_part)
        begins = None if one.first else segment.begins
        cut = replace(spoken, text=text, words=words_of_part, first_word=one.first, begins=begins)
        yield replace(cut, start_s=one.start_s, end_s=one.end_s)


__all__ = [
    "CHANNEL_LABELS", "LABEL", "MAX_NAME", "NEW", "Edit", "Merge", "Move", "Rename", "SpeakerSummary",
    "Speakers", "Speaking", "by_speaker", "checked", "found_in", "keep", "keep_named", "label", "missing",
    "number", "speaking_of", "step", "summaries", "voices_of", "wants_speakers",
]  # fmt: skip
