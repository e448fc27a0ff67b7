"""What people see of recordings: lists with their state, the transcript to read, what can be searched."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import IO

from sqlalchemy import ColumnElement, Select, and_, exists, func, select
from sqlalchemy.orm import Session, aliased

from core.audit import audited
from core.database.database import Database
from core.database.owned import visible_to
from core.database.states import (
    TASK_UNFINISHED,
    AuditAction,
    AuditSubject,
    DateKind,
    EditSubject,
    EmbeddingStatus,
    TaskStatus,
)
from core.database.tables import Diarization, EditRow, Json, PassageRow, Recording, Task, Transcript
from core.database.tables.recordings import SEVERAL_VOICES
from core.database.tables.transcripts import WARNED
from core.errors import NotFound, StenogramError
from core.i18n.messages import N_
from core.library.intake import Intake
from core.library.listing import NEWEST, fitting, outside_bin, page
from core.library.moments import Moment
from core.library.recordings import Recordings, TranscriptionOptions
from core.principal import EVERYONE, Principal
from core.queue.jobs import as_json
from core.search.query import marks
from core.speech.engine import Word
from core.storage.blobs import ServerFile, folder_files
from core.storage.resumable import HeldFile, ResumableUploads
from core.transcripts import export, warnings
from core.transcripts.segments import TranscribedSegment
from core.transcripts.transcripts import Transcripts

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

NEEDS = {"doubtful": N_("With warnings"), "unnamed": N_("Speakers without names")}
"""What recordings can be looked for by, beside where their work stands."""

SORTS = {
    NEWEST: N_("Newest first"),
    "recorded": N_("By date recorded"),
    "title": N_("By title"),
    "longest": N_("Longest first"),
}
"""How recordings can be listed, of `core.library.listing.ORDERS`."""

UNNAMED = 2
"""So many nameless speakers in a recording ask for names."""
PAUSE_S = 1.5
LONGEST_PARAGRAPH_S = 60.0
EXCERPT_LETTERS = 320
FEW = 5_000


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
class Activity:
    """What ended since somebody was here, and what is under way."""

    ready: int
    ready_s: float
    """Seconds of sound that became readable."""
    failed: int
    open: int


@dataclass(frozen=True)
class Attention:
    """Recordings that a person should look at, beyond those that failed."""

    doubtful: int
    """Whose transcript has a warning."""
    unnamed: int
    """With UNNAMED or more speakers whom nobody has named."""


@dataclass(frozen=True)
class Paragraph:
    """Uninterrupted speech of one speaker; times from the start of the recording."""

    start_s: float
    end_s: float
    speaker: str
    words: tuple[Word, ...]
    label: str = ""
    """Who speaks, as programs call them."""
    overlapped: bool = False
    """Somebody else spoke during most of it."""
    language: str = ""
    doubtful: bool = False
    """Whether it reads as if the engine had not understood."""
    pieces: tuple[TranscribedSegment, ...] = ()
    """The utterances that it is joined from."""


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
    start_s: float = 0.0
    end_s: float = 0.0


@dataclass(frozen=True)
class Group:
    """The moments of one recording, best first."""

    recording_id: str
    title: str
    hits: list[Hit]
    duration_s: float | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of one file: a recording, or the reason why not."""

    filename: str
    recording_id: str = ""
    error: Json | None = None


def cards(
    database: Database,
    principal: Principal,
    *,
    words: str = "",
    tag: str = "",
    status: str = "",
    limit: int = 20,
    offset: int = 0,
    sort: str = NEWEST,
) -> tuple[int, list[Card]]:
    """How many recordings fit, and one page of them. `words` are parts of the title."""
    among, total = visible_to(select(Recording), principal, Recording), None
    if status in NEEDS:
        among = among.where(_doubtful() if status == "doubtful" else _unnamed())
    with database.read() as session:
        if status and status not in NEEDS:
            count, condition = _newest_with_status(session, status)
            among = among.where(condition)
            total = None if words or tag or not principal.admin else count
        total, rows = page(session, _with_task(EVERYONE), among, words, tag, limit, offset, sort, total)
    return total, [Card(*row) for row in rows]


