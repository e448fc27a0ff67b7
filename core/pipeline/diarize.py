"""Diarize: find out who speaks when, where a transcript asks for its speakers."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from core.database.states import JobKind
from core.database.tables import Recording, Transcript
from core.errors import StenogramError
from core.library.recordings import Recordings
from core.pipeline.progress import seconds_reporter
from core.queue.jobs import Claim, JobQueue
from core.speech.channels import Channels
from core.speech.speakers import finder
from core.speech.speakers.finder import SpeakersOff
from core.speech.speakers.turns import Turn
from core.transcripts import speakers as speaker_rows
from core.transcripts import transcripts as transcript_rows
from core.transcripts.speakers import Speakers
from core.transcripts.transcripts import Transcripts


class DiarizeStage:
    """Sound of a transcript → turns of its speakers; the transcript is complete then."""

    def __init__(
        self,
        job_queue: JobQueue,
        recordings: Recordings,
        transcripts: Transcripts,
        speakers: Speakers,
        sound: Channels,
        models_dir: str,
    ) -> None:
        self._job_queue = job_queue
        self._recordings = recordings
        self._transcripts = transcripts
        self._speakers = speakers
        self._sound = sound
        self._models_dir = models_dir

    def run(self, claim: Claim) -> None:
        """Find the speakers unless they are known, complete the transcript and queue its indexing.

        Where the models are missing, the reason is kept in place of turns: the words are there all the same.
        """
        recording, task = self._recordings.of_task(claim.task_id)
        transcript = self._transcripts.get(task.transcript_id)
        if not self._transcripts.acquire(claim, transcript.id):
            return
        turns: Sequence[Turn] = ()
        missing: StenogramError | None = None
        if not self._speakers.found(transcript.id):
            try:
                turns = self._find(claim, recording, transcript)
            except SpeakersOff as error:
                missing = error

        def complete(session: Session) -> None:
            speaker_rows.keep(session, transcript.id, turns, missing)
            transcript_rows.complete(session, transcript.id)

        self._job_queue.complete(claim, (JobKind.INDEX, "io"), complete)
        self._sound.drop(transcript.id)

    def _find(self, claim: Claim, recording: Recording, transcript: Transcript) -> Sequence[Turn]:
        sounds = self._sound.of(recording, transcript)
        progress = seconds_reporter(self._job_queue, claim, transcript.duration_s, 95, 98)
        return finder.turns(sounds["mono"], transcript.speakers, self._models_dir, progress)
