"""Convolutions with weight normalization; their parameters are named as in KAN-TTS checkpoints.

Salimans and Kingma, "Weight Normalization" (arXiv 1602.07868), section 2: a weight is a direction `weight_v` of length
`weight_g`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

__all__ = [
    "WeightNormConv1d",
    "WeightNormConvTranspose1d",
    "normalize_weight",
    "round_weights",
    "set_weight",
]


def normalize_weight(v: Tensor, g: Tensor) -> Tensor:
    """Return the direction of `v` with the length `g`, for each index of the first dimension.

    Parameters
    ----------
    v : [A, B, kernel]
    g : [A, 1, 1]

    Returns
    -------
    Tensor
        [A, B, kernel]
    """
    return v * (g / v.flatten(1).norm(dim=1).view(-1, 1, 1))


@torch.no_grad()
def round_weights(network: nn.Module) -> None:
    """Round the effective weights of a network's convolutions to float16, in place.

    Rounding `weight_v` and `weight_g` on their own would round their product twice, and to values that float16 does not
    hold.

    Parameters
    ----------
    network : A network with convolutions of this module.
    """
    for layer in network.modules():
        if isinstance(layer, WeightNormConv1d | WeightNormConvTranspose1d):
            set_weight(layer, normalize_weight(layer.weight_v, layer.weight_g).half().float())


@torch.no_grad()
def set_weight(layer: "WeightNormConv1d | WeightNormConvTranspose1d", weight: Tensor) -> None:
    """Set the effective weight of a convolution.

    Parameters
    ----------
    layer : The convolution, changed in place.
    weight : Of the shape of its `weight_v`.
    """
    length = weight.flatten(1).norm(dim=1).view(-1, 1, 1)
    # A channel of zeros has no direction; it keeps the one it has.
    layer.weight_v.copy_(torch.where(length > 0, weight, layer.weight_v))
    layer.weight_g.copy_(length)


class WeightNormConv1d(nn.Module):
    """1-d convolution with weight normalization.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, dilation, stride : as for `nn.Conv1d`.
    causal : pad on the left only.
    """

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
        """Convolve a sequence.

        Parameters
        ----------
        x : [B, in_channels, T]

        Returns
        -------
        Tensor
            [B, out_channels, T / stride]
        """
        weight = normalize_weight(self.weight_v, self.weight_g)
        return F.conv1d(F.pad(x, self.padding), weight, self.bias, self.stride, dilation=self.dilation)


class WeightNormConvTranspose1d(nn.Module):
    """Transposed 1-d convolution with weight normalization.

    Parameters
    ----------
    in_channels, out_channels, kernel_size, stride : as for `nn.ConvTranspose1d`.
    causal : drop the excess of `kernel_size - stride` samples at the end, instead of half of it on either side.
    """

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
        """Up-sample a sequence.

        Parameters
        ----------
        x : [B, in_channels, T]

        Returns
        -------
        Tensor
            [B, out_channels, T * stride]
        """
        weight = normalize_weight(self.weight_v, self.weight_g)
        padding = 0 if self.causal else self.trim // 2
        y = F.conv_transpose1d(x, weight, self.bias, stride=self.stride, padding=padding)
        return y[..., : -self.trim] if self.causal and self.trim else y
