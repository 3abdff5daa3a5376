"""Building blocks of SAMBERT: self-attention FFT blocks, PNCA blocks, FSMN memories and pre-nets.

Shapes are [batch, time, channels] throughout. A mask is True at valid positions. Statements about the reference
refer to the facts file §2; parameter names equal those of KAN-TTS checkpoints. All layer norms use eps 1e-6.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

__all__ = [
    "FftBlock",
    "Fsmn",
    "PncaBlock",
    "PreNet",
    "layer_norm",
    "merge_heads",
    "split_heads",
    "valid",
]


def valid(lengths: Tensor, size: int) -> Tensor:
    """Mask [B, size], True below each length."""
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


def layer_norm(width: int) -> nn.LayerNorm:
    """Layer norm with the reference's epsilon."""
    return nn.LayerNorm(width, eps=1e-6)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """[..., T, C] to [..., heads, T, C / heads]; heads are contiguous groups of channels."""
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


def merge_heads(x: Tensor) -> Tensor:
    """Undo `split_heads`."""
    return x.transpose(-3, -2).flatten(-2)


def masked(x: Tensor, mask: Tensor | None) -> Tensor:
    """Zero the invalid positions of x [B, T, C]."""
    return x if mask is None else x.masked_fill(~mask.unsqueeze(-1), 0.0)


