"""Sound as every stage after decoding takes it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
"""Samples a second of every waveform on the road."""

Waveform = NDArray[np.int16]
"""Mono sound, int16, shape [samples], 16 kHz."""
