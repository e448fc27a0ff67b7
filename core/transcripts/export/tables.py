"""Transcripts for spreadsheets and programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from core.spreadsheets import without_formulas
from core.transcripts.export.channels import in_time
from core.transcripts.export.plain import text
from core.transcripts.segments import TranscribedSegment, as_json
from core.transcripts.warnings import WarningAnswer


def table(segments: Iterable[TranscribedSegment]) -> str:
    """Comma-separated values, safe to open in a spreadsheet; begins with a mark that says UTF-8."""
    out = io.StringIO()
    write = csv.writer(out).writerow
    write(("n", "start_s", "end_s", "channel", "text"))
    for s in in_time(segments):
        channel, words = without_formulas(s.channel), without_formulas(s.text)
        write((s.n, f"{s.start_s:.3f}", f"{s.end_s:.3f}", channel, words))
    return "\ufeff" + out.getvalue()


def as_json_file(
    segments: Sequence[TranscribedSegment],
    filename: str,
    language: str = "en",
    warnings: Iterable[WarningAnswer] = (),
) -> str:
    """Everything that is known, with every word's times."""
    whole = {
        "filename": filename,
        "text": text(segments, language),
        "warnings": [asdict(warning) for warning in warnings],
        "segments": [as_json(s) for s in segments],
    }
    return json.dumps(whole, ensure_ascii=False, indent=2) + "\n"