def _newest_with_status(session: Session, status: str) -> tuple[int, ColumnElement[bool]]:
    """How many recordings have a newest task with this status, and the condition that they have.

    Few are looked up, and among many one has soon found those of a page.
    """
    newest = (Task.status == status, Task.is_newest)
    count = outside_bin(session, select(func.count()).select_from(Task).where(*newest))
    if count < FEW:
        return count, Recording.id.in_(select(Task.recording_id).where(*newest))
    return count, exists().where(Task.recording_id == Recording.id, *newest)


@dataclass(frozen=True)
class Listed:
    """A recording as a row of a table."""

    id: str
    title: str
    duration_s: float | None
    dated_at: float
    recorded_kind: DateKind | None
    language: str
    size_bytes: int
    tags: list[str]
    status: TaskStatus = TaskStatus.COMPLETED
    """Where the work on it stands; a task that was cleaned away had ended."""


def listed(
    database: Database,
    principal: Principal,
    *,
    words: str = "",
    tag: str = "",
    status: str = "",
    limit: int = 20,
) -> list[Listed]:
    """The newest recordings that fit, with little beside them: fit for long tables."""
    names = [each.name for each in fields(Listed) if each.name != "status"]
    newest = and_(Task.recording_id == Recording.id, Task.is_newest)
    found = visible_to(select(Recording).outerjoin(Task, newest), principal, Recording)
    if status in NEEDS:
        found = found.where(_doubtful() if status == "doubtful" else _unnamed())
    elif status:
        found = found.where(Task.status == status)
    columns = [*(getattr(Recording, name) for name in names), Task.status]
    found = found.with_only_columns(*columns).order_by(Recording.created_at.desc(), Recording.id)
    with database.read() as session:
        rows = session.execute(fitting(session, found, words, tag).limit(limit)).all()
    return [
        Listed(**dict(zip(names, row[:-1], strict=True)), status=row[-1] or TaskStatus.COMPLETED)
        for row in rows
    ]


def chosen(database: Database, principal: Principal, ids: Sequence[str]) -> list[Card]:
    """These recordings, in this order; those that are gone are left out."""
    statement = _with_task(principal)
    with database.read() as session:
        rows = session.execute(statement.where(Recording.id.in_(ids)))
        by_id = {row[0].id: Card(*row) for row in rows}
    return [by_id[id_] for id_ in ids if id_ in by_id]


def card(database: Database, principal: Principal, recording_id: str) -> Card:
    """One recording; NotFound if it is not there or not theirs."""
    selected = chosen(database, principal, [recording_id])
    if not selected:
        raise NotFound
    return selected[0]


def totals(database: Database, principal: Principal) -> Totals:
    """How much there is and how much of it can be searched."""
    sums = _sums(database, principal)
    return Totals(
        sum(each.recordings for each in sums),
        sum(each.length_s for each in sums),
        sum(each.length_s for each in sums if each.engine is not None),
        sum(each.length_s for each in sums if each.embedding_status == EmbeddingStatus.DONE),
    )


@dataclass(frozen=True)
class _Sum:
    """Recordings that are alike in this, and their seconds of sound."""

    engine: str | None
    language: str
    embedding_status: EmbeddingStatus
    recordings: int
    length_s: float


def _sums(database: Database, principal: Principal) -> list[_Sum]:
    alike = Recording.engine, Recording.language, Recording.embedding_status
    counted = select(*alike, func.count(), func.coalesce(func.sum(Recording.duration_s), 0.0))
    with database.read() as session:
        return [
            _Sum(*row) for row in session.execute(visible_to(counted.group_by(*alike), principal, Recording))
        ]


def news(database: Database, principal: Principal, since: float) -> Activity:
    """What became of work since then (unix seconds)."""
    ready, failed = Task.status == TaskStatus.COMPLETED, Task.status == TaskStatus.FAILED
    ended = (
        select(
            func.count().filter(ready),
            func.sum(Recording.duration_s).filter(ready),
            func.count().filter(failed),
        )
        .select_from(Task)
        .join(Recording, Recording.id == Task.recording_id)
        .where(Task.completed_at > since, Task.excerpt.is_(None))
    )
    under_way = select(func.count()).select_from(Task).where(Task.status.in_(TASK_UNFINISHED))
    with database.read() as session:
        done, done_s, broken = session.execute(visible_to(ended, principal, Task)).one()
        unfinished = session.scalar(visible_to(under_way, principal, Task)) or 0
    return Activity(done, done_s or 0.0, broken, unfinished)


