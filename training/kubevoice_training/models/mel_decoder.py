"""Autoregressive PNCA mel decoder and post-net of SAMBERT (docs/reference/sambert.md, mel decoder and postnet).

Shapes: B utterances, T_mel frames, r frames a decoder step, S = T_mel / r decoder steps, M mel bins.
"""

from math import sqrt
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import override

from kubevoice_training.models.attention import PncaBlock
from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.layers import Fsmn, PreNet, layer_norm, sequence_mask

__all__ = ["MelDecoder", "MelDecoderHolder", "PostNet"]


class MelDecoder(nn.Module):
    """Decoder of r frames a step from the previous step's last frame, the text memory and past states."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.prenet = PreNet(c.n_mels, c.decoder_prenet, c.decoder_units)
        self.dec_in_proj = nn.Linear(c.memory_width + c.decoder_units, c.decoder_units)
        self.pnca = nn.ModuleList(
            PncaBlock(c.decoder_units, c.memory_width, c.decoder_heads, c.decoder_inner, c.dropout)
            for _ in range(c.decoder_layers)
        )
        self.ln = layer_norm(c.decoder_units)
        self.dec_out_proj = nn.Linear(c.decoder_units, c.outputs_per_step * c.n_mels)
        self.scale, self.dropout, self.n_mels = sqrt(c.decoder_units), c.dropout, c.n_mels

    def get_blocks(self) -> list[PncaBlock]:
        """Return the attention blocks with their type, which nn.ModuleList does not keep.

        Returns
        -------
        list of PncaBlock
            The blocks, first to last.
        """
        return [cast("PncaBlock", block) for block in self.pnca]

    def project_input(self, memory: Tensor, previous_frames: Tensor) -> Tensor:
        """Join the memory and the previous step's last frame.

        Parameters
        ----------
        memory : [..., d_memory]
        previous_frames : [..., M]

        Returns
        -------
        Tensor
            [..., units]
        """
        joined = self.scale * self.dec_in_proj(torch.cat([memory, self.prenet(previous_frames)], dim=-1))
        return F.dropout(joined, self.dropout, self.training)

    def project_output(self, x: Tensor) -> Tensor:
        """Project states to frames.

        Parameters
        ----------
        x : [B, S, units]

        Returns
        -------
        Tensor
            Mel [B, S * r, M].
        """
        return self.dec_out_proj(self.ln(x)).unflatten(-1, (-1, self.n_mels)).flatten(1, 2)

    @override
    def forward(
        self, memory: Tensor, previous_frames: Tensor, step_lengths: Tensor, band_width: int | Tensor
    ) -> Tensor:
        """Decode with given previous frames (teacher forcing).

        Parameters
        ----------
        memory : [B, S, d_memory], from `Sambert.build_memory`.
        previous_frames : [B, S, M], the last frame before each step.
        step_lengths : [B], valid decoder steps.
        band_width : decoder steps that attention reaches back, and ahead in the memory.

        Returns
        -------
        Tensor
            Mel [B, S * r, M].
        """
        x, steps = self.project_input(memory, previous_frames), memory.shape[1]
        index = torch.arange(steps, device=x.device)
        offset = index.unsqueeze(0) - index.unsqueeze(1)
        mask = sequence_mask(step_lengths, steps)
        # A padded step sees everything within the band, so that no row of the softmax is empty.
        visible = mask[:, None, :] | ~mask[:, :, None]
        past_mask = (((offset <= 0) & (offset >= -band_width)) & visible).unsqueeze(1)
        memory_mask = (((offset >= 0) & (offset <= band_width)) & visible).unsqueeze(1)
        for block in self.pnca:
            x = block(x, memory, past_mask, memory_mask)
        return self.project_output(x)

    def infer(self, memory: Tensor, step_lengths: Tensor, band_widths: Tensor) -> Tensor:
        """Decode with the model's own previous frames.

        Parameters
        ----------
        memory : [B, S, d_memory]
        step_lengths, band_widths : [B], each utterance's own; an utterance sees nothing beyond them.

        Returns
        -------
        Tensor
            Mel [B, S * r, M].
        """
        steps, widest = memory.shape[1], int(band_widths.max())
        frame = memory.new_zeros(len(memory), 1, self.n_mels)
        memory_kv = [block.pnca_attn.w_h_kv(memory).chunk(2, dim=-1) for block in self.get_blocks()]
        empty = memory.new_zeros(len(memory), 0, self.ln.normalized_shape[0])
        kv_cache = [(empty, empty) for _ in self.pnca]
        frames = []
        for t in range(steps):
            x = self.project_input(memory[:, t : t + 1], frame)
            cached = kv_cache[0][0].shape[1]
            masks = _build_step_masks(t, step_lengths, band_widths, cached) if len(memory) > 1 else (None, None)
            within_band = slice(max(0, cached + 1 - widest), None)
            for i, block in enumerate(self.get_blocks()):
                window = (memory_kv[i][0][:, t : t + widest + 1], memory_kv[i][1][:, t : t + widest + 1])
                x, key, value = block.pnca_attn.step(x, kv_cache[i], window, masks)
                x = block.pos_ffn(x)
                kv_cache[i] = (
                    torch.cat([kv_cache[i][0], key], dim=1)[:, within_band],
                    torch.cat([kv_cache[i][1], value], dim=1)[:, within_band],
                )
            out = self.project_output(x)
            frame = out[:, -1:]
            frames.append(out)
        return torch.cat(frames, dim=1)


def _build_step_masks(t: int, step_lengths: Tensor, band_widths: Tensor, cached: int) -> tuple[Tensor, Tensor]:
    """Return what step `t` of each utterance attends to of the `cached` past states and itself, and of the memory.

    A step attends to itself and its own memory even after its utterance's end, so that no row is empty.
    """
    back = torch.arange(cached, -1, -1, device=step_lengths.device)
    ahead = torch.arange(min(int(band_widths.max()) + 1, int(step_lengths.max()) - t), device=step_lengths.device)
    past_mask = back <= band_widths.unsqueeze(1)
    memory_mask = (ahead <= band_widths.unsqueeze(1)) & ((t + ahead < step_lengths.unsqueeze(1)) | (ahead == 0))
    return past_mask[:, None, None], memory_mask[:, None, None]


class MelDecoderHolder(nn.Module):
    """A level of naming that checkpoints have (`mel_decoder.mel_dec`); it has no forward of its own."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.mel_dec = MelDecoder(c)


class PostNet(nn.Module):
    """Residual refinement of the mel: FSMN shifted towards the past, LSTM and a linear layer."""

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
        """Refine the decoder's mel.

        Parameters
        ----------
        mel : [B, T_mel, M]
        mask : [B, T_mel], optional
            True at valid frames.

        Returns
        -------
        Tensor
            [B, T_mel, M], zero outside the mask.
        """
        refined = mel + self.fc(self.lstm(self.fsmn(mel, mask))[0])
        return refined if mask is None else refined.masked_fill(~mask.unsqueeze(-1), 0.0)
