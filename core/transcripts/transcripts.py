"""Transcripts at rest: planned as segments, filled in as engines answer, reused by their key."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from sqlalchemy import Float, Select, String, and_, bindparam, func, or_, select, update
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import EditSubject
from core.database.tables import EditRow, Job, Recording, Segment, Task, Transcript, new_id
from core.errors import NotFound
from core.queue.jobs import Claim, JobQueue, changed
from core.queue.locks import acquire_exclusive
from core.speech.engine import Engine, Named, Phrase, Speech, Word
from core.speech.language import AUTO
from core.speech.vad import Span
from core.speech.written import as_written
from core.transcripts import corrections, edit_log, speakers
from core.transcripts.chunking import Utterance
from core.transcripts.corrections import TextStep
from core.transcripts.importing import Cue
from core.transcripts.segments import TranscribedSegment

ROOM = 10_000
"""Numbers between two segments as they are planned, for the phrases of long ones."""


@dataclass(frozen=True)
class Planned:
    """A segment that is to be transcribed; language and engine are None where they are the transcript's."""

    channel: str
    span: Span
    language: str | None = None
    engine: str | None = None


@dataclass(frozen=True)
class Form:
    """How a transcript is made, besides language and engine. `owner`: for whom alone, if not for all."""

    split_channels: bool = False
    subtitles: bool = False
    tracks: str = ""
    owner: str = ""
    translate: bool = False
    temperature: float = 0.0
    hints: str = ""
    """What the engine is told to expect."""


ByLanguage = Mapping[str, Engine]
"""Each language of a recording with the engine that transcribes it, the main one first."""


def form_of(transcript: Transcript, owner: str) -> Form:
    """How a transcript was made. `owner`: for whom alone, if not for all."""
    tuning = (transcript.translate, transcript.temperature, transcript.hints)
    return Form(transcript.split_channels, transcript.subtitles, transcript.tracks, owner, *tuning)


def key(sha256: str, engines: Mapping[str, Named], form: Form) -> str:
    """Equal keys mean equal transcripts."""
    names, versions = ([getattr(e, name) for e in engines.values()] for name in ("name", "version"))
    return _key(sha256, "+".join(names), "+".join(versions), "+".join(engines), form)


def _key(sha256: str, engine: str, version: str, language: str, form: Form) -> str:
    options = str(form.split_channels) + (" subtitles" if form.subtitles else "")
    options += f" tracks={form.tracks}" if form.tracks else ""
    options += " translate" if form.translate else ""
    options += f" temperature={form.temperature:g}" if form.temperature else ""
    options += f" hints={form.hints}" if form.hints else ""
    parts = (sha256, engine, version, language, options, form.owner)
    return hashlib.sha256("|".join(parts).encode()).hexdigest()


def new_transcript(sha256: str, engines: Mapping[str, Named], form: Form) -> Transcript:
    """A transcript by these engines, not begun yet."""
    language, engine = next(iter(engines.items()))
    row = _unsettled(sha256, engine.name, form)
    row.key, row.engine_version, row.language = key(sha256, engines, form), engine.version, language
    return row


def undecided(sha256: str, engine: str, form: Form, *, force: bool = False) -> Transcript:
    """One whose language is to be identified first, by the engine of this name, or `auto`.

    One that is forced is for nobody else, and takes nothing from earlier ones.
    """
    row = _unsettled(sha256, engine, form)
    row.key = FORCED + new_id() if force else _key(sha256, engine, "", AUTO, form)
    return row


def _unsettled(sha256: str, engine: str, form: Form) -> Transcript:
    return Transcript(
        sha256=sha256,
        engine=engine,
        engine_version="",
        language=AUTO,
        split_channels=form.split_channels,
        subtitles=form.subtitles,
        tracks=form.tracks,
        translate=form.translate,
        temperature=form.temperature,
        hints=form.hints,
    )


FORCED = "forced-"


def identified(session: Session, sha256: str, form: Form) -> tuple[str, ...]:
    """Languages of these bytes, the main one first, if they were identified before."""
    statement = select(Transcript.identified).where(
        Transcript.sha256 == sha256,
        Transcript.split_channels == form.split_channels,
        Transcript.tracks == form.tracks,
        Transcript.identified.is_not(None),
    )
    languages = next(filter(None, session.scalars(statement.order_by(Transcript.created_at.desc()))), None)
    return tuple(languages["languages"]) if languages else ()


def find(session: Session, key: str) -> Transcript | None:
    """The transcript with this key."""
    return session.scalars(select(Transcript).where(Transcript.key == key)).first()


