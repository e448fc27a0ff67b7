"""Recordings and their tasks: asking for a transcript, finding, renaming and deleting what is yours."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, Select, delete, func, select, update
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import EmbeddingMode, JobKind, TaskStatus
from core.database.tables import Job, Recording, Task, Transcript
from core.errors import NotFound
from core.media.decode import Media
from core.media.waveform import SAMPLE_RATE
from core.principal import EVERYONE, PAGES, Principal
from core.queue.jobs import JobQueue
from core.search import embedding_jobs
from core.speech.engine import Engine
from core.storage.blobs import Blob, clean_tags, clean_text
from core.transcripts import transcripts


@dataclass(frozen=True)
class TranscriptionOptions:
    """What the person or program asks for with a recording."""

    title: str = ""
    tags: tuple[str, ...] = ()
    language: str = "ru"
    engine: str = ""
    embedding_mode: EmbeddingMode | None = None
    """None: the usual one of this installation."""
    deadline_h: float | None = None
    """Vectors that no batch has brought so many hours from now are made then, at the full price."""
    split_channels: bool = False
    subtitles: bool = False
    """Short phrases, fit for a screen, instead of long segments."""
    speakers: str = ""
    """How many speakers to find: "" or `off` none, `auto`, a number, or a range such as `2-4`."""
    force: bool = False


Also = Callable[[Session, Task], None]


def _nothing(_session: Session, _task: Task) -> None:
    """Nothing else has to be kept."""


def visible_to(statement: Select, who: Principal, model: type[Recording | Task]) -> Select:  # type: ignore[type-arg]
    """Only what this principal may see."""
    return statement if who.admin else statement.where(model.owner == who.owner)


class Recordings:
    """What people gave us, and what they asked for."""

    def __init__(self, database: Database, work: JobQueue, *, share_results: bool) -> None:
        self._database = database
        self._job_queue = work
        self._share = share_results

    def add(
        self,
        who: Principal,
        blob: Blob,
        media: Media,
        filename: str,
        engine: Engine,
        options: TranscriptionOptions,
        also: Also = _nothing,
    ) -> Task:
        """One recording (equal bytes of one owner are one) and a task; finished work is not repeated.

        `also` writes what must be kept together with the task; what it raises undoes everything.
        """
        with self._database.write() as session:
            self._database.advisory_lock(session, blob.sha256)
            recording = self._recording(session, who, blob, media, filename, options)
            transcript = self._transcript(session, who, recording, engine, options)
            session.flush()
            task, job = _task(recording, transcript, engine, options, self._job_queue.now())
            task.filename = filename
            session.add(task)
            session.flush()
            also(session, task)
            if job is not None:
                job.task_id = task.id
                session.add(job)
        if job is not None:
            self._job_queue.notify(job)
        return task

    def _recording(
        self,
        session: Session,
        who: Principal,
        blob: Blob,
        media: Media,
        filename: str,
        options: TranscriptionOptions,
    ) -> Recording:
        same = select(Recording).where(Recording.owner == who.owner, Recording.sha256 == blob.sha256)
        recording = session.scalars(same).first()
        if recording is None:
            recording = Recording(
                owner=who.owner,
                sha256=blob.sha256,
                filename=filename,
                title=filename,
                tags=[],
                language=options.language,
                size_bytes=blob.size_bytes,
                duration_s=media.duration_s,
                channels=media.channels,
                format=media.format,
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
        who: Principal,
        recording: Recording,
        engine: Engine,
        options: TranscriptionOptions,
    ) -> Transcript:
        split = options.split_channels and recording.channels == 2
        wanted = Transcript(
            key=self._key(who, recording, engine, options),
            sha256=recording.sha256,
            engine=engine.name,
            engine_version=engine.version,
            language=options.language,
            split_channels=split,
            subtitles=options.subtitles,
            speakers="" if split else options.speakers,
        )
        return transcripts.find_or_begin(session, wanted, force=options.force)

    def _key(
        self, who: Principal, recording: Recording, engine: Engine, options: TranscriptionOptions
    ) -> str:
        split = options.split_channels and recording.channels == 2
        return transcripts.key(
            recording.sha256,
            engine,
            options.language,
            split_channels=split,
            subtitles=options.subtitles,
            speakers="" if split else options.speakers,
            owner="" if self._share else who.owner,
        )

    def transcribed(
        self, who: Principal, sha256s: Collection[str], engine: Engine, options: TranscriptionOptions
    ) -> set[str]:
        """Of these bytes those whose whole text, made in this very way, is here: it is not made again."""
        with self._database.read() as session:
            rows = session.scalars(select(Recording).where(Recording.sha256.in_(sha256s)))
            keys = {self._key(who, row, engine, options): row.sha256 for row in rows}
            whole = select(Transcript.key).where(Transcript.key.in_(keys), Transcript.complete)
            return {keys[key] for key in session.scalars(whole)}

    def get(self, who: Principal, recording_id: str) -> Recording:
        """One recording; NotFound if it is not there or not theirs."""
        with self._database.read() as session:
            row = session.get(Recording, recording_id)
        if row is None or not (who.admin or row.owner == who.owner):
            raise NotFound
        return row

    def named(self, ids: Collection[str]) -> dict[str, Recording]:
        """These recordings by id, whoever they belong to; those that are gone are left out."""
        with self._database.read() as session:
            return {row.id: row for row in session.scalars(select(Recording).where(Recording.id.in_(ids)))}

    def task(self, who: Principal, task_id: str) -> Task:
        """One task; NotFound if it is not there or not theirs."""
        with self._database.read() as session:
            row = session.get(Task, task_id)
        if row is None or not (who.admin or row.owner == who.owner):
            raise NotFound
        return row

    def find(
        self, who: Principal, *, words: str = "", tag: str = "", limit: int = 50, offset: int = 0
    ) -> tuple[int, list[Recording]]:
        """How many there are, and one page of them, newest first. `words` are parts of title or file name."""
        found = visible_to(select(Recording), who, Recording)
        with self._database.read() as session:
            total, rows = page(session, found, words, tag, limit, offset)
        return total, [row[0] for row in rows]

    def of_task(self, task_id: str) -> tuple[Recording, Task]:
        """A task with its recording, whoever owns them. Raises NotFound."""
        task = self.task(EVERYONE, task_id)
        return self.get(EVERYONE, task.recording_id), task

    def tasks(
        self,
        who: Principal,
        *,
        status: str = "",
        recording_id: str = "",
        limit: int = 50,
        offset: int = 0,
    ) -> tuple[int, list[Task]]:
        """How many tasks there are, and one page of them, newest first."""
        found = visible_to(select(Task), who, Task)
        if status:
            found = found.where(Task.status == status)
        if recording_id:
            found = found.where(Task.recording_id == recording_id)
        with self._database.read() as session:
            total, rows = _page(session, found, Task, limit, offset)
        return total, [row[0] for row in rows]

    def rename(self, who: Principal, recording_id: str, title: str, tags: tuple[str, ...]) -> None:
        """Change title and tags; never touches text or vectors."""
        self.get(who, recording_id)
        with self._database.write() as session:
            row = session.get(Recording, recording_id)
            if row is None:
                raise NotFound  # deleted at this moment
            row.title, row.tags = clean_text(title) or row.filename, sorted(clean_tags(tags))

    def delete(self, who: Principal, recording_id: str) -> Recording:
        """Forget a recording with its tasks and passages; transcripts too if nobody else has the bytes."""
        self.get(who, recording_id)
        with self._database.write() as session:
            return _delete(session, recording_id)

    def forget(self, who: Principal, task_id: str) -> Recording | None:
        """Forget a task. If it was the last of a recording that came by the API, forget and give that."""
        task = self.task(who, task_id)
        with self._database.write() as session:
            session.execute(delete(Task).where(Task.id == task.id))
            others = select(Task.id).where(Task.recording_id == task.recording_id).limit(1)
            if task.owner == PAGES or session.scalar(others):
                embedding_jobs.embed_rest(session, task.recording_id)
                return None
            return _delete(session, task.recording_id)

    def media(self, sha256: str) -> Media | None:
        """What is known about these bytes from when somebody brought them before."""
        with self._database.read() as session:
            row = session.scalars(select(Recording).where(Recording.sha256 == sha256).limit(1)).first()
        return Media(row.format, row.duration_s, row.channels, SAMPLE_RATE, estimated=False) if row else None

    def has(self, sha256: str) -> bool:
        """Whether anybody has these bytes."""
        with self._database.read() as session:
            return _has(session, sha256)


def complete(session: Session, task: Task) -> None:
    """The recording is read as this task heard it; a task that had ended by itself stays as it ended."""
    session.get_one(Recording, task.recording_id).transcript_id = task.transcript_id
    session.execute(
        update(Task)
        .where(Task.id == task.id, Task.status == TaskStatus.PROCESSING)
        .values(
            status=TaskStatus.COMPLETED, stage=TaskStatus.COMPLETED, progress=100, completed_at=time.time()
        )
    )


def _delete(session: Session, recording_id: str) -> Recording:
    recording = session.get(Recording, recording_id)
    if recording is None:
        raise NotFound
    session.delete(recording)
    session.flush()
    if not _has(session, recording.sha256):
        session.execute(delete(Transcript).where(Transcript.sha256 == recording.sha256))
    return recording


def _has(session: Session, sha256: str) -> bool:
    return session.scalar(select(Recording.id).where(Recording.sha256 == sha256).limit(1)) is not None


def _task(
    recording: Recording, transcript: Transcript, engine: Engine, options: TranscriptionOptions, now: float
) -> tuple[Task, Job | None]:
    task = Task(
        recording_id=recording.id,
        transcript_id=transcript.id,
        owner=recording.owner,
        engine=engine.name,
        language=options.language,
        embedding_mode=options.embedding_mode or EmbeddingMode.SYNC,
    )
    if transcript.complete and recording.transcript_id == transcript.id:
        task.status, task.stage, task.progress = TaskStatus.COMPLETED, TaskStatus.COMPLETED, 100
        task.created_at = task.started_at = task.completed_at = now
        return task, None
    kind, queue = (JobKind.INDEX, "io") if transcript.complete else (JobKind.PREPARE, "cpu")
    return task, Job(kind=kind, queue=queue, run_at=now, notified_at=now, created_at=now)


Found = Select[*tuple[Any, ...]]
"""A selection of recordings or tasks, and perhaps of more beside each."""


def page(
    session: Session, found: Found, words: str, tag: str, limit: int, offset: int
) -> tuple[int, Sequence[Row[*tuple[Any, ...]]]]:
    """How many have these words in title or file name, and this tag; one page of them, newest first."""
    if not (words or tag):
        return _page(session, found, Recording, limit, offset)
    ids = _fitting(session, found, words, tag)
    shown = found.where(Recording.id.in_(ids[offset : offset + limit]))
    return len(ids), session.execute(_newest(shown, Recording)).all()


def _fitting(session: Session, found: Found, words: str, tag: str) -> list[str]:
    """Their ids, newest first. Compared here: SQLite knows capitals of the Latin alphabet only."""
    wanted = words.casefold().split()
    columns = Recording.id, Recording.title, Recording.filename, Recording.tags
    rows = session.execute(_newest(found.with_only_columns(*columns), Recording))
    return [
        id_
        for id_, title, filename, given in rows
        if (not tag or tag in given) and all(word in f"{title}\n{filename}".casefold() for word in wanted)
    ]


def _newest(found: Found, model: type[Recording | Task]) -> Found:
    return found.order_by(model.created_at.desc(), model.id)


def _page(
    session: Session, found: Found, model: type[Recording | Task], limit: int, offset: int
) -> tuple[int, Sequence[Row[*tuple[Any, ...]]]]:
    total = session.scalar(select(func.count()).select_from(found.subquery())) or 0
    return total, session.execute(_newest(found, model).limit(limit).offset(offset)).all()
