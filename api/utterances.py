"""The text of a recording: utterances, corrections of them, and what was heard before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field

from api.callers import Asking, Caller
from api.problems import refusals
from core.library.recording_text import TextView
from core.transcripts.segments import TranscribedSegment

router = APIRouter(prefix="/api/v1", tags=["text"])

MOST = 100_000
Number = Annotated[int, Path(ge=0, le=10_000_000)]
Version = Annotated[str, Field(max_length=16, description="As the list of utterances says it.")]
NEAR = 2
"""So many utterances around a correction are in its answer."""


@dataclass(frozen=True)
class SpokenWord:
    """A word with its place in the recording."""

    text: str
    start_s: float
    end_s: float
    confidence: float | None
    mark: str
    """Empty as it was heard; `corrected`: a person wrote it; `interpolated`: its times are a guess, too."""


@dataclass(frozen=True)
class UtteranceAnswer:
    """What one speaker says in a row."""

    n: int
    version: str
    """Changes whenever it reads or is cut otherwise; corrections name it."""
    start_s: float
    end_s: float
    speaker: str
    """The label of who speaks; left or right in a call, else mono."""
    text: str
    words: list[SpokenWord]
    edited: bool


@dataclass(frozen=True)
class UtteranceList:
    """Utterances in order of time, and how many there are in all."""

    total: int
    utterances: list[UtteranceAnswer]


def _example(**facts: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [facts]})


class NewText(BaseModel):
    """What was said, as it should read. Words keep their times; an empty text takes the utterance out."""

    model_config = _example(version="3f1c9a0b7d5e2461", text="Good morning, everyone.")
    version: Version
    text: Annotated[str, Field(max_length=MOST)]


class SplitAt(BaseModel):
    """A new utterance begins with this word, counted from 0."""

    model_config = _example(version="3f1c9a0b7d5e2461", word=4)
    version: Version
    word: Annotated[int, Field(ge=0, le=MOST)]


class JoinWith(BaseModel):
    """Versions of the utterance before, and of this one."""

    model_config = _example(versions=["9b2d8c7e6f5a4031", "3f1c9a0b7d5e2461"])
    versions: Annotated[list[Version], Field(min_length=2, max_length=2)]


class MoveWords(JoinWith):
    """So many first words go to the utterance before; fewer than 0: its last ones come to this one."""

    model_config = _example(versions=["9b2d8c7e6f5a4031", "3f1c9a0b7d5e2461"], words=2)
    words: Annotated[int, Field(ge=-MOST, le=MOST)]


class CarryOverForm(BaseModel):
    """Whether to correct this transcript as the earlier one was; else they are left alone for good."""

    model_config = _example(apply=True)
    apply: bool = True


_GIVEN: dict[str, Any] = {"responses": refusals(400, 401, 404, 409, 429)}


@router.get("/recordings/{recording_id}/utterances", responses=refusals(400, 401, 404, 409, 429))
def utterances(
    recording_id: str,
    caller: Asking,
    limit: Annotated[int, Query(ge=1, le=10_000)] = 1000,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> UtteranceList:
    """The text, utterance by utterance, after all corrections."""
    utterances = caller.application.recording_text.utterances(caller.principal, recording_id)
    return UtteranceList(len(utterances), [_answer(one) for one in utterances[offset : offset + limit]])


@router.patch("/recordings/{recording_id}/utterances/{n}", **_GIVEN)
def correct(recording_id: str, n: Number, text: NewText, caller: Asking) -> UtteranceList:
    """Correct what was said; 409 where somebody else has corrected it meanwhile.

    Exports, results and search say it within seconds; only passages that change are embedded anew. The
    answer has the utterances around.
    """
    caller.application.recording_text.rewrite(caller.principal, recording_id, n, [text.version], text.text)
    return _around(recording_id, n, caller)


@router.post("/recordings/{recording_id}/utterances/{n}/split", **_GIVEN)
def split(recording_id: str, n: Number, at: SplitAt, caller: Asking) -> UtteranceList:
    """Cut an utterance in two. The answer has the utterances around."""
    caller.application.recording_text.split(caller.principal, recording_id, n, at.version, at.word)
    return _around(recording_id, n, caller)


@router.post("/recordings/{recording_id}/utterances/{n}/join", **_GIVEN)
def join(recording_id: str, n: Number, both: JoinWith, caller: Asking) -> UtteranceList:
    """Make an utterance a part of the one before it, whose speaker says both then."""
    caller.application.recording_text.join(caller.principal, recording_id, n, both.versions)
    return _around(recording_id, n, caller)


@router.post("/recordings/{recording_id}/utterances/{n}/move", **_GIVEN)
def move(recording_id: str, n: Number, words: MoveWords, caller: Asking) -> UtteranceList:
    """Give the first words of an utterance to the one before it, or take its last ones."""
    caller.application.recording_text.move(caller.principal, recording_id, n, words.versions, words.words)
    return _around(recording_id, n, caller)


@router.get("/recordings/{recording_id}/corrections", responses=refusals(401, 404, 409, 429))
def corrections(recording_id: str, caller: Asking) -> TextView:
    """What was corrected: as it was heard and as it reads now, by whom and when.

    `earlier` has what was corrected in a transcript that was made before the present one.
    """
    return caller.application.recording_text.view(caller.principal, recording_id)


@router.post("/recordings/{recording_id}/corrections/undo", responses=refusals(400, 401, 404, 409, 429))
def undo(recording_id: str, caller: Asking, action_id: Annotated[str, Query(max_length=64)] = "") -> TextView:
    """Take the last correction back, of the text or of speakers; nothing where there is none.

    409 where somebody else made it, until its `action_id` is named, which `last` of the corrections has.
    """
    caller.application.recording_text.undo(caller.principal, recording_id, action_id)
    return corrections(recording_id, caller)


@router.post("/recordings/{recording_id}/corrections/redo", responses=refusals(401, 404, 409, 429))
def redo(recording_id: str, caller: Asking) -> TextView:
    """Take the correction again that was taken back last; nothing where there is none."""
    caller.application.recording_text.redo(caller.principal, recording_id)
    return corrections(recording_id, caller)


@router.post("/recordings/{recording_id}/corrections/take-over", **_GIVEN)
def take_over(recording_id: str, choice: CarryOverForm, caller: Asking) -> TextView:
    """Correct this transcript as the earlier one was, where its words were heard again; 404 without one."""
    caller.application.recording_text.take_over(caller.principal, recording_id, apply=choice.apply)
    return corrections(recording_id, caller)


def _around(recording_id: str, n: int, caller: Caller) -> UtteranceList:
    utterances = caller.application.recording_text.utterances(caller.principal, recording_id)
    return UtteranceList(
        len(utterances), [_answer(one) for one in utterances[max(0, n - NEAR) : n + NEAR + 1]]
    )


def _answer(one: TranscribedSegment) -> UtteranceAnswer:
    words = [SpokenWord(w.text, w.start_s, w.end_s, w.confidence, w.mark) for w in one.words]
    return UtteranceAnswer(one.n, one.version, one.start_s, one.end_s, one.label, one.text, words, one.edited)
