"""Who speaks when as RTTM, the format of NIST's evaluations that programs for diarization read.

Fields of a line, by the Rich Transcription evaluation plan (RT-09, appendix A): type, file, channel, start
and length in seconds, and the speaker, with `<NA>` for what is not known.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

from core.transcripts.export.channels import in_time
from core.transcripts.segments import TranscribedSegment
from core.transcripts.warnings import WarningAnswer


def rttm(
    segments: Iterable[TranscribedSegment], filename: str, warnings: Iterable[WarningAnswer] = ()
) -> str:
    """One line a segment, by start; names have `_` for spaces, which no field may hold."""
    recording = _field(PurePath(filename).stem)
    return "".join(f";; {warning.message}\n" for warning in warnings) + "".join(
        f"SPEAKER {recording} 1 {segment.start_s:.3f} {segment.end_s - segment.start_s:.3f} "
        f"<NA> <NA> {_field(segment.channel)} <NA> <NA>\n"
        for segment in in_time(segments)
    )


def _field(name: str) -> str:
    return "_".join(name.split()) or "<NA>"
