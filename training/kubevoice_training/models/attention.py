"""Attention of SAMBERT: FFT blocks of the text encoder, PNCA blocks of the mel decoder.

Shapes: B utterances, T symbols, S decoder steps, C channels, H attention heads. A mask is True at valid positions.
Parameter names equal those of KAN-TTS checkpoints; docs/reference/sambert.md describes each block.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from kubevoice_training.models.layers import FeedForward, layer_norm, zero_padding

__all__ = ["FftBlock", "PncaBlock", "merge_heads", "split_heads"]


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """Split channels into contiguous groups.

    Parameters
    ----------
    x : [..., T, C]
    num_heads : H, a divisor of C.

    Returns
    -------
    Tensor
        [..., H, T, C / H]
    """
    return x.unflatten(-1, (num_heads, -1)).transpose(-3, -2)


def merge_heads(x: Tensor) -> Tensor:
    """Undo `split_heads`.

    Parameters
    ----------
    x : [..., H, T, C / H]

    Returns
    -------
    Tensor
        [..., T, C]
    """
    return x.transpose(-3, -2).flatten(-2)


class SelfAttention(nn.Module):
    """Pre-norm multi-head self-attention; it has a residual connection only where the widths match.

    References
    ----------
    Vaswani et al., "Attention Is All You Need" (arXiv 1706.03762), section 3.2.
    """

    def __init__(self, d_in: int, d_model: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.layer_norm = layer_norm(d_in)
        self.w_qkv = nn.Linear(d_in, 3 * d_model)
        self.fc = nn.Linear(d_model, d_model)
        self.num_heads, self.dropout, self.residual = num_heads, dropout, d_in == d_model

    @override
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from every position to every valid one.

        Parameters
        ----------
        x : [B, T, d_in]
        mask : [B, T], optional

        Returns
        -------
        Tensor
            [B, T, d_model], zero outside the mask.
        """
        q, k, v = (split_heads(p, self.num_heads) for p in self.w_qkv(self.layer_norm(x)).chunk(3, dim=-1))
        attention_mask = None if mask is None else mask[:, None, None, :]
        dropout = self.dropout if self.training else 0.0
        out = self.fc(merge_heads(F.scaled_dot_product_attention(q, k, v, attention_mask, dropout)))
        out = F.dropout(out, self.dropout, self.training)
        return zero_padding(x + out if self.residual else out, mask)


