"""Transcribe: have the engine recognise every segment that has no text yet."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing

from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import JobKind
from core.database.tables import Recording, Segment, Transcript
from core.library.recordings import Recordings
from core.media.waveform import Waveform
from core.orders.transcript_purchases import RemoteTranscription, TranscriptionJob
from core.pipeline.review import Review
from core.queue import workers
from core.queue.jobs import Claim, JobQueue
from core.speech import channels
from core.speech.channels import Channels
from core.speech.engine import Engine, LocalEngine, RemoteEngine, spoken, transcribe_groups, with_options
from core.transcripts import transcripts as transcript_rows
from core.transcripts.transcripts import Transcripts


class TranscribeStage:
    """Segments → words, here or at a provider."""

    def __init__(
        self,
        database: Database,
        job_queue: JobQueue,
        recordings: Recordings,
        transcripts: Transcripts,
        sound: Channels,
        engines: Mapping[str, Engine],
        remote: RemoteTranscription,
        review: Review,
    ) -> None:
        self._database = database
        self._job_queue = job_queue
        self._recordings = recordings
        self._transcripts = transcripts
        self._sound = sound
        self._engines = engines
        self._remote = remote
        self._review = review

    def run(self, claim: Claim) -> None:
        """Recognise what is missing; when all is there, queue what comes next."""
        recording, task = self._recordings.of_task(claim.task_id)
        transcript = self._transcripts.get(task.transcript_id)
        engine = self._engines[self._transcripts.next_engine(transcript.id) or transcript.engine]
        engine = with_options(
            engine,
            translate=transcript.translate,
            temperature=transcript.temperature,
            hints=transcript.hints,
        )
        if isinstance(engine, RemoteEngine):
            finished = self._remote.transcribe(engine, self._remote_job(claim, recording, transcript))
        else:
            finished = self._transcribe_here(claim, recording, transcript, engine)
        if finished:
            self._go_on(claim, recording, transcript)

    def _go_on(self, claim: Claim, recording: Recording, transcript: Transcript) -> None:
        """Queue the next engine, else look at the whole and queue what comes next."""
        if more := self._transcripts.next_engine(transcript.id):
            self._job_queue.complete(claim, (JobKind.TRANSCRIBE, self._engines[more].queue))
            return
        reviewed = self._review.of(recording, transcript)

        def complete(session: Session) -> None:
            reviewed(session)
            transcript_rows.complete(session, transcript.id)

        self._job_queue.complete(claim, (JobKind.INDEX, "index"), also=complete)
        if not self._job_queue.unfinished(claim.task_id, JobKind.DIARIZE):
            self._sound.drop(transcript.id)

    def _transcribe_here(
        self, claim: Claim, recording: Recording, transcript: Transcript, engine: Engine
    ) -> bool:
        """False: another task's job is at the same transcript, and this one was put off."""
        if not self._transcripts.acquire(claim, transcript.id):
            return False
        pending = self._transcripts.pending(transcript.id, engine.name)
        if pending and isinstance(engine, LocalEngine):
            workers.record_device(self._database, engine.device_reason())
        languages = dict.fromkeys(segment.language or transcript.language for segment in pending)
        for language in languages:
            segments = [each for each in pending if (each.language or transcript.language) == language]
            self._transcribe_language(
                claim, self._sound.of(recording, transcript), segments, engine, language
            )
        return True

    def _transcribe_language(
        self,
        claim: Claim,
        sounds: Mapping[str, Waveform],
        pending: Sequence[Segment],
        engine: Engine,
        language: str,
    ) -> None:
        transcript_id = pending[0].transcript_id
        total, left = (
            self._transcripts.count(transcript_id),
            len(self._transcripts.pending(transcript_id)),
        )
        size = engine.batch_segments
        batches = [pending[start : start + size] for start in range(0, len(pending), size)]
        groups = ([channels.cut(sounds, segment) for segment in batch] for batch in batches)
        done, began = total - left, time.monotonic()
        with closing(transcribe_groups(engine, groups, spoken(engine, language))) as results:
            for batch, speeches in zip(batches, results, strict=True):
                took_s, began = time.monotonic() - began, time.monotonic()
                self._transcripts.commit(claim, batch, speeches, took_s)
                done += len(batch)
                self._job_queue.report(claim, 15 + 80 * done // total)

    def _remote_job(self, claim: Claim, recording: Recording, transcript: Transcript) -> TranscriptionJob:
        def sound_of(segment: Segment) -> Waveform:
            return channels.cut(self._sound.of(recording, transcript), segment)

        return TranscriptionJob(claim, recording, transcript, sound_of)
