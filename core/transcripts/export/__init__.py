"""Transcripts as files people take away: text, captions, tables, documents.

`file` makes any of FORMATS; each format is made in one module of this package from the same segments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import quote

from core.transcripts.export.captions import Cue, cues
from core.transcripts.export.channels import CHANNELS
from core.transcripts.export.document import document
from core.transcripts.export.plain import text, timecodes
from core.transcripts.export.rttm import rttm
from core.transcripts.export.subtitles import srt, vtt
from core.transcripts.export.tables import as_json_file, table
from core.transcripts.transcripts import TranscribedSegment

__all__ = [
    "CHANNELS", "FORMATS", "Cue", "File", "cues", "disposition", "document", "file", "name", "rttm", "srt",
    "table", "text", "timecodes", "vtt",
]  # fmt: skip

Maker = Callable[[Sequence[TranscribedSegment], str, str], str | bytes]
"""Makes a file of segments, a title, and the reader's language."""


@dataclass(frozen=True)
class File:
    """A transcript as a file."""

    content: bytes
    media_type: str
    name: str


FORMATS: dict[str, tuple[str, str, Maker]] = {
    "txt": (
        ".txt",
        "text/plain; charset=utf-8",
        lambda segments, _, language: text(segments, language) + "\n",
    ),
    "timecodes": (
        "_timecodes.txt",
        "text/plain; charset=utf-8",
        lambda segments, _, language: timecodes(segments, language) + "\n",
    ),
    "srt": (
        ".srt",
        "application/x-subrip; charset=utf-8",
        lambda segments, _, language: srt(segments, language),
    ),
    "vtt": (".vtt", "text/vtt; charset=utf-8", lambda segments, _, language: vtt(segments, language)),
    "json": (".json", "application/json", as_json_file),
    "csv": (".csv", "text/csv; charset=utf-8", lambda segments, *_: table(segments)),
    "rttm": (".rttm", "text/plain; charset=utf-8", lambda segments, title, _: rttm(segments, title)),
    "docx": (
        ".docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        document,
    ),
}
"""Ending, media type and maker of each format."""


def file(segments: Sequence[TranscribedSegment], filename: str, kind: str, language: str = "en") -> File:
    """The transcript of `filename` in one of FORMATS, for a reader of `language`."""
    _, media_type, make = FORMATS[kind]
    content = make(segments, filename, language)
    return File(content.encode() if isinstance(content, str) else content, media_type, name(filename, kind))


def name(filename: str, kind: str) -> str:
    """What the transcript of `filename` is called in one of FORMATS."""
    return (PurePath(filename).stem or "transcript") + FORMATS[kind][0]


def disposition(name: str, *, inline: bool = False) -> str:
    """The Content-Disposition header for a file name (RFC 6266), with an ASCII fallback for old readers."""
    fallback = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    how = "inline" if inline else "attachment"
    return f"{how}; filename=\"{fallback}\"; filename*=UTF-8''{quote(name, safe='')}"
