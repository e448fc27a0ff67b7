"""Pieces of speech → people.

Voices of pieces are joined by average linkage; what the segmentation heard is a hint: one local speaker
of a window is likelier one person than two local speakers are. Then every piece, the short ones too, goes
to the person whose voice is most like it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import combinations
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from core.speech.speakers.analysis import Floats, Integers, Pieces
from core.speech.speakers.voices import DIMENSIONS

THRESHOLD: Final = 0.7
"""Groups farther apart than this (1 − cosine, averaged) are different people: two pieces of one person
are 0.4 to 0.5 apart, of two people 1.0, in a room as on a telephone."""
_SURE_S: Final = 1.0
"""Pieces with less speech alone found no group; they are only given to one."""
_CLEAR_S: Final = 0.8
"""Pieces with less speech follow their local speaker alone."""
_SAME_LOCAL: Final = 0.1
_OTHER_LOCAL: Final = 0.3
"""How much nearer, or farther, two pieces of one window are by what the segmentation heard."""
_ENOUGH_S: Final = 2.0
"""A group with so much speech alone is a person."""
_LITTLE_S: Final = 1.0
_LITTLE_SHARE: Final = 0.05
_LITTLE_LIKENESS: Final = 0.35
"""One with less is, if no other group's voice is this like its own, and it is heard twice or says a
twentieth of everything; else it is a cough, a laugh, or two voices at once."""
_LEAST_CONFIRMED: Final = 0.1
"""A group of which the voice detector confirms less is a ring tone or music, and nobody."""
_MOST: Final = 2500
"""Pieces joined at once: the tree needs 8 bytes for each pair. More are joined in blocks first."""
_BLOCK_THRESHOLD: Final = 0.35
"""Within blocks only what is surely one person is joined."""
_MOST_CUTS: Final = 50


@dataclass(frozen=True)
class Count:
    """How many speakers there may be."""

    least: int = 1
    most: int | None = None

    def allows(self, found: int) -> bool:
        """Whether so many may be there."""
        return self.least <= found <= (found if self.most is None else self.most)


def cluster(
    pieces: Pieces, voices: Floats, count: Count, window_overlap: float = 1.0
) -> tuple[Integers, Floats]:
    """The speaker of every piece (n,), −1 where nothing can be told, and a voice of each (speakers, 192).

    `voices` (n, 192) are the pieces' voices with the recording's condition taken out; `window_overlap`
    says in how many windows each second of speech is a piece.
    """
    has_voice = ~np.isnan(voices[:, 0])
    if not has_voice.any():
        return np.full(len(has_voice), -1), np.zeros((0, DIMENSIONS), np.float32)
    sure = has_voice & (pieces.alone_s >= _SURE_S)
    rows = np.flatnonzero(sure if sure.any() else has_voice)
    items = _Items(
        voices[rows],
        (np.maximum(pieces.alone_s[rows], 0.1) / window_overlap).astype(np.float32),
        np.ones(len(rows), np.int64),
        pieces.confirmed[rows],
        pieces.window[rows],
        pieces.local[rows],
    )
    people, others = _people(items if len(rows) <= _MOST else _joined(items), count)
    labels = best_speakers(pieces, _similarity(pieces, has_voice, voices, np.concatenate([people, others])))
    return np.where(labels < len(people), labels, -1), people


@dataclass(frozen=True)
class _Items:
    """What is joined: pieces, or pieces that were joined already."""

    voices: Floats
    """(n, 192) mean voices; their lengths are kept, as the product of two means is the mean product."""
    weight: Floats
    """(n,) seconds of speech alone."""
    pieces: Integers
    """(n,) how many pieces it is."""
    confirmed: Floats
    """(n,) the share in which the voice detector hears speech."""
    window: Integers
    local: Integers
    """Where a piece is from; −1 for what was joined."""

    def distances(self) -> Floats:
        """(n, n) 1 − cosine, nearer for one local speaker of one window, farther for two."""
        far = 1 - self.voices @ self.voices.T
        together = (self.window[:, None] == self.window) & (self.window >= 0)
        same = self.local[:, None] == self.local
        far[together & same] -= _SAME_LOCAL
        far[together & ~same] += _OTHER_LOCAL
        np.maximum(far, 0, out=far)
        np.fill_diagonal(far, 0)
        return far

    def grouped(self, groups: Integers) -> _Items:
        """One item a group; `groups` (n,) are numbered from 1."""
        number = groups.astype(np.int64) - 1
        weight = np.bincount(number, self.weight).astype(np.float32)
        voices = np.zeros((len(weight), self.voices.shape[1]), np.float32)
        np.add.at(voices, number, self.voices * self.weight[:, None])
        nowhere = np.full(len(weight), -1)
        return _Items(
            voices / weight[:, None],
            weight,
            np.bincount(number, self.pieces).astype(np.int64),
            (np.bincount(number, self.weight * self.confirmed) / weight).astype(np.float32),
            nowhere,
            nowhere,
        )

    def part(self, rows: slice | Integers) -> _Items:
        """Some of them."""
        return _Items(*(getattr(self, field.name)[rows] for field in fields(self)))


def _joined(items: _Items) -> _Items:
    """Pieces of a very long recording, joined where they surely are one person, a block at a time."""
    blocks: list[_Items] = []
    for begin in range(0, len(items.voices), _MOST):
        block = items.part(slice(begin, begin + _MOST))
        blocks.append(block.grouped(fcluster(_tree(block), _BLOCK_THRESHOLD, "distance")))
    return _Items(*(np.concatenate([getattr(one, field.name) for one in blocks]) for field in fields(_Items)))


def _tree(items: _Items) -> NDArray[np.float64]:
    """Average linkage."""
    tree: NDArray[np.float64] = linkage(squareform(items.distances(), checks=False), "average")
    return tree


def _people(items: _Items, count: Count) -> tuple[Floats, Floats]:
    """Voices of people (n, 192), and of what is heard like speech and is nobody (m, 192)."""
    if len(items.voices) == 1:
        groups, tree = items, None
    else:
        tree = _tree(items)
        groups = items.grouped(fcluster(tree, THRESHOLD, "distance"))
    spoken = groups.confirmed >= _LEAST_CONFIRMED
    noises = _directions(groups.part(np.flatnonzero(~spoken)).voices)
    if not spoken.any():
        return np.zeros((0, groups.voices.shape[1]), np.float32), noises
    people = _without_strays(groups.part(np.flatnonzero(spoken)))
    if not count.allows(len(people)) and tree is not None:
        people = _so_many(items, tree, count.least if len(people) < count.least else count.most or 1)
    return people, noises


def _directions(sums: Floats) -> Floats:
    """The same directions with length 1."""
    directions: Floats = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return directions


def _without_strays(groups: _Items) -> Floats:
    """Voices of groups that are people: with enough speech, or small and like nobody else."""
    voices = _directions(groups.voices)
    order = np.argsort(-groups.weight)
    remaining = [int(order[0])]
    for group in order[1:]:
        weight = groups.weight[group]
        repeated = groups.pieces[group] > 1 and weight >= _LITTLE_S
        little = repeated or weight >= max(_LITTLE_SHARE * groups.weight.sum(), _LITTLE_S / 2)
        alike = (voices[remaining] @ voices[group]).max() > _LITTLE_LIKENESS
        if weight >= _ENOUGH_S or (little and not alike):
            remaining.append(int(group))
    return voices[sorted(remaining)]


def _so_many(items: _Items, tree: NDArray[np.float64], count: int) -> Floats:
    """Voices of as many people as asked for: the tree is cut until so many have enough speech."""
    for cut_into in range(count, min(len(items.voices), count + _MOST_CUTS) + 1):
        groups = items.grouped(fcluster(tree, cut_into, "maxclust"))
        if (groups.weight >= _ENOUGH_S).sum() >= count:
            return _directions(groups.voices[np.sort(np.argsort(-groups.weight)[:count])])
    return _directions(items.grouped(fcluster(tree, count, "maxclust")).voices)


def by_window(pieces: Pieces) -> list[Integers]:
    """Rows of each window's pieces; pieces are in order of windows."""
    if not len(pieces):
        return []
    return np.split(np.arange(len(pieces)), np.flatnonzero(np.diff(pieces.window)) + 1)


