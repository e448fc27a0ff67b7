"""The channels of a call as people call them, and the order in which they spoke."""

from __future__ import annotations

from collections.abc import Iterable

from core.i18n.catalogue import gettext
from core.i18n.messages import N_
from core.media.tracks import TRACK
from core.transcripts.segments import TranscribedSegment
from core.transcripts.speakers import LABEL

MONO = "mono"
CHANNELS = {"left": N_("Left"), "right": N_("Right")}


def channel_name(channel: str, language: str) -> str:
    """A channel in the reader's language; "" where there is only one."""
    if channel == MONO:
        return ""
    if channel.startswith(LABEL):
        return gettext(N_("Speaker {number}"), language, number=channel.removeprefix(LABEL))
    if channel.startswith(TRACK):
        return gettext(N_("Track {number}"), language, number=channel.removeprefix(TRACK))
    return gettext(CHANNELS[channel], language) if channel in CHANNELS else channel


def in_time(segments: Iterable[TranscribedSegment]) -> list[TranscribedSegment]:
    """Segments by their start. A long one is stored with its phrases in a row, also where others spoke."""
    return sorted(segments, key=lambda segment: (segment.start_s, segment.end_s))
