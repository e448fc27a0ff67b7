"""Transcripts at rest: planned as segments, filled in as engines answer, reused by their key."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core.chunk import Utterance
from core.errors import NotFound
from core.records import Records, Segment, Transcript, new_id
from core.segment import Span
from core.transcribe import Engine, Speech, Word
from core.work import Claim, Work


@dataclass(frozen=True)
class Heard:
    """One transcribed segment, with times from the start of the recording."""

    n: int
    channel: str
    start_s: float
    end_s: float
    text: str
    words: tuple[Word, ...]


def key(sha256: str, engine: Engine, language: str, *, split_channels: bool, owner: str = "") -> str:
    """Equal keys mean equal transcripts. `owner` keeps them apart where results are not shared."""
    parts = (sha256, engine.name, engine.version, language, str(split_channels), owner)
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


class Transcripts:
    """Reading and filling transcripts."""

    def __init__(self, records: Records, work: Work) -> None:
        self._records = records
        self._work = work

    def get(self, transcript_id: str) -> Transcript:
        """The transcript itself, without its segments."""
        with self._records.read() as session:
            row = session.get(Transcript, transcript_id)
        if row is None:
            raise NotFound
        return row

    def plan(self, claim: Claim, transcript_id: str, spans: Sequence[tuple[str, Span]]) -> None:
        """Fix the segments, in time order, once; what is planned already stays."""
        with self._records.write() as session:
            self._work.keep(session, claim)
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
                for n, (channel, span) in enumerate(ordered)
            )

    def pending(self, transcript_id: str) -> list[Segment]:
        """Segments nobody has transcribed yet, in order."""
        waiting = select(Segment).where(Segment.transcript_id == transcript_id, Segment.text.is_(None))
        with self._records.read() as session:
            return list(session.scalars(waiting.order_by(Segment.n)))

    def count(self, transcript_id: str) -> int:
        """How many segments there are."""
        mine = select(func.count()).select_from(Segment).where(Segment.transcript_id == transcript_id)
        with self._records.read() as session:
            return session.scalar(mine) or 0

    def commit(
        self, claim: Claim, segments: Sequence[Segment], speeches: Sequence[Speech], took_s: float
    ) -> None:
        """Keep what an engine heard; a segment that has its text already keeps it."""
        with self._records.write() as session:
            self._work.keep(session, claim)
            for segment, speech in zip(segments, speeches, strict=True):
                session.execute(
                    update(Segment)
                    .where(
                        Segment.transcript_id == segment.transcript_id,
                        Segment.n == segment.n,
                        Segment.text.is_(None),
                    )
                    .values(text=speech.text, words=[_packed(word, segment.start_s) for word in speech.words])
                )
            session.execute(
                update(Transcript)
                .where(Transcript.id == segments[0].transcript_id)
                .values(processing_s=Transcript.processing_s + took_s)
            )

    def heard(self, transcript_id: str) -> list[Heard]:
        """What was heard so far, in time order; segments without speech are left out."""
        spoken = select(Segment).where(Segment.transcript_id == transcript_id, Segment.text != "")
        with self._records.read() as session:
            rows = list(session.scalars(spoken.order_by(Segment.n)))
        return [_heard(row) for row in rows]

    def utterances(self, transcript_id: str) -> list[Utterance]:
        """The same as the chunker wants it; a channel of a call is its speaker."""
        return [
            Utterance(h.start_s, h.end_s, h.text, "" if h.channel == "mono" else h.channel)
            for h in self.heard(transcript_id)
        ]


def _packed(word: Word, offset_s: float) -> list[object]:
    start_s, end_s = round(word.start_s + offset_s, 3), round(word.end_s + offset_s, 3)
    return [word.text, start_s, end_s, word.confidence]


def _heard(row: Segment) -> Heard:
    words = tuple(Word(*packed) for packed in row.words or ())
    return Heard(row.n, row.channel, row.start_s, row.end_s, row.text or "", words)


def as_json(heard: Heard) -> dict[str, object]:
    """One segment for programs: seconds from the start of the recording."""
    return asdict(heard)