def find_or_begin(session: Session, draft: Transcript, *, force: bool = False) -> Transcript:
    """The transcript with this key, or a new one; `force` retires the old one and begins again."""
    existing = find(session, draft.key)
    if existing and force:
        existing.key = f"retired-{existing.id}"
        session.flush()
    if existing and not force:
        return existing
    draft.id = new_id()
    session.add(draft)
    return draft


def fill(session: Session, transcript: Transcript, cues: Sequence[Cue]) -> None:
    """Keep what a file says as the whole transcript; a complete one keeps its own."""
    if transcript.complete:
        return
    session.flush()
    session.add_all(
        Segment(
            transcript_id=transcript.id,
            n=n,
            start_s=round(cue.start_s, 3),
            end_s=round(cue.end_s, 3),
            text=cue.text,
            words=[[word.text, word.start_s, word.end_s, word.confidence] for word in cue.words],
        )
        for n, cue in enumerate(cues)
    )
    transcript.planned = transcript.complete = True
    transcript.duration_s = max(cue.end_s for cue in cues)


def complete(session: Session, transcript_id: str) -> None:
    """Everything in it was heard."""
    session.get_one(Transcript, transcript_id).complete = True


@dataclass(frozen=True)
class Settlement:
    """What was found out of an undecided transcript: who transcribes which language, and in which pieces."""

    engines: ByLanguage
    identified: Mapping[str, Any] | None
    """As the table keeps it; None where nobody could listen."""
    segments: Sequence[Planned]
    owner: str
    """For whom alone the transcript is made, if not for all."""


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

    def of_ids(self, ids: Collection[str]) -> dict[str, Transcript]:
        """Those that there are, by id."""
        with self._database.read() as session:
            transcripts = session.scalars(select(Transcript).where(Transcript.id.in_(ids)))
            return {row.id: row for row in transcripts}

    def plan(self, claim: Claim, transcript_id: str, segments: Sequence[Planned]) -> None:
        """Fix the segments, in time order, once; what is planned already stays."""
        with self._database.write() as session:
            self._job_queue.keep(session, claim)
            _plan(session, session.get_one(Transcript, transcript_id), segments)

    def settle(self, claim: Claim, transcript_id: str, settlement: Settlement) -> str:
        """Make an undecided transcript one of these languages and engines, with its segments.

        Where there is such a transcript, it takes the place of this one, whose tasks go over to it. Returns
        the id of the one that the claim's task has then.
        """
        with self._database.write() as session:
            transcript = session.get(Transcript, transcript_id)
            if transcript is not None:
                self._database.advisory_lock(session, transcript.sha256)
                transcript = session.get(Transcript, transcript_id, populate_existing=True)
            self._job_queue.keep(session, claim)
            if transcript is not None and transcript.language == AUTO:
                _settle(session, transcript, settlement)
            session.flush()
            return session.get_one(Task, claim.task_id).transcript_id

    def pending(self, transcript_id: str, engine: str = "") -> list[Segment]:
        """Segments nobody has transcribed yet, in order; with `engine` those that are for it."""
        waiting = (
            select(Segment)
            .join(Transcript, Transcript.id == Segment.transcript_id)
            .where(Segment.transcript_id == transcript_id, Segment.text.is_(None))
        )
        if engine:
            waiting = waiting.where(func.coalesce(Segment.engine, Transcript.engine) == engine)
        with self._database.read() as session:
            return list(session.scalars(waiting.order_by(Segment.n)))

    def next_engine(self, transcript_id: str) -> str:
        """The engine that the first segment without text is for; empty if there is none."""
        pending = (
            select(func.coalesce(Segment.engine, Transcript.engine))
            .join(Transcript, Transcript.id == Segment.transcript_id)
            .where(Segment.transcript_id == transcript_id, Segment.text.is_(None))
        )
        with self._database.read() as session:
            return session.scalar(pending.order_by(Segment.n).limit(1)) or ""

    def count(self, transcript_id: str) -> int:
        """How many segments there are."""
        statement = select(func.count()).select_from(Segment).where(Segment.transcript_id == transcript_id)
        with self._database.read() as session:
            return session.scalar(statement) or 0

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

        With `recording_id` they read as people corrected them there, and hold one speaker each, by the name
        given there.
        """
        with self._database.read() as session:
            segments = segments_of(session, transcript_id)
            if not recording_id:
                return speakers.by_speaker(segments, speakers.Speaking())
            now = corrections.replay(segments, text_steps(session, recording_id, transcript_id))
            return speakers.by_speaker(now, speakers.speaking_of(session, recording_id))

    def beginning(self, transcript_id: str) -> list[TranscribedSegment]:
        """What engines heard up to the first segment that is not recognised yet: it only grows."""
        waiting = select(func.min(Segment.n)).where(
            Segment.transcript_id == transcript_id, Segment.text.is_(None)
        )
        with self._database.read() as session:
            end = session.scalar(waiting)
            segments = segments_of(session, transcript_id)
        return [each for each in segments if end is None or int(each.segment_id) < end]

    def words_between(self, recording_id: str, start_s: float, end_s: float) -> list[Word]:
        """The words of a recording between two moments, in time order."""
        return self.words_at([(recording_id, start_s, end_s)])[0]

    def words_at(self, stretches: Sequence[tuple[str, float, float]]) -> list[list[Word]]:
        """The words of each stretch (recording, start and end in seconds), in time order."""
        with self._database.read() as session:
            transcripts = _transcripts_of(session, {recording_id for recording_id, _, _ in stretches})
            places = [each for each in stretches if each[0] in transcripts]
            rows = _spoken_at(
                session,
                [(transcripts[each], start_s, end_s) for each, start_s, end_s in places],
            )
            steps = edit_log.steps_of_many(session, EditSubject.TEXT, transcripts)
            spoken = {
                recording_id: _corrected(rows.get(transcript_id, ()), steps.get(recording_id, ()))
                for recording_id, transcript_id in transcripts.items()
            }
        return [
            sorted(
                (
                    word
                    for segment in spoken.get(recording_id, ())
                    if segment.end_s > start_s and segment.start_s < end_s
                    for word in segment.words
                    if start_s <= word.start_s < end_s
                ),
                key=lambda word: word.start_s,
            )
            for recording_id, start_s, end_s in stretches
        ]

    def utterances(self, transcript_id: str, recording_id: str = "") -> list[Utterance]:
        """The same as the chunker wants it; a channel of a call is its speaker."""
        return [
            Utterance(h.start_s, h.end_s, h.text, "" if h.channel == "mono" else h.channel)
            for h in self.segments(transcript_id, recording_id)
        ]


def _transcripts_of(session: Session, recording_ids: Iterable[str]) -> dict[str, str]:
    """The transcript of each recording that has one."""
    statement = select(Recording.id, Recording.transcript_id).where(Recording.id.in_(list(recording_ids)))
    return {recording_id: transcript for recording_id, transcript in session.execute(statement) if transcript}


def segments_of(session: Session, transcript_id: str) -> list[TranscribedSegment]:
    """What engines heard so far, in time order; segments without speech are left out."""
    spoken = select(Segment).where(Segment.transcript_id == transcript_id, Segment.text != "")
    whole = session.get(Transcript, transcript_id)
    return [_segment(n, row, whole) for n, row in enumerate(session.scalars(spoken.order_by(Segment.n)))]


def text_steps(session: Session, recording_id: str, transcript_id: str) -> list[TextStep]:
    """How a recording's text was corrected, in this transcript of it."""
    rows = edit_log.steps(session, recording_id, EditSubject.TEXT, transcript_id)
    return [corrections.from_json(row.edit) for row in rows]


