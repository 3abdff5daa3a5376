"""Convolutions with weight normalisation, parametrised as in KAN-TTS checkpoints: `weight_v`, `weight_g`, `bias`.

Salimans & Kingma, "Weight Normalization" (arXiv 1602.07868) §2.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

__all__ = ["WeightNormConv1d", "WeightNormDeconv1d", "round_weights", "set_weight", "weight_norm"]


def weight_norm(v: Tensor, g: Tensor) -> Tensor:
    """Salimans & Kingma 2016: the direction of `v` with the length `g`, per first dimension."""
    return v * (g / v.flatten(1).norm(dim=1).view(-1, 1, 1))


@torch.no_grad()
def round_weights(network: nn.Module) -> None:
    """Round what the convolutions of a network multiply by to float16, in place.

    Rounding direction and length apart would round their product twice, and to numbers that float16 does not hold.
    """
    for layer in network.modules():
        if isinstance(layer, WeightNormConv1d | WeightNormDeconv1d):
            set_weight(layer, weight_norm(layer.weight_v, layer.weight_g).half().float())


@torch.no_grad()
def set_weight(layer: "WeightNormConv1d | WeightNormDeconv1d", weight: Tensor) -> None:
    """Let a convolution multiply by `weight`, of the shape of its `weight_v`."""
    length = weight.flatten(1).norm(dim=1).view(-1, 1, 1)
    # A channel that is nothing has no direction; it keeps its own.
    layer.weight_v.copy_(torch.where(length > 0, weight, layer.weight_v))
    layer.weight_g.copy_(length)


class WeightNormConv1d(nn.Module):
    """1-d convolution with weight normalisation, [B, in, T] to [B, out, T / stride]; causal pads on the left only."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        dilation: int = 1,
        stride: int = 1,
        causal: bool = True,
    ) -> None:
        super().__init__()
        conv = nn.Conv1d(in_channels, out_channels, kernel_size)
        self.weight_v = nn.Parameter(conv.weight.detach().clone())
        self.weight_g = nn.Parameter(conv.weight.detach().flatten(1).norm(dim=1).view(-1, 1, 1))
        self.bias = nn.Parameter(conv.bias.detach().clone()) if conv.bias is not None else None
        span = (kernel_size - 1) * dilation
        half = (span + 1 - stride) // 2
        self.padding = (span, 0) if causal else (half, half)
        self.dilation, self.stride = dilation, stride

    @override
    def forward(self, x: Tensor) -> Tensor:
        weight = weight_norm(self.weight_v, self.weight_g)
        return F.conv1d(F.pad(x, self.padding), weight, self.bias, self.stride, dilation=self.dilation)


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
        weight = weight_norm(self.weight_v, self.weight_g)
        padding = 0 if self.causal else self.trim // 2
        y = F.conv_transpose1d(x, weight, self.bias, stride=self.stride, padding=padding)
        return y[..., : -self.trim] if self.causal and self.trim else y
