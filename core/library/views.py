"""What people see of recordings: lists with their state, the transcript to read, what can be searched."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import aliased

from core.database.database import Database
from core.database.states import TASK_UNFINISHED, EmbeddingStatus, TaskStatus
from core.database.tables import Json, PassageRow, Recording, Task, Transcript
from core.errors import NotFound, StenogramError
from core.i18n.messages import N_
from core.library.intake import Intake
from core.library.moments import Moment
from core.library.recordings import Recordings, TranscriptionOptions, page, visible_to
from core.principal import Principal
from core.queue.jobs import as_json
from core.search.query import marks
from core.speech.engine import Word
from core.storage.blobs import folder_files
from core.transcripts import export
from core.transcripts.transcripts import TranscribedSegment, Transcripts

FORMATS = {
    "txt": N_("Text"),
    "timecodes": N_("Text with times"),
    "docx": N_("Word document"),
    "srt": N_("Subtitles (SRT)"),
    "vtt": N_("Subtitles (WebVTT)"),
    "csv": N_("Table (CSV)"),
    "json": N_("For programs (JSON)"),
    "rttm": N_("Turns of speakers (RTTM)"),
}
"""Exports as people choose them."""

PAUSE_S = 1.5
LONGEST_PARAGRAPH_S = 60.0
EXCERPT_LETTERS = 320


@dataclass(frozen=True)
class Card:
    """A recording and its newest task."""

    recording: Recording
    task: Task | None
    silent: bool
    """Whether it was heard, and nobody speaks in it."""

    @property
    def status(self) -> TaskStatus:
        """Where the work on it stands; a task that was cleaned away had ended."""
        return self.task.status if self.task else TaskStatus.COMPLETED

    @property
    def active(self) -> bool:
        """Whether somebody works on it or will soon."""
        return self.status in TASK_UNFINISHED


@dataclass(frozen=True)
class Totals:
    """How much there is, and how much of it can be found; seconds of sound."""

    recordings: int
    total_s: float
    words_s: float
    meaning_s: float


@dataclass(frozen=True)
class Paragraph:
    """Uninterrupted speech of one speaker; times from the start of the recording."""

    start_s: float
    end_s: float
    speaker: str
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Reading:
    """A recording with what was heard in it, perhaps only so far."""

    card: Card
    transcript: Transcript | None
    paragraphs: list[Paragraph]

    @property
    def complete(self) -> bool:
        """Whether this is the whole transcript."""
        return bool(self.transcript and self.transcript.complete)


@dataclass(frozen=True)
class Hit:
    """A moment as it is listed: where to play, who speaks, why it was found, and the text in pieces."""

    play_s: float
    speaker: str
    why: str
    pieces: list[tuple[str, bool]]
    how: str = ""
    also_in: tuple[str, ...] = ()
    """Titles of other recordings where the very same was said."""


@dataclass(frozen=True)
class Group:
    """The moments of one recording, best first."""

    recording_id: str
    title: str
    hits: list[Hit]


@dataclass(frozen=True)
class Outcome:
    """What became of one file: a recording, or the reason why not."""

    filename: str
    recording_id: str = ""
    error: Json | None = None


def cards(
    database: Database,
    who: Principal,
    *,
    words: str = "",
    tag: str = "",
    status: str = "",
    limit: int = 20,
    offset: int = 0,
) -> tuple[int, list[Card]]:
    """How many recordings fit, and one page of them, newest first. `words` are parts of the title."""
    found, newest = _with_task(who)
    if status:
        found = found.where(newest.status == status)
    with database.read() as session:
        total, rows = page(session, found, words, tag, limit, offset)
    return total, [Card(*row) for row in rows]


def chosen(database: Database, who: Principal, ids: Sequence[str]) -> list[Card]:
    """These recordings, in this order; those that are gone are left out."""
    found, _ = _with_task(who)
    with database.read() as session:
        rows = session.execute(found.where(Recording.id.in_(ids)))
        by_id = {row[0].id: Card(*row) for row in rows}
    return [by_id[id_] for id_ in ids if id_ in by_id]


def card(database: Database, who: Principal, recording_id: str) -> Card:
    """One recording; NotFound if it is not there or not theirs."""
    found = chosen(database, who, [recording_id])
    if not found:
        raise NotFound
    return found[0]


def totals(database: Database, who: Principal) -> Totals:
    """How much there is and how much of it can be searched."""
    length = func.sum(Recording.duration_s)
    heard = length.filter(Recording.transcript_id.is_not(None))
    meant = length.filter(Recording.embedding_status == EmbeddingStatus.DONE)
    with database.read() as session:
        count, *lengths = session.execute(
            visible_to(select(func.count(), length, heard, meant).select_from(Recording), who, Recording)
        ).one()
    return Totals(count, *(length_s or 0.0 for length_s in lengths))


def tags(database: Database, who: Principal) -> list[str]:
    """Every tag in use, in order."""
    with database.read() as session:
        lists = session.scalars(visible_to(select(Recording.tags), who, Recording))
        return sorted({tag for given in lists for tag in given})


def reading(database: Database, transcripts: Transcripts, who: Principal, recording_id: str) -> Reading:
    """The recording's transcript; while there is none yet, what has been heard of it so far."""
    shown = card(database, who, recording_id)
    transcript_id = shown.recording.transcript_id or (shown.task.transcript_id if shown.task else "")
    if not transcript_id:
        return Reading(shown, None, [])
    heard = transcripts.segments(transcript_id, recording_id)
    return Reading(shown, transcripts.get(transcript_id), paragraphs(heard))


