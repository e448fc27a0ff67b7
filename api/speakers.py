"""Who speaks in a recording: names, corrections, and voices that are known again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from api.callers import Asking, Caller
from api.problems import refusals
from core.clients.answers import TaskAnswer
from core.errors import Code, Conflict
from core.i18n import catalogue
from core.library.recording_speakers import RecordingSpeaker
from core.speech.speakers.finder import SPEAKERS
from core.transcripts.speakers import MAX_NAME

router = APIRouter(prefix="/api/v1", tags=["speakers"])

Label = Annotated[str, Field(max_length=20)]
Second = Annotated[float, Field(ge=0, le=1e7, allow_inf_nan=False)]


@dataclass(frozen=True)
class SpeakerList:
    """The speakers of a recording, in order of their first words."""

    speakers: list[RecordingSpeaker]
    error: str | None
    """Why nobody could be found, where that is so."""
    looked_for: bool
    can_undo: bool


class SpeakerChange(BaseModel):
    """What to call a speaker (empty: nothing any more), or whose label they go by from now on."""

    name: str | None = Field(default=None, max_length=MAX_NAME)
    merge_into: Label | None = None


class SpeakerMove(BaseModel):
    """What `source` says between two moments, `target` says; without an end: from there on."""

    source: Label
    target: Annotated[Label, Field(description="A label, or `new`: somebody who was not there before.")]
    start_s: Second
    end_s: Second | None = None


class SpeakerSearch(BaseModel):
    """How many speakers to look for."""

    speakers: str = Field(default="auto", pattern=SPEAKERS.replace("|off", ""))


@router.get("/recordings/{recording_id}/speakers", responses=refusals(401, 404, 429))
def speakers(recording_id: str, caller: Asking) -> SpeakerList:
    """Who speaks, for how long and how; nobody where speakers were not looked for.

    `maybe` is somebody known from other recordings whom a speaker without a name may be.
    """
    view = caller.application.recording_speakers.view(caller.principal, recording_id)
    error = catalogue.translate_error(view.error, caller.language) if view.error else None
    return SpeakerList(view.speakers, error, view.looked_for, view.can_undo)


@router.post(
    "/recordings/{recording_id}/speakers/find", status_code=202, responses=refusals(400, 401, 404, 409, 429)
)
def find_speakers(recording_id: str, search: SpeakerSearch, caller: Asking) -> TaskAnswer:
    """Look for the speakers of a recording that is transcribed. Costs nothing but time.

    With another number than before, earlier speakers and their corrections are forgotten.
    """
    row = caller.application.recordings.get(caller.principal, recording_id)
    if row.transcript_id is None:
        raise Conflict(Code.NOT_TRANSCRIBED)
    task = caller.application.recording_speakers.find(
        caller.principal, recording_id, search.speakers or "auto"
    )
    return caller.answers.task(task.id)


@router.patch("/recordings/{recording_id}/speakers/{label}", responses=refusals(400, 401, 404, 429))
def change_speaker(recording_id: str, label: str, change: SpeakerChange, caller: Asking) -> SpeakerList:
    """Name a speaker, or make two one; results and exports say so from then on."""
    service = caller.application.recording_speakers
    if change.name is not None:
        service.rename(caller.principal, recording_id, label, change.name)
    if change.merge_into is not None:
        service.merge(caller.principal, recording_id, label, change.merge_into)
    return speakers(recording_id, caller)


@router.post("/recordings/{recording_id}/speakers/move", responses=refusals(400, 401, 404, 429))
def move_words(recording_id: str, move: SpeakerMove, caller: Asking) -> SpeakerList:
    """Give what somebody says in some seconds to somebody else."""
    caller.application.recording_speakers.move(
        caller.principal, recording_id, move.source, move.target, move.start_s, move.end_s
    )
    return speakers(recording_id, caller)


@router.post("/recordings/{recording_id}/speakers/undo", responses=refusals(401, 404, 429))
def undo(recording_id: str, caller: Asking) -> SpeakerList:
    """Take the last correction of speakers back."""
    caller.application.recording_speakers.undo(caller.principal, recording_id)
    return speakers(recording_id, caller)


@router.post("/recordings/{recording_id}/speakers/{label}/accept", responses=refusals(401, 404, 429))
def accept(recording_id: str, label: str, caller: Asking) -> SpeakerList:
    """A speaker is whom `maybe` names."""
    caller.application.recording_speakers.accept(caller.principal, recording_id, label)
    return speakers(recording_id, caller)


@router.post("/recordings/{recording_id}/speakers/{label}/reject", responses=refusals(401, 404, 429))
def reject(recording_id: str, label: str, caller: Asking) -> SpeakerList:
    """A speaker is not whom `maybe` names, and nobody proposes it again."""
    caller.application.recording_speakers.reject(caller.principal, recording_id, label)
    return speakers(recording_id, caller)


@dataclass(frozen=True)
class VoiceAnswer:
    """Somebody whose voice is known again."""

    voice_id: str
    name: str
    speaking_s: float
    recordings: list[str]


@dataclass(frozen=True)
class VoiceList:
    """Everybody whose voice is known again, by name; nobody where that is off."""

    on: bool
    voices: list[VoiceAnswer]


class VoiceName(BaseModel):
    """What to call somebody; the name of somebody else who is known makes them one."""

    name: str = Field(min_length=1, max_length=MAX_NAME)


@router.get("/voices", responses=refusals(401, 429))
def voices(caller: Asking) -> VoiceList:
    """People whose voices are remembered, if the settings say so."""
    return _voices(caller)


@router.patch("/voices/{voice_id}", responses=refusals(400, 401, 404, 429))
def rename_voice(voice_id: str, change: VoiceName, caller: Asking) -> VoiceList:
    """Call somebody otherwise, in the recordings where their voice is from, too."""
    caller.application.recording_speakers.rename_voice(caller.principal, voice_id, change.name)
    return _voices(caller)


@router.delete("/voices/{voice_id}", status_code=204, responses=refusals(401, 404, 429))
def forget_voice(voice_id: str, caller: Asking) -> Response:
    """Forget a voice. Names in recordings stay."""
    caller.application.voices.forget(caller.principal, voice_id)
    return Response(status_code=204)


def _voices(caller: Caller) -> VoiceList:
    store = caller.application.voices
    known_voices = [
        VoiceAnswer(
            one.voice_id,
            one.name,
            one.speaking_s,
            list(dict.fromkeys(recording for recording, *_ in one.heard_in)),
        )
        for one in store.all(caller.principal)
    ]
    return VoiceList(store.on, known_voices)
