"""What is said about tasks and recordings, in the fields that programs and pages share.

Times are ISO 8601 with offset, seconds are numbers, money is a decimal string in US dollars.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from core.billing import plain
from core.billing.ledger import Ledger
from core.database.database import Database
from core.database.states import TaskStatus
from core.database.tables import Recording, Task, utc
from core.errors import Code, Conflict, NotReady, StenogramError, code_of
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library.deletion import Deletion
from core.library.intake import Intake
from core.library.moments import link
from core.library.recordings import Recordings, TranscriptionOptions
from core.library.tasks import Tasks
from core.monitor import decisions
from core.monitor.eta import Forecast, Forecasts
from core.orders import batch_names
from core.principal import Principal
from core.transcripts import export
from core.transcripts.transcripts import TranscribedSegment, Transcripts

MESSAGES = {
    TaskStatus.QUEUED: N_("Waiting for a free worker."),
    TaskStatus.PROCESSING: N_("Transcription in progress…"),
    TaskStatus.COMPLETED: N_("Transcription completed."),
    TaskStatus.FAILED: N_("Transcription failed."),
    TaskStatus.CANCELLED: N_("Cancelled."),
}
UNDECIDED = N_("Waits until an admin decides on the monitor. {question}")
ACCEPTED = N_("The file was uploaded and its transcription was queued.")
KNOWN = N_("These bytes were transcribed before; the result is ready.")
TAKES = N_("About {time}.")
MAY_TAKE = N_("About {time} (a first guess: nothing was measured here yet).")
READY = N_("Ready now.")
DELETED = N_("The task was deleted.")


@dataclass(frozen=True)
class TaskAnswer:
    """One task as programs see it."""

    task_id: str
    recording_id: str
    status: str
    stage: str
    progress: int
    created_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    eta_seconds: int | None
    filename: str
    file_size: int
    engine: str
    language: str
    lane: str
    batch_id: str | None
    """In the batch lane: the provider's name for its job; ours while that is not known."""
    meaning: str
    message: str
    error: str | None
    error_code: str | None
    """What `error` says, as a name of `core.errors.Code`: stable where the sentence is not."""
    cost_usd: str
    """What its recording has cost so far; work done here costs nothing."""


@dataclass(frozen=True)
class TaskList:
    """One page of tasks, newest first, and how many there are in all."""

    total: int
    tasks: list[TaskAnswer]


@dataclass(frozen=True)
class Accepted:
    """The answer to an upload."""

    task_id: str
    recording_id: str
    status: str
    message: str
    filename: str
    file_size: int
    engine: str
    engine_reason: str
    """Why this engine."""
    estimated_time: str
    estimated_seconds: int


@dataclass(frozen=True)
class WordAnswer:
    """One word with its place in the recording."""

    text: str
    start_s: float
    end_s: float
    confidence: float | None


@dataclass(frozen=True)
class SegmentAnswer:
    """One stretch of speech."""

    n: int
    channel: str
    start_s: float
    end_s: float
    text: str
    words: list[WordAnswer]


@dataclass(frozen=True)
class Result:
    """A transcript as programs see it."""

    task_id: str
    recording_id: str
    status: str
    filename: str
    language: str
    engine: str
    transcription: str
    transcription_with_timecodes: str
    processing_time: float
    media_duration: float | None
    segments: list[SegmentAnswer]


@dataclass(frozen=True)
class RecordingAnswer:
    """One recording as programs see it, with its tasks, newest first."""

    recording_id: str
    owner: str
    filename: str
    title: str
    tags: list[str]
    language: str
    file_size: int
    duration_s: float | None
    channels: int
    format: str
    created_at: datetime
    searchable_by_words: bool
    meaning: str
    link: str
    tasks: list[str]


@dataclass(frozen=True)
class RecordingList:
    """One page of recordings, newest first, and how many there are in all."""

    total: int
    recordings: list[RecordingAnswer]


@dataclass(frozen=True)
class Message:
    """A sentence for a person."""

    message: str


class AnswerSources(Protocol):
    """What answers are read from."""

    database: Database
    recordings: Recordings
    transcripts: Transcripts
    tasks: Tasks
    deletion: Deletion
    intake: Intake
    ledger: Ledger


