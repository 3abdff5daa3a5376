"""The network that a bundle's decoder graph is made of: one step of SAMBERT's decoder, in few operations.

A step multiplies so little that calling its operations takes most of its time. So the two projections of attention are
one, convolutions of one frame are plain products, and no shape is asked for.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from kubevoice_training.models.layers import PncaBlock
from kubevoice_training.models.sambert import Sambert

__all__ = ["DecoderGraph"]


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    found = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    found.weight.data = weight.detach()
    if bias is not None:
        found.bias.data = bias.detach()
    return found


def _attend(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attend from query [H, 1, C] to keys and values [P, H * C]: [1, H * C]."""
    heads, _, width = query.shape
    keys, values = keys.reshape(-1, heads, width).permute(1, 2, 0), values.reshape(-1, heads, width).transpose(0, 1)
    return (torch.softmax(query @ keys, dim=-1) @ values).reshape(1, heads * width)


class _Block(nn.Module):
    """One block of attention and feed-forward; the window of the text and what was kept of the past are given."""

    def __init__(self, source: PncaBlock) -> None:
        super().__init__()
        attention, feed = source.pnca_attn, source.pos_ffn
        self.heads = attention.heads
        self.before_attention, self.qkv = attention.layer_norm, attention.w_x_qkv
        own, text = attention.fc_x, attention.fc_h
        self.project = _linear(torch.cat([own.weight, text.weight], dim=1), own.bias + text.bias)
        self.before_feed = feed.layer_norm
        self.widen = _linear(feed.w_1.weight.squeeze(-1), feed.w_1.bias)
        self.narrow = _linear(feed.w_2.weight.squeeze(-1), feed.w_2.bias)

    @override
    def forward(
        self, x: Tensor, text: tuple[Tensor, Tensor], past: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = self.qkv(self.before_attention(x)).split(x.shape[-1], dim=-1)
        width = query.shape[-1] // self.heads
        query = query.reshape(self.heads, 1, width) * width**-0.5
        own = _attend(query, torch.cat([past[0], key]), torch.cat([past[1], value]))
        x = x + self.project(torch.cat([own, _attend(query, *text)], dim=-1))
        return x + self.narrow(F.relu(self.widen(self.before_feed(x)))), key, value


class DecoderGraph(nn.Module):
    """One autoregressive step; the caller keeps the caches and cuts the windows.

    frame [M], memory [D], and of each of L blocks memory_keys, memory_values [L, W, C] and past_keys, past_values
    [L, P, C], to frames [r, M] and this step's key and value [L, C].
    """

    def __init__(self, model: Sambert) -> None:
        super().__init__()
        self.decoder = model.mel_decoder.mel_dec
        self.blocks = nn.ModuleList(_Block(block) for block in self.decoder.blocks())

    @override
    def forward(
        self,
        frame: Tensor,
        memory: Tensor,
        memory_keys: Tensor,
        memory_values: Tensor,
        past_keys: Tensor,
        past_values: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        x = self.decoder.enter(memory.unsqueeze(0), frame.unsqueeze(0))
        windows = zip(*(kept.split(1) for kept in (memory_keys, memory_values, past_keys, past_values)), strict=True)
        keys, values = [], []
        for block, window in zip(self.blocks, windows, strict=True):
            text_keys, text_values, own_keys, own_values = (kept.squeeze(0) for kept in window)
            x, key, value = block(x, (text_keys, text_values), (own_keys, own_values))
            keys.append(key)
            values.append(value)
        frames = self.decoder.dec_out_proj(self.decoder.ln(x)).reshape(-1, self.decoder.n_mels)
        return frames, torch.cat(keys), torch.cat(values)
