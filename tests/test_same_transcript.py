"""Several tasks at one transcript, at the same time."""

from __future__ import annotations

import time

import numpy as np

from core.database.tables import Recording, Transcript
from core.library.recordings import Wish
from core.principal import EVERYONE, Principal
from core.queue.locks import OTHERS_S
from core.speech.channels import Channels
from jobs import actors
from tests.drive import ready
from tests.test_journey import accept

CALL = "call_stereo.opus"


def wanted(here, who: Principal = EVERYONE) -> tuple[Recording, Transcript]:
    task = accept(here, CALL, Wish(language="ru", split_channels=True), who)
    return here.recordings.get(EVERYONE, task.recording_id), here.transcripts.get(task.transcript_id)


def test_two_tasks_of_one_transcript_that_decode_at_the_same_time_both_have_all_of_its_sound(here, tmp_path):
    (anna, transcript), (boris, same) = wanted(here, Principal("anna")), wanted(here, Principal("boris"))
    assert transcript.id == same.id
    alone = Channels(tmp_path / "alone", here.store.path).of(anna, transcript)
    others = []

    def meanwhile(_seconds: float) -> None:
        if not others:
            others.append(here.channels.of(boris, same))

    sounds = here.channels.of(anna, transcript, meanwhile)

    for found in (sounds, *others):
        assert found.keys() == alone.keys() == {"left", "right"}
        assert all(np.array_equal(found[channel], alone[channel]) for channel in alone)
    here.channels.drop(transcript.id)
    assert list((here.settings.home / "work").iterdir()) == []


def test_of_jobs_begun_at_the_same_moment_exactly_one_goes_on(here):
    for name in ("anna", "boris", "clara"):
        task = accept(here, CALL, who=Principal(name))
    for job in ready(here):
        actors.perform(here, job.id)
    jobs = ready(here)
    claims = [here.work.claim(job.id, "worker") for job in jobs]

    goes_on = [here.transcripts.first_at(claim, task.transcript_id) for claim in claims]

    assert goes_on == [False, False, True]
    assert [here.work.claim(job.id, "worker") for job in jobs] == [None] * 3
    here.work.now = lambda: time.time() + OTHERS_S
    again = [here.work.claim(job.id, "worker") for job in jobs[:2]]
    assert None not in again
    assert not any(here.transcripts.first_at(claim, task.transcript_id) for claim in again)
