"""The child process in which media are opened. The only home of av; `core/media/decode.py` starts it.

`python -m core.media.sandbox` with a socket on standard input, over which the order (JSON) and the opened
file come. It limits itself before it reads a byte of it, and says JSON lines: [word, fact].
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from io import FileIO
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

import av
import numpy as np
from av import AudioFrame, AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from core.media.waveform import SAMPLE_RATE, Waveform
from core.storage.blobs import DISK_FULL

FORMATS = "mov,mp3,wav,w64,flac,ogg,matroska,webm,aac,asf,avi,mpegts,aiff,caf,amr,amrnb,amrwb"
"""FFmpeg's names of the formats that are read; playlists and the like are not among them."""

_CPU_S = {"probe": 15, "headers": 600, "decode": 3600}
_MEMORY_BYTES = 2 * 1024**3
_ESTIMATING = {"mp3", "aac", "amr", "mpegts"}
_SAY_EVERY_S = 0.5
_RATE_PACKETS = 2000
_FIRST_PACKETS = 20_000
"""A recording that is still not heard after so many packets (minutes of it) is taken for silent."""
_IN_A_ROW_BYTES = 64 * 1024**2
"""The index of a day of video is about so long; nothing else is read for so long before the first sound."""
_JUMPS = 20_000
_BYTES_A_JUMP = 8
"""Fragmented files jump about once in 150 bytes of their headers; junk in chunks of nothing twice a byte."""


class Refused(Exception):
    """The file cannot be read; the argument is the word for it."""


def _main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent alone decides what Ctrl-C means
    parent = socket.socket(fileno=0)
    message, descriptors, *_ = socket.recv_fds(parent, 65536, 1)
    if not descriptors:
        return
    order = json.loads(message)
    os.chdir(order["folder"])
    _limit(_CPU_S[order["task"]], int(order["max_s"] * SAMPLE_RATE * 2 * 2) + 1024**2)

    if order["task"] == "headers":
        _read_headers(parent, descriptors)
        return
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _job_queue(descriptors[0], order)


def _read_headers(parent: socket.socket, descriptors: list[int]) -> None:
    """Probe one file after the other, until the line is cut."""
    while descriptors:
        _job_queue(descriptors[0], {"task": "probe"})
        _, descriptors, *_ = socket.recv_fds(parent, 65536, 1)


def _job_queue(descriptor: int, order: dict[str, Any]) -> None:
    """Do what is asked with one file, and say how it went."""
    _say("ready")
    try:
        with _container(descriptor) as container:
            _say("done", _probe(container) if order["task"] == "probe" else _decode(container, order))
    except Refused as refusal:
        _say("refused", str(refusal))
    except MemoryError:
        _say("refused", "memory")
    except (av.FFmpegError, ValueError, OverflowError):
        _say("refused", "broken")


def _end_with(parent: socket.socket) -> None:
    """The line is cut when the parent dies."""
    parent.recv(1)
    os._exit(1)


def _limit(cpu_s: int, file_bytes: int) -> None:
    """Bounds on what a hostile file can take from the machine."""
    limits = {
        resource.RLIMIT_CPU: cpu_s,
        resource.RLIMIT_FSIZE: file_bytes,
        resource.RLIMIT_NOFILE: 32,
        resource.RLIMIT_CORE: 0,
    }
    if sys.platform == "linux":
        limits[resource.RLIMIT_AS] = _MEMORY_BYTES
    for what, most in limits.items():
        resource.setrlimit(what, (most, most))


def _say(word: str, fact: object = None) -> None:
    sys.stdout.write(json.dumps([word, fact]) + "\n")
    sys.stdout.flush()


class Header(FileIO):
    """A file that ends early while its header is sought without end. `opened` lifts that, `endless` tells."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self.opened = self.endless = False
        self.jumps = self.read_bytes = 0
        self._in_a_row_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes; none any more when too many were read."""
        if not self.opened:
            busy = self.jumps > _JUMPS + self.read_bytes // _BYTES_A_JUMP
            self.endless = self.endless or busy or self._in_a_row_bytes > _IN_A_ROW_BYTES
        block = b"" if self.endless else super().read(size) or b""
        self.read_bytes += len(block)
        self._in_a_row_bytes += len(block)
        return block

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Jump, which is counted."""
        self.jumps += 1
        self._in_a_row_bytes = 0
        return super().seek(offset, whence)


def _container(descriptor: int) -> InputContainer:
    """The file, opened so that nothing else ever is."""
    file = Header(descriptor)
    container = opened(file)
    if not set(container.format.name.split(",")) & set(FORMATS.split(",")):
        raise Refused("not_media")
    return container


def opened(file: Header) -> InputContainer:
    """The container in a file. Raises Refused."""
    whitelists = {"protocol_whitelist": "file", "format_whitelist": FORMATS}
    try:
        container = av.open(
            file,
            io_open=_deny,
            container_options=whitelists | {"probesize": "5000000", "analyzeduration": "10000000"},
            metadata_errors="replace",
            buffer_size=256 * 1024,
            timeout=(10, 30),
        )
    except (av.FFmpegError, ValueError) as error:
        raise Refused("slow" if file.endless else "not_media") from error
    if file.endless:
        raise Refused("slow")
    file.opened = True
    return cast("InputContainer", container)


def _deny(*_request: object) -> NoReturn:
    """A file that wants another file opened gets nothing."""
    raise Refused("refers")


def _sound(container: InputContainer) -> AudioStream:
    """The track a player would play."""
    if len(container.streams) > 32:
        raise Refused("streams")
    stream = container.streams.best("audio")
    if not isinstance(stream, AudioStream):
        raise Refused("no_sound")
    if stream.channels > 8:
        raise Refused("channels")
    if not 4000 <= stream.rate <= 192_000:
        raise Refused("rate")
    stream.codec_context.thread_count = 1
    return stream


def _probe(container: InputContainer) -> dict[str, object]:
    """The fields of Media, once one frame of sound has been decoded."""
    stream = _sound(container)
    if not any(islice(_frames(container, stream), _FIRST_PACKETS)):
        raise Refused("silent")
    name = container.format.name.split(",")[0]
    stated_s = container.duration / 1e6 if container.duration else None
    guessed_s = None if stated_s else _guessed_s(container, stream)
    estimated = stated_s is None or name in _ESTIMATING
    return {
        "format": name,
        "duration_s": stated_s or guessed_s,
        "channels": stream.channels,
        "sample_rate": stream.rate,
        "estimated": estimated,
    }


def _guessed_s(container: InputContainer, stream: AudioStream) -> float | None:
    """Size by bit rate: the header's, else that of the beginning."""
    stated: int = max(container.bit_rate, stream.bit_rate or 0)
    rate = stated if stated else _rate(container)
    return container.size * 8 / rate if rate else None


