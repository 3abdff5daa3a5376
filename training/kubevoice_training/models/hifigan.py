"""HiFi-GAN generator as KAN-TTS varies it.

Kong, Kim & Bae, "HiFi-GAN" (arXiv 2010.05646) §2.2, with KAN-TTS's changes (facts file §3.1): sin(x) + x before
each stage, a repeat up-sampler beside the transposed one, and causal convolutions, so that the output for a
prefix of the mel is a prefix of the output. Voices with a harmonic source (`models/nsf.py`) have it added at every
stage. Parameter names equal those of KAN-TTS checkpoints. With `published` it is the paper's generator instead.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from kubevoice_training.models.nsf import HarmonicSource, SourceConfig
from kubevoice_training.models.weight_norm import WeightNormConv1d, WeightNormDeconv1d

__all__ = ["Generator", "GeneratorConfig"]

SLOPE = 0.1
"""Negative slope of every leaky ReLU but the last, which uses torch's default 0.01."""


@dataclass(frozen=True, slots=True)
class GeneratorConfig:
    """Shape of a generator; the defaults are the paper's V2 width at 24 kHz with a hop of 240 samples."""

    in_channels: int = 80
    channels: int = 128
    kernel_size: int = 7
    upsample_scales: tuple[int, ...] = (8, 5, 3, 2)
    upsample_kernel_sizes: tuple[int, ...] = (16, 10, 6, 4)
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
    resblock_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    causal: bool = True
    source: SourceConfig | None = None
    """Of a neural source-filter voice; its mel has two rows more, F0 in Hz and whether it is voiced."""
    published: bool = False
    """Whether it is the paper's generator, without KAN-TTS's repeat up-samplers and without sin(x) + x."""

    @property
    def hop(self) -> int:
        """Samples a frame."""
        return int(np.prod(self.upsample_scales))

    @property
    def context(self) -> tuple[int, int] | None:
        """Frames before and after a frame that its samples depend on; None with a source, which counts from the start.

        Found by following the first and the last sample of a frame back through every layer.
        """
        if self.source is not None:
            return None
        causal, (first, last) = self.causal, (0, self.hop - 1)

        def before_conv(first: int, last: int, kernel: int, dilation: int = 1) -> tuple[int, int]:
            span = (kernel - 1) * dilation
            return (first - span, last) if causal else (first - span // 2, last + span // 2)

        first, last = before_conv(first, last, self.kernel_size)
        for scale, kernel in zip(self.upsample_scales[::-1], self.upsample_kernel_sizes[::-1], strict=True):
            ranges = []
            for size, dilations in zip(self.resblock_kernel_sizes, self.resblock_dilations, strict=True):
                reached = (first, last)
                for dilation in dilations:
                    reached = before_conv(*before_conv(*reached, size), size, dilation)
                ranges.append(reached)
            first, last = min(low for low, _ in ranges), max(high for _, high in ranges)
            trim = 0 if causal else (kernel - scale) // 2
            transposed = -((kernel - 1 - trim - first) // scale), (last + trim) // scale
            repeated = before_conv(first, last, self.kernel_size)
            if self.published:
                first, last = transposed
            else:
                first, last = min(repeated[0] // scale, transposed[0]), max(repeated[1] // scale, transposed[1])
        first, last = before_conv(first, last, self.kernel_size)
        return -first, last


class _Conv(nn.Module):
    """Names the convolution `conv1d`, one level down, as the checkpoints do."""

    def __init__(self, *args: int, dilation: int = 1, stride: int = 1, causal: bool = True) -> None:
        super().__init__()
        self.conv1d = WeightNormConv1d(*args, dilation=dilation, stride=stride, causal=causal)

    @override
    def forward(self, x: Tensor) -> Tensor:
        return self.conv1d(x)


class _Deconv(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, *, causal: bool) -> None:
        super().__init__()
        self.deconv = WeightNormDeconv1d(in_channels, out_channels, kernel, stride, causal=causal)

    @override
    def forward(self, x: Tensor) -> Tensor:
        return self.deconv(x)


class ResidualBlock(nn.Module):
    """One kernel size of the multi-receptive-field fusion (paper §2.2), [B, C, T] to the same."""

    def __init__(self, channels: int, kernel_size: int, dilations: Sequence[int], *, causal: bool) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            _Conv(channels, channels, kernel_size, dilation=d, causal=causal) for d in dilations
        )
        self.convs2 = nn.ModuleList(_Conv(channels, channels, kernel_size, causal=causal) for _ in dilations)

    @override
    def forward(self, x: Tensor) -> Tensor:
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = x + second(F.leaky_relu(first(F.leaky_relu(x, SLOPE)), SLOPE))
        return x


class _Repeat(nn.Module):
    """Nearest-neighbour up-sampling along time."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    @override
    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=float(self.scale), mode="nearest")


class Generator(nn.Module):
    """Mel [B, n_mels, T] (normalised) to waveform [B, 1, T * hop] in [-1, 1].

    With a source the mel has two rows more: F0 in Hz and voicing (0 or 1).
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        c, causal, width = config, config.causal, config.channels
        self.conv_pre = _Conv(c.in_channels, width, c.kernel_size, causal=causal)
        self.transpose_upsamples, self.repeat_upsamples = nn.ModuleList(), nn.ModuleList()
        self.conv_blocks = nn.ModuleList()
        for scale, kernel in zip(c.upsample_scales, c.upsample_kernel_sizes, strict=True):
            half = width // 2
            self.transpose_upsamples.append(
                nn.Sequential(nn.LeakyReLU(SLOPE), _Deconv(width, half, kernel, scale, causal=causal))
            )
            if not c.published:
                self.repeat_upsamples.append(
                    nn.Sequential(_Repeat(scale), nn.LeakyReLU(SLOPE), _Conv(width, half, c.kernel_size, causal=causal))
                )
            self.conv_blocks.extend(
                ResidualBlock(half, kernel_size, dilations, causal=causal)
                for kernel_size, dilations in zip(c.resblock_kernel_sizes, c.resblock_dilations, strict=True)
            )
            width = half
        self.conv_post = _Conv(width, 1, c.kernel_size, causal=causal)
        if c.source is not None:
            self.source_module = HarmonicSource(c.source, c.hop)
            self.source_downs = nn.ModuleList(self._downs())

    def _downs(self) -> list[nn.Module]:
        """Bring the source from samples to the rate after each stage."""
        c, downs = self.config, list[nn.Module]()
        for i in range(len(c.upsample_scales)):
            step = int(np.prod(c.upsample_scales[i + 1 :]))
            kernel = 2 * step if step > 1 else 1
            downs.append(_Conv(1, c.channels // 2 ** (i + 1), kernel, stride=step, causal=c.causal))
        return downs

    @override
    def forward(self, mel: Tensor, noise: Tensor | None = None, phase: Tensor | None = None) -> Tensor:
        """Make the wave; `noise` and `phase` are the source's (see `HarmonicSource`), drawn if not given."""
        x = self.conv_pre(mel[:, : self.config.in_channels])
        source = None
        if self.config.source is not None:
            source = self.source_module(mel[:, -2:-1], mel[:, -1:], noise, phase)
        fused = len(self.config.resblock_kernel_sizes)
        for i, transpose in enumerate(self.transpose_upsamples):
            if self.config.published:
                x = transpose(x)
            else:
                x = torch.sin(x) + x
                x = self.repeat_upsamples[i](x) + transpose(x)
            if source is not None:
                x = x + self.source_downs[i](source)
            blocks = self.conv_blocks[i * fused : (i + 1) * fused]
            x = torch.stack([block(x) for block in blocks]).mean(dim=0)
        return torch.tanh(self.conv_post(F.leaky_relu(x)))
