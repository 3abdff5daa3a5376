"""Building blocks of SAMBERT: masks, feed-forward layers, FSMN memories and pre-nets.

Shapes: B utterances, T time steps (symbols, frames or decoder steps), C channels. A mask is True at valid positions.
Parameter names equal those of KAN-TTS checkpoints; docs/reference/sambert.md describes each block. Every layer norm
uses an epsilon of 1e-6.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

__all__ = [
    "FeedForward",
    "Fsmn",
    "PreNet",
    "layer_norm",
    "sequence_mask",
    "zero_padding",
]


def sequence_mask(lengths: Tensor, max_length: int) -> Tensor:
    """Compute the mask of valid positions.

    Parameters
    ----------
    lengths : [B]
    max_length : T, the length with padding.

    Returns
    -------
    Tensor
        [B, T], True below each length.
    """
    return torch.arange(max_length, device=lengths.device) < lengths.unsqueeze(1)


def layer_norm(width: int) -> nn.LayerNorm:
    """Create a layer norm with the reference's epsilon.

    Parameters
    ----------
    width : channels.

    Returns
    -------
    nn.LayerNorm
        The layer.
    """
    return nn.LayerNorm(width, eps=1e-6)


def zero_padding(x: Tensor, mask: Tensor | None) -> Tensor:
    """Set padding to zero.

    Parameters
    ----------
    x : [B, T, C]
    mask : [B, T], True at valid positions; None if all are.

    Returns
    -------
    Tensor
        [B, T, C]
    """
    return x if mask is None else x.masked_fill(~mask.unsqueeze(-1), 0.0)


class FeedForward(nn.Module):
    """Pre-norm convolutional feed-forward layer with a residual connection (docs/reference/sambert.md)."""

    def __init__(self, d_model: int, d_ff: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.layer_norm = layer_norm(d_model)
        self.w_1 = nn.Conv1d(d_model, d_ff, kernel_size, padding=kernel_size // 2)
        self.w_2 = nn.Conv1d(d_ff, d_model, 1)
        self.dropout = dropout

    @override
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Apply both convolutions.

        Parameters
        ----------
        x : [B, T, d_model]
        mask : [B, T], optional

        Returns
        -------
        Tensor
            [B, T, d_model], zero outside the mask.
        """
        hidden = F.relu(self.w_1(self.layer_norm(x).transpose(1, 2)).transpose(1, 2))
        hidden = F.dropout(zero_padding(hidden, mask), self.dropout, self.training)
        out = self.w_2(hidden.transpose(1, 2)).transpose(1, 2)
        return zero_padding(x + F.dropout(out, self.dropout, self.training), mask)


class _FsmnFeedForward(nn.Module):
    """The two point-wise convolutions of one FSMN layer; `Fsmn.forward` applies them."""

    def __init__(self, d_in: int, d_ff: int, d_memory: int) -> None:
        super().__init__()
        self.w_1 = nn.Conv1d(d_in, d_ff, 1)
        self.w_2 = nn.Conv1d(d_ff, d_memory, 1, bias=False)


class _FsmnMemoryBlock(nn.Module):
    """The depth-wise filter over time of one FSMN layer; `Fsmn.forward` applies it."""

    def __init__(self, d_memory: int, kernel_size: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv1d(d_memory, d_memory, kernel_size, groups=d_memory, bias=False)


class Fsmn(nn.Module):
    """Feed-forward sequential memory network (FSMN): depth-wise filters over time instead of recurrence.

    Parameters
    ----------
    d_in, d_ff, d_memory : channels of the input, of the feed-forward layers and of the memory.
    num_layers : number of layers.
    kernel_size : length of the filters in time steps.
    shift : how many steps the filters are moved towards the past.
    dropout : probability.

    References
    ----------
    Zhang et al., "Deep-FSMN for Large Vocabulary Continuous Speech Recognition" (arXiv 1803.05030), section 3.
    """

    def __init__(
        self, d_in: int, d_ff: int, d_memory: int, num_layers: int, kernel_size: int, shift: int, dropout: float
    ) -> None:
        super().__init__()
        widths = [d_in] + [d_memory] * num_layers
        self.ffn_lst = nn.ModuleList(_FsmnFeedForward(width, d_ff, d_memory) for width in widths[:-1])
        self.memory_block_lst = nn.ModuleList(_FsmnMemoryBlock(d_memory, kernel_size) for _ in range(num_layers))
        left = (kernel_size - 1) // 2 + shift
        self.padding, self.dropout = (left, kernel_size - 1 - left), dropout

    def get_layers(self) -> "list[tuple[_FsmnFeedForward, _FsmnMemoryBlock]]":
        """Return the layers with their types, which nn.ModuleList does not keep.

        Returns
        -------
        list[tuple[_FsmnFeedForward, _FsmnMemoryBlock]]
            The feed-forward part and the memory block of each layer.
        """
        pairs = zip(self.ffn_lst, self.memory_block_lst, strict=True)
        return [(cast("_FsmnFeedForward", feed), cast("_FsmnMemoryBlock", memory)) for feed, memory in pairs]

    @override
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Apply all layers.

        Parameters
        ----------
        x : [B, T, d_in]
        mask : [B, T], optional

        Returns
        -------
        Tensor
            [B, T, d_memory]
        """
        for feed_forward, memory in self.get_layers():
            hidden = F.dropout(F.relu(feed_forward.w_1(x.transpose(1, 2))), self.dropout, self.training)
            context = zero_padding(feed_forward.w_2(hidden).transpose(1, 2), mask)
            filtered = memory.conv_dw(F.pad(context.transpose(1, 2), self.padding)).transpose(1, 2)
            out = zero_padding(F.dropout(filtered + context, self.dropout, self.training), mask)
            out = F.dropout(out, self.dropout, self.training)
            x = out + x if x.shape[-1] == out.shape[-1] else out
        return x


class PreNet(nn.Module):
    """Linear layers with ReLU and dropout 0.5, which is off at inference, unlike Tacotron 2's.

    Parameters
    ----------
    d_in : channels of the input.
    hidden : channels of each layer.
    d_out : channels of a last linear projection, if there is to be one.

    References
    ----------
    Wang et al., "Tacotron" (arXiv 1703.10135), section 3.2; docs/reference/sambert.md, mel decoder.
    """

    def __init__(self, d_in: int, hidden: Sequence[int], d_out: int | None = None) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [nn.Linear(d_in, width), nn.ReLU(), nn.Dropout(0.5)]
            d_in = width
        if d_out is not None:
            layers.append(nn.Linear(d_in, d_out))
        self.fcs = nn.Sequential(*layers)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Apply the layers.

        Parameters
        ----------
        x : [..., d_in]

        Returns
        -------
        Tensor
            [..., d_out], or the width of the last hidden layer.
        """
        return self.fcs(x)
