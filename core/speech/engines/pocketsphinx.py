"""PocketSphinx: English at demo quality, with the model inside its package and nothing to download."""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from core.media.waveform import SAMPLE_RATE, Waveform
from core.speech.engine import Readiness, Speech, Word

if TYPE_CHECKING:
    from pocketsphinx import Decoder

FRAME_S = 0.01
"""Seconds of one frame of its times."""

FILLER = re.compile(r"^[<\[+].*[>\]+]$")
"""Silence, breath and noise: `<sil>`, `[NOISE]`, `++UM++`."""

VARIANT = re.compile(r"\(\d+\)$")
"""The mark of a second pronunciation, as in `the(2)`."""


class PocketSphinxEngine:
    """Good on clear synthetic speech, about 70 % of the words of people reading aloud: a demo, not more."""

    name = "pocketsphinx"
    title = "PocketSphinx (demo quality, English)"
    languages: tuple[str, ...] = ("en",)
    queue = "cpu"
    max_segment_s = 20.0
    batch_segments = 1

    def __init__(self) -> None:
        installed = importlib.util.find_spec("pocketsphinx") is not None
        # The model comes with the package, so its version says which model.
        self.version = importlib.metadata.version("pocketsphinx") if installed else "0"

    def readiness(self) -> Readiness:
        """Ready wherever the package is installed."""
        if importlib.util.find_spec("pocketsphinx") is None:
            return Readiness(False, "The package pocketsphinx is not installed.")
        return Readiness(True)

    def transcribe(self, segments: Sequence[Waveform], language: str) -> list[Speech]:  # noqa: ARG002
        """Words of each segment, in order."""
        decoder = _decoder()
        return [_listen(decoder, segment) for segment in segments]


@functools.lru_cache(maxsize=1)
def _decoder() -> Decoder:
    """The one decoder of this process, about 100 MB."""
    from pocketsphinx import Decoder  # noqa: PLC0415 - pages import this module

    return Decoder(samprate=SAMPLE_RATE, loglevel="FATAL")


def _listen(decoder: Decoder, segment: Waveform) -> Speech:
    """Decode one segment as a whole, so that its loudness is normalised at once."""
    if not segment.any():
        return Speech("")
    decoder.start_utt()
    decoder.process_raw(segment.tobytes(), full_utt=True)
    decoder.end_utt()
    heard = [part for part in decoder.seg() or () if not FILLER.match(part.word)]
    words = tuple(_word(part) for part in heard)
    return Speech(text=" ".join(word.text for word in words), words=words)


def _word(part: Any) -> Word:
    """A word with its place; its posteriors say 1 for wrong words too, so there is no confidence."""
    return Word(
        text=VARIANT.sub("", part.word),
        start_s=round(part.start_frame * FRAME_S, 2),
        end_s=round((part.end_frame + 1) * FRAME_S, 2),
    )
