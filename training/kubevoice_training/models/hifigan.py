"""Generator of HiFi-GAN with the changes of KAN-TTS.

Kong, Kim and Bae, "HiFi-GAN" (arXiv 2010.05646), section 2.2. KAN-TTS changes it (docs/reference/hifigan.md,
generator): sin(x) + x before each stage, an up-sampler by repetition beside the transposed convolution, and causal
convolutions, so that the output for a prefix of the mel is a prefix of the output. In voices with a harmonic source
(`models/nsf.py`) every stage adds the source. Parameter names equal those of KAN-TTS checkpoints.
With `published` it is the paper's generator instead.

Shapes: B utterances, M mel bins, T_mel frames, C channels, T time steps of a stage.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from kubevoice_training.models.config import SourceConfig
from kubevoice_training.models.nsf import HarmonicSource
from kubevoice_training.models.weight_norm import WeightNormConv1d, WeightNormConvTranspose1d

__all__ = ["Generator", "GeneratorConfig"]

SLOPE = 0.1
"""Negative slope of every leaky ReLU but the last, which has torch's default of 0.01."""


@dataclass(frozen=True, slots=True)
class GeneratorConfig:
    """Sizes of a generator; the defaults are the width of the paper's V2, at 24 kHz with a hop of 240 samples.

    Field names are keys of checkpoints.

    Attributes
    ----------
    in_channels : mel bins, F0 and voicing not counted.
    channels : of the first convolution; each stage halves them.
    kernel_size : of the first and the last convolution and of the up-samplers by repetition.
    upsample_scales, upsample_kernel_sizes : of each stage; the product of the scales is the hop.
    resblock_kernel_sizes, resblock_dilations : of each residual block of a stage.
    causal : whether all convolutions see the past only.
    source : harmonic source, or None; with one, the mel has two rows more, F0 in Hz and voicing.
    published : the paper's generator, without the up-samplers by repetition and without sin(x) + x.
    """

    in_channels: int = 80
    channels: int = 128
    kernel_size: int = 7
    upsample_scales: tuple[int, ...] = (8, 5, 3, 2)
    upsample_kernel_sizes: tuple[int, ...] = (16, 10, 6, 4)
    resblock_kernel_sizes: tuple[int, ...] = (3, 7, 11)
    resblock_dilations: tuple[tuple[int, ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    causal: bool = True
    source: SourceConfig | None = None
    published: bool = False

    @property
    def hop(self) -> int:
        """Samples a frame."""
        return int(np.prod(self.upsample_scales))

    @property
    def receptive_field(self) -> tuple[int, int] | None:
        """Frames before and after a frame that its samples depend on; None with a source, which needs all before.

        Computed by following the first and the last sample of a frame back through every layer.
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
                inputs = (first, last)
                for dilation in dilations:
                    inputs = before_conv(*before_conv(*inputs, size), size, dilation)
                ranges.append(inputs)
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
    """A convolution that checkpoints name `conv1d`, one level down."""

    def __init__(self, *args: int, dilation: int = 1, stride: int = 1, causal: bool = True) -> None:
        super().__init__()
        self.conv1d = WeightNormConv1d(*args, dilation=dilation, stride=stride, causal=causal)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Convolve x [B, in, T]; returns [B, out, T / stride]."""
        return self.conv1d(x)


class _ConvTranspose(nn.Module):
    """A transposed convolution that checkpoints name `deconv`, one level down."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, *, causal: bool) -> None:
        super().__init__()
        self.deconv = WeightNormConvTranspose1d(in_channels, out_channels, kernel, stride, causal=causal)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Up-sample x [B, in, T]; returns [B, out, T * stride]."""
        return self.deconv(x)


class ResidualBlock(nn.Module):
    """One kernel size of the multi-receptive-field fusion (arXiv 2010.05646, section 2.2).

    Parameters
    ----------
    channels : of input and output.
    kernel_size : of all convolutions, in samples.
    dilations : of the first convolution of each pair.
    causal : whether all convolutions see the past only.
    """

    def __init__(self, channels: int, kernel_size: int, dilations: Sequence[int], *, causal: bool) -> None:
        super().__init__()
        self.convs1 = nn.ModuleList(
            _Conv(channels, channels, kernel_size, dilation=d, causal=causal) for d in dilations
        )
        self.convs2 = nn.ModuleList(_Conv(channels, channels, kernel_size, causal=causal) for _ in dilations)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Apply the convolutions of all dilations in turn.

        Parameters
        ----------
        x : [B, C, T]

        Returns
        -------
        Tensor
            [B, C, T]
        """
        for first, second in zip(self.convs1, self.convs2, strict=True):
            x = x + second(F.leaky_relu(first(F.leaky_relu(x, SLOPE)), SLOPE))
        return x


class _NearestUpsample(nn.Module):
    """Nearest-neighbour up-sampling along time by an integer factor."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Repeat each step of x [B, C, T]; returns [B, C, T * scale]."""
        return F.interpolate(x, scale_factor=float(self.scale), mode="nearest")


class Generator(nn.Module):
    """The generator: mel to waveform (arXiv 2010.05646, section 2.2; docs/reference/hifigan.md, generator)."""

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
                nn.Sequential(nn.LeakyReLU(SLOPE), _ConvTranspose(width, half, kernel, scale, causal=causal))
            )
            if not c.published:
                self.repeat_upsamples.append(
                    nn.Sequential(
                        _NearestUpsample(scale), nn.LeakyReLU(SLOPE), _Conv(width, half, c.kernel_size, causal=causal)
                    )
                )
            self.conv_blocks.extend(
                ResidualBlock(half, kernel_size, dilations, causal=causal)
                for kernel_size, dilations in zip(c.resblock_kernel_sizes, c.resblock_dilations, strict=True)
            )
            width = half
        self.conv_post = _Conv(width, 1, c.kernel_size, causal=causal)
        if c.source is not None:
            self.source_module = HarmonicSource(c.source, c.hop)
            self.source_downs = nn.ModuleList(self._build_source_downs())

    def _build_source_downs(self) -> list[nn.Module]:
        """Return the convolutions that bring the source from the sample rate down to the rate after each stage."""
        c, downs = self.config, list[nn.Module]()
        for i in range(len(c.upsample_scales)):
            stride = int(np.prod(c.upsample_scales[i + 1 :]))
            kernel_size = 2 * stride if stride > 1 else 1
            downs.append(_Conv(1, c.channels // 2 ** (i + 1), kernel_size, stride=stride, causal=c.causal))
        return downs

    @override
    def forward(self, mel: Tensor, noise: Tensor | None = None, phase: Tensor | None = None) -> Tensor:
        """Make the waveform.

        Parameters
        ----------
        mel : [B, M, T_mel], normalized; with a source [B, M + 2, T_mel], the last two rows F0 in Hz and voicing.
        noise, phase : see `HarmonicSource.forward`; drawn if not given, unused without a source.

        Returns
        -------
        Tensor
            [B, 1, T_mel * hop], in [-1, 1].
        """
        x = self.conv_pre(mel[:, : self.config.in_channels])
        source = None
        if self.config.source is not None:
            source = self.source_module(mel[:, -2:-1], mel[:, -1:], noise, phase)
        num_kernels = len(self.config.resblock_kernel_sizes)
        for i, transpose in enumerate(self.transpose_upsamples):
            if self.config.published:
                x = transpose(x)
            else:
                x = torch.sin(x) + x
                x = self.repeat_upsamples[i](x) + transpose(x)
            if source is not None:
                x = x + self.source_downs[i](source)
            blocks = self.conv_blocks[i * num_kernels : (i + 1) * num_kernels]
            x = torch.stack([block(x) for block in blocks]).mean(dim=0)
        return torch.tanh(self.conv_post(F.leaky_relu(x)))
