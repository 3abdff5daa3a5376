"""HiFi-GAN generator as KAN-TTS varies it.

Kong, Kim & Bae, "HiFi-GAN" (arXiv 2010.05646) §2.2, with KAN-TTS's changes (facts file §3.1): sin(x) + x before
each stage, a repeat up-sampler beside the transposed one, and causal convolutions, so that the output for a
prefix of the mel is a prefix of the output. Parameter names equal those of KAN-TTS checkpoints.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

__all__ = ["Generator", "GeneratorConfig", "WeightNormConv1d"]

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


def _weight_norm(v: Tensor, g: Tensor) -> Tensor:
    """Salimans & Kingma 2016: the direction of `v` with the length `g`, per first dimension."""
    return v * (g / v.flatten(1).norm(dim=1).view(-1, 1, 1))


class WeightNormConv1d(nn.Module):
    """1-d convolution with weight normalisation, [B, in, T] to [B, out, T]; causal pads on the left only."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, dilation: int = 1, causal: bool = True
    ) -> None:
        super().__init__()
        conv = nn.Conv1d(in_channels, out_channels, kernel_size)
        self.weight_v = nn.Parameter(conv.weight.detach().clone())
        self.weight_g = nn.Parameter(conv.weight.detach().flatten(1).norm(dim=1).view(-1, 1, 1))
        self.bias = nn.Parameter(conv.bias.detach().clone()) if conv.bias is not None else None
        span = (kernel_size - 1) * dilation
        self.padding = (span, 0) if causal else (span // 2, span // 2)
        self.dilation = dilation

    @override
    def forward(self, x: Tensor) -> Tensor:
        weight = _weight_norm(self.weight_v, self.weight_g)
        return F.conv1d(F.pad(x, self.padding), weight, self.bias, dilation=self.dilation)


class WeightNormDeconv1d(nn.Module):
    """Transposed convolution with weight normalisation, [B, in, T] to [B, out, T * stride]."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, stride: int, *, causal: bool) -> None:
        super().__init__()
        conv = nn.ConvTranspose1d(in_channels, out_channels, kernel_size, stride)
        self.weight_v = nn.Parameter(conv.weight.detach().clone())
        self.weight_g = nn.Parameter(conv.weight.detach().flatten(1).norm(dim=1).view(-1, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.stride = stride
        self.causal = causal
        self.trim = kernel_size - stride

    @override
    def forward(self, x: Tensor) -> Tensor:
        weight = _weight_norm(self.weight_v, self.weight_g)
        padding = 0 if self.causal else self.trim // 2
        y = F.conv_transpose1d(x, weight, self.bias, stride=self.stride, padding=padding)
        return y[..., : -self.trim] if self.causal and self.trim else y


class _Conv(nn.Module):
    """Names the convolution `conv1d`, one level down, as the checkpoints do."""

    def __init__(self, *args: int, dilation: int = 1, causal: bool = True) -> None:
        super().__init__()
        self.conv1d = WeightNormConv1d(*args, dilation=dilation, causal=causal)

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
    """Mel [B, n_mels, T] (normalised) to waveform [B, 1, T * hop] in [-1, 1]."""

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
            self.repeat_upsamples.append(
                nn.Sequential(_Repeat(scale), nn.LeakyReLU(SLOPE), _Conv(width, half, c.kernel_size, causal=causal))
            )
            self.conv_blocks.extend(
                ResidualBlock(half, kernel_size, dilations, causal=causal)
                for kernel_size, dilations in zip(c.resblock_kernel_sizes, c.resblock_dilations, strict=True)
            )
            width = half
        self.conv_post = _Conv(width, 1, c.kernel_size, causal=causal)

    @override
    def forward(self, mel: Tensor) -> Tensor:
        x = self.conv_pre(mel)
        fused = len(self.config.resblock_kernel_sizes)
        for i, (transpose, repeat) in enumerate(zip(self.transpose_upsamples, self.repeat_upsamples, strict=True)):
            x = torch.sin(x) + x
            x = repeat(x) + transpose(x)
            blocks = self.conv_blocks[i * fused : (i + 1) * fused]
            x = torch.stack([block(x) for block in blocks]).mean(dim=0)
        return torch.tanh(self.conv_post(F.leaky_relu(x)))
