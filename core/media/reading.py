"""Sound out of a container: every frame at its second, and where the file was damaged.

An error of the demuxer or the decoder is never taken for the end: what follows is sought and read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, cast

import av
import av.logging
import numpy as np
from av import AudioFrame, AudioStream, Packet, VideoStream
from av.container import InputContainer
from numpy.typing import NDArray

from core.media.container import RAW, Refused
from core.media.waveform import SAMPLE_RATE, Waveform

RETRIES = 3
"""So many errors in a row are stepped over where they are; then the file is sought further ahead."""
LEAPS = 12
"""The furthest of those goes 2**12 s, more than an hour, ahead."""
BEGINNING_S = 0.5
"""Decoders of cut files need packets that are not there any more: such errors at the start are no damage."""
APART_S = 5.0
"""Damage nearer than this is one place."""
MOST_BREAKS = 100


class DamagedPlaces:
    """Seconds at which a file was damaged, in order."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._last_s = -APART_S

    def add(self, at_s: float) -> None:
        """Something could not be read here."""
        new = at_s - self._last_s >= APART_S
        self._last_s = max(self._last_s, at_s)
        if at_s >= BEGINNING_S and new and len(self.seconds) < MOST_BREAKS:
            self.seconds.append(round(at_s, 2))


class Clock:
    """Where the next sound belongs. `seconds` is how far we are, gaps included."""

    SHORTEST_GAP_S = 0.25
    """Below it, timestamps jitter; inserting silence would only stutter."""
    LONGEST_GAP_S = 3600.0
    """Above it, timestamps jumped or lie, and samples are believed instead."""

    def __init__(self, start_s: float | None) -> None:
        self.seconds = 0.0
        self._start_s = start_s

    def restart(self, start_s: float | None) -> None:
        """Timestamps begin anew, as in a file that was joined to another."""
        self._start_s = None if start_s is None else start_s - self.seconds

    def gap_before(self, frame: AudioFrame) -> float:
        """Seconds of silence that belong before this frame, which is counted too."""
        gap_s = 0.0
        if frame.time is not None:
            if self._start_s is None:
                self._start_s = frame.time - self.seconds
            ahead_s = frame.time - self._start_s - self.seconds
            if self.SHORTEST_GAP_S < ahead_s < self.LONGEST_GAP_S:
                gap_s = ahead_s
            elif abs(ahead_s) > self.SHORTEST_GAP_S:
                self._start_s += ahead_s
        self.seconds += gap_s + frame.samples / frame.rate
        return gap_s


class Reader:
    """The frames of some streams of a container. `hint` as `container.open_file` takes it."""

    def __init__(
        self,
        container: InputContainer,
        streams: Sequence[AudioStream | VideoStream],
        breaks: DamagedPlaces,
        hint: str = "",
    ) -> None:
        self.now_s = 0.0
        """How far whoever reads has come; damage is noted here."""
        self._container = container
        self._streams = streams
        self._breaks = breaks
        self._raw = RAW[hint].decoder if hint in RAW else ""
        self._decoder = _raw_decoder(self._raw) if self._raw else None
        self._not_before: dict[int, int] = {}
        self._last: dict[int, int] = {}

    def packets(self) -> Iterator[Packet[Any]]:
        """Each packet, and one without bytes for each stream at the end."""
        av.logging.set_level(av.logging.ERROR)
        with av.logging.Capture() as logged:
            for packet in self._demuxed():
                if any(name == self._container.format.name for _, name, _ in logged):
                    self._breaks.add(self.now_s)  # Matroska's and Ogg's demuxers skip damage and only log it
                logged.clear()
                if not (packet.size and self._repeated(packet)):
                    yield packet

    def _demuxed(self) -> Iterator[Packet[Any]]:
        source = self._container.demux(*cast("Any", self._streams))
        failed = 0
        while True:
            try:
                packet = next(source)
            except StopIteration:
                return
            except av.FFmpegError:
                self._breaks.add(self.now_s)
                failed += 1
                if failed > RETRIES and not self._skip_damage(failed - RETRIES):
                    return
                source = self._container.demux(*cast("Any", self._streams))
                continue
            failed = 0 if packet.size else failed
            yield packet

    def frames(self) -> Iterator[tuple[int, Sequence[AudioFrame]]]:
        """Index of the stream and frames of each packet; none of a damaged one."""
        for packet in self.packets():
            if packet.is_corrupt:
                self._breaks.add(self.now_s)
            frames: Sequence[Any] = ()
            try:
                frames = self.decoded(packet)
            except av.FFmpegError:
                self._breaks.add(self.now_s)
            yield packet.stream.index, frames

    def decoded(self, packet: Packet[Any]) -> Sequence[Any]:
        """The frames of a packet. Raises FFmpegError for a damaged one."""
        if self._decoder is None:
            return cast("Sequence[Any]", packet.decode())
        return cast("Sequence[Any]", self._decoder.decode(Packet(bytes(packet)) if packet.size else None))

    def _repeated(self, packet: Packet[Any]) -> bool:
        """Whether it was read before a leap that landed further back."""
        index, pts = packet.stream.index, packet.pts
        if pts is None:
            return False
        if pts <= self._not_before.get(index, pts - 1):
            return True
        self._last[index] = pts
        return False

    def _skip_damage(self, step: int) -> bool:
        """Seek ahead of damage, each time twice as far; False when that was tried often enough."""
        if step > LEAPS:
            return False
        self._not_before = dict(self._last)
        start_s = (cast("int | None", self._container.start_time) or 0) / 1e6
        with suppress(av.FFmpegError):
            self._container.seek(
                round((start_s + self.now_s + 2.0**step) * 1e6), backward=False, any_frame=True
            )
        return True


