"""What emulated providers hear: the engines of this machine, so that their answers are true."""

from __future__ import annotations

import functools
import io
from typing import Any

import av
import numpy as np

from core.media.waveform import SAMPLE_RATE
from core.settings import Settings
from core.speech import engines, vad
from core.speech.engine import Engine, Word

TranscribedSegment = list[dict[str, Any]]
"""Phrases in order: start, end (seconds), text, words (word, start, end)."""


def recognise(file: bytes, language: str) -> TranscribedSegment:
    """The phrases in a sound file of any format."""
    sound = decode(file)
    engine = _engine(language)
    spans = vad.cut(vad.speech(sound), engine.max_segment_s, sound=sound) if len(sound) else []
    segments: TranscribedSegment = []
    for span in spans:
        piece = sound[int(span.start_s * SAMPLE_RATE) : int(span.end_s * SAMPLE_RATE)]
        (speech,) = engine.transcribe([piece], language)
        if speech.text:
            words = [_word(word, span.start_s) for word in speech.words]
            segments.append({"start": span.start_s, "end": span.end_s, "text": speech.text, "words": words})
    return segments


def decode(file: bytes) -> np.ndarray:
    """A sound file as int16 at 16 kHz, mono."""
    resampler = av.AudioResampler("s16p", "mono", SAMPLE_RATE)
    with av.open(io.BytesIO(file)) as container:
        frames = [part for frame in container.decode(audio=0) for part in resampler.resample(frame)]
    planes = [frame.to_ndarray() for frame in frames + resampler.resample(None)]
    return np.concatenate([plane[0] for plane in planes]) if planes else np.zeros(0, np.int16)


@functools.cache
def _engine(language: str) -> Engine:
    settings = Settings(engine="auto", engine_auto_remote=False)
    return engines.choose(engines.all(settings), "auto", language).engine


def _word(word: Word, offset_s: float) -> dict[str, Any]:
    start, end = (round(second + offset_s, 3) for second in (word.start_s, word.end_s))
    return {"word": word.text, "start": start, "end": end}
