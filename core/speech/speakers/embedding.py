"""What a voice sounds like: a direction in 192 dimensions, near for one person, far for two.

The network is CAM++ (H. Wang et al., "CAM++: A fast and efficient network for speaker verification using
context-aware masking", Interspeech 2023), in the version of 3D-Speaker trained on 200,000 Chinese and
English speakers; other languages are recognised, too. Names of parameters follow its weight file.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812 - as everywhere
from torch import Tensor, nn

from core.speech.speakers.voices import DIMENSIONS

RATE: Final = 16_000
HOP_S: Final = 0.01
"""From one frame of features to the next."""
FRAME_SAMPLES: Final = 400
_MELS: Final = 80
_FFT: Final = 512
_POOLED_FRAMES: Final = 100


class Features(nn.Module):
    """Log energies of 80 mel bands as Kaldi computes them (25 ms every 10 ms, Povey's window, no dither)."""

    def __init__(self) -> None:
        super().__init__()
        window = torch.hann_window(FRAME_SAMPLES, periodic=False) ** 0.85
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("bank", _mel_bank(), persistent=False)
        self.window: Tensor
        self.bank: Tensor

    def forward(self, sound: Tensor) -> Tensor:
        """Sound (…, samples) → features (…, frames, 80)."""
        x = sound.unfold(-1, FRAME_SAMPLES, round(HOP_S * RATE))
        x = x - x.mean(-1, keepdim=True)
        x = torch.cat([x[..., :1] * (1 - 0.97), x[..., 1:] - 0.97 * x[..., :-1]], -1) * self.window
        power = torch.fft.rfft(x, _FFT).abs().square()
        energies: Tensor = (power @ self.bank).clamp(min=torch.finfo(torch.float32).eps)
        return energies.log()


def _mel_bank() -> Tensor:
    """Triangles in mel from 20 Hz to half the rate: (257, 80)."""

    def mel(hz: float) -> float:
        return 1127 * math.log(1 + hz / 700)

    width = (mel(RATE / 2) - mel(20)) / (_MELS + 1)
    left = mel(20) + width * torch.arange(_MELS)
    at = 1127 * torch.log(1 + torch.arange(_FFT // 2 + 1) * RATE / _FFT / 700).unsqueeze(1)
    bank = torch.minimum((at - left) / width, (left + 2 * width - at) / width).clamp(min=0)
    bank[-1] = 0
    return bank


class VoiceEncoder(nn.Module):
    """Features of some speech to a voice of length 1; half a second is the least that says something."""

    def __init__(self) -> None:
        super().__init__()
        self.features = Features()
        self.head = _Head()
        self.xvector = nn.Sequential(_layers())

    def forward(self, features: Tensor) -> Tensor:
        """Features (n, frames, 80) → voices (n, 192)."""
        x = self.head(features - features.mean(1, keepdim=True))
        return F.normalize(self.xvector(x).squeeze(-1))


class _Block2d(nn.Module):
    """Two convolutions and a way past them; `stride` is over frequency."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(32, 32, 3, (stride, 1), 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.conv2 = nn.Conv2d(32, 32, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)
        self.shortcut = nn.Sequential()
        if stride != 1:
            self.shortcut = nn.Sequential(nn.Conv2d(32, 32, 1, (stride, 1), bias=False), nn.BatchNorm2d(32))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class _Head(nn.Module):
    """Features as a picture: (n, frames, 80) → (n, 320, frames)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(32)
        self.layer1 = nn.Sequential(_Block2d(2), _Block2d(1))
        self.layer2 = nn.Sequential(_Block2d(2), _Block2d(1))
        self.conv2 = nn.Conv2d(32, 32, 3, (2, 1), 1, bias=False)
        self.bn2 = nn.BatchNorm2d(32)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x.transpose(1, 2).unsqueeze(1))))
        x = self.layer2(self.layer1(x))
        return F.relu(self.bn2(self.conv2(x))).flatten(1, 2)


def _norm(size: int, *, affine: bool = True, relu: bool = True) -> nn.Sequential:
    """A batch norm under the name that it has in the weight file."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(batchnorm=nn.BatchNorm1d(size, affine=affine))
    if relu:
        layers["relu"] = nn.ReLU(inplace=True)
    return nn.Sequential(layers)


class _Mask(nn.Module):
    """Context-aware mask: what the whole and a second around say decides how much passes."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.linear_local = nn.Conv1d(128, 32, 3, padding=dilation, dilation=dilation, bias=False)
        self.linear1 = nn.Conv1d(128, 64, 1)
        self.linear2 = nn.Conv1d(64, 32, 1)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.shape[-1]
        near = F.avg_pool1d(x, _POOLED_FRAMES, _POOLED_FRAMES, ceil_mode=True)
        context = x.mean(-1, keepdim=True) + near
        gate = torch.sigmoid(self.linear2(F.relu(self.linear1(context))))
        y: Tensor = self.linear_local(x)
        return y * gate.repeat_interleave(_POOLED_FRAMES, -1)[..., :frames]


class _DenseLayer(nn.Module):
    """Adds 32 channels to what it is given."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.nonlinear1 = _norm(channels)
        self.linear1 = nn.Conv1d(channels, 128, 1, bias=False)
        self.nonlinear2 = _norm(128)
        self.cam_layer = _Mask(dilation)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.cam_layer(self.nonlinear2(self.linear1(self.nonlinear1(x))))], 1)


class _Unit(nn.Module):
    """A norm after or before a convolution over time."""

    def __init__(self, linear: nn.Module, nonlinear: nn.Module, *, norm_first: bool = False) -> None:
        super().__init__()
        self.linear = linear
        self.nonlinear = nonlinear
        self._norm_first = norm_first

    def forward(self, x: Tensor) -> Tensor:
        first, second = (self.nonlinear, self.linear) if self._norm_first else (self.linear, self.nonlinear)
        y: Tensor = second(first(x))
        return y


class _Statistics(nn.Module):
    """Mean and deviation over time: (n, c, frames) → (n, 2c, 1)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x.mean(-1), x.std(-1)], 1).unsqueeze(-1)


def _layers() -> OrderedDict[str, nn.Module]:
    """The network over time, layer by layer."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    layers["tdnn"] = _Unit(nn.Conv1d(320, 128, 5, stride=2, padding=2, bias=False), _norm(128))
    channels = 128
    for block, (depth, dilation) in enumerate(((12, 1), (24, 2), (16, 2)), 1):
        dense: OrderedDict[str, nn.Module] = OrderedDict(
            (f"tdnnd{i + 1}", _DenseLayer(channels + 32 * i, dilation)) for i in range(depth)
        )
        layers[f"block{block}"] = nn.Sequential(dense)
        channels += 32 * depth
        halve = nn.Conv1d(channels, channels // 2, 1, bias=False)
        layers[f"transit{block}"] = _Unit(halve, _norm(channels), norm_first=True)
        channels //= 2
    layers["out_nonlinear"] = _norm(channels)
    layers["stats"] = _Statistics()
    out = nn.Conv1d(2 * channels, DIMENSIONS, 1, bias=False)
    layers["dense"] = _Unit(out, _norm(DIMENSIONS, affine=False, relu=False))
    return layers
