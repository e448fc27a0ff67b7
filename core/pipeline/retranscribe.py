"""Retranscribe: have another engine recognise a stretch of a recording; its text stays as it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing

from sqlalchemy import update
from sqlalchemy.orm import Session

from core.database.states import TaskStatus
from core.database.tables import Recording, Segment, Task, Transcript
from core.library.recordings import Recordings
from core.library.retranscription import Excerpt
from core.media.waveform import SAMPLE_RATE, Waveform
from core.orders.transcript_purchases import RemoteTranscription, TranscriptionJob
from core.queue.jobs import Claim, JobQueue
from core.speech import channels
from core.speech.channels import Channels
from core.speech.engine import Engine, RemoteEngine, spoken, transcribe_groups, with_options
from core.speech.vad import Span
from core.transcripts import transcripts as transcript_rows
from core.transcripts.transcripts import Planned, Transcripts


class RetranscribeStage:
    """A stretch → words, here or at a provider; the task ends with them."""

    def __init__(
        self,
        job_queue: JobQueue,
        recordings: Recordings,
        transcripts: Transcripts,
        sound: Channels,
        engines: Mapping[str, Engine],
        remote: RemoteTranscription,
    ) -> None:
        self._job_queue = job_queue
        self._recordings = recordings
        self._transcripts = transcripts
        self._sound = sound
        self._engines = engines
        self._remote = remote

    def run(self, claim: Claim) -> None:
        """Recognise what is missing of the stretch; when all is there, the task is complete."""
        recording, task = self._recordings.of_task(claim.task_id)
        transcript = self._transcripts.get(task.transcript_id)
        excerpt = Excerpt.of(task.excerpt or {})
        engine = with_options(
            self._engines[transcript.engine],
            translate=transcript.translate,
            temperature=0.0,
            hints=transcript.hints,
        )
        self._plan(claim, recording, transcript, excerpt, engine)
        sound_of = self._cutter(recording, transcript, excerpt)
        if isinstance(engine, RemoteEngine):
            job = TranscriptionJob(claim, recording, transcript, sound_of)
            finished = self._remote.transcribe(engine, job)
        else:
            finished = self._transcribe_here(claim, transcript, engine, sound_of)
        if finished:
            self._job_queue.complete(claim, also=lambda session: _end(session, task))
            self._sound.drop(transcript.id)

    def _plan(
        self, claim: Claim, recording: Recording, transcript: Transcript, excerpt: Excerpt, engine: Engine
    ) -> None:
        """Pieces that the engine takes: one, unless the stretch is too long for it."""
        if transcript.planned:
            return
        sound = self._sound.excerpt(recording, transcript, excerpt.channel, _span(excerpt))
        whole = Span(0.0, len(sound) / SAMPLE_RATE)
        spans = channels.cuts(sound, [whole], engine, subtitles=False) or [whole]
        pieces = [
            Planned(excerpt.channel, Span(excerpt.start_s + span.start_s, excerpt.start_s + span.end_s))
            for span in spans
        ]
        self._transcripts.plan(claim, transcript.id, pieces)

    def _cutter(
        self, recording: Recording, transcript: Transcript, excerpt: Excerpt
    ) -> Callable[[Segment], Waveform]:
        """Cuts a piece out of the stretch, which is decoded when the first one is asked for."""

        def cut(segment: Segment) -> Waveform:
            sound = self._sound.excerpt(recording, transcript, excerpt.channel, _span(excerpt))
            first_s, last_s = segment.start_s - excerpt.start_s, segment.end_s - excerpt.start_s
            return sound[round(first_s * SAMPLE_RATE) : round(last_s * SAMPLE_RATE)]

        return cut

    def _transcribe_here(
        self, claim: Claim, transcript: Transcript, engine: Engine, sound_of: Callable[[Segment], Waveform]
    ) -> bool:
        """False: this task's job came twice, and this one was put off."""
        if not self._transcripts.acquire(claim, transcript.id):
            return False
        total, pending = self._transcripts.count(transcript.id), self._transcripts.pending(transcript.id)
        done, began = total - len(pending), time.monotonic()
        groups = ([sound_of(segment)] for segment in pending)
        with closing(transcribe_groups(engine, groups, spoken(engine, transcript.language))) as results:
            for segment, speeches in zip(pending, results, strict=True):
                took_s, began = time.monotonic() - began, time.monotonic()
                self._transcripts.commit(claim, [segment], speeches, took_s)
                done += 1
                self._job_queue.report(claim, 95 * done // total)
        return True


def _span(excerpt: Excerpt) -> Span:
    return Span(excerpt.start_s, excerpt.end_s)


def _end(session: Session, task: Task) -> None:
    """The task is complete, unless it had ended by itself."""
    transcript_rows.complete(session, task.transcript_id)
    values = {"status": TaskStatus.COMPLETED, "stage": TaskStatus.COMPLETED, "progress": 100}
    statement = update(Task).where(Task.id == task.id, Task.status == TaskStatus.PROCESSING)
    session.execute(statement.values(**values, completed_at=time.time()))
