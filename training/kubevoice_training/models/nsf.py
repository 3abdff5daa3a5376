"""Harmonic source of neural source-filter vocoders: sines of the fundamental and its overtones where speech is voiced.

Wang, Takaki & Yamagishi, "Neural source-filter waveform models" (arXiv 1904.12088) §II-B, with KAN-TTS's constants
(facts file §3.1). Such a voice's acoustic model predicts two values a frame beside the mel: F0, normalised, and
how surely it is voiced.
"""

from dataclasses import dataclass
from math import pi

import torch
from torch import Tensor, nn
from typing_extensions import override

from kubevoice_training.models.weight_norm import WeightNormConv1d

__all__ = ["HarmonicSource", "SourceConfig", "denormalize"]

LOUDNESS, NOISE = 0.1, 0.003
"""Amplitude of each sine, and deviation of the noise added to it."""
UNVOICED_LOUDNESS = LOUDNESS / 3.0
"""Deviation of the noise that stands for the sines where speech is unvoiced."""
F0_FLOOR_HZ, VOICED_ABOVE = 30.0, 0.6


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """Overtones beside the fundamental, samples per second, and what F0 was normalised by: (Hz - offset) / scale."""

    overtones: int = 7
    sample_rate: int = 16000
    f0_offset: float = 30.0
    f0_scale: float = 700.0


def denormalize(mel: Tensor, source: SourceConfig) -> Tensor:
    """Turn the last two columns of the acoustic model's [T, M + 2] into Hz, at least 30, and 0 or 1."""
    f0 = (mel[:, -2:-1] * source.f0_scale + source.f0_offset).clamp(min=F0_FLOOR_HZ)
    voiced = (mel[:, -1:] >= VOICED_ABOVE).to(mel.dtype)
    return torch.cat([mel[:, :-2], f0, voiced], dim=1)


class HarmonicSource(nn.Module):
    """F0 [B, 1, T] in Hz and voicing [B, 1, T] to an excitation [B, 1, T * hop]."""

    def __init__(self, config: SourceConfig, hop: int) -> None:
        super().__init__()
        self.config, self.hop = config, hop
        self.ffn = nn.Sequential(WeightNormConv1d(config.overtones + 1, 1, 1), nn.Tanh())

    def _held(self, x: Tensor) -> Tensor:
        """Repeat each frame's value over its samples."""
        return x.unsqueeze(-1).expand(-1, -1, -1, self.hop).flatten(2)

    @override
    def forward(self, f0: Tensor, voiced: Tensor, noise: Tensor | None = None, phase: Tensor | None = None) -> Tensor:
        """Excite with `noise` [B, H, T * hop] of unit deviation and a start `phase` [H, 1] in radians.

        H counts the fundamental and its overtones. What is not given is drawn.
        """
        f0, voiced = self._held(f0), self._held(voiced)
        harmonics = torch.arange(1, self.config.overtones + 2, device=f0.device).unsqueeze(-1)
        if noise is None:
            noise = torch.randn(f0.shape[0], len(harmonics), f0.shape[-1], device=f0.device)
        if phase is None:
            # The fundamental starts at zero, its overtones anywhere.
            phase = 2.0 * pi * torch.rand(len(harmonics), 1, device=f0.device) * (harmonics > 1)
        # Cycles grow with the length of the text, so that float32 would lose the phase: only their fraction is small.
        cycles = (f0 * harmonics / self.config.sample_rate).double().cumsum(-1)
        angle = 2.0 * pi * (cycles - cycles.floor()).to(f0.dtype) + phase
        sines = LOUDNESS * torch.sin(angle) + NOISE * noise
        return self.ffn(sines * voiced + UNVOICED_LOUDNESS * noise * (1.0 - voiced))
