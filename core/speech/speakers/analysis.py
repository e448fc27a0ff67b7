"""What the networks say of a recording: who speaks in each window, and voices of pieces of about two seconds.

This is all of the cost; `clustering` and `timeline` make turns of it in seconds, and may do so again with
other options. Memory does not depend on the recording's length but for 2 KB a second of sound.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final, cast

import numpy as np
import torch
from numpy.typing import NDArray

from core.media.waveform import Waveform
from core.speech import vad
from core.speech.speakers.embedding import FRAME_SAMPLES, HOP_S
from core.speech.speakers.models import SpeakerModels
from core.speech.speakers.segmentation import (
    FIRST_FRAME_S,
    FRAME_S,
    FRAMES,
    LOCAL_SPEAKERS,
    RATE,
    WINDOW_SAMPLES,
)
from core.speech.speakers.voices import DIMENSIONS
from core.speech.vad import Span

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Progress = Callable[[float], None]
"""Is called with how many seconds of sound are done; what it raises ends the work."""

ACTIVE: Final = 0.5
"""Somebody likelier than this to speak does."""
STEP_S: Final = 2.5
VOICE_EVERY: Final = 2
"""Voices are taken from every second window only, so that each second of sound is in two of them: they
are most of the cost."""
_BATCH: Final = 8
KEEP_WINDOWS: Final = 240
"""Ten minutes of sound, some 40 s of work: so much is done twice if the process dies."""
_PIECE_S: Final = 2.0
_GAP_S: Final = 0.5
_MIN_ALONE_S: Final = 0.5
_MIN_VOICE_FRAMES: Final = 40
_ROUND_FRAMES: Final = 50
_VOICE_BATCH: Final = 16


@dataclass(frozen=True)
class Pieces:
    """Stretches in which one local speaker of one window speaks, about two seconds each."""

    window: Integers
    """(n,) index of the window."""
    local: Integers
    """(n,) local speaker, 0 to 2."""
    first: Integers
    """(n,) first frame within the window."""
    last: Integers
    """(n,) last frame within the window, included."""
    spoken_s: Floats
    """(n,) how long the speaker speaks in it."""
    alone_s: Floats
    """(n,) how long nobody else does at the same time."""
    confirmed: Floats
    """(n,) the share of it in which the voice detector hears speech."""
    voices: Floats
    """(n, 192) voices of length 1; NaN where there is too little sound to tell."""

    def __len__(self) -> int:
        return len(self.window)


def no_voices(rows: Integers) -> Pieces:
    """Pieces (n, 4) as window, local speaker, first and last frame, of which nothing else is known."""
    nothing = np.zeros(len(rows), np.float32)
    voices = np.full((len(rows), DIMENSIONS), np.nan, np.float32)
    return Pieces(rows[:, 0], rows[:, 1], rows[:, 2], rows[:, 3], nothing, nothing, nothing, voices)


@dataclass(frozen=True)
class Analysis:
    """What the networks say of one recording."""

    duration_s: float
    starts: Integers
    """(windows,) where each window begins, in samples."""
    activity: NDArray[np.uint8]
    """(windows, FRAMES, 3) how likely each local speaker speaks, 255 is certain."""
    pieces: Pieces
    """Of every `voice_every`-th window."""
    voice_every: int = VOICE_EVERY

    @property
    def window_overlap(self) -> float:
        """In how many windows each second of speech is a piece."""
        return max(1.0, WINDOW_SAMPLES / RATE / (STEP_S * self.voice_every))


def analyse(
    sound: Waveform | Floats,
    models: SpeakerModels,
    progress: Progress | None = None,
    speech: Sequence[Span] | None = None,
    folder: Path | None = None,
) -> Analysis:
    """Run both networks over a recording.

    `sound` is mono at 16 kHz, int16 or float32 within ±1, and may be a memory map: eight windows of it
    are read at a time. `speech` is where the voice detector hears speech; it is asked if nobody has.
    `folder` is a folder where every `KEEP_WINDOWS` windows are kept, so that another call goes on from there.
    About 20 × real time on one core. Raises what `progress` raises.
    """
    step = int(STEP_S * RATE)
    starts = np.arange(0, max(1, len(sound) - WINDOW_SAMPLES + step), step)
    activity = np.zeros((len(starts), FRAMES, LOCAL_SPEAKERS), np.uint8)
    if speech is None:
        speech = vad.speech(_whole(sound), (lambda _seconds: progress(0.0)) if progress else None)
    voice_activity = _Speech(speech)
    done, parts = _kept(folder, activity) if folder is not None else (0, [])
    all_pieces: list[_Piece] = []
    for begin in range(done, len(starts), _BATCH):
        numbers = np.array(
            [
                n
                for n in range(begin, min(begin + _BATCH, len(starts)))
                if voice_activity.frames(starts[n]).any()
            ],
            np.int64,
        )
        if len(numbers):
            activity[numbers], pieces = _analyse_windows(
                sound, starts[numbers], numbers, models, voice_activity
            )
            all_pieces += pieces
        if progress is not None:
            last = min(begin + _BATCH, len(starts)) - 1
            progress(min(len(sound), int(starts[last]) + WINDOW_SAMPLES) / RATE)
        vad.release(sound)
        if folder is not None and begin + _BATCH >= done + KEEP_WINDOWS:
            parts.append(_columns(all_pieces))
            _keep(folder, activity[done : begin + _BATCH], parts[-1])
            done, all_pieces = begin + _BATCH, []
    return Analysis(len(sound) / RATE, starts, activity, _together([*parts, _columns(all_pieces)]))


def _keep(folder: Path, activity: NDArray[np.uint8], pieces: Pieces) -> None:
    """Keep what the networks said of some windows, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob("*.npz")))
    with NamedTemporaryFile(dir=folder, suffix=".part", delete=False) as file:
        columns = {f.name: getattr(pieces, f.name) for f in fields(Pieces)}
        np.savez(file, activity=activity, **columns)
    Path(file.name).replace(folder / f"{number:06d}.npz")


