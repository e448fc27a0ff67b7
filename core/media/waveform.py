"""Sound as every stage after decoding takes it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples a second of every waveform on the road."""

Waveform = NDArray[np.int16]
"""Mono sound, int16, shape [samples], 16 kHz."""

PEAKS = 2000
"""So many peaks a recording has at most, however long it is: as many as a wide screen can show."""


def peaks(sounds: Iterable[Waveform]) -> bytes:
    """The loudness of all channels at a glance, a byte each: 255 × the root of the share of full scale.

    Empty for no sound.
    """
    levels = np.zeros(PEAKS)
    sounds = list(sounds)
    samples = max((len(sound) for sound in sounds), default=0)
    count = min(PEAKS, samples)
    for sound in sounds:
        for n in range(count):
            part = sound[samples * n // count : samples * (n + 1) // count]
            if len(part):
                levels[n] = max(levels[n], int(part.max()), -int(part.min()))
    return bytes((255 * np.sqrt(np.minimum(levels[:count], 32767) / 32767)).astype(np.uint8))