def _corrected(rows: Iterable[Segment], steps: Iterable[EditRow]) -> list[TranscribedSegment]:
    """Some segments of a recording as they read now, and all that people made."""
    new_segments, replaced_ids = corrections.effective_segments(
        [corrections.from_json(step.edit) for step in steps]
    )
    return [
        one for one in (_segment(0, row, None) for row in rows) if one.segment_id not in replaced_ids
    ] + new_segments


def _spoken_at(session: Session, stretches: Sequence[tuple[str, float, float]]) -> dict[str, list[Segment]]:
    """Segments that meet any stretch (transcript, start, end), by transcript."""
    segments_of_transcript: dict[str, list[Segment]] = {}
    if not stretches:
        return segments_of_transcript
    values = {
        f"{name}_{place}": value
        for place, stretch in enumerate(stretches)
        for name, value in zip(("transcript", "start_s", "end_s"), stretch, strict=True)
    }
    for row in session.scalars(_meeting(len(stretches)), values):
        segments_of_transcript.setdefault(row.transcript_id, []).append(row)
    return segments_of_transcript


@lru_cache(maxsize=64)
def _meeting(count: int) -> Select[Segment]:
    """Segments that meet one of so many stretches; to build it takes longer than to ask it."""
    at = (
        and_(
            Segment.transcript_id == bindparam(f"transcript_{place}", type_=String),
            Segment.start_s < bindparam(f"end_s_{place}", type_=Float),
            Segment.end_s > bindparam(f"start_s_{place}", type_=Float),
        )
        for place in range(count)
    )
    return select(Segment).where(or_(*at)).order_by(Segment.n)


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
    phrases: list[Phrase | Speech] = list(speech.phrases[: ROOM - 1])
    if tail:
        words = tuple(word for phrase in tail for word in phrase.words)
        text = " ".join(phrase.text for phrase in tail)
        phrases.append(Phrase(text, tail[0].start_s, tail[-1].end_s, words))
    return phrases


