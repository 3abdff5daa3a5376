"""The network that a bundle's decoder graph is made of: one step of SAMBERT's decoder, in few operations.

A step multiplies so little that calling its operations takes most of its time. So the two projections of attention are
one, convolutions of one frame are plain products, and no shape is asked for; and a step may be of several utterances,
for all multiply with the same weights.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from kubevoice_training.models.attention import PncaBlock
from kubevoice_training.models.sambert import Sambert

__all__ = ["DecoderGraph"]


def _build_linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    linear = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    linear.weight.data = weight.detach()
    if bias is not None:
        linear.bias.data = bias.detach()
    return linear


def _attend(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Attend from query [B, H, 1, C] to keys and values [B, H, P, C], mask [B, 1, 1, P] added: [B, H * C]."""
    _, heads, _, width = values.shape
    return (torch.softmax(query @ keys.transpose(-1, -2) + mask, dim=-1) @ values).reshape(-1, int(heads) * int(width))


class _Block(nn.Module):
    """One block of attention and feed-forward; the window of the text and what was kept of the past are given."""

    def __init__(self, source: PncaBlock) -> None:
        super().__init__()
        attention, feed = source.pnca_attn, source.pos_ffn
        own, text = attention.fc_x, attention.fc_h
        self.before_attention, self.qkv = attention.layer_norm, attention.w_x_qkv
        self.heads, self.units = attention.num_heads, self.qkv.out_features // 3
        self.width = self.units // self.heads
        self.project = _build_linear(torch.cat([own.weight, text.weight], dim=1), own.bias + text.bias)
        self.before_feed = feed.layer_norm
        self.widen = _build_linear(feed.w_1.weight.squeeze(-1), feed.w_1.bias)
        self.narrow = _build_linear(feed.w_2.weight.squeeze(-1), feed.w_2.bias)

    @override
    def forward(
        self, x: Tensor, text: tuple[Tensor, Tensor, Tensor], past: tuple[Tensor, Tensor, Tensor]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Apply one block to x [B, units]; `text` and `past` are keys, values and additive mask.

        Returns the output [B, units] and this step's key and value [B, H, 1, C].
        """
        joined = self.qkv(self.before_attention(x)).split(self.units, dim=-1)
        query, key, value = (part.reshape(-1, self.heads, 1, self.width) for part in joined)
        query = query * self.width**-0.5
        own = _attend(query, torch.cat([key, past[0]], dim=2), torch.cat([value, past[1]], dim=2), past[2])
        x = x + self.project(torch.cat([own, _attend(query, *text)], dim=-1))
        return x + self.narrow(F.relu(self.widen(self.before_feed(x)))), key, value


class DecoderGraph(nn.Module):
    """One autoregressive step of B utterances; the caller keeps the KV cache and cuts the bands.

    Input names are part of a bundle's format (docs/bundle.md).
    """

    def __init__(self, model: Sambert) -> None:
        super().__init__()
        self.decoder = model.mel_decoder.mel_dec
        self.outputs_per_step, self.heads = model.config.outputs_per_step, model.config.decoder_heads
        self.blocks = nn.ModuleList(_Block(block) for block in self.decoder.get_blocks())

    @override
    def forward(
        self,
        frame: Tensor,
        memory: Tensor,
        memory_keys: Tensor,
        memory_values: Tensor,
        memory_mask: Tensor,
        past_keys: Tensor,
        past_values: Tensor,
        past_mask: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Decode one step.

        Parameters
        ----------
        frame : [B, M], the previous step's last frame.
        memory : [B, d_memory], this step's text memory.
        memory_keys, memory_values : [B, L * H, W, C], of the H heads of each of L blocks, for W steps within the band.
        memory_mask : [B, 1, W], added to the attention scores.
        past_keys, past_values : [B, L * H, P, C], the KV cache of P past steps.
        past_mask : [B, 1, 1 + P], added to the attention scores; the step itself comes first.

        Returns
        -------
        frames : [B, r, M]
        key, value : [B, L * H, 1, C], this step's.
        """
        x = self.decoder.project_input(memory, frame)
        memory_mask, past_mask = memory_mask.unsqueeze(2), past_mask.unsqueeze(2)
        caches = (memory_keys, memory_values, past_keys, past_values)
        windows = zip(*(cache.split(self.heads, dim=1) for cache in caches), strict=True)
        keys, values = [], []
        for block, (text_keys, text_values, own_keys, own_values) in zip(self.blocks, windows, strict=True):
            x, key, value = block(x, (text_keys, text_values, memory_mask), (own_keys, own_values, past_mask))
            keys.append(key)
            values.append(value)
        frames = self.decoder.dec_out_proj(self.decoder.ln(x))
        frames = frames.reshape(-1, self.outputs_per_step, self.decoder.n_mels)
        return frames, torch.cat(keys, dim=1), torch.cat(values, dim=1)
