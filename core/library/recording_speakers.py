"""The speakers of a recording as people work with them: named, corrected, proposed, looked for again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import select

from core.audit import audited
from core.database.database import Database
from core.database.owned import Right, visible_to
from core.database.states import TASK_UNFINISHED, AuditAction, AuditSubject
from core.database.tables import Diarization, Recording, Task, Transcript
from core.library.recordings import Recordings
from core.principal import Principal
from core.queue.jobs import JobQueue
from core.search.embedding_jobs import index_again
from core.speech.speakers.turns import Turn, overlaps
from core.transcripts import speakers as speaker_rows
from core.transcripts.speaker_edits import Edit, Merge, Move, Rename
from core.transcripts.speakers import NEW, Speakers, SpeakerSummary, label
from core.transcripts.transcripts import Transcripts
from core.transcripts.voices import Proposal, Voices

SAMPLES = 3
SAMPLE_S = 6.0
"""So long a sample of a voice is at most."""
SHORTEST_SAMPLE_S = 1.0


@dataclass(frozen=True)
class Sample:
    """A stretch in which nobody else speaks."""

    start_s: float
    end_s: float


@dataclass(frozen=True)
class RecordingSpeaker(SpeakerSummary):
    """One speaker, with stretches to know the voice by, and who it may be."""

    samples: list[Sample]
    maybe: Proposal | None


@dataclass(frozen=True)
class SpeakersView:
    """Who speaks in a recording."""

    speakers: list[RecordingSpeaker]
    error: Mapping[str, Any] | None
    """Why nobody could be found, as an error is kept."""
    looked_for: bool
    can_undo: bool


class RecordingSpeakers:
    """What a principal may do with the speakers of a recording. Every method raises NotFound for others'."""

    def __init__(
        self,
        database: Database,
        job_queue: JobQueue,
        recordings: Recordings,
        transcripts: Transcripts,
        speakers: Speakers,
        voices: Voices,
    ) -> None:
        self._database = database
        self._job_queue = job_queue
        self._recordings = recordings
        self._transcripts = transcripts
        self._speakers = speakers
        self._voices = voices

    def view(self, principal: Principal, recording_id: str) -> SpeakersView:
        """Everybody who speaks, with their part, samples of their voice, and who they may be."""
        recording = self._recordings.get(principal, recording_id)
        row = self._speakers.row(recording_id)
        samples = _samples(self._speakers.speaking(recording_id).turns)
        maybe = self._voices.proposals(recording)
        found = [
            RecordingSpeaker(**asdict(one), samples=samples.get(one.label, []), maybe=maybe.get(one.label))
            for one in self.summaries(recording)
        ]
        steps = bool(self._speakers.steps(recording_id))
        return SpeakersView(found, row.error if row else None, row is not None, steps)

    def summaries(self, recording: Recording) -> list[SpeakerSummary]:
        """Everybody's part; nobody while there is no transcript."""
        if not recording.transcript_id:
            return []
        segments = self._transcripts.segments(recording.transcript_id, recording.id)
        return speaker_rows.summaries(segments, self._speakers.speaking(recording.id))

    def samples(self, principal: Principal, recording_id: str, label_: str) -> list[Sample]:
        """Stretches in which only this speaker speaks."""
        self._recordings.get(principal, recording_id)
        return _samples(self._speakers.speaking(recording_id).turns).get(label_, [])

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def rename(self, principal: Principal, recording_id: str, label_: str, name: str) -> None:
        """Call a speaker by a name; an empty one takes it back. Raises Rejected for what is no name."""
        self._take(principal, recording_id, Rename(label_, name))

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def merge(self, principal: Principal, recording_id: str, source: str, target: str) -> None:
        """Two speakers are one. Raises Rejected for one with itself."""
        self._take(principal, recording_id, Merge(source, target))

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def move(
        self,
        principal: Principal,
        recording_id: str,
        source: str,
        target: str,
        start_s: float,
        end_s: float | None = None,
    ) -> None:
        """What `source` says between two moments (without an end: from there on), `target` says.

        A target `new` is a speaker who was not there before. Raises Rejected for what goes nowhere.
        """
        self._take(principal, recording_id, Move(source, target, start_s, end_s))

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def undo(self, principal: Principal, recording_id: str) -> Edit | None:
        """Take the last correction back; None if there is none. Raises Conflict where it is another's."""
        self._recordings.get(principal, recording_id, Right.WRITE)
        undone = self._speakers.undo(recording_id, principal.owner)
        self._after(recording_id)
        return undone

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def accept(self, principal: Principal, recording_id: str, label_: str) -> None:
        """A speaker is whom they may be. Does nothing where nobody is proposed."""
        maybe = self._voices.proposals(self._recordings.get(principal, recording_id, Right.WRITE)).get(label_)
        if maybe is not None:
            self._take(principal, recording_id, Rename(label_, maybe.name))

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def reject(self, principal: Principal, recording_id: str, label_: str) -> None:
        """A speaker is not whom they may be. Does nothing where nobody is proposed."""
        maybe = self._voices.proposals(self._recordings.get(principal, recording_id, Right.WRITE)).get(label_)
        if maybe is not None:
            self._voices.reject(recording_id, label_, maybe.voice_id)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def find(self, principal: Principal, recording_id: str, speakers: str = "auto") -> Task:
        """Look for the speakers; what was found with another number is forgotten with its corrections."""
        return self._recordings.find_speakers(principal, recording_id, speakers)

    def unsearched(self, principal: Principal) -> dict[str, float]:
        """Seconds of sound by recording, of transcribed ones whose speakers nobody looked for."""
        unfinished = select(Task.recording_id).where(Task.status.in_(TASK_UNFINISHED))
        rest = (
            select(Recording.id, Recording.duration_s)
            .join(Transcript, Transcript.id == Recording.transcript_id)
            .outerjoin(Diarization, Diarization.recording_id == Recording.id)
            .where(Diarization.recording_id.is_(None), ~Transcript.split_channels)
            .where(Recording.id.not_in(unfinished))
        )
        with self._database.read() as session:
            rows = session.execute(visible_to(rest, principal, Recording))
            return {recording_id: duration_s or 0.0 for recording_id, duration_s in rows}

    @audited(AuditAction.CHANGED, AuditSubject.VOICE, "voice_id")
    def rename_voice(self, principal: Principal, voice_id: str, name: str) -> None:
        """Call somebody otherwise, where their voice is from; a known name makes two one."""
        voice = self._voices.get(principal, voice_id, Right.WRITE)
        owner = Principal(voice.owner)
        for recording_id, label_ in self._voices.samples(voice_id):
            self.rename(owner, recording_id, label_, name)

    def _take(self, principal: Principal, recording_id: str, edit: Edit) -> None:
        self._recordings.get(principal, recording_id, Right.WRITE)
        self._speakers.edit(recording_id, edit, principal.owner)
        self._after(recording_id)

    def _after(self, recording_id: str) -> None:
        """Search, exports and voices say it, too."""
        self._voices.refresh(recording_id)
        index_again(self._database, self._job_queue, recording_id)


