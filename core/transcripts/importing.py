"""Transcripts that somebody else made: SRT, VTT, our JSON, Whisper's JSON, text with time codes.

Such a file becomes a recording without sound. Times of words are shared out by letters where the file has
none; a speaker is who is named in front of what is said.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Any

from core.errors import Code, UnreadableMedia
from core.speech.engine import Word

SUFFIXES = {".srt": "srt", ".vtt": "vtt", ".json": "json", ".txt": "txt"}
"""Endings of transcripts, and the format that their recording has."""
FORMATS = frozenset(SUFFIXES.values())
MAX_BYTES = 20 << 20
MAX_CUES = 100_000
MAX_S = 1000 * 3600.0
LETTERS_A_SECOND = 10
"""Slow speech; ends what has a beginning only."""

_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{2})(?:[.,](\d{1,3}))?"
_ARROW = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}")
_CODED = re.compile(rf"^\s*[\[(]?\s*{_TIME}(?:\s*(?:-->|[-–—])\s*{_TIME})?\s*[\])]?\s*[-–—:]?\s*(.*)$")
_HEADED = re.compile(rf"^\s*(\S.{{0,60}}?)[\s,]+[\[(]?{_TIME}[\])]?\s*$")
_VOICE = re.compile(r"<v(?:\.[^ >]*)?\s+([^>]+)>")
_TAG = re.compile(r"<[^>\n]*>|\{\\[^}\n]*\}")
_NAMED = re.compile(r"^\s*(?:[-–—]\s*)?([A-ZА-ЯЁ][\w.'’()-]*(?: [\w.'’()-]+){0,3}):\s+(?=\S)")


@dataclass(frozen=True)
class Cue:
    """What one person says in one stretch of time, seconds from the start."""

    start_s: float
    end_s: float
    text: str
    speaker: str = ""
    words: tuple[Word, ...] = ()


def is_transcript(filename: str) -> bool:
    """Whether a file with this name is read as a transcript."""
    return PurePath(filename).suffix.lower() in SUFFIXES


def form(filename: str) -> str:
    """The format of a transcript with this name."""
    return SUFFIXES[PurePath(filename).suffix.lower()]


def read(filename: str, content: bytes) -> list[Cue]:
    """What the file says, in order of time, every word with its time.

    Raises UnreadableMedia with a sentence for people.
    """
    if len(content) > MAX_BYTES:
        raise UnreadableMedia(Code.TRANSCRIPT_TOO_LARGE, limit_mb=MAX_BYTES >> 20)
    readers = {"srt": _captions, "vtt": _captions, "json": _json, "txt": _coded}
    text = _decoded(content)
    cues = [cue for cue in readers[form(filename)](text) if cue.text]
    if not cues:
        raise UnreadableMedia(Code.TRANSCRIPT_WITHOUT_TIMES)
    if len(cues) > MAX_CUES or max(cue.end_s for cue in cues) > MAX_S:
        raise UnreadableMedia(Code.TRANSCRIPT_TOO_LONG, cues=MAX_CUES, hours=round(MAX_S / 3600))
    cues.sort(key=lambda cue: (cue.start_s, cue.end_s))
    return [replace(cue, words=cue.words or tuple(_words(cue))) for cue in _with_speakers(cues)]


def _decoded(content: bytes) -> str:
    """UTF-8, UTF-16 with its mark, or Windows-1251 if that reads as Russian."""
    try:
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return content.decode("utf-16")
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1251", "replace")
    letters = [letter for letter in text if letter.isalpha()]
    if "\0" in text or sum("а" <= letter.lower() <= "я" for letter in letters) * 2 < len(letters):
        raise UnreadableMedia(Code.TRANSCRIPT_NOT_TEXT)
    return text


def _seconds(parts: Sequence[str | None], line: int) -> float:
    """Hours, minutes, seconds and their fraction as they were found."""
    hours, minutes, seconds = (int(part or 0) for part in parts[:3])
    if seconds > 59 or (minutes > 59 and parts[0] is not None):
        raise UnreadableMedia(Code.TRANSCRIPT_TIME_WRONG, line=line)
    return hours * 3600 + minutes * 60 + seconds + float(f"0.{parts[3] or 0}")


def _plain(text: str) -> str:
    return " ".join(html.unescape(_TAG.sub(" ", text)).split())


# SRT and VTT


def _captions(text: str) -> Iterator[Cue]:
    """Cues of either; what is not below a line of times is left out."""
    lines = text.splitlines()
    before: list[str] = []
    for n, line in enumerate(lines):
        if match := _ARROW.match(line):
            start_s, end_s = _seconds(match.groups()[:4], n + 1), _seconds(match.groups()[4:], n + 1)
            text_lines = list(_until_blank(lines, n + 1))
            new = [
                each for each in text_lines if each not in before[-1:]
            ]  # captions that roll say a line twice
            before = text_lines
            yield from _voices(start_s, max(end_s, start_s), "\n".join(new))


def _until_blank(lines: Sequence[str], start: int) -> Iterator[str]:
    """The lines of one cue: a blank line ends it, and so does another cue whose number stands before it."""
    for n in range(start, len(lines)):
        follows = n + 1 < len(lines) and _ARROW.match(lines[n + 1]) and lines[n].strip().isdecimal()
        if not lines[n].strip() or follows or _ARROW.match(lines[n]):
            return
        yield lines[n].strip()


def _voices(start_s: float, end_s: float, text: str) -> Iterator[Cue]:
    """A cue for each voice that is marked in it; time is shared by letters."""
    first, *marked = _VOICE.split(text)
    parts = [("", _plain(first)), *zip(map(_plain, marked[::2]), map(_plain, marked[1::2]), strict=True)]
    parts = [(speaker, line) for speaker, line in parts if line]
    letters = sum(len(line) for _, line in parts)
    at = 0
    for speaker, line in parts:
        span_s = end_s - start_s
        begin_s, at = start_s + span_s * at / letters, at + len(line)
        yield Cue(begin_s, start_s + span_s * at / letters, line, speaker)


# Text with time codes


def _coded(text: str) -> Iterator[Cue]:
    """A cue from each time code to the next; a line of a name and a time heads what is below it."""
    open_: list[tuple[float, float | None, str, list[str]]] = []
    for n, line in enumerate(text.splitlines(), start=1):
        if match := _CODED.match(line):
            *times, caption = match.groups()
            end_s = None if times[6] is None else _seconds(times[4:], n)
            open_.append((_seconds(times[:4], n), end_s, "", [caption]))
        elif headed := _HEADED.match(line):
            speaker, *times = headed.groups()
            open_.append((_seconds(times, n), None, speaker.strip(" :-–—"), []))
        elif open_:
            open_[-1][3].append(line)
    starts = [start_s for start_s, *_ in open_]
    for n, (start_s, end_s, speaker, lines) in enumerate(open_):
        caption = _plain(" ".join(lines))
        spoken_s = max(1.0, len(caption) / LETTERS_A_SECOND)
        following = next((each for each in starts[n + 1 :] if each > start_s), math.inf)
        yield Cue(
            start_s,
            max(start_s, min(start_s + spoken_s, following) if end_s is None else end_s),
            caption,
            speaker,
        )


# JSON


def _json(text: str) -> Iterator[Cue]:
    """Ours, and what Whisper and its like write: segments with their start, end and text."""
    try:
        whole = json.loads(text)
        segments = whole["segments"] if isinstance(whole, dict) else whole
        for segment in segments:
            yield _segment(segment)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableMedia(Code.TRANSCRIPT_JSON_UNKNOWN) from error


def _segment(segment: Mapping[str, Any]) -> Cue:
    start_s, end_s = _times(segment)
    channel = segment.get("speaker") or segment.get("channel") or ""
    speaker = "" if channel == "mono" else str(channel)
    words = tuple(
        Word(_plain(str(word.get("text", word.get("word", "")))), *_times(word), _confidence(word))
        for word in segment.get("words") or ()
    )
    return Cue(start_s, max(start_s, end_s), _plain(str(segment["text"])), _plain(speaker), words)


def _confidence(word: Mapping[str, Any]) -> float | None:
    """How sure somebody was of a word, if the file says it as a share."""
    confidence = word.get("confidence")
    return float(confidence) if isinstance(confidence, (int, float)) and 0 <= confidence <= 1 else None


def _times(of: Mapping[str, Any]) -> tuple[float, float]:
    start_s, end_s = (
        float(of[name] if name in of else of[name.removesuffix("_s")]) for name in ("start_s", "end_s")
    )
    if not (math.isfinite(start_s) and math.isfinite(end_s) and start_s >= 0):
        raise ValueError
    return start_s, end_s


# Speakers and words


def _with_speakers(cues: Sequence[Cue]) -> Iterator[Cue]:
    """Names in front of what is said become speakers if they come back; who is not named goes on."""
    if any(cue.speaker for cue in cues):
        names: frozenset[str] = frozenset()
    else:
        name_counts = Counter(name[1] for cue in cues if (name := _NAMED.match(cue.text)))
        everybody = name_counts.total() == len(cues)
        names = frozenset(name for name, times in name_counts.items() if times > 1 or everybody)
    speaker = ""
    for cue in cues:
        named = _NAMED.match(cue.text)
        if named and named[1] in names:
            speaker = named[1]
            yield replace(cue, text=cue.text[named.end() :], speaker=speaker, words=())
        else:
            speaker = cue.speaker or speaker
            yield replace(cue, speaker=speaker)


def _words(cue: Cue) -> Iterator[Word]:
    """The words of a cue; each takes its share of the time by its letters."""
    words = cue.text.split()
    letters, at = sum(map(len, words)) or 1, 0
    for word in words:
        start_s = cue.start_s + (cue.end_s - cue.start_s) * at / letters
        at += len(word)
        end_s = cue.start_s + (cue.end_s - cue.start_s) * at / letters
        yield Word(word, round(start_s, 3), round(end_s, 3))
