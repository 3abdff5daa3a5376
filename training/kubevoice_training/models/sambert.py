"""SAMBERT: text encoder, variance adaptor, autoregressive PNCA mel decoder and post-net.

The network of KAN-TTS / ModelScope voices (facts file §2), configurable in size; parameter names equal those of
their checkpoints. Shapes: B utterances, N symbols, T frames, S = T / r decoder steps, M mel bins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from typing_extensions import override

from kubevoice_training.models.aligner import AlignAttention
from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.layers import valid
from kubevoice_training.models.mel_decoder import MelDecoderHolder, PostNet
from kubevoice_training.models.text_encoder import TextEncoder
from kubevoice_training.models.variance import VarianceAdaptor

__all__ = [
    "Batch",
    "Output",
    "Sambert",
    "band_width",
    "regulate",
]


@dataclass(slots=True)
class Batch:
    """Teacher-forcing input. The symbol axis has one slot more than the longest text: it takes the frame padding."""

    ling: Tensor
    """[B, N + 1, 4] ids: sy, tone, syllable flag, word segment."""
    emotion: Tensor
    speaker: Tensor
    symbols: Tensor
    """[B] valid symbols."""
    mel: Tensor
    """[B, T, M], T a multiple of r."""
    frames: Tensor
    """[B] valid frames."""
    durations: Tensor
    """[B, N + 1] frames a symbol; rows sum to T."""
    pitch: Tensor
    energy: Tensor
    band: int | Tensor | None = None
    """How far attention looks, if these are not all utterances of a step or it lies on the device; see `band_width`."""


@dataclass(slots=True)
class Output:
    """What the network predicts for a batch; log_durations, pitch and energy are zero beyond the symbols."""

    decoder: Tensor
    postnet: Tensor
    log_durations: Tensor
    pitch: Tensor
    energy: Tensor
    band: int | Tensor = field(default=0)


def band_width(durations: Tensor, step: int) -> int:
    """How many decoder steps attention may look back and ahead: the longest symbol, in steps, rounded."""
    return int(durations.max().item() / step + 0.5)


def regulate(x: Tensor, durations: Tensor, total: int | None = None) -> Tensor:
    """Repeat rows of x [B, N, C] by integer durations [B, N] whose rows have equal sums T: [B, T, C].

    With `total`, which is T, nothing has to be read back from a GPU.
    """
    size = None if total is None else total * len(x)
    repeated = x.flatten(0, 1).repeat_interleave(durations.flatten(), dim=0, output_size=size)
    return repeated.unflatten(0, (len(x), -1))


def places_in_symbol(durations: Tensor, total: int | None = None) -> Tensor:
    """Number the frames of each symbol from 1; durations [B, N], whose rows have equal sums T, to [B, T]."""
    starts = regulate((durations.cumsum(1) - durations).unsqueeze(-1), durations, total).squeeze(-1)
    return torch.arange(1, starts.shape[1] + 1, device=durations.device) - starts


class Sambert(nn.Module):
    """The whole acoustic model."""

    def __init__(self, config: SambertConfig) -> None:
        super().__init__()
        self.config = config
        self.text_encoder = TextEncoder(config)
        self.spk_tokenizer = nn.Embedding(config.speakers, config.speaker_units)
        self.emo_tokenizer = nn.Embedding(config.emotions, config.emotion_units)
        self.variance_adaptor = VarianceAdaptor(config)
        self.mel_decoder = MelDecoderHolder(config)
        self.mel_postnet = PostNet(config)
        if config.alignment:
            self.align_attention = AlignAttention(config.embedding, config.n_mels)

    def memory(
        self, text: Tensor, speaker: Tensor, emotion: Tensor, durations: Tensor, frame_mask: Tensor | None = None
    ) -> Tensor:
        """Spread symbols over frames and fold r frames into a step: [B, S, D].

        text, speaker, emotion are [B, N, C]. Rows of `durations` [B, N] have equal sums; frames outside
        `frame_mask` and those that fill the last step are zero but for their place, which is 0.
        """
        r = self.config.outputs_per_step
        symbols = torch.cat([text, speaker, emotion], dim=-1)
        total = None if frame_mask is None else frame_mask.shape[1]
        frames = regulate(symbols, durations, total)
        places = places_in_symbol(durations, total)
        if frame_mask is not None:
            frames = frames.masked_fill(~frame_mask.unsqueeze(-1), 0.0)
            places = places.masked_fill(~frame_mask, 0)
        short = -frames.shape[1] % r
        frames, places = F.pad(frames, (0, 0, 0, short)), F.pad(places, (0, short))
        width = self.config.projection
        spoken = frames[..., :width] + self.variance_adaptor.dur_position_encoder(places)
        folded = spoken.unflatten(1, (-1, r)).flatten(2)
        return torch.cat([folded, frames[:, ::r, width:]], dim=-1)

    @override
    def forward(self, batch: Batch) -> Output:
        """Predict everything with the true durations, pitch, energy and previous frames given."""
        r, size = self.config.outputs_per_step, batch.ling.shape[1]
        mask = valid(batch.symbols, size)
        text = self.text_encoder(batch.ling, mask)
        speaker, emotion = self.spk_tokenizer(batch.speaker), self.emo_tokenizer(batch.emotion)
        adaptor = self.variance_adaptor
        condition = torch.cat([text, speaker, emotion], dim=-1)
        pitch = adaptor.pitch_predictor(condition, batch.symbols)
        energy = adaptor.energy_predictor(condition, batch.symbols)
        text = adaptor.augment(text, batch.pitch, batch.energy)
        condition = torch.cat([text, speaker, emotion], dim=-1)
        log_durations = adaptor.duration_predictor(condition, batch.durations).masked_fill(~mask, 0.0)

        frame_mask = valid(batch.frames, batch.mel.shape[1])
        memory = self.memory(text, speaker, emotion, batch.durations, frame_mask)
        previous = F.pad(batch.mel[:, r - 1 :: r], (0, 0, 1, 0))[:, :-1]
        band = band_width(batch.durations.masked_fill(~mask, 0), r) if batch.band is None else batch.band
        steps = frame_mask[:, ::r].sum(dim=1)
        if self.training:
            previous = self._own_frames(memory, previous, steps, band)
        decoded = self.mel_decoder.mel_dec(memory, previous, steps, band)
        decoded = decoded.masked_fill(~frame_mask.unsqueeze(-1), 0.0)
        refined = self.mel_postnet(decoded, frame_mask)
        return Output(decoded, refined, log_durations, pitch, energy, band)

    @torch.no_grad()
    def _own_frames(self, memory: Tensor, previous: Tensor, steps: Tensor, band: int | Tensor) -> Tensor:
        """Mix the true previous frames [B, S, M] with the model's own, and drop some.

        A decoder that only ever sees true frames learns to copy them and fails on its own output. This is parallel
        scheduled sampling (Duckworth et al. 2019, arXiv:1906.04331) with, in each utterance, a share of dropped and
        a share of own frames drawn evenly from 0..1.
        """
        batch, size, _ = previous.shape
        shares = torch.rand(2, batch, 1, 1, device=previous.device)
        dropped, own = torch.rand(2, batch, size, 1, device=previous.device) < shares
        kept = previous.masked_fill(dropped, 0.0)
        spoken = self.mel_decoder.mel_dec(memory, kept, steps, band)[
            :, self.config.outputs_per_step - 1 :: self.config.outputs_per_step
        ]
        shifted = F.pad(spoken, (0, 0, 1, 0))[:, :-1]
        return torch.where(own, shifted, kept)

    @torch.inference_mode()
    def infer(self, ling: Tensor, emotion: Tensor, speaker: Tensor) -> dict[str, Tensor]:
        """Speak one utterance: ling [N, 4], emotion [N], speaker [N] to mel [T, M] and what led to it.

        Raises ValueError if every duration rounds to zero.
        """
        return self.infer_batch([ling], [emotion], [speaker])[0]

    @torch.inference_mode()
    def infer_batch(
        self, lings: Sequence[Tensor], emotions: Sequence[Tensor], speakers: Sequence[Tensor]
    ) -> list[dict[str, Tensor]]:
        """Speak several utterances at once; each comes out as `infer` alone would speak it.

        Raises ValueError if every duration of one rounds to zero.
        """
        r, sizes = self.config.outputs_per_step, [len(ling) for ling in lings]
        symbols = torch.tensor(sizes, device=lings[0].device)
        # One by one: normalised padding is not zero, and the encoder's filters reach one symbol into it.
        texts = [self.text_encoder(ling.unsqueeze(0), None)[0] for ling in lings]
        text = pad_sequence(texts, batch_first=True)
        spk = self.spk_tokenizer(pad_sequence(list(speakers), batch_first=True))
        emo = self.emo_tokenizer(pad_sequence(list(emotions), batch_first=True))
        adaptor = self.variance_adaptor
        condition = torch.cat([text, spk, emo], dim=-1)
        pitch, energy = adaptor.pitch_predictor(condition, symbols), adaptor.energy_predictor(condition, symbols)
        text = adaptor.augment(text, pitch, energy)
        log_durations = adaptor.duration_predictor.infer(torch.cat([text, spk, emo], dim=-1))
        exact = [log_durations[i, :n].exp() - 1.0 for i, n in enumerate(sizes)]
        whole = [(item + 0.5).long() for item in exact]
        totals = torch.stack([item.sum() for item in whole])
        if 0 in totals:
            raise ValueError("every symbol got a duration of zero frames")
        bands = torch.tensor([band_width(item, r) for item in exact], device=symbols.device)
        memories = [
            self.memory(text[i : i + 1, :n], spk[i : i + 1, :n], emo[i : i + 1, :n], whole[i].unsqueeze(0))[0]
            for i, n in enumerate(sizes)
        ]
        steps = torch.tensor([len(memory) for memory in memories], device=symbols.device)
        decoded = self.mel_decoder.mel_dec.infer(pad_sequence(memories, batch_first=True), steps, bands)
        frames = valid(totals, int(totals.max()))
        decoded = decoded[:, : frames.shape[1]].masked_fill(~frames.unsqueeze(-1), 0.0)
        refined = self.mel_postnet(decoded, frames)
        return [
            {
                "log_durations": log_durations[i, :n],
                "durations_float": exact[i],
                "durations": whole[i],
                "pitch": pitch[i, :n],
                "energy": energy[i, :n],
                "dec_outputs": decoded[i, : int(totals[i])],
                "postnet_outputs": refined[i, : int(totals[i])],
                "band": bands[i],
            }
            for i, n in enumerate(sizes)
        ]
