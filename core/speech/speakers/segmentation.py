"""Who of up to three local speakers speaks when, within ten seconds of sound.

The network is pyannote segmentation 3.0 (H. Bredin, "pyannote.audio 2.1 speaker diarization pipeline",
and A. Plaquet, H. Bredin, "Powerset multi-class cross entropy loss for neural speaker diarization", both
Interspeech 2023): band-pass filters learned by their two edges (SincNet, M. Ravanelli, Y. Bengio, 2018),
four bidirectional LSTM layers, and one class for each set of at most two speakers at once.
Names of parameters follow its weight file.
"""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - as everywhere
from torch import Tensor, nn

RATE: Final = 16_000
WINDOW_SAMPLES: Final = 10 * RATE
FRAMES: Final = 589
"""Frames in a window."""
FRAME_S: Final = 0.016875
"""From one frame to the next: strides of 10 samples, then three poolings by 3, make 270 samples."""
FIRST_FRAME_S: Final = 0.0310
"""The middle of the first frame: half of the 991 samples that one frame sees."""
LOCAL_SPEAKERS: Final = 3

_SETS: Final = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1))
"""Who speaks in each of the network's seven classes."""
_OVERLAP_BIAS: Final = 1.0
"""Added to the logits of two at once, of which the network misses a quarter. With 0, 0.5 and 1 real meetings
and calls had 24.2, 23.1 and 22.6 % of speech missed or invented; made dialogues, which its training knows
better, 14.1, 14.3 and 14.7 %."""
_KERNEL: Final = 251
_LOWEST_HZ: Final = 50


class SegmentationNetwork(nn.Module):
    """Sound of ten seconds to probabilities of speaking."""

    def __init__(self) -> None:
        super().__init__()
        self.sincnet = _SincNet()
        self.lstm = nn.LSTM(60, 128, num_layers=4, bidirectional=True, batch_first=True)
        self.linear = nn.ModuleList([nn.Linear(256, 128), nn.Linear(128, 128)])
        self.classifier = nn.Linear(128, len(_SETS))
        self.register_buffer("sets", torch.tensor(_SETS, dtype=torch.float32), persistent=False)
        self.register_buffer("bias", _OVERLAP_BIAS * (self.sets.sum(-1) > 1), persistent=False)
        self.sets: Tensor
        self.bias: Tensor

    def forward(self, sound: Tensor) -> Tensor:
        """Windows of sound (n, WINDOW_SAMPLES) → how likely each local speaker speaks (n, FRAMES, 3)."""
        x = self.lstm(self.sincnet(sound).transpose(1, 2))[0]
        for layer in self.linear:
            x = F.leaky_relu(layer(x))
        probability: Tensor = (self.classifier(x) + self.bias).softmax(-1)
        speaking: Tensor = probability @ self.sets
        return speaking


class _SincNet(nn.Module):
    """Sound to 60 features a frame."""

    def __init__(self) -> None:
        super().__init__()
        self.wav_norm1d = nn.InstanceNorm1d(1, affine=True)
        self.conv1d = nn.ModuleList([_Bands(), nn.Conv1d(80, 60, 5), nn.Conv1d(60, 60, 5)])
        self.norm1d = nn.ModuleList([nn.InstanceNorm1d(size, affine=True) for size in (80, 60, 60)])

    def forward(self, sound: Tensor) -> Tensor:
        """Sound (n, samples) → features (n, 60, frames)."""
        x: Tensor = self.wav_norm1d(sound.unsqueeze(1))
        for index, (conv, norm) in enumerate(zip(self.conv1d, self.norm1d, strict=True)):
            x = conv(x)
            x = F.leaky_relu(norm(F.max_pool1d(x.abs() if index == 0 else x, 3)))
        return x


class _Bands(nn.Module):
    """The first convolution, whose 80 kernels are computed from 40 bands."""

    def __init__(self) -> None:
        super().__init__()
        self.filterbank = _Filterbank()

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(x, self.filterbank.kernels(), stride=10)


class _Filterbank(nn.Module):
    """Bands by their lower edge and width; a cosine and a sine kernel for each."""

    def __init__(self) -> None:
        super().__init__()
        self.low_hz_ = nn.Parameter(torch.zeros(40, 1))
        self.band_hz_ = nn.Parameter(torch.zeros(40, 1))
        self.register_buffer("window_", torch.zeros(_KERNEL // 2))
        self.register_buffer("n_", torch.zeros(1, _KERNEL // 2))
        self.window_: Tensor
        self.n_: Tensor
        self._kernels: Tensor | None = None

    def kernels(self) -> Tensor:
        """Kernels (80, 1, 251): a band-pass is the difference of two low-passes sin(2πft) / πt."""
        if self._kernels is None:
            low = _LOWEST_HZ + self.low_hz_.abs()
            band = (low + _LOWEST_HZ + self.band_hz_.abs()).clamp(_LOWEST_HZ, RATE / 2) - low
            at = 2 * math.pi * torch.arange(-(_KERNEL // 2), 0, device=low.device).view(1, -1) / RATE
            shape = self.window_ / (at / 2)
            even = (torch.sin((low + band) @ at) - torch.sin(low @ at)) * shape
            odd = (torch.cos(low @ at) - torch.cos((low + band) @ at)) * shape
            cosine = torch.cat([even, 2 * band, even.flip(1)], 1)
            sine = torch.cat([odd, torch.zeros_like(band), -odd.flip(1)], 1)
            self._kernels = (torch.cat([cosine, sine]) / (2 * band).repeat(2, 1)).unsqueeze(1).detach()
        return self._kernels