def best_speakers(pieces: Pieces, score: Floats) -> Integers:
    """The best speaker of every piece by `score` (n, speakers), −1 where it is NaN.

    Two local speakers of a window who speak at once are two people: the less certain takes its second choice.
    """
    nobody = np.asarray(np.isnan(score).any(axis=1))
    filled = np.where(nobody[:, None], -np.inf, score)
    labels = np.where(nobody, -1, filled.argmax(1))
    if score.shape[1] < 2:
        return labels
    ranked = np.sort(np.where(nobody[:, None], 0, score), 1)
    margin = ranked[:, -1] - ranked[:, -2]
    for rows in by_window(pieces):
        for a, b in combinations(rows, 2):
            if labels[a] == labels[b] >= 0 and _at_once(pieces, a, b):
                less = a if margin[a] <= margin[b] else b
                labels[less] = filled[less].argsort()[-2]
    return labels


def _at_once(pieces: Pieces, a: int, b: int) -> bool:
    """Whether two pieces of one window are of two local speakers and overlap."""
    if pieces.local[a] == pieces.local[b]:
        return False
    return bool(min(pieces.last[a], pieces.last[b]) > max(pieces.first[a], pieces.first[b]))


def _similarity(pieces: Pieces, has_voice: NDArray[np.bool_], voices: Floats, means: Floats) -> Floats:
    """How like each speaker a piece is, and, by half, its local speaker's other pieces: (n, speakers)."""
    score = np.full((len(pieces), len(means)), np.nan, np.float32)
    for rows in by_window(pieces):
        for local in np.unique(pieces.local[rows]):
            local_rows = rows[pieces.local[rows] == local]
            measured = local_rows[has_voice[local_rows]]
            if not len(measured):
                continue
            whole = np.average(voices[measured], axis=0, weights=pieces.spoken_s[measured]) @ means.T
            score[local_rows] = 1.5 * whole
            clear = measured[pieces.spoken_s[measured] >= _CLEAR_S]
            score[clear] = voices[clear] @ means.T + 0.5 * whole
    return score
