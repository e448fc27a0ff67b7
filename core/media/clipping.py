"""A stretch of a recording as a file of its own, cut to the sample; in the child process.

Times are counted as `decoding` counts them: from the first sound of the file. Where a container has an index,
it is sought shortly before the stretch; else it is read from its beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
from av import AudioFrame, AudioStream, VideoStream
from av.container import InputContainer, OutputContainer
from numpy.typing import NDArray

from core.media import container as containers
from core.media.container import RAW, Refused
from core.media.measuring import pictures
from core.media.reading import Clock, DamagedPlaces, Reader
from core.storage.blobs import DISK_FULL

CLIP = "clip.tmp"
SEEKABLE = {"mov", "matroska", "wav", "flac"}
"""Formats in which a second is found by an index, or by counting bytes."""
PREROLL_S = 10.0
"""So long before the stretch reading begins: decoders need some packets before they are right."""
MOST_RATE = 48_000
"""What AAC is read at everywhere."""
AUDIO_BITS_S = 128_000
CRF = "23"
"""What libx264 takes for visually good (https://trac.ffmpeg.org/wiki/Encode/H.264)."""

Sound = NDArray[np.int16]


def clip(container: InputContainer, descriptor: int, request: Mapping[str, Any]) -> dict[str, Any]:
    """Write [start_s, end_s) to the current folder as `form`: wav, m4a, mp4 (with the picture) or pcm.

    Returns its sampling rate and how many samples it has. pcm is raw mono int16 at `rate`.
    """
    start_s, end_s, form = float(request["start_s"]), float(request["end_s"]), str(request["form"])
    streams = containers.sounds(container)
    rate = int(request["rate"]) or min(streams[0].rate, MOST_RATE)
    layout = "stereo" if form != "pcm" and streams[0].channels > 1 else "mono"
    sound = _Cut(rate, layout, start_s, end_s)
    _copy_frames(container, descriptor, streams, sound, str(request["hint"]))
    if not sound.heard:
        raise Refused("silent")
    try:
        if form == "pcm":
            sound.samples.T.tofile(CLIP)
        else:
            _write(sound, form, _open_video(descriptor) if form == "mp4" else None)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise Refused("no_space") from error
    return {"rate": rate, "samples": sound.samples.shape[1]}


class _Cut:
    """Frames of any kind, of which a stretch is kept: int16 [channels, samples]; tracks are added up."""

    def __init__(self, rate: int, layout: str, start_s: float, end_s: float) -> None:
        self.rate, self.layout = rate, layout
        self.start, self.end = round(start_s * rate), round(end_s * rate)
        self.samples: Sound = np.zeros((2 if layout == "stereo" else 1, self.end - self.start), np.int16)
        self.heard = False

    def add(self, block: Sound, at: int) -> None:
        """Sound [channels, samples] whose first sample is number `at` of the recording."""
        first, last = max(self.start, at), min(self.end, at + block.shape[1])
        if first >= last:
            return
        self.heard = True
        samples = self.samples[:, first - self.start : last - self.start]
        added = samples.astype(np.int32) + block[:, first - at : last - at]
        samples[:] = np.clip(added, np.iinfo(np.int16).min, np.iinfo(np.int16).max).astype(np.int16)


class _Track:
    """One track on its way into a cut: resampled, at its place."""

    def __init__(self, cut: _Cut, start_s: float | None, *, seeked: bool) -> None:
        self.clock = Clock(start_s)
        self._cut, self._start_s = cut, start_s
        self._seeked, self._at = seeked, 0
        self._resampler = av.AudioResampler("s16p", cut.layout, cut.rate)

    def add(self, frame: AudioFrame) -> float:
        """Take a frame; the second at which it begins."""
        if self._seeked and frame.time is not None:
            self.clock.seconds = frame.time - (self._start_s or 0.0)
            self._seeked = False
            self._at = round(self.clock.seconds * self._cut.rate)
        gap_s = self.clock.gap_before(frame)
        begins_s = self.clock.seconds - frame.samples / frame.rate
        if gap_s:
            self.drain()
            self._at = round(begins_s * self._cut.rate)
        frame.pts = None
        self._keep(self._resampler.resample(frame))
        return begins_s

    def drain(self) -> None:
        """What is still inside the resampler."""
        self._keep(self._resampler.resample(None))
        self._resampler = av.AudioResampler("s16p", self._cut.layout, self._cut.rate)

    def _keep(self, frames: Sequence[AudioFrame]) -> None:
        for frame in frames:
            block = cast("Sound", frame.to_ndarray())
            self._cut.add(block, self._at)
            self._at += block.shape[1]


def _copy_frames(
    container: InputContainer, descriptor: int, streams: Sequence[AudioStream], cut: _Cut, hint: str
) -> None:
    start_s, end_s = cut.start / cut.rate, cut.end / cut.rate
    seeked = container.format.name.split(",")[0] in SEEKABLE and hint not in RAW and start_s > 2 * PREROLL_S
    if seeked:
        first = cast("int | None", container.start_time) or 0
        container.seek(first + round((start_s - PREROLL_S) * 1e6), backward=True)
        _read(container, streams, cut, hint, 0.0, seeked=True)
        return
    at_s = 0.0
    for part in containers.parts(descriptor, container):
        streams_of_part = list(part.streams.audio)[: len(streams)]
        at_s = _read(part, streams_of_part, cut, hint, at_s, seeked=False)
        if at_s > end_s:
            return


def _read(
    part: InputContainer, streams: Sequence[AudioStream], cut: _Cut, hint: str, at_s: float, *, seeked: bool
) -> float:
    """Read one file, or one of those joined to one, that begins at `at_s`; the second where it ends."""
    start = cast("int | None", part.start_time)
    begin_s = None if start is None else start / 1e6
    tracks = {stream.index: _Track(cut, begin_s, seeked=seeked) for stream in streams}
    for track in tracks.values():
        track.clock.seconds = at_s
        track.clock.restart(begin_s)
    open_ = set(tracks)
    for index, frames in Reader(part, list(streams), DamagedPlaces(), hint).frames():
        for frame in frames:
            if tracks[index].add(frame) * cut.rate > cut.end:
                open_.discard(index)
        if not open_:
            break
    for track in tracks.values():
        track.drain()
    return max((track.clock.seconds for track in tracks.values()), default=at_s)


def _open_video(descriptor: int) -> tuple[InputContainer, VideoStream]:
    """The file once more, for its picture. Raises Refused where it has none."""
    container = containers.open_file(descriptor)
    if not (video_streams := pictures(container)):
        raise Refused("no_picture")
    return container, video_streams[0]


def _video_frames(
    container: InputContainer, stream: VideoStream, start_s: float, end_s: float
) -> Iterator[av.VideoFrame]:
    """The pictures of a stretch, their times counted from its beginning."""
    first = cast("int | None", container.start_time) or 0
    if start_s > PREROLL_S:
        container.seek(first + round((start_s - PREROLL_S) * 1e6), backward=True)
    for frame in container.decode(stream):
        at_s = (frame.time or 0.0) - first / 1e6
        if at_s >= end_s:
            return
        if at_s >= start_s - 1e-6:
            frame.pts, frame.time_base = round((at_s - start_s) * 90_000), Fraction(1, 90_000)
            frame.pict_type = av.video.frame.PictureType.NONE
            yield frame


def _write(sound: _Cut, form: str, picture: tuple[InputContainer, VideoStream] | None) -> None:
    options = {} if form == "wav" else {"movflags": "faststart"}
    muxer = {"wav": "wav", "m4a": "ipod", "mp4": "mp4"}[form]
    with av.open(CLIP, "w", format=muxer, container_options=options) as out:
        video_stream = _add_video_stream(out, picture[1]) if picture else None
        codec = "pcm_s16le" if form == "wav" else "aac"
        audio_stream = cast("AudioStream", out.add_stream(codec, rate=sound.rate, layout=sound.layout))
        if form != "wav":
            audio_stream.bit_rate = AUDIO_BITS_S
        if video_stream and picture:
            stretch = sound.start / sound.rate, sound.end / sound.rate
            _encode_video(out, video_stream, _video_frames(*picture, *stretch))
        for at in range(0, sound.samples.shape[1], sound.rate):
            out.mux(audio_stream.encode(_frame(sound, at)))
        out.mux(audio_stream.encode(None))


def _frame(sound: _Cut, at: int) -> AudioFrame:
    block = np.ascontiguousarray(sound.samples[:, at : at + sound.rate].T).reshape(1, -1)
    frame = AudioFrame.from_ndarray(block, format="s16", layout=sound.layout)
    frame.sample_rate, frame.pts, frame.time_base = sound.rate, at, Fraction(1, sound.rate)
    return frame


def _add_video_stream(out: OutputContainer, source: VideoStream) -> VideoStream:
    video_stream = out.add_stream("libx264", rate=source.average_rate or 25)
    video_stream.width, video_stream.height = source.width // 2 * 2, source.height // 2 * 2
    video_stream.pix_fmt, video_stream.time_base = "yuv420p", Fraction(1, 90_000)
    video_stream.options = {"crf": CRF, "preset": "veryfast"}
    return video_stream


def _encode_video(out: OutputContainer, video_stream: VideoStream, frames: Iterable[av.VideoFrame]) -> None:
    for frame in frames:
        fits = frame.reformat(width=video_stream.width, height=video_stream.height, format="yuv420p")
        fits.pts, fits.time_base = frame.pts, frame.time_base
        out.mux(video_stream.encode(fits))
    out.mux(video_stream.encode(None))
