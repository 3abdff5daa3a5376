"""HiFi-GAN's discriminators: multi-period and multi-scale, each answering with all its feature maps.

Kong, Kim & Bae, "HiFi-GAN" (arXiv 2010.05646) §2.3. As in KAN-TTS the scales are made by a Daubechies-3 wavelet
step instead of average pooling (facts file §3.2). `width` scales every channel count (1.0 is the paper's size).
"""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm
from typing_extensions import override

__all__ = ["Discriminators"]

SLOPE = 0.1
DB3_LOW = (0.03522629, -0.08544127, -0.13501102, 0.45987750, 0.80689151, 0.33267055)
"""Decomposition low-pass of the Daubechies wavelet with three vanishing moments (Daubechies 1992, table 6.1)."""

Maps = list[Tensor]


def _channels(count: int, width: float, multiple: int = 1) -> int:
    return max(multiple, round(count * width / multiple) * multiple)


class PeriodDiscriminator(nn.Module):
    """Sees the wave folded into rows of `period` samples; [B, 1, T] to its maps, the last being the scores."""

    def __init__(self, period: int, width: float) -> None:
        super().__init__()
        self.period = period
        sizes = [1, *(_channels(c, width) for c in (32, 128, 512, 1024, 1024))]
        strides = (3, 3, 3, 3, 1)
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv2d(a, b, (5, 1), (stride, 1), (2, 0)))
            for a, b, stride in zip(sizes[:-1], sizes[1:], strides, strict=True)
        )
        self.conv_post = weight_norm(nn.Conv2d(sizes[-1], 1, (3, 1), padding=(1, 0)))

    @override
    def forward(self, wav: Tensor) -> Maps:
        short = -wav.shape[-1] % self.period
        x = F.pad(wav, (0, short), "reflect").unflatten(-1, (-1, self.period))
        maps = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
            maps.append(x)
        maps.append(self.conv_post(x))
        return maps


class ScaleDiscriminator(nn.Module):
    """Sees the wave at one scale; [B, 1, T] to its maps, the last being the scores."""

    def __init__(self, width: float, *, spectral: bool) -> None:
        super().__init__()
        norm = spectral_norm if spectral else weight_norm
        plan = (
            (128, 15, 1, 1),
            (128, 41, 2, 4),
            (256, 41, 2, 16),
            (512, 41, 4, 16),
            (1024, 41, 4, 16),
            (1024, 41, 1, 16),
            (1024, 5, 1, 1),
        )
        layers, inputs = [], 1
        for count, kernel, stride, groups in plan:
            outputs = _channels(count, width, 16)
            layers.append(norm(nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, groups=groups)))
            inputs = outputs
        self.convs = nn.ModuleList(layers)
        self.conv_post = norm(nn.Conv1d(inputs, 1, 3, padding=1))

    @override
    def forward(self, wav: Tensor) -> Maps:
        x, maps = wav, []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
            maps.append(x)
        maps.append(self.conv_post(x))
        return maps


class WaveletPool(nn.Module):
    """Halve the rate: both bands of a wavelet step, mixed by a learned convolution; [B, 1, T] to [B, 1, T/2]."""

    bands: Tensor

    def __init__(self) -> None:
        super().__init__()
        low = torch.tensor(DB3_LOW)
        high = low.flip(0) * torch.tensor([1.0, -1.0] * 3)
        self.register_buffer("bands", torch.stack([low, high]).unsqueeze(1), persistent=False)
        self.mix = weight_norm(nn.Conv1d(2, 1, 15, padding=7))

    @override
    def forward(self, wav: Tensor) -> Tensor:
        return F.leaky_relu(self.mix(F.conv1d(wav, self.bands, stride=2, padding=2)), SLOPE)


class Discriminators(nn.Module):
    """All discriminators: waves [B, 1, T] to one list of maps each (periods first, then scales)."""

    def __init__(self, *, width: float = 1.0, periods: Iterable[int] = (2, 3, 5, 7, 11), scales: int = 3) -> None:
        super().__init__()
        self.periods = nn.ModuleList(PeriodDiscriminator(period, width) for period in periods)
        self.scales = nn.ModuleList(ScaleDiscriminator(width, spectral=i == 0) for i in range(scales))
        self.pools = nn.ModuleList(WaveletPool() for _ in range(scales - 1))

    @override
    def forward(self, wav: Tensor) -> list[Maps]:
        maps = [period(wav) for period in self.periods]
        for i, scale in enumerate(self.scales):
            if i:
                wav = self.pools[i - 1](wav)
            maps.append(scale(wav))
        return maps
