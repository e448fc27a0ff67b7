"""Transcripts at rest: planned as segments, filled in as engines answer, reused by their key."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.tables import Job, Recording, Segment, Task, Transcript, new_id
from core.errors import NotFound
from core.queue.jobs import Claim, JobQueue, changed
from core.queue.locks import acquire_exclusive
from core.speech.engine import Engine, Phrase, Speech, Word
from core.speech.vad import Span
from core.transcripts import speakers
from core.transcripts.chunking import Utterance

ROOM = 10_000
"""Numbers between two segments as they are planned, for the phrases of long ones."""


@dataclass(frozen=True)
class TranscribedSegment:
    """One transcribed segment, with times from the start of the recording."""

    n: int
    channel: str
    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...]


def key(
    sha256: str,
    engine: Engine,
    language: str,
    *,
    split_channels: bool,
    subtitles: bool = False,
    speakers: str = "",
    owner: str = "",
) -> str:
    """Equal keys mean equal transcripts. `owner` keeps them apart where results are not shared."""
    options = str(split_channels) + (" subtitles" if subtitles else "")
    options += f" speakers={speakers}" if speakers else ""
    parts = (sha256, engine.name, engine.version, language, options, owner)
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def find_or_begin(session: Session, wanted: Transcript, *, force: bool = False) -> Transcript:
    """The transcript with this key, or a new one; `force` retires the old one and begins again."""
    found = session.scalars(select(Transcript).where(Transcript.key == wanted.key)).first()
    if found and force:
        found.key = f"retired-{found.id}"
        session.flush()
    if found and not force:
        return found
    wanted.id = new_id()
    session.add(wanted)
    return wanted


def complete(session: Session, transcript_id: str) -> None:
    """Everything in it was heard."""
    session.get_one(Transcript, transcript_id).complete = True


class Transcripts:
    """Reading and filling transcripts."""

    def __init__(self, database: Database, work: JobQueue) -> None:
        self._database = database
        self._job_queue = work

    def get(self, transcript_id: str) -> Transcript:
        """The transcript itself, without its segments."""
        with self._database.read() as session:
            row = session.get(Transcript, transcript_id)
        if row is None:
            raise NotFound
        return row

    def plan(self, claim: Claim, transcript_id: str, spans: Sequence[tuple[str, Span]]) -> None:
        """Fix the segments, in time order, once; what is planned already stays."""
        with self._database.write() as session:
            self._job_queue.keep(session, claim)
            transcript = session.get_one(Transcript, transcript_id)
            if transcript.planned:
                return
            transcript.planned = True
            ordered = sorted(spans, key=lambda span: (span[1].start_s, span[0]))
            session.add_all(
                Segment(
                    transcript_id=transcript_id,
                    n=n,
                    channel=channel,
                    start_s=span.start_s,
                    end_s=span.end_s,
                )
                for n, (channel, span) in zip(itertools.count(step=ROOM), ordered, strict=False)
            )

    def pending(self, transcript_id: str) -> list[Segment]:
        """Segments nobody has transcribed yet, in order."""
        waiting = select(Segment).where(Segment.transcript_id == transcript_id, Segment.text.is_(None))
        with self._database.read() as session:
            return list(session.scalars(waiting.order_by(Segment.n)))

    def count(self, transcript_id: str) -> int:
        """How many segments there are."""
        mine = select(func.count()).select_from(Segment).where(Segment.transcript_id == transcript_id)
        with self._database.read() as session:
            return session.scalar(mine) or 0

    def acquire(self, claim: Claim, transcript_id: str) -> bool:
        """Whether no other job works on a transcript now. Else this one is put off: one pays for all."""
        at_it = (Task.transcript_id == transcript_id) & (Job.kind == claim.kind)
        return acquire_exclusive(self._database, self._job_queue, claim, transcript_id, at_it)

    def commit(
        self,
        claim: Claim,
        segments: Sequence[Segment],
        speeches: Sequence[Speech],
        took_s: float,
        also: Callable[[Session], object] | None = None,
    ) -> None:
        """Keep what an engine heard, in one write with `also`; a segment that has its text keeps that."""
        with self._database.write() as session:
            self._job_queue.advance(session, claim)
            for segment, speech in zip(segments, speeches, strict=True):
                _keep(session, segment, speech)
            if also is not None:
                also(session)
            session.execute(
                update(Transcript)
                .where(Transcript.id == segments[0].transcript_id)
                .values(processing_s=Transcript.processing_s + took_s)
            )

    def segments(self, transcript_id: str, recording_id: str = "") -> list[TranscribedSegment]:
        """What was heard so far, in time order; segments without speech are left out.

        Where speakers were found, a segment holds one of them, by the name given in `recording_id`.
        """
        spoken = select(Segment).where(Segment.transcript_id == transcript_id, Segment.text != "")
        with self._database.read() as session:
            rows = list(session.scalars(spoken.order_by(Segment.n)))
            turns = speakers.turns_of(session, transcript_id)
            names = speakers.names_of(session, recording_id) if recording_id and turns else {}
        return speakers.by_speaker([_segment(n, row) for n, row in enumerate(rows)], turns, names)

    def words_between(self, recording_id: str, start_s: float, end_s: float) -> list[Word]:
        """The words of a recording between two moments, in time order."""
        spoken = (
            select(Segment)
            .join(Recording, Recording.transcript_id == Segment.transcript_id)
            .where(Recording.id == recording_id, Segment.end_s > start_s, Segment.start_s < end_s)
        )
        with self._database.read() as session:
            rows = list(session.scalars(spoken.order_by(Segment.n)))
        words = (word for row in rows for word in _segment(row.n, row).words)
        return sorted((w for w in words if start_s <= w.start_s < end_s), key=lambda word: word.start_s)

    def utterances(self, transcript_id: str) -> list[Utterance]:
        """The same as the chunker wants it; a channel of a call is its speaker."""
        return [
            Utterance(h.start_s, h.end_s, h.text, "" if h.channel == "mono" else h.channel)
            for h in self.segments(transcript_id)
        ]


def _keep(session: Session, segment: Segment, speech: Speech) -> None:
    """A long segment becomes its phrases: the first in its place, the others in the room behind it."""
    app = Segment.transcript_id == segment.transcript_id, Segment.n == segment.n, Segment.text.is_(None)
    rows = [_row(segment, place, phrase) for place, phrase in enumerate(_joined(speech))]
    first = rows.pop(0)
    if changed(session, update(Segment).where(*app).values(first)):
        session.add_all(Segment(transcript_id=segment.transcript_id, **row) for row in rows)


def _joined(speech: Speech) -> list[Phrase | Speech]:
    """Phrases, the last ones together if there is no room for all."""
    if not speech.phrases:
        return [speech]
    tail = speech.phrases[ROOM - 1 :]
    kept: list[Phrase | Speech] = list(speech.phrases[: ROOM - 1])
    if tail:
        words = tuple(word for phrase in tail for word in phrase.words)
        text = " ".join(phrase.text for phrase in tail)
        kept.append(Phrase(text, tail[0].start_s, tail[-1].end_s, words))
    return kept


def _row(segment: Segment, place: int, part: Phrase | Speech) -> dict[str, Any]:
    row = {
        "n": segment.n + place,
        "channel": segment.channel,
        "text": part.text,
        "words": [_packed(word, segment) for word in part.words],
        "start_s": segment.start_s,
        "end_s": segment.end_s,
    }
    if isinstance(part, Phrase):
        row["start_s"], row["end_s"] = _placed(part.start_s, segment), _placed(part.end_s, segment)
    return row


def _packed(word: Word, segment: Segment) -> list[object]:
    return [word.text, _placed(word.start_s, segment), _placed(word.end_s, segment), word.confidence]


def _placed(at_s: float, segment: Segment) -> float:
    """A moment in a segment as one of its recording; engines hear some words end behind the sound."""
    return min(round(segment.start_s + at_s, 3), segment.end_s)


def _segment(n: int, row: Segment) -> TranscribedSegment:
    words = tuple(Word(*packed) for packed in row.words or ())
    return TranscribedSegment(n, row.channel, row.start_s, row.end_s, row.text or "", words)


def as_json(heard: TranscribedSegment) -> dict[str, object]:
    """One segment for programs: seconds from the start of the recording."""
    return asdict(heard)
