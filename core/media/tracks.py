"""The sound tracks of a file, and which of them are to be heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

CHOICE: Final = r"^(|auto|each|mix|[1-9]|[12]\d|3[0-2])$"
"""What may be asked for: those in the language of the recording, each apart, all mixed, or one by number."""
TRACK: Final = "track_"
"""How the channel of a track begins that has no title; its number from 1 follows."""
MAX_TITLE: Final = 40
_NO_LANGUAGE = {"", "und", "mis", "mul", "zxx"}
_RESERVED = {"mono", "left", "right"}


@dataclass(frozen=True)
class Track:
    """One track of sound as its file describes it."""

    number: int
    """From 1, among the tracks of sound."""
    language: str
    """ISO 639-1 where it has such a code, else 639-2; "" where the file does not say."""
    title: str
    default: bool
    channels: int

    @property
    def channel(self) -> str:
        """What its segments say: its title, or its number."""
        title = " ".join(self.title.split())[:MAX_TITLE]
        reserved = title.lower() in _RESERVED or title.lower().startswith((TRACK, "speaker_"))
        return title if title and not reserved else f"{TRACK}{self.number}"


def track(number: int, language: str | None, title: str, *, default: bool, channels: int) -> Track:
    """A track, its language as a code of two letters."""
    code = (language or "").lower()
    return Track(number, "" if code in _NO_LANGUAGE else _short(code), title, default, channels)


def choose(tracks: Sequence[Track], choice: str, language: str) -> list[Track]:
    """The tracks to hear. `choice` fits CHOICE, `language` is what is spoken.

    Unless told otherwise all are heard, but of translations (two stated languages at least) only those in
    `language`, or the default one. A number that the file does not have is no choice.
    """
    if choice.isdecimal() and (one := [each for each in tracks if each.number == int(choice)]):
        return one
    if choice in {"each", "mix"}:
        return list(tracks)
    if len({each.language for each in tracks if each.language}) < 2:
        return list(tracks)
    spoken = [each for each in tracks if each.language == language]
    return spoken or [next((each for each in tracks if each.default), tracks[0])]


def channels(tracks: Sequence[Track]) -> dict[int, str]:
    """The channel of each track by its number; titles that two have do not tell them apart."""
    titles = [each.channel for each in tracks]
    return {
        each.number: each.channel if titles.count(each.channel) == 1 else f"{TRACK}{each.number}"
        for each in tracks
    }


def _short(code: str) -> str:
    from babel.core import get_global  # noqa: PLC0415 - most files state no language, and each child starts anew

    return str(get_global("language_aliases").get(code, code))