class Answers:
    """What one caller is told, in their language."""

    def __init__(self, sources: AnswerSources, who: Principal, language: str) -> None:
        self._sources = sources
        self._who = who
        self.language = language

    def task(self, task_id: str) -> TaskAnswer:
        """How a task is doing. Raises NotFound for what is not theirs."""
        return self._tasks([self._sources.recordings.task(self._who, task_id)])[0]

    def tasks(self, status: str, limit: int, offset: int) -> TaskList:
        """Their tasks, newest first."""
        total, found = self._sources.recordings.tasks(self._who, status=status, limit=limit, offset=offset)
        return TaskList(total, self._tasks(found))

    def accepted(self, task: Task) -> Accepted:
        """What an upload is answered with."""
        recording = self._recordings([task])[task.recording_id]
        forecast = Forecasts(self._sources.database, time.time()).of(task, recording)
        return Accepted(
            task_id=task.id,
            recording_id=recording.id,
            status=task.status,
            message=self.gettext(KNOWN if forecast is None else ACCEPTED),
            filename=task.filename or recording.filename,
            file_size=recording.size_bytes,
            engine=task.engine,
            engine_reason=self._why(task),
            estimated_time=self._sentence(forecast),
            estimated_seconds=forecast.seconds if forecast else 0,
        )

    def result(self, task_id: str) -> Result:
        """The transcript of a completed task. Raises NotFound, or NotReady with the task's status."""
        task, recording, heard = self._completed(task_id)
        return Result(
            task_id=task.id,
            recording_id=recording.id,
            status=task.status,
            filename=task.filename or recording.filename,
            language=task.language,
            engine=task.engine,
            transcription=export.text(heard, self.language),
            transcription_with_timecodes=export.timecodes(heard, self.language),
            processing_time=round((task.completed_at or 0.0) - (task.started_at or 0.0), 3),
            media_duration=recording.duration_s,
            segments=[_segment(piece) for piece in heard],
        )

    def file(self, task_id: str, kind: str) -> export.File:
        """The transcript of a completed task as a file, in one of `export.FORMATS`."""
        task, recording, heard = self._completed(task_id)
        return export.file(heard, task.filename or recording.filename, kind, self.language)

    def recording(self, recording_id: str) -> RecordingAnswer:
        """One recording. Raises NotFound for what is not theirs."""
        return self._recording(self._sources.recordings.get(self._who, recording_id))

    def recordings(self, words: str, tag: str, limit: int, offset: int) -> RecordingList:
        """Their recordings, newest first."""
        total, found = self._sources.recordings.find(
            self._who, words=words, tag=tag, limit=limit, offset=offset
        )
        return RecordingList(total, [self._recording(row) for row in found])

    def cancel(self, task_id: str) -> TaskAnswer:
        """Stop a task. Raises Conflict if it has ended already."""
        if not self._sources.tasks.cancel(self._who, task_id):
            raise Conflict(Code.TASK_ENDED)
        return self.task(task_id)

    def retry(self, task_id: str) -> TaskAnswer:
        """Go on with a task that stopped. Raises Conflict if there is nothing to retry."""
        if not self._sources.tasks.retry(self._who, task_id):
            raise Conflict(Code.NOTHING_TO_RETRY)
        return self.task(task_id)

    def forget(self, task_id: str) -> Message:
        """Delete a task, with its recording if nothing else needs that."""
        self._sources.deletion.delete_task(self._who, task_id)
        return Message(self.gettext(DELETED))

    def choice(self, options: TranscriptionOptions) -> dict[str, str]:
        """The engine that this wish would get now, and why; no engine where nothing is ready."""
        try:
            choice = self._sources.intake.choose_engine(options)
        except StenogramError as error:
            return {"engine": "", "reason": catalogue.translate_error(error, self.language)}
        told = {"message": choice.message, "facts": choice.facts}
        return {"engine": choice.engine.name, "reason": catalogue.translate_error(told, self.language)}

    def _why(self, task: Task) -> str:
        automatic = self.choice(TranscriptionOptions(language=task.language))
        if automatic["engine"] == task.engine:
            return automatic["reason"]
        return self.choice(TranscriptionOptions(language=task.language, engine=task.engine))["reason"]

    def gettext(self, template: str, **facts: object) -> str:
        """A sentence in the caller's language."""
        return catalogue.gettext(template, self.language, **facts)

    def _completed(self, task_id: str) -> tuple[Task, Recording, list[TranscribedSegment]]:
        task = self._sources.recordings.task(self._who, task_id)
        if task.status != TaskStatus.COMPLETED:
            raise NotReady(status=task.status)
        return (
            task,
            self._recordings([task])[task.recording_id],
            self._sources.transcripts.segments(task.transcript_id, task.recording_id),
        )

    def _tasks(self, tasks: Sequence[Task]) -> list[TaskAnswer]:
        recordings = self._recordings(tasks)
        forecasts = Forecasts(self._sources.database, time.time())
        paid = self._sources.ledger.of_recordings(recordings)
        batches = batch_names.of_tasks(self._sources.database, tasks)
        asked = self._asked(tasks)
        rows = [(task, recordings[task.recording_id]) for task in tasks if task.recording_id in recordings]
        return [
            self._task(
                task,
                recording,
                None if task.id in asked else forecasts.of(task, recording),
                paid[recording.id],
                batches.get(task.id),
                asked.get(task.id) or self.gettext(MESSAGES[task.status]),
            )
            for task, recording in rows
        ]

    def _asked(self, tasks: Sequence[Task]) -> dict[str, str]:
        """What is said of tasks that wait for a person's word; nobody knows how long that takes."""
        open_ = {task.id: task.transcript_id for task in tasks if task.status == TaskStatus.PROCESSING}
        found = decisions.questions(self._sources.database, set(open_.values()))
        asked = {id_: found[transcript] for id_, transcript in open_.items() if transcript in found}
        return {
            id_: self.gettext(UNDECIDED, question=catalogue.translate_error(question, self.language))
            for id_, question in asked.items()
        }

    def _task(
        self,
        task: Task,
        recording: Recording,
        forecast: Forecast | None,
        usd: Decimal,
        batch_id: str | None,
        message: str,
    ) -> TaskAnswer:
        return TaskAnswer(
            task_id=task.id,
            recording_id=recording.id,
            status=task.status,
            stage=task.stage,
            progress=task.progress,
            created_at=utc(task.created_at),
            started_at=utc(task.started_at) if task.started_at else None,
            completed_at=utc(task.completed_at) if task.completed_at else None,
            eta_seconds=forecast.seconds if forecast else None,
            filename=task.filename or recording.filename,
            file_size=recording.size_bytes,
            engine=task.engine,
            language=task.language,
            lane=task.embedding_mode.lane,
            batch_id=batch_id,
            meaning=recording.embedding_status,
            message=message,
            error=catalogue.translate_error(task.error, self.language) if task.error else None,
            error_code=code_of(task.error),
            cost_usd=plain(usd),
        )

    def _recordings(self, tasks: Sequence[Task]) -> dict[str, Recording]:
        return self._sources.recordings.named({task.recording_id for task in tasks})

    def _recording(self, row: Recording) -> RecordingAnswer:
        _, tasks = self._sources.recordings.tasks(self._who, recording_id=row.id, limit=100)
        return RecordingAnswer(
            recording_id=row.id,
            owner=row.owner,
            filename=row.filename,
            title=row.title,
            tags=list(row.tags),
            language=row.language,
            file_size=row.size_bytes,
            duration_s=row.duration_s,
            channels=row.channels,
            format=row.format,
            created_at=utc(row.created_at),
            searchable_by_words=row.transcript_id is not None,
            meaning=row.embedding_status,
            link=link(row.id),
            tasks=[task.id for task in tasks],
        )

    def _sentence(self, forecast: Forecast | None) -> str:
        if forecast is None:
            return self.gettext(READY)
        taken = catalogue.duration(forecast.seconds, self.language)
        return self.gettext(TAKES if forecast.measured else MAY_TAKE, time=taken)


def _segment(heard: TranscribedSegment) -> SegmentAnswer:
    spoken = [WordAnswer(word.text, word.start_s, word.end_s, word.confidence) for word in heard.words]
    return SegmentAnswer(heard.n, heard.channel, heard.start_s, heard.end_s, heard.text, spoken)
