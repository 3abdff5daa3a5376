"""Text encoder of SAMBERT: symbol ids to hidden text (facts file §2).

Shapes: B utterances, N symbols.
"""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.layers import FftBlock, layer_norm

__all__ = ["TextEncoder"]


class SymbolPositions(nn.Module):
    """Sinusoids of the symbols' positions, from 1, added to the embedding: first half sines, second half cosines.

    Computed where they are needed, so that neither memory nor an exported graph bounds the length of a text.
    """

    inverse: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        half = width // 2
        powers = 10000.0 ** (-torch.arange(half, dtype=torch.float64) / (half - 1))
        self.register_buffer("inverse", powers.float(), persistent=False)

    @override
    def forward(self, x: Tensor) -> Tensor:
        positions = torch.arange(1, x.shape[1] + 1, device=x.device).to(self.inverse.dtype)
        angle = positions[:, None] * self.inverse
        return x + torch.cat([angle.sin(), angle.cos()], dim=1)


class LinguisticEncoder(nn.Module):
    """Stack of FFT blocks over the summed embeddings."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.position_enc = SymbolPositions(c.embedding)
        widths = [c.embedding] + [c.units] * (c.encoder_layers - 1)
        self.fft = nn.ModuleList(
            FftBlock(w, c.units, c.heads, c.encoder_inner, c.encoder_kernel, c.dropout) for w in widths
        )
        self.ln = layer_norm(c.units)
        self.dropout = c.dropout

    @override
    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = F.dropout(self.position_enc(x), self.dropout, self.training)
        for block in self.fft:
            x = block(x, mask)
        return self.ln(x)


class TextEncoder(nn.Module):
    """Symbol ids [B, N, 4] to hidden text [B, N, projection]."""

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
        """Sum the four embeddings and scale: [B, N, embedding]. This is also what the aligner reads."""
        tables = (self.sy_emb, self.tone_emb, self.syllable_flag_emb, self.ws_emb)
        return self.scale * torch.stack([t(ling[..., i]) for i, t in enumerate(tables)]).sum(dim=0)

    @override
    def forward(self, ling: Tensor, mask: Tensor | None) -> Tensor:
        return self.ling_proj(self.ling_enc(self.embed(ling), mask))
