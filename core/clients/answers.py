"""What is said about tasks and recordings, in the fields that programs and pages share.

Times are ISO 8601 with offset, seconds are numbers, money is a decimal string in US dollars.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from core.audit import record, record_once
from core.billing import plain
from core.billing.ledger import Ledger
from core.database.database import Database
from core.database.states import AuditAction, AuditSubject, TaskStatus
from core.database.tables import Recording, Task, Transcript, utc
from core.errors import Code, Conflict, NotReady, StenogramError, code_of
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library.deletion import Deletion
from core.library.intake import Intake
from core.library.moments import link
from core.library.recording_speakers import RecordingSpeakers
from core.library.recordings import Recordings, TranscriptionOptions, recorded
from core.library.tasks import Tasks
from core.monitor import decisions
from core.monitor.eta import Forecast, Forecasts
from core.orders import batch_names
from core.principal import Principal
from core.speech.language import AUTO, UNDETERMINED
from core.transcripts import export, warnings
from core.transcripts.segments import TranscribedSegment
from core.transcripts.speakers import SpeakerSummary
from core.transcripts.transcripts import Transcripts, probability
from core.transcripts.warnings import WarningAnswer

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
LEAST_PROBABILITY = 1e-6
"""Of a word, where its logarithm is taken."""
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
    """`auto` until the language was identified, if it decides."""
    language: str
    """`auto` until it was identified."""
    language_probability: float | None
    """How sure the identification is; null where the language was named."""
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
    speakers: list[SpeakerSummary] | None
    """Who speaks in it, of a completed task; null in lists."""
    warnings: list[WarningAnswer]
    """What to know about its transcript."""


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
    """The name of who speaks, or their label; left or right in a call, else mono."""
    start_s: float
    end_s: float
    text: str
    words: list[WordAnswer]
    speaker: str
    """The label of who speaks; empty where nobody knows."""
    overlapped: bool
    """Somebody else spoke during most of it."""
    language: str
    engine: str
    doubtful: bool
    """Whether it reads as if the engine had not understood."""
    log_probability: float | None
    """Mean natural logarithm of the probability of a token, or of a word where only those are known."""
    no_speech: float | None
    """Probability that nobody speaks, where the engine says it."""


@dataclass(frozen=True)
class Result:
    """A transcript as programs see it."""

    task_id: str
    recording_id: str
    status: str
    filename: str
    language: str
    language_probability: float | None
    languages: list[str]
    """All that are spoken, the main one first; segments say theirs."""
    engine: str
    engine_reason: str
    """Why this engine."""
    transcription: str
    transcription_with_timecodes: str
    processing_time: float
    media_duration: float | None
    segments: list[SegmentAnswer]
    warnings: list[WarningAnswer]
    """What to know about this transcript: damage of the file, tracks that were not heard."""


@dataclass(frozen=True)
class TrackAnswer:
    """One sound track of a recording that has several."""

    number: int
    """What `tracks` of a request may name."""
    language: str
    title: str
    default: bool
    """Whether players play it unless told otherwise."""
    channels: int


@dataclass(frozen=True)
class ChapterAnswer:
    """What begins where, as the source of a recording says."""

    start_s: float
    title: str


@dataclass(frozen=True)
class RecordingAnswer:
    """One recording as programs see it, with its tasks, newest first."""

    recording_id: str
    owner: str
    filename: str
    title: str
    tags: list[str]
    language: str
    language_probability: float | None
    file_size: int
    duration_s: float | None
    channels: int
    format: str
    tracks: list[TrackAnswer]
    """Empty where there is one."""
    created_at: datetime
    recorded_at: str | None
    """ISO 8601 with what is known: `2026-11-28`, without a zone `2026-11-28T14:05:12`, else ending in Z."""
    searchable_by_words: bool
    meaning: str
    link: str
    tasks: list[str]
    source_url: str
    """Where it was taken from; empty where it came as a file."""
    published_at: datetime | None
    chapters: list[ChapterAnswer]


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
    recording_speakers: RecordingSpeakers
    tasks: Tasks
    deletion: Deletion
    intake: Intake
    ledger: Ledger


class Answers:
    """What one caller is told, in their language."""

    def __init__(self, sources: AnswerSources, principal: Principal, language: str) -> None:
        self._sources = sources
        self._principal = principal
        self.language = language

    def task(self, task_id: str) -> TaskAnswer:
        """How a task is doing, and who speaks once it is done. Raises NotFound for what is not theirs."""
        task = self._sources.recordings.task(self._principal, task_id)
        answer = self._tasks([task])[0]
        if task.status != TaskStatus.COMPLETED:
            return answer
        recording = self._recordings([task])[task.recording_id]
        return replace(answer, speakers=self._sources.recording_speakers.summaries(recording))

    def tasks(self, status: str, limit: int, offset: int) -> TaskList:
        """Their tasks, newest first."""
        total, rows = self._sources.recordings.tasks(
            self._principal, status=status, limit=limit, offset=offset
        )
        return TaskList(total, self._tasks(rows))

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
        task, recording, segments = self._completed(task_id)
        seen = AuditAction.SAW, AuditSubject.RECORDING, recording.id
        record_once(self._sources.database, self._principal, *seen, "answers.result")
        transcript = self._sources.transcripts.get(task.transcript_id)
        return Result(
            task_id=task.id,
            recording_id=recording.id,
            status=task.status,
            filename=task.filename or recording.filename,
            language=task.language,
            language_probability=probability(transcript),
            languages=list(dict.fromkeys((task.language, *(piece.language for piece in segments)))),
            engine=task.engine,
            engine_reason=self._why(task),
            transcription=export.text(segments, self.language),
            transcription_with_timecodes=export.timecodes(segments, self.language),
            processing_time=round((task.completed_at or 0.0) - (task.started_at or 0.0), 3),
            media_duration=recording.duration_s,
            segments=[_segment(piece) for piece in segments],
            warnings=warnings.answers(transcript, self.language),
        )

    def file(self, task_id: str, kind: str) -> export.File:
        """The transcript of a completed task as a file, in one of `export.FORMATS`."""
        task, recording, segments = self._completed(task_id)
        with self._sources.database.write() as session:
            taken = AuditAction.EXPORTED, AuditSubject.RECORDING, recording.id
            record(session, self._principal, *taken, "answers.file")
        renamed = recording.title if recording.title != recording.filename else ""
        notes = warnings.answers(self._sources.transcripts.get(task.transcript_id), self.language)
        filename = task.filename or recording.filename
        return export.file(segments, filename, kind, self.language, title=renamed, warnings=notes)

    def recording(self, recording_id: str) -> RecordingAnswer:
        """One recording. Raises NotFound for what is not theirs."""
        return self._recording(self._sources.recordings.get(self._principal, recording_id))

    def recordings(self, words: str, tag: str, limit: int, offset: int, sort: str) -> RecordingList:
        """Their recordings, in an order of `core.library.recordings.ORDERS`."""
        total, rows = self._sources.recordings.find(
            self._principal, words=words, tag=tag, limit=limit, offset=offset, sort=sort
        )
        return RecordingList(total, [self._recording(row) for row in rows])

    def cancel(self, task_id: str) -> TaskAnswer:
        """Stop a task. Raises Conflict if it has ended already."""
        if not self._sources.tasks.cancel(self._principal, task_id):
            raise Conflict(Code.TASK_ENDED)
        return self.task(task_id)

    def retry(self, task_id: str) -> TaskAnswer:
        """Go on with a task that stopped. Raises Conflict if there is nothing to retry."""
        if not self._sources.tasks.retry(self._principal, task_id):
            raise Conflict(Code.NOTHING_TO_RETRY)
        return self.task(task_id)

    def forget(self, task_id: str) -> Message:
        """Delete a task, with its recording if nothing else needs that."""
        self._sources.deletion.delete_task(self._principal, task_id)
        return Message(self.gettext(DELETED))

    def choice(self, options: TranscriptionOptions) -> dict[str, str]:
        """The engine that this wish would get now, and why; no engine where nothing is ready."""
        try:
            choice = self._sources.intake.choose_engine(options)
        except StenogramError as error:
            return {"engine": "", "reason": catalogue.translate_error(error, self.language)}
        error_json = {"message": choice.message, "facts": choice.facts}
        return {"engine": choice.engine.name, "reason": catalogue.translate_error(error_json, self.language)}

    def _why(self, task: Task) -> str:
        if task.language == UNDETERMINED:
            return ""
        automatic = self.choice(TranscriptionOptions(language=task.language, engine=AUTO))
        if task.engine in {AUTO, automatic["engine"]}:
            return automatic["reason"]
        return self.choice(TranscriptionOptions(language=task.language, engine=task.engine))["reason"]

    def gettext(self, template: str, **facts: object) -> str:
        """A sentence in the caller's language."""
        return catalogue.gettext(template, self.language, **facts)

    def _completed(self, task_id: str) -> tuple[Task, Recording, list[TranscribedSegment]]:
        task = self._sources.recordings.task(self._principal, task_id)
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
        questions = self._asked(tasks)
        transcripts = self._sources.transcripts.of_ids({task.transcript_id for task in tasks})
        rows = [(task, recordings[task.recording_id]) for task in tasks if task.recording_id in recordings]
        return [
            self._task(
                task,
                recording,
                None if task.id in questions else forecasts.of(task, recording),
                paid[recording.id],
                batches.get(task.id),
                questions.get(task.id) or self.gettext(MESSAGES[task.status]),
                transcripts.get(task.transcript_id),
            )
            for task, recording in rows
        ]

    def _asked(self, tasks: Sequence[Task]) -> dict[str, str]:
        """What is said of tasks that wait for a person's word; nobody knows how long that takes."""
        open_ = {task.id: task.transcript_id for task in tasks if task.status == TaskStatus.PROCESSING}
        by_transcript = decisions.questions(self._sources.database, set(open_.values()))
        questions = {
            id_: by_transcript[transcript] for id_, transcript in open_.items() if transcript in by_transcript
        }
        return {
            id_: self.gettext(UNDECIDED, question=catalogue.translate_error(question, self.language))
            for id_, question in questions.items()
        }

    def _task(
        self,
        task: Task,
        recording: Recording,
        forecast: Forecast | None,
        usd: Decimal,
        batch_id: str | None,
        message: str,
        transcript: Transcript | None,
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
            language_probability=probability(transcript),
            lane=task.embedding_mode.lane,
            batch_id=batch_id,
            meaning=recording.embedding_status,
            message=message,
            error=catalogue.translate_error(task.error, self.language) if task.error else None,
            error_code=code_of(task.error),
            cost_usd=plain(usd),
            speakers=None,
            warnings=warnings.answers(transcript, self.language),
        )

    def _recordings(self, tasks: Sequence[Task]) -> dict[str, Recording]:
        return self._sources.recordings.named(self._principal, {task.recording_id for task in tasks})

    def _recording(self, row: Recording) -> RecordingAnswer:
        _, tasks = self._sources.recordings.tasks(self._principal, recording_id=row.id, limit=100)
        return RecordingAnswer(
            recording_id=row.id,
            owner=row.owner,
            filename=row.filename,
            title=row.title,
            tags=list(row.tags),
            language=row.language,
            language_probability=row.language_probability,
            file_size=row.size_bytes,
            duration_s=row.duration_s,
            channels=row.channels,
            format=row.format,
            tracks=[TrackAnswer(**track) for track in row.tracks],
            created_at=utc(row.created_at),
            recorded_at=when.iso() if (when := recorded(row)) else None,
            searchable_by_words=row.transcript_id is not None,
            meaning=row.embedding_status,
            link=link(row.id),
            tasks=[task.id for task in tasks],
            source_url=row.source_url,
            published_at=utc(row.published_at) if row.published_at else None,
            chapters=[ChapterAnswer(float(start_s), str(title)) for start_s, title in row.chapters],
        )

    def _sentence(self, forecast: Forecast | None) -> str:
        if forecast is None:
            return self.gettext(READY)
        duration = catalogue.duration(forecast.seconds, self.language)
        return self.gettext(TAKES if forecast.measured else MAY_TAKE, time=duration)


def _segment(segment: TranscribedSegment) -> SegmentAnswer:
    spoken = [WordAnswer(word.text, word.start_s, word.end_s, word.confidence) for word in segment.words]
    return SegmentAnswer(
        segment.n,
        segment.channel,
        segment.start_s,
        segment.end_s,
        segment.text,
        spoken,
        "" if segment.label == "mono" else segment.label,
        segment.overlapped,
        segment.language,
        segment.engine,
        segment.doubtful,
        _log_probability(segment),
        segment.no_speech,
    )


def _log_probability(segment: TranscribedSegment) -> float | None:
    """What the engine says, else the mean over the words that it is sure of to some degree."""
    confidences = [
        max(word.confidence, LEAST_PROBABILITY) for word in segment.words if word.confidence is not None
    ]
    if segment.log_probability is not None or not confidences:
        return segment.log_probability
    return round(sum(map(math.log, confidences)) / len(confidences), 4)