def _kept(folder: Path, activity: NDArray[np.uint8]) -> tuple[int, list[Pieces]]:
    """How many windows are kept in a folder, and their pieces; fills in the activity of those."""
    done, parts = 0, []
    for path in sorted(folder.glob("*.npz")):
        with np.load(path) as part:
            part_activity = part["activity"]
            activity[done : done + len(part_activity)] = part_activity
            done += len(part_activity)
            parts.append(Pieces(**{f.name: part[f.name] for f in fields(Pieces)}))
    return done, parts


def _together(parts: Sequence[Pieces]) -> Pieces:
    """Pieces one after another."""
    return Pieces(*(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Pieces)))


def _analyse_windows(
    sound: Waveform | Floats,
    starts: Integers,
    numbers: Integers,
    models: SpeakerModels,
    voice_activity: _Speech,
) -> tuple[NDArray[np.uint8], list[_Piece]]:
    """Activity (n, FRAMES, 3) in some windows, and pieces of those that are due for voices."""
    windows = _read(sound, starts).to(models.device)
    with torch.inference_mode():
        probability = models.segmentation(windows).cpu().numpy()
        due = np.flatnonzero(numbers % VOICE_EVERY == 0)
        pieces = _voices(windows[due], probability[due], numbers[due], models) if len(due) else []
    for piece in pieces:
        piece.confirmed = float(
            voice_activity.frames(starts[numbers == piece.window][0])[piece.frames].mean()
        )
    return np.rint(probability * 255).astype(np.uint8), pieces


class _Speech:
    """Where the voice detector hears speech; spans are in order."""

    def __init__(self, spans: Sequence[Span]) -> None:
        self._starts = np.array([span.start_s for span in spans])
        self._ends = np.array([span.end_s for span in spans])

    def frames(self, start: int) -> NDArray[np.bool_]:
        """Which frames (FRAMES,) of a window that begins at sample `start` have speech."""
        at = start / RATE + FIRST_FRAME_S + np.arange(FRAMES) * FRAME_S
        before = np.searchsorted(self._starts, at, "right") - 1
        inside = before >= 0
        inside[inside] = at[inside] < self._ends[before[inside]]
        return inside


def _whole(sound: Waveform | Floats) -> Waveform:
    """Sound as the voice detector takes it."""
    if sound.dtype == np.int16:
        return cast("Waveform", sound)
    whole: Waveform = np.rint(np.clip(sound, -1, 1) * 32767).astype(np.int16)
    return whole


