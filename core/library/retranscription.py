"""Listening once more: another engine writes down a stretch of a recording, to be taken or left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from difflib import SequenceMatcher

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.audit import audited
from core.billing.ledger import Ledger
from core.database.database import Database
from core.database.owned import Right
from core.database.states import AuditAction, AuditSubject, JobKind, TaskStatus
from core.database.tables import Job, Json, Recording, Task, Transcript, new_id, utc
from core.errors import Code, Conflict, NotFound, Rejected
from core.library.recording_text import RecordingText
from core.library.recordings import Recordings
from core.principal import Principal
from core.queue.jobs import JobQueue
from core.speech import engines
from core.speech.engine import BATCH, Engine, RemoteEngine, refuse_unready
from core.transcripts import corrections, importing, transcripts
from core.transcripts.corrections import folded
from core.transcripts.hints import hints
from core.transcripts.segments import TranscribedSegment
from core.transcripts.transcripts import Transcripts

MOST_S = 600.0
"""More is better transcribed again as a whole."""
MARGIN_S = 0.2
"""Sound beside the first and the last word that is listened to, where nobody else speaks in it."""


@dataclass(frozen=True)
class Offer:
    """An engine that may listen once more, and what it asks for these seconds; 0: it computes here."""

    engine: str
    title: str
    remote: bool
    """Whether the sound leaves this installation."""
    usd: Decimal | None
    """None: nobody knows its price."""
    present: bool
    """Whether the text that stands there is from it."""


@dataclass(frozen=True)
class Excerpt:
    """The utterances that are listened to: their numbers from `n` on, their versions, place and language."""

    n: int
    versions: tuple[str, ...]
    channel: str
    start_s: float
    end_s: float
    language: str

    @classmethod
    def of(cls, stored: Json) -> Excerpt:
        """As a task keeps it."""
        return cls(**{**stored, "versions": tuple(stored["versions"])})


Difference = tuple[str, bool]
"""Words in a row, and whether the other text has others there."""


@dataclass(frozen=True)
class Retranscription:
    """A stretch that was, or is being, listened to once more."""

    task_id: str
    status: TaskStatus
    progress: int
    error: Json | None
    engine: str
    created_at: datetime
    n: int
    versions: tuple[str, ...]
    start_s: float
    end_s: float
    before: list[Difference]
    """What stands there now."""
    heard: list[Difference]
    """What the engine heard."""
    current: bool
    """Whether what was listened to still stands there, so that this can be taken."""

    @property
    def differs(self) -> bool:
        """Whether both texts say something else; punctuation and case aside."""
        return any(changed for _, changed in [*self.before, *self.heard])


class Retranscriptions:
    """Listening once more to stretches of recordings. Every method raises NotFound for others' recordings."""

    def __init__(
        self,
        database: Database,
        job_queue: JobQueue,
        recordings: Recordings,
        transcripts: Transcripts,
        recording_text: RecordingText,
        engines: Mapping[str, Engine],
        ledger: Ledger,
    ) -> None:
        self._database = database
        self._job_queue = job_queue
        self._recordings = recordings
        self._transcripts = transcripts
        self._recording_text = recording_text
        self._engines = engines
        self._ledger = ledger

    def offers(self, principal: Principal, recording_id: str, n: int, count: int = 1) -> list[Offer]:
        """Engines that can listen to utterances `n` and on, those first that did not write them.

        Modes that answer in hours are left out. Raises Conflict where there is no text, or no sound.
        """
        recording, utterances = self._utterances(principal, recording_id)
        pieces = utterances[n : n + count]
        if not pieces:
            raise NotFound
        excerpt = self._excerpt(recording, utterances, pieces)
        able = self._able(recording, excerpt.language)
        offers = [self._offer(engine, excerpt, pieces[0].engine) for engine in able]
        return sorted(offers, key=lambda offer: (offer.present, offer.remote))

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def begin(
        self, principal: Principal, recording_id: str, n: int, versions: Sequence[str], engine_name: str
    ) -> str:
        """Have an engine listen to utterances from `n` on, one a version; the id of the task.

        Raises Conflict where one reads otherwise by now, Rejected where the engine cannot, or it is too long.
        """
        recording, utterances = self._utterances(principal, recording_id, Right.WRITE)
        pieces = utterances[n : n + len(versions)]
        if not pieces or len(pieces) < len(versions):
            raise NotFound
        if [piece.version for piece in pieces] != list(versions):
            raise Conflict(Code.UTTERANCE_CHANGED, text=" ".join(piece.text for piece in pieces)[:200])
        excerpt = self._excerpt(recording, utterances, pieces)
        if excerpt.end_s - excerpt.start_s > MOST_S:
            raise Rejected(Code.EXCERPT_TOO_LONG, limit=str(round(MOST_S / 60)))
        engine = engines.choose(self._engines, engine_name, excerpt.language).engine
        refuse_unready(engine)
        with self._database.write() as session:
            job = self._begin(session, recording, engine, excerpt)
        self._job_queue.notify(job)
        return job.task_id

    def all(self, principal: Principal, recording_id: str) -> list[Retranscription]:
        """Those of a recording that were neither taken nor left, newest first."""
        _, utterances = self._utterances(principal, recording_id)
        statement = select(Task).where(Task.recording_id == recording_id, Task.excerpt.is_not(None))
        with self._database.read() as session:
            tasks = list(session.scalars(statement.order_by(Task.created_at.desc())))
        return [self._shown(task, utterances) for task in tasks]

    def get(self, principal: Principal, recording_id: str, task_id: str) -> Retranscription:
        """One of them."""
        _, utterances = self._utterances(principal, recording_id)
        return self._shown(self._task(principal, recording_id, task_id, Right.READ), utterances)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def take(self, principal: Principal, recording_id: str, task_id: str) -> None:
        """What was heard stands there now, as a correction that can be undone.

        Raises Conflict where the text was corrected meanwhile, or nothing is heard yet.
        """
        task = self._task(principal, recording_id, task_id)
        if task.status != TaskStatus.COMPLETED:
            raise Conflict(Code.EXCERPT_NOT_HEARD)
        excerpt = Excerpt.of(task.excerpt or {})
        heard = [
            word for one in self._transcripts.segments(task.transcript_id) for word in corrections.timed(one)
        ]
        self._recording_text.apply_retranscription(
            principal, recording_id, excerpt.n, excerpt.versions, heard
        )
        self._forget(task)

    @audited(AuditAction.CHANGED, AuditSubject.RECORDING, "recording_id")
    def leave(self, principal: Principal, recording_id: str, task_id: str) -> None:
        """Forget what was heard; work on it stops."""
        task = self._task(principal, recording_id, task_id)
        self._job_queue.cancel(task.id)
        self._forget(task)

    def _utterances(
        self, principal: Principal, recording_id: str, right: Right = Right.READ
    ) -> tuple[Recording, list[TranscribedSegment]]:
        recording = self._recordings.get(principal, recording_id, right)
        if recording.format in importing.FORMATS:
            raise Conflict(Code.RECORDING_WITHOUT_SOUND)
        return recording, self._recording_text.utterances(principal, recording_id)

    def _excerpt(
        self,
        recording: Recording,
        utterances: Sequence[TranscribedSegment],
        pieces: Sequence[TranscribedSegment],
    ) -> Excerpt:
        """From the first word to the last, and a little more where nobody else speaks."""
        start_s, end_s = min(piece.start_s for piece in pieces), max(piece.end_s for piece in pieces)
        ends_s = [one.end_s for one in utterances if one.end_s <= start_s]
        starts_s = [one.start_s for one in utterances if one.start_s >= end_s]
        after_s = min([recording.duration_s or end_s + MARGIN_S, *starts_s])
        return Excerpt(
            pieces[0].n,
            tuple(piece.version for piece in pieces),
            self._channel(recording, pieces[0]),
            max([start_s - MARGIN_S, 0.0, *ends_s]),
            max(end_s, min(after_s, end_s + MARGIN_S)),
            pieces[0].language or recording.language,
        )

    def _channel(self, recording: Recording, piece: TranscribedSegment) -> str:
        """Of the sound; an utterance names its speaker there."""
        transcript_id = recording.transcript_id or ""
        with self._database.read() as session:
            steps = transcripts.text_steps(session, recording.id, transcript_id)
            whole = corrections.replay(transcripts.segments_of(session, transcript_id), steps)
        return next(one.channel for one in whole if one.segment_id == piece.segment_id)

    def _able(self, recording: Recording, language: str) -> list[Engine]:
        translate = self._transcripts.get(recording.transcript_id or "").translate
        able = engines.able(self._engines, "", translate=translate, temperature=0.0)
        return [
            engine
            for name, engine in able.items()
            if not name.endswith(BATCH) and language in engine.languages and engine.readiness().ready
        ]

    def _offer(self, engine: Engine, excerpt: Excerpt, present: str) -> Offer:
        usd: Decimal | None = Decimal(0)
        remote = isinstance(engine, RemoteEngine)
        if isinstance(engine, RemoteEngine):
            model, mode, quantity = engine.price(excerpt.end_s - excerpt.start_s)
            usd = self._ledger.cost_usd(engine.provider, model, mode, quantity)
        return Offer(engine.name, engine.title, remote, usd, engine.name == present)

    def _begin(self, session: Session, recording: Recording, engine: Engine, excerpt: Excerpt) -> Job:
        """Its transcript is of the same form as the present one, and for nobody else."""
        present = session.get_one(Transcript, recording.transcript_id)
        now, task_id = self._job_queue.now(), new_id()
        transcript = Transcript(
            id=new_id(),
            key=f"excerpt-{task_id}",
            sha256=recording.sha256,
            engine=engine.name,
            engine_version=engine.version,
            language=excerpt.language,
            split_channels=present.split_channels,
            tracks=present.tracks,
            translate=present.translate,
            hints=hints(session, recording.owner, excerpt.language),
        )
        session.add(transcript)
        task = Task(
            id=task_id,
            recording_id=recording.id,
            transcript_id=transcript.id,
            owner=recording.owner,
            engine=engine.name,
            language=excerpt.language,
            excerpt=asdict(excerpt),
        )
        session.add(task)
        session.flush()
        job = Job(
            task_id=task_id,
            kind=JobKind.RETRANSCRIBE,
            queue=engine.queue,
            audio_s=excerpt.end_s - excerpt.start_s,
            run_at=now,
            notified_at=now,
            created_at=now,
        )
        session.add(job)
        session.flush()
        return job

    def _task(
        self, principal: Principal, recording_id: str, task_id: str, right: Right = Right.WRITE
    ) -> Task:
        self._recordings.get(principal, recording_id, right)
        task = self._recordings.task(principal, task_id)
        if task.recording_id != recording_id or task.excerpt is None:
            raise NotFound
        return task

    def _shown(self, task: Task, utterances: Sequence[TranscribedSegment]) -> Retranscription:
        excerpt = Excerpt.of(task.excerpt or {})
        pieces = utterances[excerpt.n : excerpt.n + len(excerpt.versions)]
        present = [word for piece in pieces for word in piece.text.split()]
        heard = [word for one in self._transcripts.segments(task.transcript_id) for word in one.text.split()]
        done = task.status == TaskStatus.COMPLETED
        before, after = differences(present, heard if done else present)
        return Retranscription(
            task.id,
            task.status,
            task.progress,
            task.error,
            task.engine,
            utc(task.created_at),
            excerpt.n,
            excerpt.versions,
            excerpt.start_s,
            excerpt.end_s,
            before,
            after if done else [],
            [piece.version for piece in pieces] == list(excerpt.versions),
        )

    def _forget(self, task: Task) -> None:
        with self._database.write() as session:
            session.execute(delete(Task).where(Task.id == task.id))
            session.execute(delete(Transcript).where(Transcript.id == task.transcript_id))


def differences(one: Sequence[str], other: Sequence[str]) -> tuple[list[Difference], list[Difference]]:
    """Both texts in pieces, each with whether the other reads otherwise there; punctuation and case aside."""
    matcher = SequenceMatcher(None, [folded(w) for w in one], [folded(w) for w in other], autojunk=False)
    left: list[Difference] = []
    right: list[Difference] = []
    for tag, a, a_end, b, b_end in matcher.get_opcodes():
        for pieces, words in ((left, one[a:a_end]), (right, other[b:b_end])):
            if words:
                pieces.append((" ".join(words), tag != "equal"))
    return left, right