def attention(database: Database, principal: Principal) -> Attention:
    """What should be looked at, of all that is readable."""
    with database.read() as session:
        counts = [
            session.scalar(
                visible_to(select(func.count()).select_from(Recording).where(condition), principal, Recording)
            )
            for condition in (_doubtful(), _unnamed())
        ]
    return Attention(*(count or 0 for count in counts))


def _doubtful() -> ColumnElement[bool]:
    """Its transcript has a warning."""
    return Recording.transcript_id.in_(select(Transcript.id).where(WARNED))


def _unnamed() -> ColumnElement[bool]:
    """Two or more of its speakers have no name: whoever speaks alone is known by the title."""
    edited = (
        EditRow.recording_id == Diarization.recording_id,
        EditRow.subject == EditSubject.SPEAKERS,
        EditRow.undone.is_(False),
    )
    merged = func.count().filter(EditRow.edit["what"].as_string() == "merge")
    named = func.count(EditRow.edit["label"].as_string().distinct())
    known = select(named + merged).where(*edited).correlate(Diarization).scalar_subquery()
    found = func.json_array_length(Diarization.voices)
    return exists().where(Diarization.recording_id == Recording.id, SEVERAL_VOICES, found - known >= UNNAMED)


def tags(database: Database, principal: Principal) -> dict[str, int]:
    """Every tag in use, in order, with how many recordings have it."""
    short = Recording.indexed_tags.is_not(None)
    alike = select(Recording.indexed_tags, func.count()).where(short).group_by(Recording.indexed_tags)
    longer = select(Recording.tags).where(Recording.indexed_tags.is_(None))
    counts: Counter[str] = Counter()
    with database.read() as session:
        for tags_json, count in session.execute(visible_to(alike, principal, Recording)):
            counts.update(dict.fromkeys(json.loads(tags_json), count))
        for names in session.scalars(visible_to(longer, principal, Recording)):
            counts.update(set(names))
    return dict(sorted(counts.items()))


def languages(database: Database, principal: Principal) -> dict[str, int]:
    """Codes of the languages that are spoken in recordings, most first, with how many there are of each."""
    return _most_first(
        (each.language, each.recordings) for each in _sums(database, principal) if each.engine is not None
    )


def engines(database: Database, principal: Principal) -> dict[str, int]:
    """Engines that made the present texts, most first, with how many each."""
    return _most_first((each.engine, each.recordings) for each in _sums(database, principal) if each.engine)


