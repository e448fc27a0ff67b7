"""What is said about moments that a search found, in the fields that programs see."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from core.database.tables import Recording
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library.recordings import Recordings
from core.principal import Principal
from core.search.query import Found, Match
from core.search.service import SearchService

READ_AS = N_("Searched for {words} instead.")
OTHER_WORDS = N_("{words} was not found; these have the other words, or mean something like it.")


@dataclass(frozen=True)
class Place:
    """A second of a recording."""

    recording_id: str
    title: str
    play_s: float
    link: str


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
    how: str
    """How its words were found: all, layout, sound, fuzzy, any or substring; empty if by meaning only."""
    answer: bool
    """Whether it says what was asked for; else it is only the nearest there is."""
    also_in: list[Place]
    """Where else the very same was said."""
    sentence: str
    """The sentence that answers, where it was looked for by meaning; else empty."""
    link: str


@dataclass(frozen=True)
class Instead:
    """A word of the question, and as what it was read."""

    asked: str
    read: str


@dataclass(frozen=True)
class Moments:
    """The best moments, best first. `notice` says what was given up to find any."""

    total: int
    results: list[Moment]
    notice: str | None
    how: str
    """How loosely the words of the question had to be read; empty if nothing was found by words."""
    instead: list[Instead]
    missing: list[str]
    """Words of the question that nobody says."""


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
    rows = [row for match in found.matches for row in (match.row, *match.also)]
    named = recordings.named({row.recording_id for row in rows})
    results = [_moment(match, named) for match in found.matches if match.row.recording_id in named]
    instead = [Instead(asked, read) for asked, read in found.instead]
    notice = " ".join(_notices(found, language)) or None
    return Moments(len(results), results, notice, found.how, instead, list(found.missing))


def _notices(found: Found, language: str) -> Iterator[str]:
    """What was given up to find any, a sentence each."""
    if found.notice:
        yield catalogue.gettext(found.notice, language)
    if found.instead:
        yield catalogue.gettext(READ_AS, language, words=_quoted(read for _, read in found.instead))
    if found.missing and any(match.how == "any" for match in found.matches):
        yield catalogue.gettext(OTHER_WORDS, language, words=_quoted(found.missing))


def _quoted(words: Iterable[str]) -> str:
    return ", ".join(f"«{word}»" for word in words)


def _moment(match: Match, recordings: Mapping[str, Recording]) -> Moment:
    row = match.row
    recording = recordings[row.recording_id]
    also = [
        Place(
            other.recording_id,
            recordings[other.recording_id].title,
            other.start_s,
            link(other.recording_id, other.start_s),
        )
        for other in match.also
        if other.recording_id in recordings
    ]
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
        how=match.how,
        answer=match.sure,
        also_in=also,
        sentence=match.sentence,
        link=link(recording.id, match.play_s),
    )


def link(recording_id: str, start_s: float | None = None) -> str:
    """Where the pages open a recording, with the player at a moment."""
    return f"/recording?id={recording_id}" + (f"&t={start_s:.1f}" if start_s is not None else "")
