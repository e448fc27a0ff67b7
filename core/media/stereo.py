"""Whether the two channels of a recording carry different voices, as those of a recorded call do."""

from __future__ import annotations

from typing import Final

import numpy as np

from core.media.waveform import SAMPLE_RATE, Waveform

LISTENED_S: Final = 120.0
"""So much of the beginning is enough to tell."""
_FRAME = SAMPLE_RATE // 50
_HEARD_DB = 30.0
"""Quieter than the loud frames by more than this is nobody's voice."""
_ALONE_DB = 12.0
"""A channel that is louder by so much speaks alone."""
_ALONE_SHARE = 0.6
_EACH_SHARE = 0.05


def apart(left: Waveform, right: Waveform) -> bool:
    """Whether mostly one channel is heard at a time, and both are at some time.

    A call has nearly all of its frames so, crosstalk included; the same sound on both channels has none,
    and music or a room between two microphones few.
    """
    louder_db = _level(left) - _level(right)
    loudest_db = np.maximum(_level(left), _level(right))
    if not len(loudest_db):
        return False
    audible = loudest_db > max(float(np.percentile(loudest_db, 95)) - _HEARD_DB, 20.0)
    one = int(np.count_nonzero(louder_db[audible] > _ALONE_DB))
    other = int(np.count_nonzero(louder_db[audible] < -_ALONE_DB))
    alone = one + other
    enough = _ALONE_SHARE * max(1, int(np.count_nonzero(audible)))
    return alone >= enough and min(one, other) >= _EACH_SHARE * alone


def _level(sound: Waveform) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Of whole frames of 20 ms, in dB over a power of 1."""
    frames = sound[: len(sound) // _FRAME * _FRAME].reshape(-1, _FRAME).astype(np.float64)
    return np.asarray(10 * np.log10(1.0 + np.mean(frames**2, axis=1)))