def _most_first(counted: Iterable[tuple[str, int]]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for name, count in counted:
        counts[name] += count
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


@audited(AuditAction.SAW, AuditSubject.RECORDING, "recording_id")
def reading(database: Database, transcripts: Transcripts, principal: Principal, recording_id: str) -> Reading:
    """The recording's transcript; while there is none yet, what has been heard of it so far."""
    shown = card(database, principal, recording_id)
    transcript_id = shown.recording.transcript_id or (shown.task.transcript_id if shown.task else "")
    if not transcript_id:
        return Reading(shown, None, [])
    segments = transcripts.segments(transcript_id, recording_id)
    return Reading(shown, transcripts.get(transcript_id), paragraphs(segments))


@audited(AuditAction.EXPORTED, AuditSubject.RECORDING, "recording_id")
def exported(
    recordings: Recordings,
    transcripts: Transcripts,
    principal: Principal,
    recording_id: str,
    kind: str,
    language: str = "en",
) -> bytes:
    """The transcript as a file of one of FORMATS for a reader of `language`; empty while there is none."""
    recording = recordings.get(principal, recording_id)
    transcript_id = recording.transcript_id
    segments = transcripts.segments(transcript_id, recording_id) if transcript_id else []
    notes = warnings.answers(transcripts.get(transcript_id), language) if transcript_id else []
    title = recording.title
    return export.file(segments, recording.filename, kind, language, title=title, warnings=notes).content


def paragraphs(segments: Iterable[TranscribedSegment]) -> list[Paragraph]:
    """Segments joined for reading: a new one at a pause, another speaker or language, or after a minute.

    What is doubtful stands apart from what is not.
    """
    found: list[Paragraph] = []
    for segment in segments:
        words = segment.words or (Word(segment.text, segment.start_s, segment.end_s),)
        speaker = "" if segment.channel == "mono" else segment.channel
        last = found[-1] if found else None
        if last and _alike(last, segment, speaker) and _goes_on(last, segment):
            pieces = (*last.pieces, segment)
            found[-1] = replace(last, end_s=segment.end_s, words=last.words + words, pieces=pieces)
        else:
            paragraph = Paragraph(
                segment.start_s,
                segment.end_s,
                speaker,
                words,
                segment.label,
                segment.overlapped,
                segment.language,
                segment.doubtful,
                (segment,),
            )
            found.append(paragraph)
    return found


def accept_file(
    intake: Intake, principal: Principal, file: IO[bytes], filename: str, options: TranscriptionOptions
) -> Outcome:
    """One file on its way, or the reason why it cannot be."""
    try:
        return Outcome(filename, recording_id=intake.accept(principal, file, filename, options).recording_id)
    except StenogramError as error:
        return Outcome(filename, error=as_json(error))


def accept_held(
    intake: Intake,
    uploads: ResumableUploads,
    principal: Principal,
    file: HeldFile,
    options: TranscriptionOptions,
) -> Outcome:
    """The same for a file that waits on a page, which goes on waiting where it cannot be taken."""
    try:
        row = uploads.get(principal, file.id)
        task = intake.submit(principal, uploads.store(row), file.name, options)
    except StenogramError as error:
        return Outcome(file.name, error=as_json(error))
    uploads.forget(row)
    return Outcome(file.name, recording_id=task.recording_id)


def in_folder(folder: str, allowed: Sequence[Path]) -> list[Path]:
    """The media files under a folder of the server that may be read."""
    return list(folder_files(Path(folder), allowed))


def take_path(
    intake: Intake, principal: Principal, path: Path, options: TranscriptionOptions, allowed: Sequence[Path]
) -> Outcome:
    """The same for a file of the server inside of a folder that may be read."""
    try:
        with ServerFile(path, allowed) as file:
            return accept_file(intake, principal, file, path.name, options)
    except StenogramError as error:
        return Outcome(path.name, error=as_json(error))


def grouped(results: Iterable[Moment], question: str) -> list[Group]:
    """Moments by recording; the recording with the best one comes first."""
    groups: dict[str, Group] = {}
    for result in results:
        group = groups.setdefault(
            result.recording_id, Group(result.recording_id, result.title, [], result.duration_s)
        )
        pieces = excerpt(_marked(result, question))
        also = tuple(place.title for place in result.also_in)
        group.hits.append(
            Hit(
                result.play_s,
                result.speaker,
                result.why,
                pieces,
                result.how,
                also,
                result.start_s,
                result.end_s,
            )
        )
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


def _with_task(principal: Principal) -> Select[Recording, Task, bool]:
    newest, other = aliased(Task), aliased(Task)
    latest = (
        select(other.id)
        .where(other.recording_id == Recording.id, other.excerpt.is_(None))
        .order_by(other.created_at.desc(), other.id)
        .limit(1)
        .correlate(Recording)
        .scalar_subquery()
    )
    spoken = exists().where(PassageRow.recording_id == Recording.id)
    silent = Recording.transcript_id.is_not(None) & ~spoken
    statement = select(Recording, newest, silent).outerjoin(newest, newest.id == latest)
    return visible_to(statement, principal, Recording)


def _alike(last: Paragraph, segment: TranscribedSegment, speaker: str) -> bool:
    """Whether a segment may be read as a part of a paragraph; a person's word counts for more than marks."""
    if segment.begins is False:
        return last.speaker == speaker
    mine = speaker, segment.overlapped, segment.language, segment.doubtful
    return (last.speaker, last.overlapped, last.language, last.doubtful) == mine


def _goes_on(paragraph: Paragraph, segment: TranscribedSegment) -> bool:
    if segment.begins is not None:
        return not segment.begins
    together = segment.start_s - paragraph.end_s < PAUSE_S
    return together and segment.end_s - paragraph.start_s <= LONGEST_PARAGRAPH_S
