"""Pieces with speakers → turns, by the vote of all windows that hear a moment."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from core.speech.speakers.analysis import ACTIVE, Analysis, Floats, Integers, Pieces, cut, no_voices
from core.speech.speakers.clustering import best_speakers, by_window
from core.speech.speakers.segmentation import FIRST_FRAME_S, FRAME_S, FRAMES, LOCAL_SPEAKERS, RATE
from core.speech.speakers.turns import Turn

_GAP_S: Final = 0.1
"""Shorter pauses are filled."""
_SHORTEST_S: Final = 0.1
_LEAST_SHARE: Final = 0.1
"""Whoever fewer windows than this hear is never chosen, however many speak at once."""
_BLOCK: Final = 50_000
_WEIGHT: Final[Floats] = np.hamming(FRAMES).astype(np.float32)
"""A window knows its middle better than its edges."""


def turns(analysis: Analysis, labels: Integers, speakers: int) -> list[Turn]:
    """Turns of `speakers` speakers in order of time; `labels` (n,) are speakers of the pieces, −1 of nobody.

    Speakers are numbered anew, in order of who speaks first; who gets no turn gets no number.
    """
    if speakers == 0:
        return []
    active = _speaking(_shares(analysis, labels, speakers))
    raw_turns = [
        Turn(start, min(end, analysis.duration_s), speaker)
        for speaker in range(speakers)
        for start, end in _stretches(active[:, speaker])
        if start < analysis.duration_s
    ]
    return sorted(raw_turns)


def _stretches(active: NDArray[np.bool_]) -> Iterator[tuple[float, float]]:
    """Frames of one speaker → (start_s, end_s)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]]))).reshape(-1, 2)
    seconds = edges * FRAME_S + FIRST_FRAME_S - FRAME_S / 2
    if not len(seconds):
        return
    apart = np.flatnonzero(seconds[1:, 0] - seconds[:-1, 1] > _GAP_S)
    for first, last in zip(np.r_[0, apart + 1], np.r_[apart, len(seconds) - 1], strict=True):
        if seconds[last, 1] - seconds[first, 0] >= _SHORTEST_S:
            yield float(seconds[first, 0]), float(seconds[last, 1])


def _shares(analysis: Analysis, labels: Integers, speakers: int) -> Floats:
    """(frames, speakers) how likely each speaks, by windows that have voices and the others after them."""
    length = int(analysis.duration_s / FRAME_S) + 2
    begins = np.rint(analysis.starts / RATE / FRAME_S).astype(np.int64)
    votes = np.zeros((length, speakers), np.float32)
    weight = np.zeros(length, np.float32)
    voiced = np.arange(0, len(begins), analysis.voice_every)
    _vote(votes, analysis, analysis.pieces, labels, begins)
    _add_weights(weight, begins[voiced])
    rest = np.setdiff1d(np.arange(len(begins)), voiced)
    if len(rest):
        others = _pieces_of(analysis, rest)
        observed = votes / np.maximum(weight, _WEIGHT[0])[:, None]
        _vote(votes, analysis, others, _labels_after(others, analysis, observed, begins), begins)
        _add_weights(weight, begins[rest])
    votes /= np.maximum(weight, _WEIGHT[0])[:, None]
    return votes


def _add_weights(weight: Floats, begins: Integers) -> None:
    """Add the weight of windows that begin at some frames."""
    for begin in begins:
        end = min(begin + FRAMES, len(weight))
        weight[begin:end] += _WEIGHT[: end - begin]


def _vote(votes: Floats, analysis: Analysis, pieces: Pieces, labels: Integers, begins: Integers) -> None:
    """Add how likely each speaks in each frame; a frame between two pieces goes to the nearer one."""
    length = len(votes)
    key = pieces.window * LOCAL_SPEAKERS + pieces.local
    for group in np.split(np.arange(len(pieces)), np.flatnonzero(np.diff(key)) + 1):
        assigned = group[labels[group] >= 0]
        if not len(assigned):
            continue
        window, local = pieces.window[assigned[0]], pieces.local[assigned[0]]
        middles = (pieces.last[assigned][:-1] + pieces.first[assigned][1:]) // 2 + 1
        speaker = np.repeat(labels[assigned], np.diff(np.concatenate([[0], middles, [FRAMES]])))
        end = min(FRAMES, length - begins[window])
        share = analysis.activity[window, :end, local] / np.float32(255) * _WEIGHT[:end]
        votes[begins[window] + np.arange(end), speaker[:end]] += share


def _pieces_of(analysis: Analysis, windows: Integers) -> Pieces:
    """Pieces of windows that have no voices."""
    rows = [
        (window, local, frames[0], frames[-1])
        for window in windows
        for local in range(LOCAL_SPEAKERS)
        for frames in cut(analysis.activity[window, :, local] > ACTIVE * 255)
    ]
    return no_voices(np.array(rows, np.int64).reshape(-1, 4))


def _labels_after(pieces: Pieces, analysis: Analysis, observed: Floats, begins: Integers) -> Integers:
    """Who speaks in each piece: who was seen in its frames, and, by half, in its local speaker's."""
    score = np.full((len(pieces), observed.shape[1]), np.nan)
    for rows in by_window(pieces):
        window = pieces.window[rows[0]]
        active = analysis.activity[window] > ACTIVE * 255
        here = observed[begins[window] : begins[window] + FRAMES]
        for local in np.unique(pieces.local[rows]):
            whole = here[active[: len(here), local]].sum(0)
            for row in rows[pieces.local[rows] == local]:
                frames = slice(pieces.first[row], pieces.last[row] + 1)
                part = here[frames][active[: len(here), local][frames]].sum(0)
                if part.sum() > 0:
                    score[row] = part / max(1, part.sum()) + 0.5 * whole / max(1, whole.sum())
    return best_speakers(pieces, score)


def _speaking(shares: Floats) -> NDArray[np.bool_]:
    """As many at once as windows hear on average, those most heard: (frames, speakers)."""
    found = np.zeros(shares.shape, np.bool_)
    for begin in range(0, len(shares), _BLOCK):
        some = shares[begin : begin + _BLOCK]
        at_once = np.rint(some.sum(1))
        rank = (-some).argsort(1, kind="stable").argsort(1, kind="stable")
        found[begin : begin + _BLOCK] = (rank < at_once[:, None]) & (some > _LEAST_SHARE)
    return found