def _row(segment: Segment, place: int, part: Phrase | Speech) -> dict[str, Any]:
    row = {
        "n": segment.n + place,
        "channel": segment.channel,
        "text": part.text,
        "words": [_packed(word, segment) for word in part.words],
        "start_s": segment.start_s,
        "end_s": segment.end_s,
        "language": segment.language,
        "engine": segment.engine,
    }
    if isinstance(part, Phrase):
        row |= {"log_probability": part.log_probability, "no_speech": part.no_speech}
        row["start_s"], row["end_s"] = _placed(part.start_s, segment), _placed(part.end_s, segment)
    return row


def _packed(word: Word, segment: Segment) -> list[object]:
    return [word.text, _placed(word.start_s, segment), _placed(word.end_s, segment), word.confidence]


def _placed(at_s: float, segment: Segment) -> float:
    """A moment in a segment as one of its recording; engines hear some words end behind the sound."""
    return min(round(segment.start_s + at_s, 3), segment.end_s)


def _words(row: Segment) -> tuple[Word, ...]:
    """As in its text: engines used to be believed where one word begins and another ends."""
    return as_written(row.text or "", [Word(*packed) for packed in row.words or ()])


def _segment(n: int, row: Segment, whole: Transcript | None) -> TranscribedSegment:
    return TranscribedSegment(
        n,
        row.channel,
        row.start_s,
        row.end_s,
        row.text or "",
        _words(row),
        language=row.language or (whole.language if whole else ""),
        engine=row.engine or (whole.engine if whole else ""),
        log_probability=row.log_probability,
        no_speech=row.no_speech,
        doubtful=row.doubtful,
        segment_id=str(row.n),
    )


def _plan(session: Session, transcript: Transcript, segments: Sequence[Planned]) -> None:
    if transcript.planned:
        return
    transcript.planned = True
    ordered = sorted(segments, key=lambda each: (each.span.start_s, each.channel))
    session.add_all(
        Segment(
            transcript_id=transcript.id,
            n=n,
            channel=each.channel,
            start_s=each.span.start_s,
            end_s=each.span.end_s,
            language=each.language,
            engine=each.engine,
        )
        for n, each in zip(itertools.count(step=ROOM), ordered, strict=False)
    )


def _settle(session: Session, transcript: Transcript, settlement: Settlement) -> None:
    settled = new_transcript(transcript.sha256, settlement.engines, form_of(transcript, settlement.owner))
    other = find(session, settled.key)
    if other is not None and transcript.key.startswith(FORCED):
        other.key, other = f"retired-{other.id}", None
        session.flush()
    winner = other or transcript
    if other is None:
        for name in ("key", "engine", "engine_version", "language"):
            setattr(transcript, name, getattr(settled, name))
    winner.identified = dict(settlement.identified) if settlement.identified else winner.identified
    winner.duration_s = winner.duration_s or transcript.duration_s
    _plan(session, winner, settlement.segments)
    session.flush()
    tasks = list(session.scalars(select(Task).where(Task.transcript_id == transcript.id)))
    for task in tasks:
        task.transcript_id, task.engine, task.language = winner.id, winner.engine, winner.language
        record_language(session, task.recording_id, winner)
    if winner is not transcript:
        session.flush()
        session.delete(transcript)


def record_language(session: Session, recording_id: str, transcript: Transcript) -> None:
    """The recording is in the language of this transcript, as sure as that is."""
    recording = session.get_one(Recording, recording_id)
    recording.language, recording.language_probability = transcript.language, probability(transcript)


def probability(transcript: Transcript | None) -> float | None:
    """How sure it is that a transcript is in its language; None where a person said so."""
    identified = (transcript and transcript.identified) or {}
    same = transcript is not None and transcript.language in identified.get("languages", ())[:1]
    return float(identified["probability"]) if same else None