def _samples(turns: Sequence[Turn]) -> dict[str, list[Sample]]:
    """The longest stretches of each speaker that nobody talks into, in order of time, by label."""
    together = overlaps(turns)
    alone: dict[int, list[Sample]] = {}
    for turn in turns:
        start_s = turn.start_s
        for one in [*(each for each in together if turn.speaker in each.speakers), None]:
            if one is not None and (one.end_s <= start_s or one.start_s >= turn.end_s):
                continue
            end_s = turn.end_s if one is None else one.start_s
            if end_s - start_s >= SHORTEST_SAMPLE_S:
                alone.setdefault(turn.speaker, []).append(Sample(round(start_s, 2), round(end_s, 2)))
            start_s = turn.end_s if one is None else one.end_s
    return {label(speaker): _longest(samples) for speaker, samples in alone.items()}


def _longest(samples: Sequence[Sample]) -> list[Sample]:
    best = sorted(samples, key=lambda one: one.start_s - one.end_s)[:SAMPLES]
    cut = [Sample(one.start_s, round(min(one.end_s, one.start_s + SAMPLE_S), 2)) for one in best]
    return sorted(cut, key=lambda one: one.start_s)


__all__ = ["NEW", "RecordingSpeaker", "RecordingSpeakers", "Sample", "SpeakersView"]
