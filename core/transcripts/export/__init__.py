"""Transcripts as files people take away: text, captions, tables, documents.

`file` makes any of FORMATS; each format is made in one module of this package from the same segments.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from urllib.parse import quote

from core.transcripts.export.captions import Cue, cues
from core.transcripts.export.channels import CHANNELS, channel_name
from core.transcripts.export.document import document
from core.transcripts.export.plain import noted, text, timecodes
from core.transcripts.export.rttm import rttm
from core.transcripts.export.subtitles import srt, vtt
from core.transcripts.export.tables import as_json_file, table
from core.transcripts.segments import TranscribedSegment
from core.transcripts.warnings import WarningAnswer

__all__ = [
    "CHANNELS", "FORMATS", "Cue", "File", "channel_name", "cues", "disposition", "document", "file", "name",
    "rttm", "srt", "table", "text", "timecodes", "vtt",
]  # fmt: skip

NOT_IN_NAMES = re.compile(r'[\x00-\x1f<>:"/\\|?*]+')
"""What some file system forbids."""
NAME_LETTERS = 100

Warnings = Sequence[WarningAnswer]
Maker = Callable[[Sequence[TranscribedSegment], str, str, Warnings], str | bytes]
"""Makes a file of segments, a title, the reader's language, and what is to be known about it."""


@dataclass(frozen=True)
class File:
    """A transcript as a file."""

    content: bytes
    media_type: str
    name: str
    warnings: tuple[str, ...] = ()
    """Codes of what is to be known about it."""


FORMATS: dict[str, tuple[str, str, Maker]] = {
    "txt": (
        ".txt",
        "text/plain; charset=utf-8",
        lambda segments, _, language, known: noted(known) + text(segments, language) + "\n",
    ),
    "timecodes": (
        "_timecodes.txt",
        "text/plain; charset=utf-8",
        lambda segments, _, language, known: noted(known) + timecodes(segments, language) + "\n",
    ),
    "srt": (
        ".srt",
        "application/x-subrip; charset=utf-8",
        lambda segments, _, language, known: srt(segments, language),  # noqa: ARG005 - no place for notes
    ),
    "vtt": (
        ".vtt",
        "text/vtt; charset=utf-8",
        lambda segments, _, language, known: vtt(segments, language, known),
    ),
    "json": (".json", "application/json", as_json_file),
    "csv": (".csv", "text/csv; charset=utf-8", lambda segments, *_: table(segments)),
    "rttm": (
        ".rttm",
        "text/plain; charset=utf-8",
        lambda segments, title, _, known: rttm(segments, title, known),
    ),
    "docx": (
        ".docx",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        document,
    ),
}
"""Ending, media type and maker of each format."""


def file(
    segments: Sequence[TranscribedSegment],
    filename: str,
    kind: str,
    language: str = "en",
    *,
    title: str = "",
    warnings: Warnings = (),
) -> File:
    """The transcript of `filename`, called `title`, in one of FORMATS, for a reader of `language`.

    What is to be known about it stands where the format has a place for it: not in SubRip and CSV.
    """
    _, media_type, make = FORMATS[kind]
    content = make(segments, title or filename, language, warnings)
    codes = tuple(warning.code for warning in warnings)
    bytes_ = content.encode() if isinstance(content, str) else content
    return File(bytes_, media_type, name(filename, kind, title), codes)


def name(filename: str, kind: str, title: str = "") -> str:
    """What a transcript is called in one of FORMATS: as people call the recording, else as its file was."""
    called = PurePath(filename).stem if title in ("", filename) else NOT_IN_NAMES.sub("_", title).strip(" ._")
    return (called[:NAME_LETTERS] or "transcript") + FORMATS[kind][0]


def disposition(name: str, *, inline: bool = False) -> str:
    """The Content-Disposition header for a file name (RFC 6266), with an ASCII fallback for old readers."""
    fallback = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    how = "inline" if inline else "attachment"
    return f"{how}; filename=\"{fallback}\"; filename*=UTF-8''{quote(name, safe='')}"
