"""A copy of a recording for players: from zero, with an index, in a format that every browser knows.

Packets are copied where that will do, so nothing is lost; else the sound is encoded anew, all tracks mixed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
from av import AudioStream, Packet, VideoStream
from av.container import InputContainer, OutputContainer

from core.media import container as containers
from core.media.container import Refused
from core.media.decoding import ProgressCallback, TrackSinks, blocks, write_frames
from core.media.measuring import pictures
from core.media.reading import DamagedPlaces, Reader, mix
from core.media.waveform import SAMPLE_RATE
from core.storage.blobs import DISK_FULL

COPY = "copy.tmp"
SOUNDS = {"mp4": {"aac", "mp3"}, "webm": {"opus", "vorbis"}}
PICTURES = {"mp4": {"h264"}, "webm": {"vp8", "vp9"}}
"""Codecs that every browser plays, by the container they go into."""
ENCODERS = {"mp4": "aac", "webm": "libopus"}
BITS_S = 48_000
_OPTIONS = {"mp4": {"movflags": "faststart"}, "webm": {"cues_to_front": "1"}}


def remux(
    container: InputContainer, descriptor: int, request: Mapping[str, Any], on_progress: ProgressCallback
) -> str:
    """Write the copy to the current folder; returns its format, mp4 or webm."""
    streams = containers.sounds(container)
    video_streams = pictures(container)
    try:
        to = _container_for(streams, video_streams)
        if to and container.format.name != "ogg":
            with suppress(av.FFmpegError):
                return _copied(container, streams[0], video_streams, to, on_progress)
            container = containers.open_file(descriptor, request["hint"])
        return _encoded(container, descriptor, request, on_progress)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise Refused("no_space") from error


def _container_for(streams: Sequence[AudioStream], video_streams: Sequence[VideoStream]) -> str:
    """The container that takes these very packets; "" where the sound has to be encoded."""
    codecs = {stream.codec_context.codec.canonical_name for stream in streams}
    video_codecs = {video.codec_context.codec.canonical_name for video in video_streams}
    fits = [to for to in SOUNDS if codecs <= SOUNDS[to] and video_codecs <= PICTURES[to]]
    return fits[0] if fits and len(streams) == 1 else ""


def _copied(
    container: InputContainer,
    sound: AudioStream,
    video_streams: Sequence[VideoStream],
    to: str,
    on_progress: ProgressCallback,
) -> str:
    """The same packets, counted from the first one."""
    start_s = Fraction(cast("int | None", container.start_time) or 0, 1_000_000)
    with av.open(COPY, "w", format=to, container_options=_OPTIONS[to]) as out:
        places = {stream.index: out.add_stream_from_template(stream) for stream in (sound, *video_streams)}
        reader = Reader(container, [sound, *video_streams], DamagedPlaces())
        for n, packet in enumerate(_from_zero(reader.packets(), start_s)):
            if packet.stream.index == sound.index:
                reader.now_s = float((packet.dts or 0) * packet.time_base)
            packet.stream = places[packet.stream.index]
            out.mux(packet)
            if n % 5000 == 0:
                on_progress(reader.now_s)
    return to


def _from_zero(packets: Iterator[Packet[Any]], start_s: Fraction) -> Iterator[Packet[Any]]:
    """Packets counted from `start_s`; Matroska does not say in which order the first ones are decoded."""
    last: dict[int, int] = {}
    for packet in packets:
        if not packet.size or (packet.dts is None and packet.pts is None):
            continue
        shift = round(start_s / packet.time_base)
        index, lasts = packet.stream.index, max(1, packet.duration or 1)
        dts = packet.dts if packet.dts is not None else last.get(index, (packet.pts or 0) - 3 * lasts) + 1
        last[index] = dts
        packet.dts = dts - shift
        packet.pts = None if packet.pts is None else packet.pts - shift
        yield packet


def _encoded(
    container: InputContainer, descriptor: int, request: Mapping[str, Any], on_progress: ProgressCallback
) -> str:
    """The sound as it was transcribed, all tracks mixed, beside the picture where browsers know it."""
    tracks = containers.described(container, containers.sounds(container))
    video_streams = pictures(container)
    video_codecs = {video.codec_context.codec.canonical_name for video in video_streams}
    to = next((to for to in ("webm", "mp4") if video_codecs <= PICTURES[to]), "")
    files = [f"copy_{track.number}.pcm" for track, _ in tracks]
    with ExitStack() as stack:
        names = [[file.removesuffix(".pcm")] for file in files]
        track_sinks = TrackSinks(stack, tracks, names, int(request["max_s"] * SAMPLE_RATE))
        write_frames(container, descriptor, track_sinks, request["hint"], on_progress)
    try:
        picture = _video_packets(descriptor, video_streams) if video_streams and to else None
        _write(to or "webm", (mix(block) for block in blocks(files)), picture)
    finally:
        for file in files:
            Path(f"{file}.tmp").unlink()
    return to or "webm"


def _video_packets(
    descriptor: int, video_streams: Sequence[VideoStream]
) -> tuple[VideoStream, Iterator[Packet[Any]]]:
    """The picture once more, its packets counted from where the file begins."""
    container = containers.open_file(descriptor)
    stream = cast("VideoStream", container.streams[video_streams[0].index])
    start_s = Fraction(cast("int | None", container.start_time) or 0, 1_000_000)
    return stream, _from_zero(Reader(container, [stream], DamagedPlaces()).packets(), start_s)


def _write(
    to: str, sound: Iterator[np.ndarray], picture: tuple[VideoStream, Iterator[Packet[Any]]] | None
) -> None:
    with av.open(COPY, "w", format=to, container_options=_OPTIONS[to]) as out:
        audio_stream = cast("AudioStream", out.add_stream(ENCODERS[to], rate=SAMPLE_RATE, layout="mono"))
        audio_stream.bit_rate = BITS_S
        video_stream = out.add_stream_from_template(picture[0]) if picture else None
        packets = picture[1] if picture else iter(())
        at = 0
        for block in sound:
            _mux_sound(out, audio_stream, block, at)
            at += len(block)
            _mux_picture(out, video_stream, packets, at / SAMPLE_RATE)
        out.mux(audio_stream.encode(None))
        _mux_picture(out, video_stream, packets, float("inf"))


def _mux_sound(out: OutputContainer, stream: AudioStream, block: np.ndarray, at: int) -> None:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block[np.newaxis]), format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, at, Fraction(1, SAMPLE_RATE)
    out.mux(stream.encode(frame))


def _mux_picture(out: OutputContainer, stream: Any, packets: Iterator[Packet[Any]], until_s: float) -> None:
    """The packets up to a moment; they lie beside the sound of that moment."""
    for packet in packets:
        late = float((packet.dts or 0) * packet.time_base) > until_s
        packet.stream = stream
        out.mux(packet)
        if late:
            return
