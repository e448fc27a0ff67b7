"""Transcripts as Word documents."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from datetime import UTC, datetime

import docx
from docx.opc.coreprops import CoreProperties

from core.transcripts.export.channels import channel_name, in_time
from core.transcripts.export.plain import clock
from core.transcripts.transcripts import TranscribedSegment

_BREAKS = re.compile("\r\n|[\r\u0085\u2028\u2029]")
_NOT_IN_XML = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 cannot hold."""


def document(segments: Iterable[TranscribedSegment], title: str, language: str = "en") -> bytes:
    """A Word document: the title, then a paragraph a segment, led by its time and channel.

    Line breaks and non-breaking spaces stay.
    """
    made = docx.Document()
    made.add_heading(_clean(title), 0)
    for segment in in_time(segments):
        paragraph = made.add_paragraph(f"[{clock(segment.start_s)}] ")
        if name := channel_name(segment.channel, language):
            paragraph.add_run(_clean(f"{name}: ")).bold = True
        paragraph.add_run(_clean(segment.text))
    _describe(made.core_properties, title)
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def _describe(properties: CoreProperties, title: str) -> None:
    """Ours instead of those of the library's template."""
    properties.title = _clean(title)[:255]
    properties.author = properties.comments = ""
    properties.created = properties.modified = datetime.now(UTC).replace(tzinfo=None)


def _clean(text: str) -> str:
    return _NOT_IN_XML.sub("", _BREAKS.sub("\n", text))
