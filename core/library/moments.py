"""What is said about moments that a search found, in the fields that programs see."""

from __future__ import annotations

from dataclasses import dataclass

from core.database.tables import Recording
from core.i18n import catalogue
from core.library.recordings import Recordings
from core.principal import Principal
from core.search.query import Match
from core.search.service import SearchService


@dataclass(frozen=True)
class Moment:
    """A place in a recording where something was said, why it was found, and where to play it."""

    recording_id: str
    filename: str
    title: str
    start_s: float
    end_s: float
    play_s: float
    speaker: str
    language: str
    text: str
    score: float
    why: str
    link: str


@dataclass(frozen=True)
class Moments:
    """The best moments, best first. `notice` says what was given up to find any."""

    total: int
    results: list[Moment]
    notice: str | None


def find(
    searcher: SearchService,
    recordings: Recordings,
    who: Principal,
    question: str,
    *,
    mode: str,
    limit: int,
    recording_id: str = "",
    language: str = "en",
) -> Moments:
    """Search, and say where each moment is, and in this language what was given up to find any."""
    found = searcher.search(who, question, mode=mode, limit=limit, recording_id=recording_id)
    named = recordings.named({match.row.recording_id for match in found.matches})
    results = [
        _moment(match, named[match.row.recording_id])
        for match in found.matches
        if match.row.recording_id in named
    ]
    notice = catalogue.gettext(found.notice, language) if found.notice else None
    return Moments(len(results), results, notice)


def _moment(match: Match, recording: Recording) -> Moment:
    row = match.row
    return Moment(
        recording_id=recording.id,
        filename=recording.filename,
        title=recording.title,
        start_s=row.start_s,
        end_s=row.end_s,
        play_s=match.play_s,
        speaker=row.speaker,
        language=row.language,
        text=row.text,
        score=match.score,
        why=match.why,
        link=link(recording.id, match.play_s),
    )


def link(recording_id: str, start_s: float | None = None) -> str:
    """Where the pages open a recording, with the player at a moment."""
    return f"/recording?id={recording_id}" + (f"&t={start_s:.1f}" if start_s is not None else "")
