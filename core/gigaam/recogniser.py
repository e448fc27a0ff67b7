"""Segments of sound → words, in batches, on the device that is there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from core.gigaam import greedy
from core.gigaam.checkpoint import Model
from core.gigaam.encoder import halved
from core.gigaam.tokens import Emission, speech
from core.transcribe import Speech, Waveform


class Recogniser:
    """One loaded model. What a segment says does not depend on what shares its batch."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def transcribe(self, segments: Sequence[Waveform]) -> list[Speech]:
        """Words of each segment, in order; a segment too short for one frame is silence."""
        return [speech(emission, self.model.tokenizer) for emission in self.emissions(segments)]

    @torch.inference_mode()
    def emissions(self, segments: Sequence[Waveform]) -> list[Emission]:
        """Tokens of each segment, in order."""
        if not segments:
            return []
        waves, samples = self._collate(segments)
        features = self.model.features(waves)
        frames = self.model.features.frames(samples)
        encoded = self.model.encoder(features, None if len(set(frames.tolist())) == 1 else frames)
        return greedy.ctc(self.model.head(encoded), halved(frames, self.model.encoder.pre_encode.stages))

    def _collate(self, segments: Sequence[Waveform]) -> tuple[Tensor, Tensor]:
        """Waves [batch, samples], padded by zeros to the longest, and the samples of each."""
        rows = [self._padded(segment) for segment in segments]
        waves = torch.zeros(len(rows), max(len(row) for row in rows))
        for wave, row in zip(waves, rows, strict=True):
            wave[: len(row)] = torch.from_numpy(row)
        return waves / 32768.0, torch.tensor([len(row) for row in rows])

    def _padded(self, segment: Waveform) -> Waveform:
        """At least one frame of sound, reflected at both ends where the model was trained so."""
        config, around = self.model.features.config, self.model.features.padding()
        shortest = max(config.n_fft - 2 * around, around + 1)
        whole = np.pad(segment, (0, max(0, shortest - len(segment))))
        return np.pad(whole, around, mode="reflect") if around else whole