def cut(active: NDArray[np.bool_]) -> list[Integers]:
    """Frames (n,) in which somebody speaks → pieces of about 2 s, as frame numbers.

    A pause of more than half a second always ends a piece.
    """
    at = np.flatnonzero(active)
    runs = np.split(at, np.flatnonzero(np.diff(at) > _GAP_S / FRAME_S) + 1) if len(at) else []
    return [
        piece for run in runs for piece in np.array_split(run, max(1, round(len(run) * FRAME_S / _PIECE_S)))
    ]


@dataclass
class _Piece:
    """One row of `Pieces` on its way."""

    window: int
    local: int
    frames: Integers
    alone: Integers
    voice: Floats
    confirmed: float = 1.0

    def feature_frames(self) -> Integers:
        """Frames of features to take the voice from: where the speaker is alone, if that is long enough."""
        enough = len(self.alone) * FRAME_S >= _MIN_ALONE_S
        mask = np.zeros(FRAMES, np.bool_)
        mask[self.alone if enough else self.frames] = True
        return np.flatnonzero(mask[_SEGMENTATION_FRAME])


_SEGMENTATION_FRAME: Final = np.clip(
    np.rint(
        (
            np.arange(WINDOW_SAMPLES // int(HOP_S * RATE) - 2) * HOP_S
            + FRAME_SAMPLES / 2 / RATE
            - FIRST_FRAME_S
        )
        / FRAME_S
    ),
    0,
    FRAMES - 1,
).astype(np.int64)
"""(998,) the segmentation's frame nearest to each frame of features."""


def _read(sound: Waveform | Floats, starts: Integers) -> torch.Tensor:
    """Windows (n, WINDOW_SAMPLES) within ±1; after the end there is silence."""
    windows = np.zeros((len(starts), WINDOW_SAMPLES), np.float32)
    scale = 32768 if sound.dtype == np.int16 else 1
    for row, start in zip(windows, starts, strict=True):
        part = sound[start : start + WINDOW_SAMPLES]
        row[: len(part)] = part
    return torch.from_numpy(windows / scale if scale != 1 else windows)


def _voices(
    windows: torch.Tensor, probability: Floats, numbers: Integers, models: SpeakerModels
) -> list[_Piece]:
    """Pieces of some windows with their voices; pieces of about one length share a batch."""
    features = models.voices.features(windows)
    pieces: list[_Piece] = []
    by_length: dict[int, list[tuple[_Piece, int, Integers]]] = {}
    for row, number in enumerate(numbers):
        active = probability[row] > ACTIVE
        single = active.sum(-1) == 1
        for local in range(LOCAL_SPEAKERS):
            for frames in cut(active[:, local]):
                piece = _Piece(int(number), local, frames, frames[single[frames]], _UNKNOWN)
                pieces.append(piece)
                at = piece.feature_frames()
                if len(at) >= _MIN_VOICE_FRAMES:
                    by_length.setdefault(-(-len(at) // _ROUND_FRAMES) * _ROUND_FRAMES, []).append(
                        (piece, row, at)
                    )
    for length, some in by_length.items():
        for begin in range(0, len(some), _VOICE_BATCH):
            batch = some[begin : begin + _VOICE_BATCH]
            rows = [
                features[row, torch.from_numpy(np.resize(at, length)).to(features.device)]
                for _, row, at in batch
            ]
            for (piece, _, _), voice in zip(
                batch, models.voices(torch.stack(rows)).cpu().numpy(), strict=True
            ):
                piece.voice = voice
    return pieces


_UNKNOWN: Final[Floats] = np.full(DIMENSIONS, np.nan, np.float32)


def _columns(pieces: list[_Piece]) -> Pieces:
    """Rows to columns."""
    return Pieces(
        np.array([p.window for p in pieces], np.int64),
        np.array([p.local for p in pieces], np.int64),
        np.array([p.frames[0] for p in pieces], np.int64),
        np.array([p.frames[-1] for p in pieces], np.int64),
        np.array([len(p.frames) * FRAME_S for p in pieces], np.float32),
        np.array([len(p.alone) * FRAME_S for p in pieces], np.float32),
        np.array([p.confirmed for p in pieces], np.float32),
        np.array([p.voice for p in pieces], np.float32).reshape(-1, DIMENSIONS),
    )