class FeedForward(nn.Module):
    """Pre-norm convolutional feed-forward layer with residual."""

    def __init__(self, width: int, inner: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.layer_norm = layer_norm(width)
        self.w_1 = nn.Conv1d(width, inner, kernel, padding=kernel // 2)
        self.w_2 = nn.Conv1d(inner, width, 1)
        self.dropout = dropout

    @override
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        hidden = F.relu(self.w_1(self.layer_norm(x).transpose(1, 2)).transpose(1, 2))
        hidden = F.dropout(masked(hidden, mask), self.dropout, self.training)
        out = self.w_2(hidden.transpose(1, 2)).transpose(1, 2)
        return masked(x + F.dropout(out, self.dropout, self.training), mask)


class SelfAttention(nn.Module):
    """Pre-norm multi-head self-attention; the residual exists only where the widths match."""

    def __init__(self, inputs: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layer_norm = layer_norm(inputs)
        self.w_qkv = nn.Linear(inputs, 3 * width)
        self.fc = nn.Linear(width, width)
        self.heads, self.dropout, self.residual = heads, dropout, inputs == width

    @override
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        q, k, v = (split_heads(p, self.heads) for p in self.w_qkv(self.layer_norm(x)).chunk(3, dim=-1))
        allowed = None if mask is None else mask[:, None, None, :]
        dropout = self.dropout if self.training else 0.0
        out = self.fc(merge_heads(F.scaled_dot_product_attention(q, k, v, allowed, dropout)))
        out = F.dropout(out, self.dropout, self.training)
        return masked(x + out if self.residual else out, mask)


class FftBlock(nn.Module):
    """Self-attention then convolutional feed-forward."""

    def __init__(self, inputs: int, width: int, heads: int, inner: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.slf_attn = SelfAttention(inputs, width, heads, dropout)
        self.pos_ffn = FeedForward(width, inner, kernel, dropout)

    @override
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.pos_ffn(self.slf_attn(x, mask), mask)


class PncaAttention(nn.Module):
    """One query attends to past decoder states and to the text memory ahead ("hybrid attention")."""

    def __init__(self, width: int, memory: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layer_norm = layer_norm(width)
        self.w_x_qkv = nn.Linear(width, 3 * width)
        self.fc_x = nn.Linear(width, width)
        self.w_h_kv = nn.Linear(memory, 2 * width)
        self.fc_h = nn.Linear(width, width)
        self.heads, self.dropout = heads, dropout

    @override
    def forward(self, x: Tensor, memory: Tensor, past: Tensor, ahead: Tensor) -> Tensor:
        """Attend whole sequences; `past` and `ahead` [B, 1, S, S] are True where a query (row) may look."""
        q, k, v = (split_heads(p, self.heads) for p in self.w_x_qkv(self.layer_norm(x)).chunk(3, dim=-1))
        memory_k, memory_v = (split_heads(p, self.heads) for p in self.w_h_kv(memory).chunk(2, dim=-1))
        return x + self._fuse(q, (k, v, past), (memory_k, memory_v, ahead))

    def step(
        self,
        x: Tensor,
        past: tuple[Tensor, Tensor],
        memory: tuple[Tensor, Tensor],
        masks: tuple[Tensor | None, Tensor | None] = (None, None),
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Attend one step x [B, 1, C] to earlier keys and values [B, P, C] and the memory window [B, W, C].

        `masks` [B, 1, 1, P + 1] and [B, 1, 1, W] are True where there is something to attend to. Returns the output
        [B, 1, C] and this step's key and value [B, 1, C].
        """
        query, key, value = self.w_x_qkv(self.layer_norm(x)).chunk(3, dim=-1)
        keys, values = torch.cat([past[0], key], dim=1), torch.cat([past[1], value], dim=1)
        own = (split_heads(keys, self.heads), split_heads(values, self.heads), masks[0])
        text = (split_heads(memory[0], self.heads), split_heads(memory[1], self.heads), masks[1])
        return x + self._fuse(split_heads(query, self.heads), own, text), key, value

    def _fuse(
        self, q: Tensor, own: tuple[Tensor, Tensor, Tensor | None], text: tuple[Tensor, Tensor, Tensor | None]
    ) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        from_own = F.scaled_dot_product_attention(q, *own, dropout)
        from_text = F.scaled_dot_product_attention(q, *text, dropout)
        out = self.fc_x(merge_heads(from_own)) + self.fc_h(merge_heads(from_text))
        return F.dropout(out, self.dropout, self.training)


class PncaBlock(nn.Module):
    """PNCA attention then feed-forward (kernel 1)."""

    def __init__(self, width: int, memory: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.pnca_attn = PncaAttention(width, memory, heads, dropout)
        self.pos_ffn = FeedForward(width, inner, 1, dropout)

    @override
    def forward(self, x: Tensor, memory: Tensor, past: Tensor, ahead: Tensor) -> Tensor:
        return self.pos_ffn(self.pnca_attn(x, memory, past, ahead))


class _FsmnFeed(nn.Module):
    def __init__(self, inputs: int, inner: int, width: int) -> None:
        super().__init__()
        self.w_1 = nn.Conv1d(inputs, inner, 1)
        self.w_2 = nn.Conv1d(inner, width, 1, bias=False)


class _FsmnMemory(nn.Module):
    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv1d(width, width, size, groups=width, bias=False)


class Fsmn(nn.Module):
    """Feed-forward sequential memory network: depth-wise filters over time instead of recurrence.

    Zhang et al., "Deep-FSMN" (arXiv 1803.05030) §3. `shift` moves the filter towards the past.
    """

    def __init__(self, inputs: int, inner: int, width: int, layers: int, size: int, shift: int, dropout: float) -> None:
        super().__init__()
        widths = [inputs] + [width] * layers
        self.ffn_lst = nn.ModuleList(_FsmnFeed(a, inner, width) for a in widths[:-1])
        self.memory_block_lst = nn.ModuleList(_FsmnMemory(width, size) for _ in range(layers))
        left = (size - 1) // 2 + shift
        self.padding, self.dropout = (left, size - 1 - left), dropout

    def layers(self) -> "list[tuple[_FsmnFeed, _FsmnMemory]]":
        """Return each layer's two halves."""
        pairs = zip(self.ffn_lst, self.memory_block_lst, strict=True)
        return [(cast("_FsmnFeed", feed), cast("_FsmnMemory", memory)) for feed, memory in pairs]

    @override
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        for feed, memory in self.layers():
            hidden = F.dropout(F.relu(feed.w_1(x.transpose(1, 2))), self.dropout, self.training)
            context = masked(feed.w_2(hidden).transpose(1, 2), mask)
            spread = memory.conv_dw(F.pad(context.transpose(1, 2), self.padding)).transpose(1, 2)
            out = masked(F.dropout(spread + context, self.dropout, self.training), mask)
            out = F.dropout(out, self.dropout, self.training)
            x = out + x if x.shape[-1] == out.shape[-1] else out
        return x


class PreNet(nn.Module):
    """Linear layers with ReLU and dropout 0.5, off at inference; a last plain projection if `outputs` is given."""

    def __init__(self, inputs: int, widths: Sequence[int], outputs: int | None = None) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in widths:
            layers += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(0.5)]
            inputs = width
        if outputs is not None:
            layers.append(nn.Linear(inputs, outputs))
        self.fcs = nn.Sequential(*layers)

    @override
    def forward(self, x: Tensor) -> Tensor:
        return self.fcs(x)
