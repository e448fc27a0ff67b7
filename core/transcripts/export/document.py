"""Transcripts as Word documents."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from core.transcripts.export.channels import channel_name, in_time
from core.transcripts.export.plain import clock
from core.transcripts.segments import TranscribedSegment
from core.transcripts.warnings import WarningAnswer

if TYPE_CHECKING:
    from docx.opc.coreprops import CoreProperties

_BREAKS = re.compile("\r\n|[\r\u0085\u2028\u2029]")
_NOT_IN_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold."""


def document(
    segments: Iterable[TranscribedSegment],
    title: str,
    language: str = "en",
    warnings: Sequence[WarningAnswer] = (),
) -> bytes:
    """A Word document: the title, then a paragraph a segment, led by its time and channel.

    Line breaks and non-breaking spaces stay.
    """
    from docx import Document  # noqa: PLC0415 - 0.2 s and 8 MB of every process, for a file that few ask for

    file = Document()
    file.add_heading(_clean(title), 0)
    for warning in warnings:
        file.add_paragraph().add_run(_clean(warning.message)).italic = True
    for segment in in_time(segments):
        paragraph = file.add_paragraph(f"[{clock(segment.start_s)}] ")
        if name := channel_name(segment.channel, language):
            paragraph.add_run(_clean(f"{name}: ")).bold = True
        paragraph.add_run(_clean(segment.text))
    _describe(file.core_properties, title, " ".join(warning.message for warning in warnings))
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


@dataclass(frozen=True)
class Quotation:
    """What somebody said, under a title, with its source and notes."""

    title: str
    text: str
    source: str
    notes: tuple[str, ...] = ()


def quotations(title: str, items: Iterable[Quotation]) -> bytes:
    """A Word document of quotations, each under a heading of its own."""
    from docx import Document  # noqa: PLC0415 - 0.2 s and 8 MB of every process, for a file that few ask for

    file = Document()
    file.add_heading(_clean(title), 0)
    for one in items:
        file.add_heading(_clean(one.title), 2)
        if one.text:
            file.add_paragraph(_clean(one.text), style="Quote")
        file.add_paragraph().add_run(_clean(one.source)).italic = True
        for note in one.notes:
            file.add_paragraph(_clean(note))
    _describe(file.core_properties, title, "")
    out = io.BytesIO()
    file.save(out)
    return out.getvalue()


def _describe(properties: CoreProperties, title: str, comments: str) -> None:
    """Ours instead of those of the library's template."""
    properties.title = _clean(title)[:255]
    properties.author, properties.comments = "", _clean(comments)[:255]
    properties.created = properties.modified = datetime.now(UTC).replace(tzinfo=None)


def _clean(text: str) -> str:
    """The text as XML can hold it; line breaks stay."""
    return _NOT_IN_XML.sub("", _BREAKS.sub("\n", text))
