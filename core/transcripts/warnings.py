"""What a reader of a transcript should know: a stable code, a sentence, and what to do about it.

Stages add warnings while they work; pages, API and exports show them with the transcript.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from sqlalchemy.orm import Session

from core.database.tables import Transcript
from core.i18n.catalogue import gettext, language_name, percent
from core.i18n.messages import N_


class WarningCode(StrEnum):
    """What is to be known: a stable name, and the English template of its sentence, which facts fill.

    Names stay for ever, as they stand in databases and in the programs of others.
    """

    message: str

    def __new__(cls, value: str, message: str) -> Self:
        """A member of this name with this template."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.message = message
        return member

    MEDIA_DAMAGED = (
        "media_damaged",
        N_("The file is damaged at {at}. The rest was transcribed; words may be missing there."),
    )
    MEDIA_CUT_SHORT = (
        "media_cut_short",
        N_(
            "The sound breaks off at {at}, though the file should last {length}. "
            "It was transcribed up to there; if you have the whole file, send it again."
        ),
    )
    TRACKS_NOT_HEARD = (
        "tracks_not_heard",
        N_("Tracks not transcribed: {tracks}. Transcribe again and choose other tracks to have them."),
    )
    ENGINE_DOES_NOT_UNDERSTAND = (
        "engine_does_not_understand",
        N_("{engine} does not seem to understand this recording. {advice}"),
    )
    PARTS_NOT_UNDERSTOOD = (
        "parts_not_understood",
        N_("{share} of the speech may be misunderstood; it is grey. {advice}"),
    )
    OTHER_LANGUAGE = (
        "other_language",
        N_(
            "This sounds like another language ({heard}, {probability}) than it was transcribed in "
            "({spoken}). Correct the language, and it is transcribed again."
        ),
    )
    ENGINE_LACKS_LANGUAGE = (
        "engine_lacks_language",
        N_(
            "{engine} does not know the language that is spoken here ({heard}). Transcribe it again with "
            "the engine “Automatic”."
        ),
    )


GET_GIGAAM = "Get GigaAM v3 on the settings page, which understands Russian best, and transcribe again."
OTHER_ENGINE = "Transcribe it again in another language or with another engine."
"""What to do: facts, whose translations have the context `fact`."""
LANGUAGES = ("heard", "spoken")
"""Facts that are languages."""
SHARES = ("share", "probability")


@dataclass(frozen=True)
class TranscriptWarning:
    """One thing to know about a transcript."""

    code: WarningCode
    facts: Mapping[str, str]

    def sentence(self, language: str) -> str:
        """What it says, to a reader of `language`."""
        facts = {name: _fact(name, value, language) for name, value in self.facts.items()}
        return gettext(self.code.message, language, **facts)


@dataclass(frozen=True)
class WarningAnswer:
    """A warning as programs see it."""

    code: str
    """A name that stays."""
    message: str


def add(session: Session, transcript_id: str, code: WarningCode, /, **facts: object) -> None:
    """Keep a warning with a transcript; a later one of the same code takes its place."""
    transcript = session.get_one(Transcript, transcript_id, with_for_update=True)
    others = [warning for warning in transcript.warnings if warning["code"] != code]
    warning = {"code": code.value, "facts": {name: str(fact) for name, fact in facts.items()}}
    transcript.warnings = [*others, warning]


def of(transcript: Transcript | None) -> list[TranscriptWarning]:
    """The warnings of a transcript; a code that this version does not know is left out."""
    return list(_known(transcript.warnings)) if transcript else []


def answers(transcript: Transcript | None, language: str) -> list[WarningAnswer]:
    """The same for programs, in the reader's language."""
    return [WarningAnswer(warning.code.value, warning.sentence(language)) for warning in of(transcript)]


def _known(stored: Iterable[Mapping[str, Any]]) -> Iterable[TranscriptWarning]:
    codes = {code.value: code for code in WarningCode}
    return (TranscriptWarning(codes[one["code"]], one["facts"]) for one in stored if one["code"] in codes)


def _fact(name: str, value: str, language: str) -> str:
    if name in LANGUAGES:
        return language_name(value, language)
    return percent(float(value), language) if name in SHARES else value
