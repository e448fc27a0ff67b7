"""Prepare: decode a recording and plan its segments."""

from __future__ import annotations

from collections.abc import Mapping

from core.database.database import Database
from core.database.states import JobKind
from core.database.tables import Recording, Transcript
from core.library.recordings import Recordings
from core.pipeline.progress import seconds_reporter
from core.queue.jobs import Claim, JobQueue
from core.speech import channels
from core.speech.channels import Channels
from core.speech.engine import Engine
from core.storage.mirror import MirroredBlobStore
from core.transcripts.transcripts import Transcripts


class PrepareStage:
    """Recording → segments to transcribe."""

    def __init__(
        self,
        database: Database,
        job_queue: JobQueue,
        recordings: Recordings,
        transcripts: Transcripts,
        blobs: MirroredBlobStore,
        sound: Channels,
        engines: Mapping[str, Engine],
    ) -> None:
        self._database = database
        self._job_queue = job_queue
        self._recordings = recordings
        self._transcripts = transcripts
        self._blobs = blobs
        self._sound = sound
        self._engines = engines

    def run(self, claim: Claim) -> None:
        """Copy the bytes to the object store, decode them, plan segments, queue the recognition."""
        recording, task = self._recordings.of_task(claim.task_id)
        self._blobs.copy(recording.sha256)
        transcript = self._transcripts.get(task.transcript_id)
        engine = self._engines[transcript.engine]
        if not transcript.planned:
            self._plan(claim, recording, transcript, engine)
        self._job_queue.complete(claim, (JobKind.TRANSCRIBE, engine.queue))

    def _plan(self, claim: Claim, recording: Recording, transcript: Transcript, engine: Engine) -> None:
        decoding = seconds_reporter(self._job_queue, claim, recording.duration_s, 0, 8)
        sounds = self._sound.of(recording, transcript, decoding)
        duration_s = channels.duration_s(sounds)
        policy = channels.policy(engine, subtitles=transcript.subtitles)
        detecting = seconds_reporter(self._job_queue, claim, duration_s, 8, 15)
        spans = list(channels.spans(sounds, engine, policy, detecting))
        with self._database.write() as session:
            self._job_queue.keep(session, claim)  # or the recording may have been deleted meanwhile
            session.get_one(Recording, recording.id).duration_s = duration_s
            session.get_one(Transcript, transcript.id).duration_s = duration_s
        self._transcripts.plan(claim, transcript.id, spans)
