"""All sound of a file as raw samples on disk, in the child process."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from av import AudioStream
from av.container import InputContainer
from numpy.typing import NDArray

from core.media import container as containers
from core.media import tracks as track_choice
from core.media.container import Refused
from core.media.measuring import stated_s
from core.media.reading import Clock, DamagedPlaces, Reader, Sink, mix
from core.media.tracks import Track
from core.media.waveform import SAMPLE_RATE
from core.storage.blobs import DISK_FULL

PROGRESS_INTERVAL_S = 0.5
COPY_SHARE = 0.05
"""A track of which so little is left when the others are taken away is their mix, or a copy."""
CONTINUOUS_FORMATS = {"mpegts", "mpeg"}
"""Formats in which sound never pauses: what is not there was lost."""
_BLOCK = SAMPLE_RATE * 10

ProgressCallback = Callable[[float], None]
"""Takes the seconds that are done so far."""


def decode(
    container: InputContainer, descriptor: int, request: Mapping[str, Any], on_progress: ProgressCallback
) -> dict[str, Any]:
    """Write the sound to the current folder; returns which files, what was not heard and what was damaged."""
    tracks = containers.described(container, containers.sounds(container))
    selected = track_choice.choose([track for track, _ in tracks], request["tracks"], request["language"])
    selected_streams = [(track, stream) for track, stream in tracks if track in selected]
    names = _file_names(selected_streams, split=request["split_channels"])
    stated = stated_s(container, selected_streams[0][1], descriptor)
    try:
        with ExitStack() as stack:
            track_sinks = TrackSinks(stack, selected_streams, names, int(request["max_s"] * SAMPLE_RATE))
            track_sinks.first_s = request["first_s"] or math.inf
            write_frames(container, descriptor, track_sinks, request["hint"], on_progress)
        channels = _channel_files(names, selected_streams, request["tracks"])
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise Refused("no_space") from error
    if not any(sink.samples for sink in track_sinks.sinks):
        raise Refused("silent")
    return {
        "channels": channels,
        "not_heard": [track.number for track, _ in tracks if track not in selected],
        "breaks_s": track_sinks.breaks.seconds,
        "ended_s": track_sinks.seconds,
        "stated_s": stated,
    }


def _file_names(selected_streams: Sequence[tuple[Track, AudioStream]], *, split: bool) -> list[list[str]]:
    """The files of each track, without their endings."""
    if len(selected_streams) > 1:
        return [[f"{track_choice.TRACK}{track.number}"] for track, _ in selected_streams]
    return [["left", "right"] if split and selected_streams[0][1].channels == 2 else ["mono"]]


class TrackSinks:
    """A clock and a sink for each track."""

    def __init__(
        self,
        stack: ExitStack,
        selected_streams: Sequence[tuple[Track, AudioStream]],
        names: Sequence[Sequence[str]],
        max_samples: int,
    ) -> None:
        self.first_s = math.inf
        self.breaks = DamagedPlaces()
        self.numbers = [track.number for track, _ in selected_streams]
        self.clocks = [Clock(None) for _ in selected_streams]
        self.sinks = [Sink([_open_pcm(stack, name) for name in group], max_samples) for group in names]

    @property
    def seconds(self) -> float:
        """How far the furthest track is."""
        return max(clock.seconds for clock in self.clocks)

    def wants_more(self, _: object) -> bool:
        """Whether more is wanted."""
        return self.seconds < self.first_s

    def restart(self, start_s: float | None) -> None:
        """Another file begins behind this one: all tracks are as long as the longest."""
        for clock, sink in zip(self.clocks, self.sinks, strict=True):
            if self.seconds - clock.seconds > Clock.SHORTEST_GAP_S:
                sink.skip(self.seconds - clock.seconds)
                clock.seconds = self.seconds
            clock.restart(start_s)


def _open_pcm(stack: ExitStack, name: str) -> BinaryIO:
    return stack.enter_context(Path(f"{name}.pcm.tmp").open("wb", 1024**2))


def write_frames(
    container: InputContainer,
    descriptor: int,
    track_sinks: TrackSinks,
    hint: str,
    on_progress: ProgressCallback,
) -> None:
    """Every frame into its sink, at the second where the file says it belongs."""
    reported_at = time.monotonic()
    for part in containers.parts(descriptor, container):
        streams = {n: part.streams.audio[n - 1] for n in track_sinks.numbers if n <= len(part.streams.audio)}
        places = {streams[n].index: place for place, n in enumerate(track_sinks.numbers) if n in streams}
        start = cast("int | None", part.start_time)
        track_sinks.restart(None if start is None else start / 1e6)
        reader = Reader(part, list(streams.values()), track_sinks.breaks, hint)
        for index, frames in itertools.takewhile(track_sinks.wants_more, reader.frames()):
            clock, sink = track_sinks.clocks[places[index]], track_sinks.sinks[places[index]]
            for frame in frames:
                gap_s = clock.gap_before(frame)
                if gap_s:
                    sink.skip(gap_s)
                    if part.format.name in CONTINUOUS_FORMATS:
                        track_sinks.breaks.add(clock.seconds - gap_s)
                sink.add(frame)
            reader.now_s = clock.seconds
            if time.monotonic() - reported_at > PROGRESS_INTERVAL_S:
                on_progress(track_sinks.seconds)
                reported_at = time.monotonic()
    for sink in track_sinks.sinks:
        sink.drain()
    on_progress(track_sinks.seconds)


def _channel_files(
    names: Sequence[Sequence[str]], selected_streams: Sequence[tuple[Track, AudioStream]], choice: str
) -> dict[str, str]:
    """The file of each channel, once tracks are mixed, or those that say nothing new are left out."""
    if len(selected_streams) == 1:
        return {name: f"{name}.pcm" for name in names[0]}
    files = {track.number: f"{name}.pcm" for (track, _), (name,) in zip(selected_streams, names, strict=True)}
    if choice == "mix":
        _mix(list(files.values()))
        return {"mono": "mono.pcm"}
    audible = list(files) if choice == "each" else _distinct(files)
    for number in files.keys() - audible:
        Path(f"{files[number]}.tmp").unlink()
    if len(audible) == 1:
        return {"mono": files[audible[0]]}
    called = track_choice.channels([track for track, _ in selected_streams if track.number in audible])
    return {called[number]: files[number] for number in audible}


def blocks(files: Sequence[str]) -> Any:
    """The sound of several files, ten seconds at a time: int16 [files, samples], as long as the longest."""
    sizes = [Path(f"{file}.tmp").stat().st_size for file in files]
    sounds = [
        np.memmap(f"{file}.tmp", np.int16, "r") if size else None
        for file, size in zip(files, sizes, strict=True)
    ]
    for start in range(0, max(sizes) // 2, _BLOCK):
        pieces = [
            np.zeros(0, np.int16) if sound is None else sound[start : start + _BLOCK] for sound in sounds
        ]
        block = np.zeros((len(files), max(map(len, pieces))), np.int16)
        for row, piece in zip(block, pieces, strict=True):
            row[: len(piece)] = piece
        yield block


def _mix(files: Sequence[str]) -> None:
    with Path("mono.pcm.tmp").open("wb") as out:
        for block in blocks(files):
            out.write(mix(block).tobytes())
    for file in files:
        Path(f"{file}.tmp").unlink()


def _distinct(files: Mapping[int, str]) -> list[int]:
    """Tracks without those that are the others mixed, or one of them once more.

    Recorders of screens offer both: each voice apart, and all of them on the first track.
    """
    gram: NDArray[np.float64] = np.zeros((len(files), len(files)))
    for block in blocks(list(files.values())):
        exact = block.astype(np.float64)
        gram += exact @ exact.T
    distinct = list(range(len(files)))
    for place in range(len(files)):
        others = [other for other in distinct if other != place]
        if others and _is_sum_of(gram, place, others):
            distinct.remove(place)
    numbers = list(files)
    return [numbers[place] for place in distinct]


def _is_sum_of(gram: NDArray[np.float64], place: int, others: Sequence[int]) -> bool:
    """Whether a track is a weighted sum of others, by least squares; silence is nobody's sum."""
    power = gram[place, place]
    if power <= 0:
        return False
    weights = np.linalg.lstsq(gram[np.ix_(others, others)], gram[others, place], rcond=None)[0]
    return bool(power - gram[place, others] @ weights < COPY_SHARE * power)
