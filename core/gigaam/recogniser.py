"""Segments of sound → words: planned into batches, encoded, searched, and put back in order."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from core.errors import Unavailable
from core.gigaam import device as devices
from core.gigaam import greedy
from core.gigaam.batches import halves, plan
from core.gigaam.checkpoint import Model
from core.gigaam.device import Device
from core.gigaam.encoder import halved
from core.gigaam.heads import Transducer
from core.gigaam.tokens import Emission, speech
from core.gigaam.transducer import Search
from core.transcribe import SAMPLE_RATE, Speech, Waveform

BUDGET_S = {"cpu": 160.0, "cuda": 2560.0}
"""Padded seconds of sound in one batch: a CPU gains nothing by more, a GPU is full by then."""

MOST = {"cpu": 8, "cuda": 256}
"""Segments in one batch."""

GRID_S = {"cpu": 0.0, "cuda": 1.0}
"""Batches are padded to a multiple of this, so that recorded CUDA graphs are met again."""


class OutOfMemory(Unavailable):
    """Not even one segment fits."""

    message = "The memory of {device} is too small for one segment of {seconds} s right now."


class Unsound(Unavailable):
    """Numbers that are none, in float32 too."""

    message = "The model gave no numbers for a segment; its file may be damaged."


class Recogniser:
    """One loaded model on one device. What a segment says does not depend on what shares its batch."""

    def __init__(self, model: Model, device: Device | None = None, budget_s: float | None = None) -> None:
        self.device = device or devices.choose(model.config.encoder.d_model)
        self.budget_s = budget_s or BUDGET_S[self.device.kind]
        self.model = model.to(self.device.kind)
        # Features and heads stay in float32: they cost little, and the clamped logarithm needs it.
        self.encoder = self.model.encoder.to(self.device.dtype)
        self._search = Search(model.head) if isinstance(model.head, Transducer) else None

    def transcribe(self, segments: Sequence[Waveform]) -> list[Speech]:
        """Words of each segment, in order; a segment too short for one frame is padded to one.

        Raise OutOfMemory if a single segment does not fit, Unsound if the model gives no numbers.
        """
        return [speech(emission, self.model.tokenizer) for emission in self.emissions(segments)]

    def emissions(self, segments: Sequence[Waveform]) -> list[Emission]:
        """Tokens of each segment, in order."""
        found: dict[int, Emission] = {}
        lengths = [len(segment) for segment in segments]
        waiting = plan(lengths, int(self.budget_s * SAMPLE_RATE), MOST[self.device.kind])[::-1]
        while waiting:
            batch = waiting.pop()
            answers = self._attempt([segments[index] for index in batch])
            if answers is None:
                waiting += halves(batch)[::-1]
            else:
                found |= zip(batch, answers, strict=True)
        return [found[index] for index in range(len(segments))]

    def _attempt(self, batch: list[Waveform]) -> list[Emission] | None:
        """The answers of one batch, or None if it was too large: then the budget is halved for good."""
        try:
            return self._answer(batch)
        except torch.OutOfMemoryError as error:
            seconds = max(len(segment) for segment in batch) / SAMPLE_RATE
            if len(batch) == 1:
                raise OutOfMemory(device=self.device.kind, seconds=round(seconds)) from error
            self.budget_s = min(self.budget_s, seconds * len(batch)) / 2
        if self.device.kind == "cuda":
            torch.cuda.empty_cache()
        return None

    def _answer(self, batch: list[Waveform]) -> list[Emission]:
        """Encode and search; a batch whose 16-bit numbers overflowed is done once more in float32."""
        with torch.inference_mode():
            answers, sound = self._run(batch, self.encoder)
            if not sound and self.device.dtype != torch.float32:
                answers, sound = self._run(batch, copy.deepcopy(self.encoder).float())
        if not sound:
            raise Unsound
        return answers

    def _run(self, batch: list[Waveform], encoder: torch.nn.Module) -> tuple[list[Emission], bool]:
        """One pass over one batch, and whether all its numbers were finite."""
        waves, samples = self._collate(batch)
        features = self.model.features(waves.to(self.device.kind, non_blocking=True).float() / 32768.0)
        frames = self.model.features.frames(samples)
        even = bool((frames == features.size(2)).all())
        frames = frames.to(self.device.kind, non_blocking=True)
        dtype = next(encoder.parameters()).dtype
        encoded = encoder(features.to(dtype), None if even else frames).float()
        ends = halved(frames, self.model.encoder.pre_encode.stages)
        sound = encoded.sum().isfinite()
        answers = self._search(encoded, ends) if self._search else greedy.ctc(self.model.head(encoded), ends)
        return answers, bool(sound)

    def _collate(self, segments: list[Waveform]) -> tuple[Tensor, Tensor]:
        """Waves int16 [batch, samples], zeros behind the shorter ones, and the samples of each."""
        rows = [self._padded(segment) for segment in segments]
        grid = int(GRID_S[self.device.kind] * SAMPLE_RATE) or 1
        longest = -(-max(len(row) for row in rows) // grid) * grid
        waves = torch.zeros(len(rows), longest, dtype=torch.int16, pin_memory=self.device.kind == "cuda")
        for wave, row in zip(waves, rows, strict=True):
            wave[: len(row)] = torch.from_numpy(row)
        return waves, torch.tensor([len(row) for row in rows])

    def _padded(self, segment: Waveform) -> Waveform:
        """At least one frame of sound, reflected at both ends where the model was trained so."""
        config, around = self.model.features.config, self.model.features.padding()
        shortest = max(config.n_fft - 2 * around, around + 1)
        whole = np.pad(segment, (0, max(0, shortest - len(segment))))
        return np.pad(whole, around, mode="reflect") if around else whole
