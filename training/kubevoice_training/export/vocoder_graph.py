"""The network that a bundle's vocoder graph is made of: HiFi-GAN's generator, the same numbers in fewer operations.

Weights are multiplied out. Both up-samplers of a stage are linear in the same values, so they are one convolution at
the lower rate, with an output for each place in the higher one (Shi et al., "Real-time single image and video
super-resolution", arXiv 1609.05158 §3.2): of a repeat by eight and a kernel of seven, most products were the same. All
is [1, C, 1, T], because ONNX Runtime has its faster kernels for convolutions of two dimensions only.
"""

import copy
import itertools
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from kubevoice_training.models.hifigan import SLOPE, Generator
from kubevoice_training.models.nsf import denormalize_f0
from kubevoice_training.models.weight_norm import WeightNormConv1d, WeightNormConvTranspose1d, normalize_weight

__all__ = ["VocoderGraph"]

Network = TypeVar("Network", bound=nn.Module)


def _compute_weight(layer: WeightNormConv1d | WeightNormConvTranspose1d) -> Tensor:
    return normalize_weight(layer.weight_v, layer.weight_g).detach()


class _Conv(nn.Module):
    """A convolution along the last axis of [1, C, 1, T]."""

    def __init__(self, source: WeightNormConv1d) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(_compute_weight(source).unsqueeze(2)), source.bias
        self.padding, self.stride, self.dilation = source.padding, source.stride, source.dilation

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Convolve x [1, in, 1, T]; returns [1, out, 1, T / stride]."""
        x = F.pad(x, self.padding)
        return F.conv2d(x, self.weight, self.bias, (1, self.stride), dilation=(1, self.dilation))


class _Upsampler(nn.Module):
    """The up-samplers of one stage, the transposed convolution alone or both, as one convolution."""

    def __init__(self, transposed: WeightNormConvTranspose1d, repeated: WeightNormConv1d | None) -> None:
        super().__init__()
        kernel_up = _compute_weight(transposed)
        self.scale, self.channels = transposed.stride, kernel_up.shape[1]
        cut = 0 if transposed.causal else transposed.trim // 2
        taps: dict[int, Tensor] = {}
        """By how many places of the lower rate away from its own, what an output takes of them: [scale, C / 2, C]."""

        def accumulate(place: int, offset: int, weight: Tensor) -> None:
            empty = kernel_up.new_zeros(self.scale, self.channels, len(kernel_up))
            taps.setdefault(offset, empty)[place] += weight

        bias = transposed.bias.detach()
        if repeated is not None:
            kernel = _compute_weight(repeated)
            for place, k in itertools.product(range(self.scale), range(kernel.shape[2])):
                accumulate(place, (place + k - repeated.padding[0]) // self.scale, kernel[:, :, k])
            assert repeated.bias is not None  # noqa: S101  # a generator's has one
            bias = bias + repeated.bias.detach()
        for place in range(self.scale):
            for k in range(kernel_up.shape[2]):
                offset, rest = divmod(place + cut - k, self.scale)
                if not rest:
                    accumulate(place, offset, kernel_up[:, :, k].T)
        first, last = min(taps), max(taps)
        weight = torch.stack([taps[offset] for offset in range(first, last + 1)], dim=-1)
        self.weight = nn.Parameter(weight.flatten(0, 1).unsqueeze(2))
        self.bias = nn.Parameter(bias.repeat(self.scale))
        self.padding = (-first, last)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Up-sample x [1, C, 1, T]; returns [1, C / 2, 1, T * scale]."""
        y = F.conv2d(F.pad(F.leaky_relu(x, SLOPE), self.padding), self.weight, self.bias)
        places = y.reshape(self.scale, self.channels, 1, -1)
        return places.permute(1, 2, 3, 0).reshape(1, self.channels, 1, -1)


def _find_module(kind: type[Network], network: nn.Module) -> Network:
    """Return the only module of a kind in a network."""
    (match,) = (module for module in network.modules() if isinstance(module, kind))
    return match


def _convert_to_2d(network: Network) -> Network:
    """Return a copy whose convolutions are of two dimensions."""
    flat = copy.deepcopy(network)
    for module in list(flat.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, WeightNormConv1d):
                setattr(module, name, _Conv(child))
    return flat


class VocoderGraph(nn.Module):
    """The generator as an ONNX graph; its input is what the acoustic model predicts."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.config = generator.config
        self.pre, self.post = _convert_to_2d(generator.conv_pre), _convert_to_2d(generator.conv_post)
        repeats = [_find_module(WeightNormConv1d, repeat) for repeat in generator.repeat_upsamples]
        self.upsamplers = nn.ModuleList(
            _Upsampler(_find_module(WeightNormConvTranspose1d, transpose), repeat)
            for transpose, repeat in itertools.zip_longest(generator.transpose_upsamples, repeats)
        )
        self.blocks = nn.ModuleList(_convert_to_2d(block) for block in generator.conv_blocks)
        if self.config.source is not None:
            self.source = copy.deepcopy(generator.source_module)
            self.downs = nn.ModuleList(_convert_to_2d(down) for down in generator.source_downs)

    @override
    def forward(self, mel: Tensor, noise: Tensor | None = None, phase: Tensor | None = None) -> Tensor:
        """Make the audio of T_mel frames.

        Parameters
        ----------
        mel : [T_mel, M], normalized; with a harmonic source [T_mel, M + 2], F0 and voicing last.
        noise : [T_mel * hop, H] of unit standard deviation, for a source of H harmonics.
        phase : [H] in radians, for a source. Both are inputs so that the same input makes the same audio.

        Returns
        -------
        Tensor
            [T_mel * hop], in [-1, 1].
        """
        excitation = None
        if self.config.source is not None and noise is not None and phase is not None:
            features = denormalize_f0(mel, self.config.source).T.unsqueeze(0)
            excitation = self.source(features[:, -2:-1], features[:, -1:], noise.T.unsqueeze(0), phase.unsqueeze(1))
            excitation = excitation.unsqueeze(2)
        x = self.pre(mel[:, : self.config.in_channels].T[None, :, None])
        num_kernels = len(self.config.resblock_kernel_sizes)
        for i, upsampler in enumerate(self.upsamplers):
            x = upsampler(x if self.config.published else torch.sin(x) + x)
            if excitation is not None:
                x = x + self.downs[i](excitation)
            first, *others = self.blocks[i * num_kernels : (i + 1) * num_kernels]
            y = first(x)
            for block in others:
                y = y + block(x)
            x = y / num_kernels
        audio: Tensor = torch.tanh(self.post(F.leaky_relu(x)))[0, 0, 0]
        return audio
