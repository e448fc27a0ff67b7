"""Segments of sound → words: planned into batches, encoded, searched, and put back in order."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

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


class DeviceLost(Unavailable):
    """The GPU's context is broken: nothing works in this process any more, so it has to end."""

    message = "The GPU failed ({detail}). The worker starts anew and tries again."
    ends_process = True


class Unsound(Unavailable):
    """Numbers that are none, in float32 too."""

    message = "The model gave no numbers for a segment; its file may be damaged."


class Recogniser:
    """One loaded model on one device. What a segment says does not depend on what shares its batch."""

    def __init__(self, model: Model, device: Device | None = None, *, together: bool | None = None) -> None:
        self.device = device or devices.choose(model.config.encoder.d_model)
        self.budget_s = BUDGET_S[self.device.kind]
        # A CPU encodes segments faster one by one, without padding; the search is faster together.
        self.together = self.device.kind == "cuda" if together is None else together
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
        waiting = self.plan(segments)[::-1]
        while waiting:
            batch = waiting.pop()
            answers = self._attempt([segments[index] for index in batch])
            if answers is None:
                waiting += halves(batch)[::-1]
            else:
                found |= zip(batch, answers, strict=True)
        return [found[index] for index in range(len(segments))]

    def plan(self, segments: Sequence[Waveform]) -> list[list[int]]:
        """Indices of segments, batch by batch, as they fit by what is known of the device today."""
        lengths = [len(segment) for segment in segments]
        return plan(lengths, int(self.budget_s * SAMPLE_RATE), MOST[self.device.kind])

    def _attempt(self, batch: list[Waveform]) -> list[Emission] | None:
        """The answers of one batch, or None if it was too large: then the budget is halved for good."""
        try:
            return self._answer(batch)
        except torch.OutOfMemoryError as error:
            seconds = max(len(segment) for segment in batch) / SAMPLE_RATE
            if len(batch) == 1:
                raise OutOfMemory(device=self.device.kind, seconds=round(seconds)) from error
            self.budget_s = min(self.budget_s, seconds * len(batch)) / 2
        except torch.AcceleratorError as error:
            raise DeviceLost(detail=str(error).split("\n")[0]) from error
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
        parts = [self.encode(*self.features(group), encoder) for group in self.groups(batch)]
        encoded = pad_sequence([row for rows, _ in parts for row in rows], batch_first=True)
        ends = torch.cat([ends for _, ends in parts])
        sound = encoded.sum().isfinite()
        return self.search(encoded, ends), bool(sound)

    def groups(self, batch: list[Waveform]) -> list[list[Waveform]]:
        """What is encoded at once."""
        return [batch] if self.together else [[segment] for segment in batch]

    def features(self, group: list[Waveform]) -> tuple[Tensor, Tensor, bool]:
        """Log-mel, float32 on the device [batch, mel, frames], the frames of each, and is anything padded."""
        waves, samples = self._collate(group)
        on_device = waves.to(self.device.kind, non_blocking=True)
        frames = self.model.features.frames(samples).to(self.device.kind, non_blocking=True)
        padded = bool((samples != waves.size(1)).any())
        return self.model.features(on_device.float() / 32768.0), frames, padded

    def encode(
        self, features: Tensor, frames: Tensor, padded: bool, encoder: torch.nn.Module
    ) -> tuple[Tensor, Tensor]:
        """Encoded, float32 [batch, time, width], and where each ends; unpadded sound needs no mask."""
        dtype = next(encoder.parameters()).dtype
        encoded = encoder(features.to(dtype), frames if padded else None).float()
        return encoded, halved(frames, self.model.encoder.pre_encode.stages)

    def search(self, encoded: Tensor, ends: Tensor) -> list[Emission]:
        """Tokens of each sample."""
        if self._search is None:
            return greedy.ctc(self.model.head(encoded), ends)
        return self._search(encoded, ends)

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
