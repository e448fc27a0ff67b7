"""Several tasks at one transcript, at the same time."""

from __future__ import annotations

import numpy as np

from core.database.tables import Recording, Transcript
from core.library.recordings import TranscriptionOptions
from core.principal import EVERYONE, Principal
from core.queue.locks import OTHERS_S
from core.speech.channels import Channels
from jobs import actors
from tests.drive import ready
from tests.test_pipeline import accept

CALL = "call_stereo.opus"


def accepted_with_transcript(app, principal: Principal = EVERYONE) -> tuple[Recording, Transcript]:
    task = accept(app, CALL, TranscriptionOptions(language="ru", split_channels=True), principal)
    return app.recordings.get(EVERYONE, task.recording_id), app.transcripts.get(task.transcript_id)


def test_two_tasks_of_one_transcript_that_decode_at_the_same_time_both_have_all_of_its_sound(app, tmp_path):
    (anna, transcript), (boris, same) = (
        accepted_with_transcript(app, Principal("anna")),
        accepted_with_transcript(app, Principal("boris")),
    )
    assert transcript.id == same.id
    alone = Channels(tmp_path / "alone", app.blobs.path).of(anna, transcript)
    others = []

    def meanwhile(_seconds: float) -> None:
        if not others:
            others.append(app.sound.of(boris, same))

    sounds = app.sound.of(anna, transcript, meanwhile)

    for result in (sounds, *others):
        assert result.keys() == alone.keys() == {"left", "right"}
        assert all(np.array_equal(result[channel], alone[channel]) for channel in alone)
    app.sound.drop(transcript.id)
    assert list((app.settings.home / "work").iterdir()) == []


def test_of_jobs_begun_at_the_same_moment_exactly_one_goes_on(app):
    for name in ("anna", "boris", "clara"):
        task = accept(app, CALL, principal=Principal(name))
    for job in ready(app):
        actors.perform(app, job.id)
    jobs = ready(app)
    claims = [app.job_queue.claim(job.id, "worker") for job in jobs]

    goes_on = [app.transcripts.acquire(claim, task.transcript_id) for claim in claims]

    assert goes_on == [False, False, True]
    assert [app.job_queue.claim(job.id, "worker") for job in jobs] == [None] * 3
    app.clock.ahead_s = OTHERS_S
    again = [app.job_queue.claim(job.id, "worker") for job in jobs[:2]]
    assert None not in again
    assert not any(app.transcripts.acquire(claim, task.transcript_id) for claim in again)
