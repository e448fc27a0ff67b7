"""Segments of sound → words: planned into batches, encoded, searched, and put back in order."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from core.errors import Code, Unavailable
from core.media.waveform import SAMPLE_RATE, Waveform
from core.speech.engine import Speech
from core.speech.gigaam import device as devices
from core.speech.gigaam import greedy
from core.speech.gigaam.batches import plan, split_in_two
from core.speech.gigaam.checkpoint import Model
from core.speech.gigaam.device import Device
from core.speech.gigaam.encoder import Encoder, halved
from core.speech.gigaam.heads import Transducer
from core.speech.gigaam.int8 import quantize
from core.speech.gigaam.streams import Streams
from core.speech.gigaam.tokens import Emission, speech
from core.speech.gigaam.transducer import Search

BUDGET_S = {"cpu": 160.0, "cuda": 2560.0}
"""Padded seconds of sound in one batch: a CPU gains nothing by more, a GPU is full by then."""

MOST = {"cpu": 8, "cuda": 256}
"""Segments in one batch."""

GRID_S = {"cpu": 0.0, "cuda": 1.0}
"""Batches are padded to a multiple of this, so that recorded CUDA graphs are met again."""


AHEAD = {"cpu": 0, "cuda": 2}
"""Batches that may be given to the device before the last one is finished."""

HALVES = {torch.bfloat16, torch.float16}
"""Numbers that may overflow where float32 does not."""


class OutOfMemory(Unavailable):
    """Not even one segment fits."""

    code = Code.DEVICE_OUT_OF_MEMORY


class DeviceLost(Unavailable):
    """The GPU's context is broken: nothing works in this process any more, so it has to end."""

    code = Code.DEVICE_LOST
    ends_process = True


class NotFinite(Unavailable):
    """Numbers that are none, in float32 too."""

    code = Code.MODEL_GAVE_NO_NUMBERS


@dataclass(frozen=True)
class Encoded:
    """A batch that the device has encoded, or soon will have."""

    rows: Tensor
    """Float32 [batch, time, width]."""
    ends: Tensor
    """Frames of each sample [batch]."""
    sound: Tensor
    """Whether all numbers are finite, one truth value."""
    ready: torch.cuda.Event | None
    """When it is done; None: it is."""