def _rate(container: InputContainer) -> float | None:
    """Bits a second of a stretch after the start, for files whose header is silent."""
    size_bytes, times_s = 0, [0.0, 0.0]
    with suppress(av.FFmpegError, StopIteration):
        for n, packet in enumerate(container.demux()):
            if packet.pts is None or n == _RATE_PACKETS:
                break
            time_s = float(packet.pts * packet.time_base)
            times_s = [min(times_s[0] or time_s, time_s), max(times_s[1], time_s)]
            size_bytes += packet.size
    lasted_s = times_s[1] - times_s[0]
    return size_bytes * 8 / lasted_s if lasted_s > 1 else None


def _frames(container: InputContainer, stream: AudioStream) -> Iterator[Sequence[AudioFrame]]:
    """The frames of each packet: none for a damaged one, and a damaged end is an end."""
    packets = container.demux(stream)
    with suppress(StopIteration, av.FFmpegError):
        while True:
            packet = next(packets)
            frames: Sequence[Any] = ()
            with suppress(av.FFmpegError):
                frames = packet.decode()
            yield frames


def _decode(container: InputContainer, order: dict[str, Any]) -> Sequence[str]:
    """Write the sound to disk and say where."""
    stream = _sound(container)
    names = ("left.pcm", "right.pcm") if order["split_channels"] and stream.channels == 2 else ("mono.pcm",)
    layout = "mono" if stream.channels == 1 else "stereo"
    try:
        with ExitStack() as stack:
            files = [stack.enter_context(Path(f"{name}.tmp").open("wb", 1024**2)) for name in names]
            sink = _Sink(files, layout, int(order["max_s"] * SAMPLE_RATE))
            _pour(container, stream, sink)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise Refused("no_space") from error
    if not sink.samples:
        raise Refused("silent")
    return names


def _pour(container: InputContainer, stream: AudioStream, sink: _Sink) -> None:
    """Every frame into the sink, at the second where the file says it belongs."""
    start = cast("int | None", container.start_time)
    clock = _Clock(None if start is None else start / 1e6)
    said = time.monotonic()
    for frames in _frames(container, stream):
        for frame in frames:
            gap_s = clock.gap_before(frame)
            if gap_s:
                sink.skip(gap_s)
            sink.add(frame)
        if time.monotonic() - said > _SAY_EVERY_S:
            _say("progress", clock.seconds)
            said = time.monotonic()
    sink.drain()
    _say("progress", clock.seconds)


class _Clock:
    """Where the next sound belongs. `seconds` is how far we are, gaps included."""

    SHORTEST_GAP_S = 0.25
    """Below it, timestamps jitter; inserting silence would only stutter."""
    LONGEST_GAP_S = 3600.0
    """Above it, timestamps jumped or lie, and samples are believed instead."""

    def __init__(self, start_s: float | None) -> None:
        self.seconds = 0.0
        self._start_s = start_s

    def gap_before(self, frame: AudioFrame) -> float:
        """Seconds of silence that belong before this frame, which is counted too."""
        gap_s = 0.0
        if frame.time is not None:
            if self._start_s is None:
                self._start_s = frame.time
            ahead_s = frame.time - self._start_s - self.seconds
            if self.SHORTEST_GAP_S < ahead_s < self.LONGEST_GAP_S:
                gap_s = ahead_s
            elif abs(ahead_s) > self.SHORTEST_GAP_S:
                self._start_s += ahead_s
        self.seconds += gap_s + frame.samples / frame.rate
        return gap_s


class _Sink:
    """Frames of any kind into files of 16 kHz int16, one file a channel or one for their mix."""

    def __init__(self, files: Sequence[BinaryIO], layout: str, max_samples: int) -> None:
        self.samples = 0
        self._files = files
        self._layout = layout
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
            for file, sound in zip(
                self._files, planes if len(self._files) > 1 else [mix(planes)], strict=True
            ):
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


if __name__ == "__main__":
    _main()
