"""Diarize: find out who speaks when, beside the transcription."""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import update
from sqlalchemy.orm import Session

from core.database.database import Database
from core.database.states import JobKind, TaskStatus
from core.database.tables import Recording, Task, Transcript
from core.errors import StenogramError
from core.library.recordings import Recordings
from core.queue.jobs import Claim, JobQueue
from core.speech import channels
from core.speech.channels import Channels
from core.speech.speakers import finder
from core.speech.speakers.finder import FoundSpeakers, SpeakersOff
from core.transcripts import speakers as speaker_rows
from core.transcripts.speakers import Speakers
from core.transcripts.transcripts import Transcripts

REPORT_S = 1.0
"""Progress that follows sooner is not written."""
FIRST_PERCENT, LAST_PERCENT = 95, 98
"""Of a task that waits for its speakers alone."""


class _Preempted(Exception):
    """A recording that just came waits to be read, and goes first."""


class DiarizeStage:
    """Sound of a recording → turns of its speakers. Transcription does not wait for it, indexing does."""

    def __init__(
        self,
        database: Database,
        job_queue: JobQueue,
        recordings: Recordings,
        transcripts: Transcripts,
        speakers: Speakers,
        sound: Channels,
        *,
        models_dir: str,
        share_results: bool,
    ) -> None:
        self._database = database
        self._job_queue = job_queue
        self._recordings = recordings
        self._transcripts = transcripts
        self._speakers = speakers
        self._sound = sound
        self._models_dir = models_dir
        self._share = share_results

    def run(self, claim: Claim) -> None:
        """Find the speakers unless they are known, and let the indexing go on.

        Where the models are missing, the reason is kept in place of turns: the words are there all the same.
        A recording that waits for its decoding goes first; this one then goes on where it was.
        """
        recording, task = self._recordings.of_task(claim.task_id)
        transcript = self._transcripts.get(task.transcript_id)
        began, speakers = time.monotonic(), FoundSpeakers()
        error: StenogramError | None = None
        missing = self._speakers.missing(task, transcript)
        try:
            if missing:
                speakers = self._known(recording, task, transcript) or self._find(
                    claim, recording, task, transcript
                )
        except SpeakersOff as off:
            error = off
        except _Preempted:
            return

        def keep(session: Session) -> None:
            if missing:
                speaker_rows.keep(session, task, transcript, speakers, error, time.monotonic() - began)

        self._end(claim, task, keep)
        if not self._job_queue.unfinished(task.id, JobKind.TRANSCRIBE):
            self._sound.drop(transcript.id)

    def _end(self, claim: Claim, task: Task, keep: Callable[[Session], None]) -> None:
        """What was indexed before without speakers is indexed anew."""
        late = self._recordings.of_task(task.id)[1].status == TaskStatus.COMPLETED
        self._job_queue.complete(claim, *([(JobKind.INDEX, "index")] if late else []), also=keep)
        self._job_queue.expedite(task.id)

    def _known(self, recording: Recording, task: Task, transcript: Transcript) -> FoundSpeakers | None:
        """What was found in the same sound of another recording, where results are shared."""
        row = self._speakers.same_sound(recording, task, transcript) if self._share else None
        return speaker_rows.found_in(row) if row else None

    def _find(self, claim: Claim, recording: Recording, task: Task, transcript: Transcript) -> FoundSpeakers:
        sounds = self._sound.of(recording, transcript)
        total_s = channels.duration_s(sounds) * len(sounds)
        reported_at = time.monotonic()

        def progress(seconds: float) -> None:
            nonlocal reported_at
            if time.monotonic() < reported_at + REPORT_S:
                return
            reported_at = time.monotonic()
            self._report(claim, min(1.0, seconds / total_s))
            if self._job_queue.yields_to_waiting(claim, JobKind.PREPARE):
                raise _Preempted

        folder = self._sound.folder(transcript) / f"speakers {task.speakers}"
        return finder.find(sounds, task.speakers, self._models_dir, progress, folder)

    def _report(self, claim: Claim, share: float) -> None:
        """Show how far it is, where the task waits for nothing else."""
        percent = FIRST_PERCENT + round((LAST_PERCENT - FIRST_PERCENT) * share)
        statement = update(Task).where(Task.id == claim.task_id, Task.stage == JobKind.DIARIZE)
        with self._database.write() as session:
            self._job_queue.keep(session, claim)
            session.execute(statement.values(progress=percent))
