"""Transcribe: have the engine recognise every segment that has no text yet."""

from __future__ import annotations

import functools
import time
from collections.abc import Mapping
from contextlib import closing

from core.database.database import Database
from core.database.states import JobKind
from core.database.tables import Recording, Segment, Transcript
from core.library.recordings import Recordings
from core.media.waveform import Waveform
from core.orders.transcript_purchases import RemoteTranscription, TranscriptionJob
from core.queue import workers
from core.queue.jobs import Claim, JobQueue
from core.speech import channels
from core.speech.channels import Channels
from core.speech.engine import Engine, LocalEngine, RemoteEngine, transcribe_groups
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
    ) -> None:
        self._database = database
        self._job_queue = job_queue
        self._recordings = recordings
        self._transcripts = transcripts
        self._sound = sound
        self._engines = engines
        self._remote = remote

    def run(self, claim: Claim) -> None:
        """Recognise what is missing; when all is there, queue what comes next."""
        recording, task = self._recordings.of_task(claim.task_id)
        transcript = self._transcripts.get(task.transcript_id)
        engine = self._engines[transcript.engine]
        if isinstance(engine, RemoteEngine):
            finished = self._remote.transcribe(engine, self._remote_job(claim, recording, transcript))
        else:
            finished = self._transcribe_here(claim, recording, transcript, engine)
        if finished and transcript.speakers:
            self._job_queue.complete(claim, (JobKind.DIARIZE, "cpu"))
        elif finished:
            complete = functools.partial(transcript_rows.complete, transcript_id=transcript.id)
            self._job_queue.complete(claim, (JobKind.INDEX, "io"), complete)
            self._sound.drop(transcript.id)

    def _transcribe_here(
        self, claim: Claim, recording: Recording, transcript: Transcript, engine: Engine
    ) -> bool:
        """False: another task's job is at the same transcript, and this one was put off."""
        if not self._transcripts.acquire(claim, transcript.id):
            return False
        total, pending = self._transcripts.count(transcript.id), self._transcripts.pending(transcript.id)
        sounds = self._sound.of(recording, transcript) if pending else {}
        if pending and isinstance(engine, LocalEngine):
            workers.tell_device(self._database, engine.device_reason())
        size = engine.batch_segments
        batches = [pending[start : start + size] for start in range(0, len(pending), size)]
        groups = ([channels.cut(sounds, segment) for segment in batch] for batch in batches)
        done, began = total - len(pending), time.monotonic()
        with closing(transcribe_groups(engine, groups, transcript.language)) as results:
            for batch, speeches in zip(batches, results, strict=True):
                took_s, began = time.monotonic() - began, time.monotonic()
                self._transcripts.commit(claim, batch, speeches, took_s)
                done += len(batch)
                self._job_queue.report(claim, 15 + 80 * done // total)
        return True

    def _remote_job(self, claim: Claim, recording: Recording, transcript: Transcript) -> TranscriptionJob:
        def sound_of(segment: Segment) -> Waveform:
            return channels.cut(self._sound.of(recording, transcript), segment)

        return TranscriptionJob(claim, recording, transcript, sound_of)