class FftBlock(nn.Module):
    """Feed-forward Transformer (FFT) block: self-attention, then a convolutional feed-forward layer.

    References
    ----------
    Ren et al., "FastSpeech" (arXiv 1905.09263), section 3.1, here with pre-norm.
    """

    def __init__(self, d_in: int, d_model: int, num_heads: int, d_ff: int, kernel_size: int, dropout: float) -> None:
        super().__init__()
        self.slf_attn = SelfAttention(d_in, d_model, num_heads, dropout)
        self.pos_ffn = FeedForward(d_model, d_ff, kernel_size, dropout)

    @override
    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Apply attention and feed-forward.

        Parameters
        ----------
        x : [B, T, d_in]
        mask : [B, T], optional

        Returns
        -------
        Tensor
            [B, T, d_model], zero outside the mask.
        """
        return self.pos_ffn(self.slf_attn(x, mask), mask)


class PncaAttention(nn.Module):
    """Attention of PNCA: one query attends to past decoder states and to the text memory from its own step on.

    PNCA is the "hybrid attention" of KAN-TTS (docs/reference/sambert.md, mel decoder). Its masks are bands: see
    `models.sambert.attention_band_width`.
    """

    def __init__(self, d_model: int, d_memory: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.layer_norm = layer_norm(d_model)
        self.w_x_qkv = nn.Linear(d_model, 3 * d_model)
        self.fc_x = nn.Linear(d_model, d_model)
        self.w_h_kv = nn.Linear(d_memory, 2 * d_model)
        self.fc_h = nn.Linear(d_model, d_model)
        self.num_heads, self.dropout = num_heads, dropout

    @override
    def forward(self, x: Tensor, memory: Tensor, past_mask: Tensor, memory_mask: Tensor) -> Tensor:
        """Attend with whole sequences, as in training.

        Parameters
        ----------
        x : [B, S, d_model], decoder states.
        memory : [B, S, d_memory], text memory, a row for each decoder step.
        past_mask : [B, 1, S, S], True where a step (row) attends to a decoder state (column).
        memory_mask : [B, 1, S, S], the same for the text memory.

        Returns
        -------
        Tensor
            [B, S, d_model], with the residual connection.
        """
        q, k, v = (split_heads(p, self.num_heads) for p in self.w_x_qkv(self.layer_norm(x)).chunk(3, dim=-1))
        memory_k, memory_v = (split_heads(p, self.num_heads) for p in self.w_h_kv(memory).chunk(2, dim=-1))
        return x + self._attend(q, (k, v, past_mask), (memory_k, memory_v, memory_mask))

    def step(
        self,
        x: Tensor,
        kv_cache: tuple[Tensor, Tensor],
        memory_kv: tuple[Tensor, Tensor],
        masks: tuple[Tensor | None, Tensor | None] = (None, None),
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Attend with one decoder step, as at inference.

        Parameters
        ----------
        x : [B, 1, d_model]
        kv_cache : keys and values [B, P, d_model] of P earlier steps.
        memory_kv : keys and values [B, W, d_model] of the text memory within the band.
        masks : [B, 1, 1, P + 1] and [B, 1, 1, W], True where attended to; None attends to all.

        Returns
        -------
        tuple of Tensor
            The output, and this step's key and value; all [B, 1, d_model].
        """
        query, key, value = self.w_x_qkv(self.layer_norm(x)).chunk(3, dim=-1)
        keys, values = torch.cat([kv_cache[0], key], dim=1), torch.cat([kv_cache[1], value], dim=1)
        past = (split_heads(keys, self.num_heads), split_heads(values, self.num_heads), masks[0])
        memory = (split_heads(memory_kv[0], self.num_heads), split_heads(memory_kv[1], self.num_heads), masks[1])
        return x + self._attend(split_heads(query, self.num_heads), past, memory), key, value

    def _attend(
        self, q: Tensor, past: tuple[Tensor, Tensor, Tensor | None], memory: tuple[Tensor, Tensor, Tensor | None]
    ) -> Tensor:
        """Add up both attentions of q [B, H, S, C / H], each given as keys, values and mask: [B, S, C]."""
        dropout = self.dropout if self.training else 0.0
        from_past = F.scaled_dot_product_attention(q, *past, dropout)
        from_memory = F.scaled_dot_product_attention(q, *memory, dropout)
        out = self.fc_x(merge_heads(from_past)) + self.fc_h(merge_heads(from_memory))
        return F.dropout(out, self.dropout, self.training)


class PncaBlock(nn.Module):
    """PNCA attention, then a feed-forward layer of kernel size 1 (docs/reference/sambert.md, mel decoder)."""

    def __init__(self, d_model: int, d_memory: int, num_heads: int, d_ff: int, dropout: float) -> None:
        super().__init__()
        self.pnca_attn = PncaAttention(d_model, d_memory, num_heads, dropout)
        self.pos_ffn = FeedForward(d_model, d_ff, 1, dropout)

    @override
    def forward(self, x: Tensor, memory: Tensor, past_mask: Tensor, memory_mask: Tensor) -> Tensor:
        """Apply attention and feed-forward to S decoder steps.

        Parameters
        ----------
        x : [B, S, d_model], decoder states.
        memory : [B, S, d_memory], text memory, a row for each decoder step.
        past_mask, memory_mask : [B, 1, S, S], as for `PncaAttention.forward`.

        Returns
        -------
        Tensor
            [B, S, d_model].
        """
        return self.pos_ffn(self.pnca_attn(x, memory, past_mask, memory_mask))