class Recogniser:
    """One loaded model on one device. What a segment says does not depend on what shares its batch."""

    def __init__(
        self,
        model: Model,
        device: Device | None = None,
        *,
        together: bool | None = None,
        compiled: bool = False,
    ) -> None:
        self.device = device or devices.choose(model.config.encoder.d_model)
        self.budget_s, self.ahead = BUDGET_S[self.device.kind], AHEAD[self.device.kind]
        # A CPU encodes segments faster one by one, without padding; the search is faster together.
        self.together = self.device.kind == "cuda" if together is None else together
        if self.device.kind == "cuda":
            # cuDNN's attention plans for every new shape, for longer than a batch takes.
            torch.backends.cuda.enable_cudnn_sdp(False)
        try:
            self.model = model.to(self.device.kind)
        except (torch.OutOfMemoryError, torch.AcceleratorError) as error:
            raise lost(error) from error
        # Features and heads stay in float32: they cost little, and the clamped logarithm needs it.
        self.encoder = rounded(self.model.encoder, self.device.dtype)
        if compiled:
            self.encoder.compile_layers()
        self._search = Search(model.head) if isinstance(model.head, Transducer) else None
        self._streams = Streams(self.device.kind)

    def transcribe(self, segments: Sequence[Waveform]) -> list[Speech]:
        """Words of each segment, in order; a segment too short for one frame is padded to one.

        Raise OutOfMemory if a single segment does not fit, Unsound if the model gives no numbers.
        """
        return [speech(emission, self.model.tokenizer) for emission in self.emissions(segments)]

    def emissions(self, segments: Sequence[Waveform]) -> list[Emission]:
        """Tokens of each segment, in order."""
        emissions: dict[int, Emission] = {}
        waiting = self.plan(segments)[::-1]
        while waiting:
            batch = waiting.pop()
            answers = self._attempt([segments[index] for index in batch])
            if answers is None:
                waiting += split_in_two(batch)[::-1]
            else:
                emissions |= zip(batch, answers, strict=True)
        return [emissions[index] for index in range(len(segments))]

    def plan(self, segments: Sequence[Waveform]) -> list[list[int]]:
        """Indices of segments, batch by batch, as they fit by what is known of the device today."""
        lengths = [len(segment) for segment in segments]
        return plan(lengths, int(self.budget_s * SAMPLE_RATE), MOST[self.device.kind])

    def _attempt(self, batch: list[Waveform]) -> list[Emission] | None:
        """The answers of one batch, or None if it was too large: then the budget is halved for good."""
        try:
            return self._answer(batch)
        except (torch.OutOfMemoryError, torch.AcceleratorError) as error:
            if not too_large(error):
                raise lost(error) from error
            if len(batch) == 1:
                seconds = round(len(batch[0]) / SAMPLE_RATE)
                raise OutOfMemory(device=self.device.kind, seconds=seconds) from error
        self._shrink(batch)
        return None

    def _shrink(self, batch: Sequence[Waveform]) -> None:
        """From now on no batch is larger than half of this one, which did not fit."""
        longest_s = max(len(segment) for segment in batch) / SAMPLE_RATE
        self.budget_s = min(self.budget_s, longest_s * len(batch) / 2)
        if self.device.kind == "cuda":
            torch.cuda.empty_cache()

    def _answer(self, batch: list[Waveform]) -> list[Emission]:
        """Encode and search; a batch whose 16-bit numbers overflowed is done once more in float32."""
        try:
            return self.finish(self.start(batch))
        except NotFinite:
            if self.device.dtype not in HALVES:
                raise
        return self.finish(self.start(batch, copy.deepcopy(self.encoder).float()))

    @torch.inference_mode()
    def start(self, batch: Sequence[Waveform], encoder: Encoder | None = None) -> Encoded:
        """Have a batch encoded; a GPU may still be at it when this returns."""
        encoder = encoder or self.encoder
        try:
            parts = [self.encode(*self.features(group), encoder) for group in self.groups(batch)]
        except (torch.OutOfMemoryError, torch.AcceleratorError) as error:
            if too_large(error):
                self._shrink(batch)
            raise
        rows, ends = parts[0] if len(parts) == 1 else _gathered(parts)
        return Encoded(rows, ends, rows.sum().isfinite(), self._streams.mark())

    @torch.inference_mode()
    def finish(self, encoded: Encoded) -> list[Emission]:
        """Tokens of each sample, in order; waits for the device. Raise Unsound if it gave no numbers."""
        with self._streams.search(encoded.ready, encoded.rows, encoded.ends, encoded.sound):
            answers = self.search(encoded.rows, encoded.ends)
            if not encoded.sound:
                raise NotFinite
        return answers

    def groups(self, batch: Sequence[Waveform]) -> list[Sequence[Waveform]]:
        """What is encoded at once."""
        return [batch] if self.together else [[segment] for segment in batch]

    def features(self, group: Sequence[Waveform]) -> tuple[Tensor, Tensor, bool]:
        """Log-mel, float32 on the device [batch, mel, frames], the frames of each, and is anything padded."""
        waves, samples = self._collate(group)
        on_device, counts = self._streams.carry(waves), self._streams.carry(samples)
        frames = self.model.features.frames(counts)
        padded = bool((samples != waves.size(1)).any())
        return self.model.features(on_device.float() / 32768.0), frames, padded

    def encode(
        self, features: Tensor, frames: Tensor, padded: bool, encoder: Encoder
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

    def _collate(self, segments: Sequence[Waveform]) -> tuple[Tensor, Tensor]:
        """Waves int16 [batch, samples], zeros behind the shorter ones, and the samples of each."""
        rows = [self._padded(segment) for segment in segments]
        grid = int(GRID_S[self.device.kind] * SAMPLE_RATE) or 1
        longest = -(-max(len(row) for row in rows) // grid) * grid
        waves = torch.empty(len(rows), longest, dtype=torch.int16, pin_memory=self.device.kind == "cuda")
        for wave, row in zip(waves.numpy(), rows, strict=True):
            wave[: len(row)], wave[len(row) :] = row, 0
        samples = torch.tensor([len(row) for row in rows])
        return waves, samples.pin_memory() if self.device.kind == "cuda" else samples

    def _padded(self, segment: Waveform) -> Waveform:
        """At least one frame of sound, reflected at both ends where the model was trained so."""
        config, around = self.model.features.config, self.model.features.padding()
        shortest = max(config.n_fft - 2 * around, around + 1)
        whole = np.pad(segment, (0, shortest - len(segment))) if len(segment) < shortest else segment
        return np.pad(whole, around, mode="reflect") if around else whole


def too_large(error: Exception) -> bool:
    """Whether the device only lacked memory; pinned memory and recorded graphs say so in words alone."""
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error)


def lost(error: Exception) -> DeviceLost:
    """What the driver said, in its first line."""
    return DeviceLost(detail=str(error).split("\n")[0])


def rounded(encoder: Encoder, dtype: torch.dtype) -> Encoder:
    """The same encoder, its weights in these numbers."""
    return quantize(encoder) if dtype == torch.int8 else encoder.to(dtype)


def _gathered(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """What was encoded apart, padded to one batch."""
    rows = [row for some, _ in parts for row in some]
    return pad_sequence(rows, batch_first=True), torch.cat([ends for _, ends in parts])
