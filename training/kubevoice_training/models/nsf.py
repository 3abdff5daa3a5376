"""Harmonic source of neural source-filter (NSF) vocoders: sines of F0 and its overtones where speech is voiced.

Wang, Takaki and Yamagishi, "Neural source-filter waveform models" (arXiv 1904.12088), section II-B, with the constants
of KAN-TTS (docs/reference/hifigan.md, harmonic source). The acoustic model of such a voice predicts two values a frame
beside the mel: normalized F0, and the probability that the frame is voiced.

Shapes: B utterances, T_mel frames, M mel bins, H harmonics (the fundamental and its overtones).
"""

from math import pi

import torch
from torch import Tensor, nn
from typing_extensions import override

from kubevoice_training.models.config import F0_FLOOR_HZ, SourceConfig
from kubevoice_training.models.weight_norm import WeightNormConv1d

__all__ = ["HarmonicSource", "denormalize_f0"]

SINE_AMPLITUDE, NOISE_STD = 0.1, 0.003
"""Amplitude of each sine, and standard deviation of the noise added to it."""
UNVOICED_STD = SINE_AMPLITUDE / 3.0
"""Standard deviation of the noise that replaces the sines where speech is unvoiced."""
VOICED_THRESHOLD = 0.6


def denormalize_f0(mel: Tensor, source: SourceConfig) -> Tensor:
    """Turn the acoustic model's output into the input of a vocoder with a harmonic source.

    Parameters
    ----------
    mel : [T_mel, M + 2]; the last two columns are normalized F0 and the probability of voicing.
    source : how F0 was normalized.

    Returns
    -------
    Tensor
        [T_mel, M + 2]; the last two columns are F0 in Hz, at least 30, and voicing, 0 or 1.
    """
    f0 = (mel[:, -2:-1] * source.f0_scale + source.f0_offset).clamp(min=F0_FLOOR_HZ)
    voicing = (mel[:, -1:] >= VOICED_THRESHOLD).to(mel.dtype)
    return torch.cat([mel[:, :-2], f0, voicing], dim=1)


class HarmonicSource(nn.Module):
    """Excitation signal of an NSF vocoder.

    Parameters
    ----------
    config : number of overtones and sample rate.
    hop : samples a frame.
    """

    def __init__(self, config: SourceConfig, hop: int) -> None:
        super().__init__()
        self.config, self.hop = config, hop
        self.ffn = nn.Sequential(WeightNormConv1d(config.overtones + 1, 1, 1), nn.Tanh())

    def _repeat_frames(self, x: Tensor) -> Tensor:
        """Repeat each frame's value over its samples: [B, 1, T_mel] to [B, 1, T_mel * hop]."""
        return x.unsqueeze(-1).expand(-1, -1, -1, self.hop).flatten(2)

    @override
    def forward(self, f0: Tensor, voicing: Tensor, noise: Tensor | None = None, phase: Tensor | None = None) -> Tensor:
        """Make the excitation.

        Parameters
        ----------
        f0 : [B, 1, T_mel] in Hz.
        voicing : [B, 1, T_mel], 0 or 1.
        noise : [B, H, T_mel * hop] of unit standard deviation, optional
            Drawn if not given.
        phase : [H, 1] in radians at the first sample, optional
            Drawn if not given; the fundamental's is then zero.

        Returns
        -------
        Tensor
            [B, 1, T_mel * hop]
        """
        f0, voicing = self._repeat_frames(f0), self._repeat_frames(voicing)
        harmonics = torch.arange(1, self.config.overtones + 2, device=f0.device).unsqueeze(-1)
        if noise is None:
            noise = torch.randn(f0.shape[0], len(harmonics), f0.shape[-1], device=f0.device)
        if phase is None:
            phase = 2.0 * pi * torch.rand(len(harmonics), 1, device=f0.device) * (harmonics > 1)
        # Cycles grow with the length of the text. float32 would lose the phase, so they are summed in float64.
        cycles = (f0 * harmonics / self.config.sample_rate).double().cumsum(-1)
        angle = 2.0 * pi * (cycles - cycles.floor()).to(f0.dtype) + phase
        sines = SINE_AMPLITUDE * torch.sin(angle) + NOISE_STD * noise
        return self.ffn(sines * voicing + UNVOICED_STD * noise * (1.0 - voicing))
