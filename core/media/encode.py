"""Our own sound → a small file that providers take.

Apart from `core/media/sandbox.py`, the other home of av: what is encoded here are samples that we made
ourselves, so nothing foreign is opened and no cage is needed.
"""

from __future__ import annotations

import io
from typing import Literal, cast

import numpy as np

from core.media.waveform import SAMPLE_RATE, Waveform

Format = Literal["flac", "opus"]

MIME: dict[Format, str] = {"flac": "audio/flac", "opus": "audio/ogg"}
OPUS_BITS_S = 48_000
"""Good speech; an hour has 21 MB. Only for where FLAC, which loses nothing, is too large."""
_FRAME = SAMPLE_RATE


def encode(sound: Waveform, to: Format, *, bits_s: int = OPUS_BITS_S) -> bytes:
    """The sound as a whole file: FLAC keeps every sample, Opus takes about a tenth of that."""
    import av  # noqa: PLC0415 - pages import engines, and need no codecs

    file = io.BytesIO()
    with av.open(file, "w", format="flac" if to == "flac" else "ogg") as container:
        stream = container.add_stream("flac" if to == "flac" else "libopus", rate=SAMPLE_RATE)
        assert isinstance(stream, av.AudioStream)
        stream.layout = "mono"
        if to == "opus":
            stream.bit_rate = bits_s
        for start in range(0, max(1, len(sound)), _FRAME):
            samples = sound[start : start + _FRAME] if len(sound) else np.zeros(1, np.int16)
            planes = np.ascontiguousarray(samples[np.newaxis])
            frame = av.AudioFrame.from_ndarray(cast("np.ndarray", planes), format="s16", layout="mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def m4a(sound: Waveform, rate: int, *, bits_s: int = 96_000) -> bytes:
    """Mono int16 samples at `rate` Hz as AAC in an M4A file."""
    import av  # noqa: PLC0415 - as above

    file = io.BytesIO()
    with av.open(file, "w", format="ipod") as container:
        stream = container.add_stream("aac", rate=rate, layout="mono")
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate = bits_s
        for start in range(0, len(sound), rate):
            planes = np.ascontiguousarray(sound[start : start + rate][np.newaxis])
            frame = av.AudioFrame.from_ndarray(cast("np.ndarray", planes), format="s16", layout="mono")
            frame.sample_rate, frame.pts = rate, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()