def exported(
    recordings: Recordings,
    transcripts: Transcripts,
    who: Principal,
    recording_id: str,
    kind: str,
    language: str = "en",
) -> bytes:
    """The transcript as a file of one of FORMATS for a reader of `language`; empty while there is none."""
    recording = recordings.get(who, recording_id)
    transcript_id = recording.transcript_id
    heard = transcripts.segments(transcript_id, recording_id) if transcript_id else []
    return export.file(heard, recording.filename, kind, language).content


def paragraphs(heard: Iterable[TranscribedSegment]) -> list[Paragraph]:
    """Segments joined for reading: a new paragraph at a pause, another speaker, or after a minute."""
    found: list[Paragraph] = []
    for segment in heard:
        words = segment.words or (Word(segment.text, segment.start_s, segment.end_s),)
        speaker = "" if segment.channel == "mono" else segment.channel
        last = found[-1] if found else None
        if last and last.speaker == speaker and _goes_on(last, segment):
            found[-1] = replace(last, end_s=segment.end_s, words=last.words + words)
        else:
            found.append(Paragraph(segment.start_s, segment.end_s, speaker, words))
    return found


def take_in(
    intake: Intake, who: Principal, file: IO[bytes], filename: str, options: TranscriptionOptions
) -> Outcome:
    """One file on its way, or the reason why it cannot be."""
    try:
        return Outcome(filename, recording_id=intake.accept(who, file, filename, options).recording_id)
    except StenogramError as error:
        return Outcome(filename, error=as_json(error))


def in_folder(folder: str, allowed: Sequence[Path]) -> list[Path]:
    """The media files under a folder of the server that may be read."""
    return list(folder_files(Path(folder), allowed))


def take_path(intake: Intake, who: Principal, path: Path, options: TranscriptionOptions) -> Outcome:
    """The same for a file of the server."""
    with path.open("rb") as file:
        return take_in(intake, who, file, path.name, options)


def grouped(results: Iterable[Moment], question: str) -> list[Group]:
    """Moments by recording; the recording with the best one comes first."""
    groups: dict[str, Group] = {}
    for result in results:
        group = groups.setdefault(result.recording_id, Group(result.recording_id, result.title, []))
        pieces = excerpt(_marked(result, question))
        also = tuple(place.title for place in result.also_in)
        group.hits.append(Hit(result.play_s, result.speaker, result.why, pieces, result.how, also))
    return list(groups.values())


def _marked(result: Moment, question: str) -> list[tuple[str, bool]]:
    """A text in pieces, each with whether it answers: a sentence by its meaning, else words."""
    before, sentence, after = result.text.partition(result.sentence) if result.sentence else ("", "", "")
    if not sentence:
        return marks(result.text, question)
    return [piece for piece in ((before, False), (sentence, True), (after, False)) if piece[0]]


def excerpt(pieces: Sequence[tuple[str, bool]], letters: int = EXCERPT_LETTERS) -> list[tuple[str, bool]]:
    """The stretch with the most marks, with dots where the text goes on."""
    text = "".join(piece for piece, _ in pieces)
    if len(text) <= letters:
        return list(pieces)
    ends = itertools.accumulate(len(piece) for piece, _ in pieces)
    marks_at = [end - len(piece) for end, (piece, marked) in zip(ends, pieces, strict=True) if marked]
    reach = 2 * letters // 3
    first = max(marks_at, key=lambda at: sum(at <= other < at + reach for other in marks_at), default=0)
    start = text.rfind(" ", 0, max(1, first - letters // 3)) + 1
    end = len(text) if start + letters >= len(text) else text.rfind(" ", start, start + letters)
    end = end if end > first else start + letters
    shown, at = [("… ", False)] if start else [], 0
    for piece, marked in pieces:
        cut = piece[max(0, start - at) : max(0, end - at)]
        at += len(piece)
        if cut:
            shown.append((cut, marked))
    return [*shown, (" …", False)] if end < len(text) else shown


def _with_task(who: Principal) -> tuple[Select[Recording, Task, bool], type[Task]]:
    newest, other = aliased(Task), aliased(Task)
    latest = (
        select(other.id)
        .where(other.recording_id == Recording.id)
        .order_by(other.created_at.desc(), other.id)
        .limit(1)
        .correlate(Recording)
        .scalar_subquery()
    )
    spoken = exists().where(PassageRow.recording_id == Recording.id)
    silent = Recording.transcript_id.is_not(None) & ~spoken
    found = select(Recording, newest, silent).outerjoin(newest, newest.id == latest)
    return visible_to(found, who, Recording), newest


def _goes_on(paragraph: Paragraph, segment: TranscribedSegment) -> bool:
    together = segment.start_s - paragraph.end_s < PAUSE_S
    return together and segment.end_s - paragraph.start_s <= LONGEST_PARAGRAPH_S
