"""Recordings and their tasks: asking for a transcript, finding, renaming and deleting what is yours."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Callable, Sequence
from collections.abc import Collection as AnyOf
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core.audit import about, audited, record
from core.database.database import Database
from core.database.owned import Right, get_owned, owned_by, visible_to
from core.database.recycle_bin import WITH_BIN
from core.database.states import (
    Access,
    AuditAction,
    AuditSubject,
    EmbeddingMode,
    EmbeddingStatus,
    JobKind,
    JobState,
    TaskStatus,
)
from core.database.tables import (
    SPEAKERS_OFF,
    Collection,
    CollectionMoment,
    Diarization,
    Job,
    KeptMoment,
    PassageRow,
    Peaks,
    Recording,
    Task,
    Transcript,
    new_id,
)
from core.errors import Code, Conflict, NotFound
from core.library import listing
from core.library.listing import NEWEST
from core.media import dates
from core.media import tracks as track_choice
from core.media.dates import Recorded
from core.media.decode import Media
from core.media.tracks import Track
from core.media.waveform import SAMPLE_RATE
from core.principal import EVERYONE, Principal, is_person
from core.queue.jobs import JobQueue
from core.search import embedding_jobs
from core.speech.engine import Named
from core.speech.language import AUTO
from core.storage.blobs import Blob, clean_tags, clean_text
from core.transcripts import importing, speakers, transcripts
from core.transcripts.hints import hints
from core.transcripts.importing import Cue
from core.transcripts.voices import delete_unused_voices


@dataclass(frozen=True)
class TranscriptionOptions:
    """What the person or program asks for with a recording."""

    title: str = ""
    tags: tuple[str, ...] = ()
    language: str = ""
    """ISO 639-1, or `auto`: it is identified. Empty: as usual in this installation."""
    engine: str = ""
    embedding_mode: EmbeddingMode | None = None
    """None: the usual one of this installation."""
    deadline_h: float | None = None
    """Vectors that no batch has brought so many hours from now are made then, at the full price."""
    split_channels: bool = False
    subtitles: bool = False
    """Short phrases, fit for a screen, instead of long segments."""
    tracks: str = ""
    """Which tracks of several to hear: "" those in its language, `each`, `mix`, or the number of one."""
    group_id: str | None = None
    """With which others it is asked for (`core.library.task_groups`)."""
    translate: bool = False
    """Whether the text shall be in English, whatever is spoken."""
    temperature: float = 0.0
    """How much chance decides between words, 0 to 1; only Whisper has it."""
    speakers: str = ""
    """How many speakers to find: `off` none, `auto`, a number, or a range such as `2-4`; "": as usual here.

    In a call that is split, a number is of each channel, and `auto` takes channels for speakers.
    """
    force: bool = False
    keep_corrections: bool = False
    """Whether the new transcript is corrected as the present one is, where the same words are heard again."""
    everybody: bool | None = None
    """Whether a recording that is new is shared with everybody here; None: as usual here."""


EngineFor = Callable[[str], Named]
"""The engine for a language, by the wish and the rules of this installation."""

Also = Callable[[Session, Task], None]


def _nothing(_session: Session, _task: Task) -> None:
    """Nothing else has to be kept."""


class Recordings:
    """What people gave us, and what they asked for."""

    def __init__(self, database: Database, work: JobQueue, *, share_results: bool) -> None:
        self._database = database
        self._job_queue = work
        self._share = share_results

    @audited(AuditAction.ADDED, AuditSubject.RECORDING)
    def add(
        self,
        principal: Principal,
        blob: Blob,
        media: Media,
        filename: str,
        engine_for: EngineFor,
        options: TranscriptionOptions,
        also: Also = _nothing,
        cues: Sequence[Cue] = (),
    ) -> Task:
        """One recording (equal bytes of one owner are one) and a task; finished work is not repeated.

        A recording in the bin comes out of it.

        `options` name a language and an engine, which may both be `auto`; `cues` is the whole transcript,
        where the file is one. `also` writes what must be kept
        together with the task; what it raises undoes everything.
        """
        principal.must_write()
        with self._database.write() as session:
            self._database.advisory_lock(session, blob.sha256)
            recording = self._recording(session, principal, blob, media, filename, options)
            about(recording)
            transcript = self._transcript(session, principal, recording, engine_for, options)
            if cues:
                transcripts.fill(session, transcript, cues)
            session.flush()
            task = _task(recording, transcript, options)
            task.filename = filename
            speakers.keep_named(session, task, transcript, cues)
            jobs = self._begin(session, task, recording, transcript)
            session.flush()
            jobs += self._taken_out(session, recording, [job.kind for job in jobs])
            also(session, task)
            session.add_all(jobs)
        for job in jobs:
            self._job_queue.notify(job)
        return task

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def find_speakers(self, principal: Principal, recording_id: str, speakers: str = "auto") -> Task:
        """Look for the speakers of a recording that is transcribed; its text stays. Raises NotFound.

        Those that were found with another number, and all corrections of them, are forgotten then.
        """
        self.get(principal, recording_id, Right.WRITE)
        with self._database.write() as session:
            recording = session.get(Recording, recording_id)
            transcript = session.get(Transcript, recording.transcript_id) if recording else None
            if recording is None or transcript is None:
                raise NotFound
            if recording.format in importing.FORMATS:
                raise Conflict(Code.RECORDING_WITHOUT_SOUND)
            diarization = session.get(Diarization, recording_id)
            if diarization is not None and diarization.speakers != speakers:
                session.delete(diarization)
                session.flush()
            task = Task(
                recording_id=recording.id,
                transcript_id=transcript.id,
                owner=recording.owner,
                engine=transcript.engine,
                language=transcript.language,
                speakers=speakers,
            )
            jobs = self._begin(session, task, recording, transcript)
            session.flush()
            session.add_all(jobs)
        for job in jobs:
            self._job_queue.notify(job)
        return task

    def _begin(self, session: Session, task: Task, recording: Recording, transcript: Transcript) -> list[Job]:
        """Add a task; its first jobs, none where all is there. Those are for the caller to add."""
        now, task.id = self._job_queue.now(), new_id()
        session.add(task)
        find = transcript.complete and speakers.missing(session, task, transcript)
        if transcript.complete and recording.transcript_id == transcript.id and not find:
            task.status, task.stage, task.progress = TaskStatus.COMPLETED, TaskStatus.COMPLETED, 100
            task.created_at = task.started_at = task.completed_at = now
            return []
        kinds = [(JobKind.INDEX, "index") if transcript.complete else (JobKind.PREPARE, "cpu")]
        kinds += [(JobKind.DIARIZE, "cpu")] if find else []
        return [
            Job(task_id=task.id, kind=kind, queue=queue, run_at=now, notified_at=now, created_at=now)
            for kind, queue in kinds
        ]

    def _recording(
        self,
        session: Session,
        principal: Principal,
        blob: Blob,
        media: Media,
        filename: str,
        options: TranscriptionOptions,
    ) -> Recording:
        same = select(Recording).where(Recording.owner == principal.owner, Recording.sha256 == blob.sha256)
        recording = session.scalars(same.execution_options(**WITH_BIN)).first()
        if recording is None:
            when = dates.of_file(filename, media.dates)
            recording = Recording(
                owner=principal.owner,
                sha256=blob.sha256,
                filename=filename,
                title=filename,
                tags=[],
                language=options.language,
                size_bytes=blob.size_bytes,
                duration_s=media.duration_s,
                channels=media.channels,
                format=media.format,
                tracks=[asdict(track) for track in media.tracks] if len(media.tracks) > 1 else [],
                recorded_at=when and when.at,
                recorded_kind=when and when.kind,
                **({"everybody": Access.WRITE} if options.everybody else {}),
            )
            session.add(recording)
        recording.title = clean_text(options.title) or recording.title
        recording.tags = sorted({*recording.tags, *clean_tags(options.tags)})
        now = time.time()
        if options.deadline_h is not None:
            recording.vectors_by = now + 3600 * options.deadline_h
        elif (recording.vectors_by or now) < now:
            recording.vectors_by = None  # of an earlier wish, long fulfilled
        return recording

    def _transcript(
        self,
        session: Session,
        principal: Principal,
        recording: Recording,
        engine_for: EngineFor,
        options: TranscriptionOptions,
    ) -> Transcript:
        """The transcript that is asked for; where its language is not known yet, an undecided one."""
        form = self._form(session, principal, recording, options)
        engines = self._engines(session, recording, engine_for, options, form)
        if engines and options.language != AUTO:
            transcript = transcripts.new_transcript(recording.sha256, engines, form)
            return transcripts.find_or_begin(session, transcript, force=options.force)
        if engines and not options.force:
            existing = transcripts.find(session, transcripts.key(recording.sha256, engines, form))
            if existing is not None:
                return existing
        undecided = transcripts.undecided(recording.sha256, options.engine, form, force=options.force)
        return transcripts.find_or_begin(session, undecided)

    def _form(
        self, session: Session, principal: Principal, recording: Recording, options: TranscriptionOptions
    ) -> transcripts.Form:
        """Tracks that are heard apart are channels that are split."""
        known_tracks = [Track(**track) for track in recording.tracks]
        choice = options.tracks if len(known_tracks) > 1 else ""
        tracks = track_choice.choose(known_tracks, choice, options.language) if known_tracks else []
        channels = tracks[0].channels if len(tracks) == 1 else recording.channels
        apart = len(tracks) > 1 and choice != "mix"
        split = apart or (options.split_channels and channels == 2 and len(tracks) < 2)
        owner = self._shared_with(principal.owner)
        hint_text = hints(session, recording.owner, options.language)
        tuning = (options.translate, options.temperature, hint_text)
        return transcripts.Form(split, options.subtitles, choice, owner, *tuning)

    def _shared_with(self, owner: str) -> str:
        return "" if self._share else owner

    def shared_with(self, recording: Recording) -> str:
        """For whom alone its transcripts are made; empty: for all."""
        return self._shared_with(recording.owner)

    def _engines(
        self,
        session: Session,
        recording: Recording,
        engine_for: EngineFor,
        options: TranscriptionOptions,
        form: transcripts.Form,
    ) -> dict[str, Named]:
        """Who transcribes which of its languages; nothing while they have to be identified."""
        languages: tuple[str, ...] = (options.language,)
        if options.language == AUTO:
            languages = transcripts.identified(session, recording.sha256, form)
        return {language: engine_for(language) for language in languages}

    def transcribed(
        self, principal: Principal, sha256s: AnyOf[str], engine_for: EngineFor, options: TranscriptionOptions
    ) -> set[str]:
        """Of these bytes those whose whole text, made in this very way, is here: it is not made again."""
        with self._database.read() as session:
            rows = list(session.scalars(select(Recording).where(Recording.sha256.in_(sha256s))))
            keys = {}
            for row in rows:
                form = self._form(session, principal, row, options)
                if engines := self._engines(session, row, engine_for, options, form):
                    keys[transcripts.key(row.sha256, engines, form)] = row.sha256
            whole = select(Transcript.key).where(Transcript.key.in_(keys), Transcript.complete)
            return {keys[key] for key in session.scalars(whole)}

    def transcript_of(self, recording: Recording) -> Transcript | None:
        """The transcript that is read as its text."""
        with self._database.read() as session:
            return session.get(Transcript, recording.transcript_id) if recording.transcript_id else None

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def state_language(self, principal: Principal, recording_id: str, language: str) -> None:
        """A person says which language it is."""
        self.get(principal, recording_id, Right.WRITE)
        with self._database.write() as session:
            row = session.get_one(Recording, recording_id)
            row.language, row.language_probability = language, None

    def get(
        self,
        principal: Principal,
        recording_id: str,
        right: Right = Right.READ,
        *,
        with_bin: bool = False,
    ) -> Recording:
        """One recording; NotFound if it is not there or not theirs to see, ReadOnly without the right."""
        with self._database.read() as session:
            return get_owned(session, Recording, principal, recording_id, right=right, with_bin=with_bin)

    @audited(AuditAction.HEARD, AuditSubject.RECORDING, "recording_id")
    def listen(self, principal: Principal, recording_id: str) -> Recording:
        """A recording whose sound is asked for. Raises NotFound."""
        return self.get(principal, recording_id)

    @audited(AuditAction.EXPORTED, AuditSubject.RECORDING, "recording_id")
    def download(self, principal: Principal, recording_id: str) -> Recording:
        """A recording that is taken away as it came. Raises NotFound."""
        return self.get(principal, recording_id)

    def snapshot(self) -> AbstractContextManager[None]:
        """One view for all that is asked meanwhile."""
        return self._database.snapshot()

    def named(self, principal: Principal, ids: AnyOf[str]) -> dict[str, Recording]:
        """Those of these recordings that they may see, by id; those that are gone are left out."""
        known = visible_to(select(Recording).where(Recording.id.in_(ids)), principal, Recording)
        with self._database.read() as session:
            return {row.id: row for row in session.scalars(known)}

    def engines(self, rows: Sequence[Recording]) -> list[str]:
        """The engine of the present text of each recording that has one."""
        heard = select(Transcript.engine).join(Recording, Recording.transcript_id == Transcript.id)
        with self._database.read() as session:
            return list(session.scalars(heard.where(Recording.id.in_([row.id for row in rows]))))

    def collections(self, principal: Principal, rows: Sequence[Recording]) -> list[str]:
        """Titles of their collections, once for each of these recordings that has moments in it."""
        kept = (
            select(Collection.title, KeptMoment.recording_id)
            .join(CollectionMoment, CollectionMoment.collection_id == Collection.id)
            .join(KeptMoment, KeptMoment.id == CollectionMoment.moment_id)
            .where(KeptMoment.recording_id.in_([row.id for row in rows]))
            .distinct()
        )
        kept = owned_by(kept, principal, Collection)
        with self._database.read() as session:
            return [title for title, _ in session.execute(kept)]

    def task(
        self, principal: Principal, task_id: str, right: Right = Right.READ, *, with_bin: bool = False
    ) -> Task:
        """One task; NotFound if it is not there or not theirs to see, ReadOnly without the right."""
        with self._database.read() as session:
            row = get_owned(session, Task, principal, task_id, right=right)
        if not with_bin:
            self.get(EVERYONE, row.recording_id)
        return row

    def find(
        self,
        principal: Principal,
        *,
        words: str = "",
        tag: str = "",
        limit: int = 50,
        offset: int = 0,
        sort: str = NEWEST,
    ) -> tuple[int, list[Recording]]:
        """How many there are, and one page of them. `words` are parts of title or file name."""
        visible = visible_to(select(Recording), principal, Recording)
        with self._database.read() as session:
            total, rows = listing.page(session, select(Recording), visible, words, tag, limit, offset, sort)
        return total, [row[0] for row in rows]

    def of_task(self, task_id: str, *, with_bin: bool = False) -> tuple[Recording, Task]:
        """A task with its recording, whoever owns them. Raises NotFound."""
        task = self.task(EVERYONE, task_id, with_bin=True)
        return self.get(EVERYONE, task.recording_id, with_bin=with_bin), task

    def tasks(
        self,
        principal: Principal,
        *,
        status: str = "",
        recording_id: str = "",
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[int, list[Task]]:
        """How many tasks there are, and one page of them, newest first."""
        statement = visible_to(select(Task), principal, Task)
        if status:
            statement = statement.where(Task.status == status)
        if recording_id:
            statement = statement.where(Task.recording_id == recording_id)
        with self._database.read() as session:
            total = None if recording_id else listing.count_tasks(session, principal, status)
            return listing.task_page(session, statement, limit, offset, total)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def attach(
        self, principal: Principal, recording_id: str, blob: Blob, filename: str, media: Media
    ) -> None:
        """Give a recording that has only a transcript its sound. Raises Conflict where that cannot be."""
        self.get(principal, recording_id, Right.WRITE)
        with self._database.write() as session:
            self._database.advisory_lock(session, blob.sha256)
            row = session.get(Recording, recording_id)
            if row is None:
                raise NotFound  # deleted at this moment
            if row.format not in importing.FORMATS:
                raise Conflict(Code.RECORDING_HAS_SOUND)
            same = select(Recording.title).where(
                Recording.owner == row.owner, Recording.sha256 == blob.sha256
            )
            if (title := session.scalars(same.execution_options(**WITH_BIN)).first()) is not None:
                raise Conflict(Code.SOUND_IS_ANOTHERS, title=title)
            session.execute(
                update(Transcript).where(Transcript.sha256 == row.sha256).values(sha256=blob.sha256)
            )
            row.sha256, row.size_bytes = blob.sha256, blob.size_bytes
            row.filename, row.format, row.channels = filename, media.format, media.channels
            row.duration_s = media.duration_s or row.duration_s

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def rename(self, principal: Principal, recording_id: str, title: str, tags: tuple[str, ...]) -> None:
        """Change title and tags; never touches text or vectors."""
        self.get(principal, recording_id, Right.WRITE)
        with self._database.write() as session:
            row = session.get(Recording, recording_id)
            if row is None:
                raise NotFound  # deleted at this moment
            row.title, row.tags = clean_text(title) or row.filename, sorted(clean_tags(tags))

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def date(self, principal: Principal, recording_id: str, when: Recorded | None) -> None:
        """A person says when it was recorded; None: nobody knows. Raises NotFound."""
        self.get(principal, recording_id, Right.WRITE)
        with self._database.write() as session:
            row = session.get(Recording, recording_id)
            if row is None:
                raise NotFound  # deleted at this moment
            row.recorded_at, row.recorded_kind = (when.at, when.kind) if when else (None, None)

    @audited(AuditAction.DELETED, AuditSubject.RECORDING, "recording_id")
    def delete(self, principal: Principal, recording_id: str) -> Recording:
        """Forget a recording with its tasks and passages; transcripts too if nobody else has the bytes."""
        self.get(principal, recording_id, Right.OWN, with_bin=True)
        with self._database.write() as session:
            return _delete(session, recording_id)

    @audited(AuditAction.DELETED, AuditSubject.RECORDING, "recording_id")
    def discard(self, principal: Principal, recording_id: str) -> None:
        """Put a recording into the bin: work on it stops, its passages go. Nothing where it is there."""
        recording = self.get(principal, recording_id, Right.WRITE, with_bin=True)
        with self._database.write() as session:
            self._database.advisory_lock(session, recording.sha256)
            now = self._job_queue.now()
            self._job_queue.stop(session, recording_id)
            row = _locked(session, recording_id)
            if row.deleted_at is None:
                session.execute(delete(PassageRow).where(PassageRow.recording_id == recording_id))
                row.deleted_at, row.embedding_status = now, EmbeddingStatus.OFF
        self._job_queue.wake_next(recording.owner)

    @audited(AuditAction.RESTORED, AuditSubject.RECORDING, "recording_id")
    def restore(self, principal: Principal, recording_id: str) -> list[str]:
        """Take a recording out of the bin and queue its indexing; tasks (ids) that stopped for the bin.

        Nothing where it is not there. Raises NotFound.
        """
        recording = self.get(principal, recording_id, Right.WRITE, with_bin=True)
        if recording.deleted_at is None:
            return []
        with self._database.write() as session:
            self._database.advisory_lock(session, recording.sha256)
            row = _locked(session, recording_id)
            stopped = select(Task.id).where(
                Task.recording_id == recording_id,
                Task.status == TaskStatus.CANCELLED,
                Task.completed_at >= (row.deleted_at or math.inf),
            )
            task_ids = list(session.scalars(stopped))
            begun = select(Job.kind).where(Job.task_id.in_(task_ids), Job.state == JobState.CANCELLED)
            jobs = self._taken_out(session, row, session.scalars(begun).all())
        for job in jobs:
            self._job_queue.notify(job)
        return task_ids

    def _taken_out(self, session: Session, recording: Recording, going_on: AnyOf[JobKind]) -> list[Job]:
        """It is in the bin no more; the job that makes it found again, unless one that is `going_on` does."""
        if recording.deleted_at is None:
            return []
        recording.deleted_at = None
        session.flush()
        if JobKind.INDEX in going_on:
            return []
        job = embedding_jobs.index_job(session, recording.id, self._job_queue.now())
        return [job] if job else []

    @audited(AuditAction.DELETED, AuditSubject.TASK, "task_id")
    def forget(self, principal: Principal, task_id: str) -> Recording | None:
        """Forget a task. If it was the last of a recording that came by the API, forget and give that."""
        task = self.task(principal, task_id, Right.OWN, with_bin=True)
        with self._database.write() as session:
            session.execute(delete(Task).where(Task.id == task.id))
            if task.excerpt is not None:  # its transcript is nobody else's
                session.execute(delete(Transcript).where(Transcript.id == task.transcript_id))
            others = select(Task.id).where(Task.recording_id == task.recording_id).limit(1)
            latest = others.order_by(Task.created_at.desc(), Task.id).scalar_subquery()
            session.execute(update(Task).where(Task.id == latest).values(is_newest=True))
            if is_person(task.owner) or session.scalar(others):
                embedding_jobs.embed_rest(session, task.recording_id)
                return None
            gone = AuditAction.DELETED, AuditSubject.RECORDING, task.recording_id
            record(session, principal, *gone, "recordings.forget")
            return _delete(session, task.recording_id)

    def media(self, sha256: str) -> Media | None:
        """What is known about these bytes from when somebody brought them before."""
        with self._database.read() as session:
            same = select(Recording).where(Recording.sha256 == sha256).limit(1)
            row = session.scalars(same.execution_options(**WITH_BIN)).first()
        if row is None:
            return None
        tracks = tuple(Track(**track) for track in row.tracks)
        return Media(row.format, row.duration_s, row.channels, SAMPLE_RATE, estimated=False, tracks=tracks)

    def peaks(self, sha256: str) -> str:
        """How loud these bytes are along their length, in base64; empty where nobody has decoded them."""
        with self._database.read() as session:
            row = session.get(Peaks, sha256)
        return base64.b64encode(row.peaks).decode() if row else ""

    def has(self, sha256: str) -> bool:
        """Whether anybody has these bytes."""
        with self._database.read() as session:
            return _has(session, sha256)


def complete(session: Session, task: Task) -> None:
    """The recording is read as this task heard it; a task that had ended by itself stays as it ended."""
    recording = session.get_one(Recording, task.recording_id)
    transcript = session.get_one(Transcript, task.transcript_id)
    recording.transcript_id, recording.engine = transcript.id, transcript.engine
    transcripts.record_language(session, task.recording_id, transcript)
    session.execute(
        update(Task)
        .where(Task.id == task.id, Task.status == TaskStatus.PROCESSING)
        .values(
            status=TaskStatus.COMPLETED, stage=TaskStatus.COMPLETED, progress=100, completed_at=time.time()
        )
    )


def _locked(session: Session, recording_id: str) -> Recording:
    """A recording, in the bin or not, as it is now, for this transaction alone."""
    row = session.get(
        Recording, recording_id, with_for_update=True, populate_existing=True, execution_options=WITH_BIN
    )
    if row is None:
        raise NotFound  # deleted at this moment
    return row


def _delete(session: Session, recording_id: str) -> Recording:
    recording = _locked(session, recording_id)
    session.delete(recording)
    session.flush()
    delete_unused_voices(session)
    if not _has(session, recording.sha256):
        for table in (Transcript, Peaks):
            session.execute(delete(table).where(table.sha256 == recording.sha256))
    return recording


def _has(session: Session, sha256: str) -> bool:
    same = select(Recording.id).where(Recording.sha256 == sha256).limit(1).execution_options(**WITH_BIN)
    return session.scalar(same) is not None


def _task(recording: Recording, transcript: Transcript, options: TranscriptionOptions) -> Task:
    return Task(
        recording_id=recording.id,
        transcript_id=transcript.id,
        owner=recording.owner,
        engine=transcript.engine,
        language=transcript.language,
        embedding_mode=options.embedding_mode or EmbeddingMode.SYNC,
        speakers=options.speakers or SPEAKERS_OFF,
        keep_corrections=options.keep_corrections,
        group_id=options.group_id,
    )


def recorded(recording: Recording) -> Recorded | None:
    """When it was recorded, as far as anybody knows."""
    if recording.recorded_at is None or recording.recorded_kind is None:
        return None
    return Recorded(recording.recorded_at, recording.recorded_kind)
