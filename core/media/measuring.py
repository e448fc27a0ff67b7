"""How long a file is, before all of it is decoded: as its header says, or as its packets show."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, cast

import av
from av import AudioStream, Packet, VideoStream
from av.container import InputContainer
from av.stream import Disposition

from core.media.container import Header, Refused, links, opened
from core.media.reading import Reader

COUNTED = {"aac", "amr", "amrnb", "amrwb", "ac3", "eac3", "dts"}
"""Formats whose headers say nothing: what FFmpeg tells of them is a guess from the bit rate."""
GUESSED = {"mpegts", "mpeg"}
"""Formats whose length is the distance of two timestamps, between which time may have jumped."""
COUNTED_PACKETS = {"probe": 4000, "headers": 50_000, "copy": 4000}
"""Some 50 ms of work where somebody waits for the answer to an upload, half a second before one: then a
length is "about"."""
FIRST_PACKETS = 20_000
"""A recording that is still not heard after so many packets (minutes of it) is taken for silent."""
SHIFTED_S = 0.05
"""A first timestamp further from zero is heard as a shift. In an MP3 it is the encoder's delay, 1105 samples,
which Firefox skips and Chromium plays: below 22 kHz players get a copy."""
_LINKS = 100
_TO_THE_END = {"matroska", "ogg"}
"""Formats of which FFmpeg tells the last timestamp, not how long after the first one it is."""
_XING_BYTES = 8192
_TAG = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")


@dataclass
class Count:
    """What the first packets of a stream come to."""

    seconds: float = 0.0
    size_bytes: int = 0
    whole: bool = False
    """Whether those were all."""
    sizes: set[int] = field(default_factory=set)
    _first_s: float | None = None

    def add(self, packet: Packet[Any]) -> None:
        """One more packet."""
        lasts_s = float((packet.duration or 0) * packet.time_base) if packet.time_base else 0.0
        if packet.pts is None:
            self.seconds += lasts_s
        else:
            at_s = float(packet.pts * packet.time_base)
            self._first_s = at_s if self._first_s is None else self._first_s
            self.seconds = max(self.seconds, at_s + lasts_s - self._first_s)
        self.size_bytes += packet.size
        if len(self.sizes) < 4:
            self.sizes.add(packet.size)

    def of(self, size_bytes: int) -> float | None:
        """The length of a file of this size."""
        if self.whole:
            return self.seconds
        return size_bytes * self.seconds / self.size_bytes if self.seconds > 1 and self.size_bytes else None

    @property
    def constant(self) -> bool:
        """Whether the bit rate is: sizes differ by the byte that pads them."""
        return len(self.sizes) < 3 and max(self.sizes, default=0) - min(self.sizes, default=0) <= 1


def stated_s(container: InputContainer, stream: AudioStream, descriptor: int) -> float | None:
    """Seconds of sound as the header says; None where it does not say, or only guesses."""
    name = container.format.name.split(",")[0]
    if name in COUNTED | GUESSED or (name == "mp3" and not _indexed(descriptor)):
        return None
    if name == "ogg" and len(chained := links(descriptor)) > 1:
        return sum(_link_s(descriptor, *link) for link in chained) if len(chained) <= _LINKS else None
    if stream.duration and (pictures(container) or not container.duration):
        return float(stream.duration * (stream.time_base or 0))
    if not container.duration:
        return None
    start_s = (cast("int | None", container.start_time) or 0) / 1e6
    whole_s, tagged_s = container.duration / 1e6, _tagged_s(stream)
    if tagged_s is not None and start_s < tagged_s < whole_s:
        whole_s = tagged_s
    return max(0.0, whole_s - start_s) if name in _TO_THE_END else whole_s


def _tagged_s(stream: AudioStream) -> float | None:
    """When a track of Matroska ends, by its tag: the picture beside it may go on; None without such a tag."""
    tag = next((tag for name, tag in stream.metadata.items() if name.startswith("DURATION")), "")
    match = _TAG.fullmatch(tag)
    return (
        sum(float(part) * unit for part, unit in zip(match.groups(), (3600, 60, 1), strict=True))
        if match
        else None
    )


def guessed_s(container: InputContainer, count: Count) -> float | None:
    """Where no header says it: by the packets, else by two timestamps."""
    name = container.format.name.split(",")[0]
    if name in GUESSED and container.duration:
        return container.duration / 1e6
    return count.of(container.size)


def count(reader: Reader, most: int) -> Count:
    """The first packets, once one frame of them has been decoded. Raises Refused where none can be."""
    count, decodable = Count(), False
    for n, packet in enumerate(reader.packets(), 1):
        if not decodable:
            with suppress(av.FFmpegError):
                decodable = bool(reader.decoded(packet))
        if packet.size:
            count.add(packet)
        if n >= (most if decodable else FIRST_PACKETS):
            break
    else:
        count.whole = True
    if not decodable:
        raise Refused("silent")
    return count


def _indexed(descriptor: int) -> bool:
    """Whether an MP3 has a header that counts its frames: Xing's or Fraunhofer's."""
    head = os.pread(descriptor, 10, 0)
    tag = 0
    if head[:3] == b"ID3":
        tag = 10 + sum((byte & 0x7F) << 7 * (3 - n) for n, byte in enumerate(head[6:10]))
    block = os.pread(descriptor, _XING_BYTES, tag)
    return any(mark in block for mark in (b"Xing", b"Info", b"VBRI"))


def _link_s(descriptor: int, first: int, end: int) -> float:
    with suppress(Refused), opened(Header(os.dup(descriptor), first, end)) as link:
        return max(0, (link.duration or 0) - (cast("int | None", link.start_time) or 0)) / 1e6
    return 0.0


PLAYED: Final[Mapping[str, tuple[set[str], set[str]]]] = {
    "mp3": ({"mp3"}, set()),
    "wav": ({"pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_f32le"}, set()),
    "flac": ({"flac"}, set()),
    "ogg": ({"opus", "vorbis"}, set()),
    "mov": ({"aac", "mp3", "opus", "flac"}, {"h264", "vp9", "av1"}),
    "matroska": ({"opus", "vorbis"}, {"vp8", "vp9", "av1"}),
}
"""Codecs of sound and picture that every browser plays, by container."""


def plays(container: InputContainer, streams: Sequence[AudioStream], descriptor: int, count: Count) -> bool:
    """Whether every browser plays these bytes as they are, seeks in them, and counts from the first sound."""
    start_s = (cast("int | None", container.start_time) or 0) / 1e6
    name = container.format.name.split(",")[0]
    playable_audio, playable_video = PLAYED.get(name, (set(), set()))
    codecs = {stream.codec_context.codec.canonical_name for stream in streams}
    video_codecs = {video.codec_context.codec.canonical_name for video in pictures(container)}
    fits = (
        len(streams) == 1
        and codecs <= playable_audio
        and video_codecs <= playable_video
        and abs(start_s) <= SHIFTED_S
    )
    return fits and _seekable(name, container, descriptor, count)


def _seekable(name: str, container: InputContainer, descriptor: int, count: Count) -> bool:
    match name:
        case "wav":
            return os.pread(descriptor, 4, 0) == b"RIFF"  # Firefox does not know RF64
        case "mp3":
            return count.constant or _indexed(descriptor)
        case "ogg":
            return len(links(descriptor)) == 1
        case "matroska":
            return bool(container.duration)
        case _:
            return True


def pictures(container: InputContainer) -> list[VideoStream]:
    """What moves; covers of albums are no picture."""
    return [video for video in container.streams.video if not _is_cover(video)]


def _is_cover(video: VideoStream) -> bool:
    return bool(int(video.disposition) & int(Disposition.attached_pic))
