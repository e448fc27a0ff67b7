"""What is said about moments that a search found, in the fields that programs see."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from core.database.tables import Recording, utc
from core.i18n import catalogue
from core.i18n.messages import N_
from core.library.recordings import Recordings
from core.principal import Principal
from core.search import stems
from core.search.query import Found, Match
from core.search.service import SearchService

READ_AS = N_("Searched for {words} instead.")
GLOSSARY = N_("By the glossary also searched for: {words}.")
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
    duration_s: float | None
    """Of the recording."""


@dataclass(frozen=True)
class ReadAs:
    """A word of the question, and as what it was read."""

    asked: str
    read: str


@dataclass(frozen=True)
class SpeakerFacet:
    """Somebody who says what was asked for, by name or label."""

    speaker: str
    moments: int


@dataclass(frozen=True)
class Moments:
    """The best moments, best first. `notice` says what was given up to find any.

    What is counted by something counts `counted`: the answers, or all of it where nothing is one.
    """

    total: int
    results: list[Moment]
    notice: str | None
    how: str
    """How loosely the words of the question had to be read; empty if nothing was found by words."""
    instead: list[ReadAs]
    missing: list[str]
    """Words of the question that nobody says."""
    speakers: list[SpeakerFacet]
    """Who says it, in how many of these moments."""
    tags: dict[str, int]
    """Tags of the recordings found, each with how many of them have it."""
    languages: dict[str, int]
    """Languages of the moments found, each with how many there are."""
    engines: dict[str, int]
    """Engines that heard the recordings found."""
    collections: dict[str, int]
    """Titles of your collections with kept moments of the recordings found."""
    states: dict[str, int]
    """How far the search by meaning is with the recordings found: done, waiting, off or failed."""
    months: dict[str, int]
    """When the recordings found were recorded (`2026-11`), else brought, newest first."""
    lengths: dict[str, int]
    """How long the recordings found are, by the operators that ask for that."""
    other_words: list[str]
    """The question as the glossary puts it otherwise, where somebody says that."""

    @property
    def counted(self) -> list[Moment]:
        """Answers; what is only near where there is none."""
        return _counting(self.results)


LENGTHS = {
    "shorter:10": (0.0, 600.0),
    "longer:10 shorter:60": (600.0, 3600.0),
    "longer:60": (3600.0, math.inf),
}
"""Lengths to choose from, in seconds."""


def find(
    searcher: SearchService,
    recordings: Recordings,
    principal: Principal,
    question: str,
    *,
    mode: str,
    limit: int,
    recording_id: str = "",
    speaker: str = "",
    language: str = "en",
    sort: str = "best",
) -> Moments:
    """Search, and say where each moment is, and in this language what was given up to find any.

    `sort`: best first, or by the day of the recording, `newest` or `oldest` first.
    """
    found = searcher.search(
        principal, question, mode=mode, limit=limit, recording_id=recording_id, speaker=speaker
    )
    with recordings.snapshot():
        rows = [row for match in found.matches for row in (match.row, *match.also)]
        named = recordings.named(principal, {row.recording_id for row in rows})
        results = [_moment(match, named) for match in found.matches if match.row.recording_id in named]
        counted = _counting(results)
        ids = dict.fromkeys(result.recording_id for result in counted)
        facets = _facets(recordings, principal, [named[id_] for id_ in ids])
    if sort != "best":
        _sort_by_day(results, named, newest_first=sort == "newest")
    instead = [ReadAs(written, read) for written, read in found.instead]
    notice = " ".join(_notices(found, question, language)) or None
    speaker_counts = Counter(result.speaker for result in counted if result.speaker)
    speakers = [SpeakerFacet(name, count) for name, count in speaker_counts.most_common()]
    return Moments(
        len(results),
        results,
        notice,
        found.how,
        instead,
        list(found.missing),
        speakers,
        languages=_counted(result.language for result in counted),
        other_words=list(found.other_words),
        **facets,
    )


def _counting(results: list[Moment]) -> list[Moment]:
    """Which of these moments count: what is only near is none of what was found, unless all of it is."""
    return [result for result in results if result.answer] or results


def _facets(
    recordings: Recordings, principal: Principal, rows: Sequence[Recording]
) -> dict[str, dict[str, int]]:
    """What is counted of recordings, by the fields of `Moments`."""
    months = _counted(f"{utc(row.dated_at):%Y-%m}" for row in rows)
    return {
        "tags": _counted(tag for row in rows for tag in row.tags),
        "engines": _counted(recordings.engines(rows)),
        "collections": _counted(recordings.collections(principal, rows)),
        "states": _counted(row.embedding_status.value for row in rows),
        "months": dict(sorted(months.items(), reverse=True)),
        "lengths": _counted(name for row in rows for name in _lengths(row.duration_s)),
    }


def _sort_by_day(results: list[Moment], named: Mapping[str, Recording], *, newest_first: bool) -> None:
    """In place, by the day of the recording and then by the place in it."""
    results.sort(key=lambda each: each.start_s)
    results.sort(key=lambda each: named[each.recording_id].dated_at, reverse=newest_first)


def _counted(values: Iterable[str]) -> dict[str, int]:
    """Each with how many there are of it, most first."""
    return dict(Counter(values).most_common())


def _lengths(duration_s: float | None) -> Iterator[str]:
    """Which of LENGTHS it is."""
    for name, (least_s, most_s) in LENGTHS.items():
        if duration_s is not None and least_s <= duration_s < most_s:
            yield name


def _notices(result: Found, question: str, language: str) -> Iterator[str]:
    """What was given up to find any, a sentence each."""
    if result.notice:
        yield catalogue.gettext(result.notice, language)
    if result.instead:
        yield catalogue.gettext(READ_AS, language, words=_quoted(read for _, read in result.instead))
    if result.other_words:
        yield catalogue.gettext(GLOSSARY, language, words=_quoted(result.other_words))
    if result.missing and any(match.how == "any" for match in result.matches):
        typed = {stems.fold(word): word for word in stems.words(question)}
        missing = (typed.get(word, word) for word in result.missing)
        yield catalogue.gettext(OTHER_WORDS, language, words=_quoted(missing))


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
        duration_s=recording.duration_s,
    )


def link(recording_id: str, start_s: float | None = None) -> str:
    """Where the pages open a recording, with the player at a moment."""
    return f"/recording?id={recording_id}" + (f"&t={start_s:.1f}" if start_s is not None else "")