def _raw_decoder(name: str) -> Any:
    decoder = cast("av.AudioCodecContext", av.CodecContext.create(name, "r"))
    decoder.sample_rate, decoder.layout = 8000, "mono"
    return decoder


class Sink:
    """Frames of any kind into files of 16 kHz int16, one file a channel or one for their mix."""

    def __init__(self, files: Sequence[BinaryIO], max_samples: int) -> None:
        self.samples = 0
        self._files = files
        self._layout = "stereo"
        self._max_samples = max_samples
        self._kind: tuple[str, str, int] | None = None
        self._begin()

    def _begin(self) -> None:
        # Frames are small (26 ms of mp3): resampling them by the second is a third faster.
        self._waiting = av.AudioFifo()
        self._resampler = av.AudioResampler("s16p", self._layout, SAMPLE_RATE, SAMPLE_RATE)

    def add(self, frame: AudioFrame) -> None:
        """Take one frame; its rate or layout may differ from the last one's."""
        kind = (frame.format.name, frame.layout.name, frame.rate)
        if kind != self._kind:
            self.drain()
            self._kind = kind
            self._layout = "mono" if frame.layout.nb_channels == 1 else "stereo"
            self._begin()
        frame.pts = None
        self._waiting.write(frame)
        if self._waiting.samples >= frame.rate:
            self._write(self._resampler.resample(self._waiting.read()))

    def skip(self, seconds: float) -> None:
        """Leave silence: a hole in the file, which takes no disk."""
        self.drain()
        self._count(round(seconds * SAMPLE_RATE))
        for file in self._files:
            file.truncate(self.samples * 2)
            file.seek(0, os.SEEK_END)

    def drain(self) -> None:
        """Write what is still inside the resampler, and start afresh."""
        if self._waiting.samples:
            self._write(self._resampler.resample(self._waiting.read()))
        if self._kind:
            self._write(self._resampler.resample(None))
            self._begin()

    def _write(self, frames: Sequence[AudioFrame]) -> None:
        for frame in frames:
            planes = cast("NDArray[np.int16]", frame.to_ndarray())
            self._count(planes.shape[1])
            sounds = [mix(planes)] if len(self._files) == 1 else np.broadcast_to(planes, (2, planes.shape[1]))
            for file, sound in zip(self._files, sounds, strict=True):
                file.write(sound.tobytes())

    def _count(self, samples: int) -> None:
        self.samples += samples
        if self.samples > self._max_samples:
            raise Refused("too_long")


def mix(planes: NDArray[np.int16]) -> Waveform:
    """Channels [channels, samples] as one: their mean, or the loudest where they cancel each other out."""
    if len(planes) == 1:
        return cast("Waveform", planes[0])
    exact = planes.astype(np.float32)
    mean = exact.mean(axis=0)
    powers = np.einsum("cs,cs->c", exact, exact)
    cancelled = mean @ mean < 0.1 * powers.mean()
    return cast("Waveform", planes[powers.argmax()] if cancelled else mean.astype(np.int16))
