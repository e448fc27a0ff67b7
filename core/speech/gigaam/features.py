"""Samples → log-mel features, with the window and the mel matrix of the checkpoint."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from core.speech.gigaam.config import FeatureConfig


class LogMel(nn.Module):
    """Log of mel energies, clamped to 1e-9…1e9; always float32."""

    window: Tensor
    mel: Tensor

    def __init__(self, config: FeatureConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("window", torch.zeros(config.win_length))
        self.register_buffer("mel", torch.zeros(config.n_fft // 2 + 1, config.features))

    def padding(self) -> int:
        """Samples that each segment is reflected by at both ends before it joins a batch."""
        return self.config.n_fft // 2 if self.config.center else 0

    def frames(self, samples: Tensor) -> Tensor:
        """How many frames so many (padded) samples give."""
        return (samples - self.config.n_fft) // self.config.hop_length + 1

    def forward(self, waves: Tensor) -> Tensor:
        """Waves in -1…1, float32 [batch, samples] → features [batch, mel, frames]."""
        spectrum = torch.stft(
            waves,
            self.config.n_fft,
            self.config.hop_length,
            self.config.win_length,
            self.window,
            center=False,
            return_complex=True,
        )
        power = spectrum.real.square() + spectrum.imag.square()
        energies = torch.matmul(power.transpose(1, 2), self.mel).transpose(1, 2)
        return energies.clamp(1e-9, 1e9).log()
