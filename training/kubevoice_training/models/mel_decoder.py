"""Autoregressive PNCA mel decoder and post-net of SAMBERT (facts file §2).

Shapes: B utterances, T frames, S = T / r decoder steps, M mel bins.
"""

from math import sqrt
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.layers import Fsmn, PncaBlock, PreNet, layer_norm, valid

__all__ = ["MelDecoder", "MelDecoderHolder", "PostNet"]


class MelDecoder(nn.Module):
    """Autoregressive decoder: r frames a step from the last frame, the memory and past steps."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.prenet = PreNet(c.n_mels, c.decoder_prenet, c.decoder_units)
        self.dec_in_proj = nn.Linear(c.memory + c.decoder_units, c.decoder_units)
        self.pnca = nn.ModuleList(
            PncaBlock(c.decoder_units, c.memory, c.decoder_heads, c.decoder_inner, c.dropout)
            for _ in range(c.decoder_layers)
        )
        self.ln = layer_norm(c.decoder_units)
        self.dec_out_proj = nn.Linear(c.decoder_units, c.outputs_per_step * c.n_mels)
        self.scale, self.dropout, self.n_mels = sqrt(c.decoder_units), c.dropout, c.n_mels

    def blocks(self) -> list[PncaBlock]:
        """Return the attention blocks with their type, which nn.ModuleList forgets."""
        return [cast("PncaBlock", block) for block in self.pnca]

    def enter(self, memory: Tensor, previous: Tensor) -> Tensor:
        """Join memory [B, S, D] and the previous step's last frame [B, S, M]: [B, S, units]."""
        joined = self.scale * self.dec_in_proj(torch.cat([memory, self.prenet(previous)], dim=-1))
        return F.dropout(joined, self.dropout, self.training)

    def leave(self, x: Tensor) -> Tensor:
        """Project states [B, S, units] to frames [B, S * r, M]."""
        return self.dec_out_proj(self.ln(x)).unflatten(-1, (-1, self.n_mels)).flatten(1, 2)

    @override
    def forward(self, memory: Tensor, previous: Tensor, steps: Tensor, band: int | Tensor) -> Tensor:
        """Decode with true previous frames; `steps` [B] is how many decoder steps are valid."""
        x, size = self.enter(memory, previous), memory.shape[1]
        index = torch.arange(size, device=x.device)
        offset = index.unsqueeze(0) - index.unsqueeze(1)
        usable = valid(steps, size)[:, None, :] | ~valid(steps, size)[:, :, None]
        past = (((offset <= 0) & (offset >= -band)) & usable).unsqueeze(1)
        ahead = (((offset >= 0) & (offset <= band)) & usable).unsqueeze(1)
        for block in self.pnca:
            x = block(x, memory, past, ahead)
        return self.leave(x)

    def infer(self, memory: Tensor, steps: Tensor, bands: Tensor) -> Tensor:
        """Feed each step's last frame back; memory [B, S, D] to frames [B, S * r, M].

        `steps` and `bands` [B] are each utterance's own: what is beyond them is not seen.
        """
        size, widest = memory.shape[1], int(bands.max())
        frame = memory.new_zeros(len(memory), 1, self.n_mels)
        text = [block.pnca_attn.w_h_kv(memory).chunk(2, dim=-1) for block in self.blocks()]
        empty = memory.new_zeros(len(memory), 0, self.ln.normalized_shape[0])
        caches = [(empty, empty) for _ in self.pnca]
        frames = []
        for t in range(size):
            x = self.enter(memory[:, t : t + 1], frame)
            masks = _step_masks(t, steps, bands, caches[0][0].shape[1]) if len(memory) > 1 else (None, None)
            for i, block in enumerate(self.blocks()):
                window = (text[i][0][:, t : t + widest + 1], text[i][1][:, t : t + widest + 1])
                x, key, value = block.pnca_attn.step(x, caches[i], window, masks)
                x = block.pos_ffn(x)
                kept = slice(max(0, caches[i][0].shape[1] + 1 - widest), None)
                caches[i] = (
                    torch.cat([caches[i][0], key], dim=1)[:, kept],
                    torch.cat([caches[i][1], value], dim=1)[:, kept],
                )
            out = self.leave(x)
            frame = out[:, -1:]
            frames.append(out)
        return torch.cat(frames, dim=1)


def _step_masks(t: int, steps: Tensor, bands: Tensor, kept: int) -> tuple[Tensor, Tensor]:
    """Say which of `kept` past states and itself, and which memory states ahead, step `t` of each utterance sees.

    A step sees itself and its own memory even after its utterance's end, so that no row is empty.
    """
    back = torch.arange(kept, -1, -1, device=steps.device)
    ahead = torch.arange(min(int(bands.max()) + 1, int(steps.max()) - t), device=steps.device)
    past = back <= bands.unsqueeze(1)
    text = (ahead <= bands.unsqueeze(1)) & ((t + ahead < steps.unsqueeze(1)) | (ahead == 0))
    return past[:, None, None], text[:, None, None]


class MelDecoderHolder(nn.Module):
    """One level of naming that the checkpoints have."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.mel_dec = MelDecoder(c)


class PostNet(nn.Module):
    """Residual refinement of the mel, [B, T, M] to the same: FSMN leaning on the past, LSTM, projection."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.fsmn = Fsmn(
            c.n_mels,
            c.postnet_inner,
            c.postnet_memory,
            c.postnet_layers,
            c.postnet_filter_size,
            c.postnet_shift,
            c.dropout,
        )
        self.lstm = nn.LSTM(c.postnet_memory, c.postnet_lstm, batch_first=True)
        self.fc = nn.Linear(c.postnet_lstm, c.n_mels)

    @override
    def forward(self, mel: Tensor, mask: Tensor | None = None) -> Tensor:
        refined = mel + self.fc(self.lstm(self.fsmn(mel, mask))[0])
        return refined if mask is None else refined.masked_fill(~mask.unsqueeze(-1), 0.0)
