"""Captions as SubRip and WebVTT.

Written by ourselves: pysubs2 knows no voices of WebVTT and takes braces in what was said for its markup.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from core.transcripts.export.captions import Cue, cues, lead
from core.transcripts.export.plain import clock
from core.transcripts.segments import TranscribedSegment
from core.transcripts.warnings import WarningAnswer


def srt(segments: Iterable[TranscribedSegment], language: str = "en") -> str:
    """SubRip captions; a channel's name leads its text."""
    return srt_of(cues(segments, language))


def srt_of(cues: Iterable[Cue]) -> str:
    """These captions as SubRip."""
    return "\n".join(
        f"{n}\n{_times(cue, ',')}\n{lead(cue.speaker)}{_body(cue)}\n" for n, cue in enumerate(cues, 1)
    )


def vtt(
    segments: Iterable[TranscribedSegment], language: str = "en", warnings: Iterable[WarningAnswer] = ()
) -> str:
    """WebVTT captions (https://www.w3.org/TR/webvtt1/); channels are voices, warnings are notes."""
    notes = (f"NOTE {warning.message.replace('-->', '→')}\n" for warning in warnings)
    return "\n".join(("WEBVTT\n", *notes, *(_vtt_cue(cue) for cue in cues(segments, language))))


def _vtt_cue(cue: Cue) -> str:
    voice = f"<v {escape(cue.speaker, quote=False)}>" if cue.speaker else ""
    return f"{_times(cue, '.')}\n{voice}{escape(_body(cue), quote=False)}\n"


def _body(cue: Cue) -> str:
    return "\n".join(cue.lines)


def _times(cue: Cue, point: str) -> str:
    return f"{_stamp(cue.start_s, point)} --> {_stamp(cue.end_s, point)}"


def _stamp(seconds: float, point: str) -> str:
    ms = round(seconds * 1000)
    return f"{clock(ms // 1000)}{point}{ms % 1000:03}"
