"""Text encoder of SAMBERT: symbol ids to hidden text (docs/reference/sambert.md, text encoder).

Shapes: B utterances, T_text symbols.
"""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from kubevoice_training.models.attention import FftBlock
from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.layers import layer_norm

__all__ = ["TextEncoder"]


class PositionalEncoding(nn.Module):
    """Sinusoidal encoding of symbol positions, counted from 1: sines in the first half of the channels, then cosines.

    It is computed for each text. Checkpoints hold a table instead, which would limit the length of a text.

    References
    ----------
    Vaswani et al., "Attention Is All You Need" (arXiv 1706.03762), section 3.5.
    """

    inverse_frequencies: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        powers = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / (half - 1))
        self.register_buffer("inverse_frequencies", powers.float(), persistent=False)

    @override
    def forward(self, x: Tensor) -> Tensor:
        """Add the encoding to embedded symbols.

        Parameters
        ----------
        x : [B, T_text, width]

        Returns
        -------
        Tensor
            [B, T_text, width]
        """
        positions = torch.arange(1, x.shape[1] + 1, device=x.device).to(self.inverse_frequencies.dtype)
        angle = positions[:, None] * self.inverse_frequencies
        return x + torch.cat([angle.sin(), angle.cos()], dim=1)


class LinguisticEncoder(nn.Module):
    """Stack of FFT blocks over the embedded symbols, and a last layer norm."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.position_enc = PositionalEncoding(c.embedding)
        widths = [c.embedding] + [c.units] * (c.encoder_layers - 1)
        self.fft = nn.ModuleList(
            FftBlock(width, c.units, c.heads, c.encoder_inner, c.encoder_kernel, c.dropout) for width in widths
        )
        self.ln = layer_norm(c.units)
        self.dropout = c.dropout

    @override
    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Encode embedded symbols.

        Parameters
        ----------
        x : [B, T_text, embedding]
        mask : [B, T_text], True at symbols, or None if all are valid.

        Returns
        -------
        Tensor
            [B, T_text, units]
        """
        x = F.dropout(self.position_enc(x), self.dropout, self.training)
        for block in self.fft:
            x = block(x, mask)
        return self.ln(x)


class TextEncoder(nn.Module):
    """Embeddings of the four streams of symbol ids, and the encoder over their sum."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.sy_emb = nn.Embedding(c.sy, c.embedding)
        self.tone_emb = nn.Embedding(c.tone, c.embedding)
        self.syllable_flag_emb = nn.Embedding(c.syllable_flag, c.embedding)
        self.ws_emb = nn.Embedding(c.word_segment, c.embedding)
        self.ling_enc = LinguisticEncoder(c)
        self.ling_proj = nn.Linear(c.units, c.projection, bias=False)
        self.scale = sqrt(c.units)
        for table in (self.sy_emb, self.tone_emb, self.syllable_flag_emb, self.ws_emb):
            nn.init.normal_(table.weight, std=0.1)

    def embed(self, ling: Tensor) -> Tensor:
        """Sum up the four embeddings and scale the sum; the aligner reads this too.

        Parameters
        ----------
        ling : [B, T_text, 4], ids of phone (sy), tone, syllable flag and word segment.

        Returns
        -------
        Tensor
            [B, T_text, embedding]
        """
        tables = (self.sy_emb, self.tone_emb, self.syllable_flag_emb, self.ws_emb)
        return self.scale * torch.stack([t(ling[..., i]) for i, t in enumerate(tables)]).sum(dim=0)

    @override
    def forward(self, ling: Tensor, mask: Tensor | None) -> Tensor:
        """Encode symbols.

        Parameters
        ----------
        ling : [B, T_text, 4], ids; see `embed`.
        mask : [B, T_text], True at symbols, or None if all are valid.

        Returns
        -------
        Tensor
            Hidden text [B, T_text, projection].
        """
        return self.ling_proj(self.ling_enc(self.embed(ling), mask))
