"""Dialogues made of people who read aloud, with who speaks when: for measuring speakers."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from scipy.signal import butter, fftconvolve, resample_poly, sosfilt

RATE = 16_000
LOUDNESS = 0.06
"""Root mean square of every turn, before the gain of its speaker."""
Sound = np.ndarray
"""Float32 within ±1 at 16 kHz."""
Reference = list[tuple[float, float, str]]
"""start_s, end_s, speaker."""


def load(path: Path) -> Sound:
    """A whole recording."""
    parts: list[np.ndarray] = []
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("s16", "mono", RATE)
        for frame in container.decode(audio=0):
            frame.pts = None
            parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
        parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
    return np.concatenate(parts).astype(np.float32) / 32768


def readers(folder: Path) -> dict[str, list[Sound]]:
    """Recordings of each reader: a folder a reader, or files named `<reader>-…`."""
    sounds_by_reader: dict[str, list[Sound]] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".flac", ".wav", ".mp3"}:
            reader = path.name.split("-", maxsplit=1)[0] if path.parent == folder else path.parent.name
            sounds_by_reader.setdefault(reader, []).append(load(path))
    return sounds_by_reader


def telephone(sound: Sound) -> Sound:
    """Sound as a telephone passes it: 300 to 3400 Hz at 8 kHz, eight bits by the μ-law."""
    band = butter(6, [300, 3400], "band", fs=RATE, output="sos")
    narrow = resample_poly(sosfilt(band, sound), 1, 2)
    loudest = np.abs(narrow).max() + 1e-9
    coded = np.round(np.sign(narrow) * np.log1p(255 * np.abs(narrow) / loudest) / np.log1p(255) * 127) / 127
    decoded = np.sign(coded) * np.expm1(np.abs(coded) * np.log1p(255)) / 255 * loudest
    return resample_poly(decoded, 2, 1).astype(np.float32)


def in_a_room(sound: Sound, seed: int, echo_s: float = 0.4) -> Sound:
    """Sound with an echo that falls by 60 dB in `echo_s`."""
    length = int(echo_s * RATE)
    echo = np.random.default_rng(seed).standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    echo *= 0.3 / np.sqrt((echo**2).sum())
    echo[0] = 1
    return fftconvolve(sound, echo)[: len(sound)].astype(np.float32)


@dataclass(frozen=True)
class Conditions:
    """How a dialogue sounds."""

    telephone: bool = False
    room: bool = False
    noise_db: float | None = None
    """How far noise lies below speech."""
    overlap: float = 0.15
    """The share of turns that begin before the last one ends."""


def dialogue(
    people: Mapping[str, Sequence[Sound]],
    seed: int,
    conditions: Conditions = Conditions(),
    at_most_s: Mapping[str, float] | None = None,
    length_s: float = 600,
) -> tuple[Sound, Reference]:
    """People take turns of 1 to 8 s, with pauses of up to 0.8 s and some overlaps.

    `at_most_s` says how long some of them speak altogether. What is repeated when people run out of words
    sounds the same, so give enough of it.
    """
    rng = random.Random(seed)
    turns = {who: _turns(sounds, rng, (at_most_s or {}).get(who)) for who, sounds in people.items()}
    gain = {who: LOUDNESS * 10 ** (rng.uniform(-4, 4) / 20) for who in people}
    placed: list[tuple[int, Sound]] = []
    reference: Reference = []
    at_s, before = 1.0, ""
    for who in _order(turns, rng):
        sound = turns[who].pop()
        sound = sound * np.float32(gain[who] / (np.sqrt((sound**2).mean()) + 1e-6))
        sound = telephone(sound) if conditions.telephone else sound
        sound = in_a_room(sound, rng.randrange(1 << 30)) if conditions.room else sound
        interrupts = before not in {"", who} and rng.random() < conditions.overlap
        at_s = max(0.5, at_s - rng.uniform(0.3, 1.5)) if interrupts else at_s + rng.uniform(0.05, 0.8)
        placed.append((int(at_s * RATE), sound))
        reference += [(at_s + start, at_s + end, who) for start, end in _speech(sound)]
        at_s, before = at_s + len(sound) / RATE, who
        if at_s > length_s:
            break
    return _mixed(placed, at_s + 1, conditions.noise_db, seed), reference


def _turns(sounds: Sequence[Sound], rng: random.Random, at_most_s: float | None) -> list[Sound]:
    """A reader's recordings in pieces of 1 to 8 s."""
    turns: list[Sound] = []
    for sound in sounds:
        at = 0
        while at < len(sound):
            length = int(rng.uniform(1, 8) * RATE)
            length = len(sound) - at if len(sound) - at - length < RATE else length
            turns.append(sound[at : at + length])
            at += length
    rng.shuffle(turns)
    if at_most_s is None:
        return turns
    kept: list[Sound] = []
    left = int(at_most_s * RATE)
    for turn in turns:
        if left <= 0:
            break
        kept.append(turn[: max(left, RATE)])
        left -= len(turn)
    return kept


def _order(turns: Mapping[str, Sequence[Sound]], rng: random.Random) -> Iterator[str]:
    """Who speaks next; rarely the same person twice."""
    order = [who for who, theirs in turns.items() for _ in theirs]
    rng.shuffle(order)
    for at in range(1, len(order)):
        if order[at] == order[at - 1]:
            other = next((i for i in range(at + 1, len(order)) if order[i] != order[at]), at)
            order[at], order[other] = order[other], order[at]
    yield from order


def _speech(sound: Sound) -> list[tuple[float, float]]:
    """Where a turn is loud; pauses of up to 0.3 s are speech."""
    hops = sound[: len(sound) // 160 * 160].reshape(-1, 160)
    loudness = np.convolve(10 * np.log10((hops**2).mean(1) + 1e-10), np.ones(5) / 5, "same")
    on = loudness > max(np.percentile(loudness, 95) - 30, np.percentile(loudness, 5) + 6)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], on.astype(int), [0]]))).reshape(-1, 2) / 100
    merged: list[list[float]] = []
    for start, end in edges:
        if merged and start - merged[-1][1] <= 0.3:
            merged[-1][1] = float(end)
        else:
            merged.append([float(start), float(end)])
    return [(start, end) for start, end in merged if end - start >= 0.1]


def _mixed(placed: Sequence[tuple[int, Sound]], length_s: float, noise_db: float | None, seed: int) -> Sound:
    """Turns at their places, with noise."""
    mixed = np.zeros(int(length_s * RATE), np.float32)
    for at, sound in placed:
        mixed[at : at + len(sound)] += sound[: len(mixed) - at]
    if noise_db is not None:
        noise = np.random.default_rng(seed).standard_normal(len(mixed)).astype(np.float32)
        mixed += np.float32(LOUDNESS * 10 ** (-noise_db / 20)) * noise
    return mixed / max(1, np.abs(mixed).max())
