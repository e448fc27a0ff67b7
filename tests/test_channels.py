"""The sound of recordings on disk, while their transcripts are being made."""

from __future__ import annotations

import numpy as np

from core.channels import Channels
from core.keys import EVERYONE, Principal
from core.recordings import Wish
from core.records import Recording, Transcript
from tests.conftest import DATA
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
