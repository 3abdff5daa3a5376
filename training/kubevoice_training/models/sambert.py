"""SAMBERT: text encoder, variance adaptor, autoregressive PNCA mel decoder and post-net.

The network of KAN-TTS / ModelScope voices (facts file §2), configurable in size; parameter names equal those of
their checkpoints. Shapes: B utterances, N symbols, T frames, S = T / r decoder steps, M mel bins.
"""

from dataclasses import dataclass, field
from math import sqrt
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from typing_extensions import override

from kubevoice_training.models.aligner import AlignAttention
from kubevoice_training.models.layers import (
    FftBlock,
    Fsmn,
    PncaBlock,
    PreNet,
    layer_norm,
)

__all__ = ["Batch", "Output", "Sambert", "SambertConfig", "band_width", "regulate"]


@dataclass(frozen=True, slots=True)
class SambertConfig:
    """Sizes; the defaults are the reference's 24 kHz configuration (12.3 M parameters)."""

    sy: int = 147
    tone: int = 10
    syllable_flag: int = 8
    word_segment: int = 8
    speakers: int = 4
    emotions: int = 36
    embedding: int = 512
    units: int = 128
    heads: int = 8
    encoder_layers: int = 8
    encoder_inner: int = 1024
    projection: int = 32
    speaker_units: int = 32
    emotion_units: int = 32
    predictor_layers: int = 3
    predictor_inner: int = 256
    predictor_memory: int = 128
    predictor_lstm: int = 128
    filter_size: int = 41
    duration_prenet: tuple[int, ...] = (128, 128)
    decoder_layers: int = 12
    decoder_inner: int = 1024
    decoder_prenet: tuple[int, ...] = (256, 256)
    outputs_per_step: int = 3
    n_mels: int = 80
    postnet_layers: int = 4
    postnet_inner: int = 512
    postnet_memory: int = 256
    postnet_shift: int = 17
    postnet_lstm: int = 128
    dropout: float = 0.1
    alignment: bool = True

    @property
    def condition(self) -> int:
        """Width of [text | speaker | emotion]."""
        return self.projection + self.speaker_units + self.emotion_units

    @property
    def memory(self) -> int:
        """Width of one decoder step's memory: r frames of text, one speaker, one emotion."""
        return self.projection * self.outputs_per_step + self.speaker_units + self.emotion_units


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


@dataclass(slots=True)
class Output:
    """What the network predicts for a batch; log_durations, pitch and energy are zero beyond the symbols."""

    decoder: Tensor
    postnet: Tensor
    log_durations: Tensor
    pitch: Tensor
    energy: Tensor
    band: int = field(default=0)


def valid(lengths: Tensor, size: int) -> Tensor:
    """Mask [B, size], True below each length."""
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


def band_width(durations: Tensor, step: int) -> int:
    """How many decoder steps attention may look back and ahead: the longest symbol, in steps, rounded."""
    return int(durations.max().item() / step + 0.5)


def regulate(x: Tensor, durations: Tensor) -> Tensor:
    """Repeat rows of x [B, N, C] by integer durations [B, N] whose rows have equal sums T: [B, T, C]."""
    return torch.stack([row.repeat_interleave(repeats, dim=0) for row, repeats in zip(x, durations, strict=True)])


def places_in_symbol(durations: Tensor) -> Tensor:
    """Number the frames of each symbol from 1; durations [N] to [sum]."""
    starts = (durations.cumsum(0) - durations).repeat_interleave(durations)
    return torch.arange(1, len(starts) + 1, device=durations.device) - starts


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
        self.fft = nn.ModuleList(FftBlock(w, c.units, c.heads, c.encoder_inner, c.dropout) for w in widths)
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


class VariancePredictor(nn.Module):
    """Pitch or energy per symbol: FSMN, bidirectional LSTM, projection; [B, N, C] to [B, N]."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.fsmn = Fsmn(
            c.condition, c.predictor_inner, c.predictor_memory, c.predictor_layers, c.filter_size, 0, c.dropout
        )
        self.blstm = nn.LSTM(c.predictor_memory, c.predictor_lstm, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(2 * c.predictor_lstm, 1)

    @override
    def forward(self, x: Tensor, symbols: Tensor | None = None) -> Tensor:
        if symbols is None:
            return self.fc(self.blstm(self.fsmn(x))[0]).squeeze(-1)
        mask = valid(symbols, x.shape[1])
        packed = pack_padded_sequence(self.fsmn(x, mask), symbols.cpu(), batch_first=True, enforce_sorted=False)
        hidden, _ = pad_packed_sequence(self.blstm(packed)[0], batch_first=True, total_length=x.shape[1])
        return self.fc(hidden).squeeze(-1).masked_fill(~mask, 0.0)


class DurationPredictor(nn.Module):
    """log(duration + 1) per symbol, autoregressive over symbols."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.prenet = PreNet(1, c.duration_prenet)
        self.lstm = nn.LSTM(c.duration_prenet[-1] + c.condition, c.predictor_lstm, num_layers=2, batch_first=True)
        self.fc = nn.Linear(c.predictor_lstm, 1)

    @override
    def forward(self, condition: Tensor, durations: Tensor) -> Tensor:
        """Predict with true previous durations [B, N]; returns [B, N]."""
        previous = F.pad(torch.log(durations[:, :-1].float() + 1.0), (1, 0)).unsqueeze(-1)
        hidden, _ = self.lstm(torch.cat([self.prenet(previous), condition], dim=-1))
        return F.relu(self.fc(hidden)).squeeze(-1)

    def infer(self, condition: Tensor) -> Tensor:
        """Feed each prediction back; condition [1, N, C] to [1, N]."""
        previous = condition.new_zeros(1, 1, 1)
        state: tuple[Tensor, Tensor] | None = None
        predicted = []
        for n in range(condition.shape[1]):
            hidden, state = self.lstm(torch.cat([self.prenet(previous), condition[:, n : n + 1]], -1), state)
            previous = F.relu(self.fc(hidden))
            predicted.append(previous)
        return torch.cat(predicted, dim=1).squeeze(-1)


class DurationPositionEncoder(nn.Module):
    """Place of each frame within its symbol."""

    inv_timescales: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        divisors = 10000.0 ** (2.0 * (torch.arange(width) // 2) / width)
        self.register_buffer("inv_timescales", divisors)

    @override
    def forward(self, places: Tensor) -> Tensor:
        """Encode places [B, T], 1 = first frame of its symbol, 0 = padding: [B, T, width]."""
        angle = places.unsqueeze(-1).float() / self.inv_timescales
        even = torch.arange(angle.shape[-1], device=angle.device) % 2 == 0
        return torch.where(even, angle.sin(), angle.cos())


class VarianceAdaptor(nn.Module):
    """Pitch, energy and duration, predicted and applied."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.pitch_predictor = VariancePredictor(c)
        self.energy_predictor = VariancePredictor(c)
        self.duration_predictor = DurationPredictor(c)
        self.dur_position_encoder = DurationPositionEncoder(c.projection)
        self.pitch_emb = nn.Conv1d(1, c.projection, 9, padding=4)
        self.energy_emb = nn.Conv1d(1, c.projection, 9, padding=4)

    def augment(self, text: Tensor, pitch: Tensor, energy: Tensor) -> Tensor:
        """Add embedded pitch and energy [B, N] to the hidden text [B, N, C]."""
        added = self.pitch_emb(pitch.unsqueeze(1)) + self.energy_emb(energy.unsqueeze(1))
        return text + added.transpose(1, 2)


class MelDecoder(nn.Module):
    """Autoregressive decoder: r frames a step from the last frame, the memory and past steps."""

    def __init__(self, c: SambertConfig) -> None:
        super().__init__()
        self.prenet = PreNet(c.n_mels, c.decoder_prenet, c.units)
        self.dec_in_proj = nn.Linear(c.memory + c.units, c.units)
        self.pnca = nn.ModuleList(
            PncaBlock(c.units, c.memory, c.heads, c.decoder_inner, c.dropout) for _ in range(c.decoder_layers)
        )
        self.ln = layer_norm(c.units)
        self.dec_out_proj = nn.Linear(c.units, c.outputs_per_step * c.n_mels)
        self.scale, self.dropout, self.n_mels = sqrt(c.units), c.dropout, c.n_mels

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
    def forward(self, memory: Tensor, previous: Tensor, steps: Tensor, band: int) -> Tensor:
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

    def infer(self, memory: Tensor, band: int) -> Tensor:
        """Feed each step's last frame back; memory [1, S, D] to frames [1, S * r, M]."""
        size, frame = memory.shape[1], memory.new_zeros(1, 1, self.n_mels)
        text = [block.pnca_attn.w_h_kv(memory).chunk(2, dim=-1) for block in self.blocks()]
        empty = memory.new_zeros(1, 0, self.ln.normalized_shape[0])
        caches = [(empty, empty) for _ in self.pnca]
        frames = []
        for t in range(size):
            x = self.enter(memory[:, t : t + 1], frame)
            for i, block in enumerate(self.blocks()):
                window = (text[i][0][:, t : t + band + 1], text[i][1][:, t : t + band + 1])
                x, key, value = block.pnca_attn.step(x, caches[i], window)
                x = block.pos_ffn(x)
                kept = slice(max(0, caches[i][0].shape[1] + 1 - band), None)
                caches[i] = (
                    torch.cat([caches[i][0], key], dim=1)[:, kept],
                    torch.cat([caches[i][1], value], dim=1)[:, kept],
                )
            out = self.leave(x)
            frame = out[:, -1:]
            frames.append(out)
        return torch.cat(frames, dim=1)


class _MelDecoderHolder(nn.Module):
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
            c.filter_size,
            c.postnet_shift,
            c.dropout,
        )
        self.lstm = nn.LSTM(c.postnet_memory, c.postnet_lstm, batch_first=True)
        self.fc = nn.Linear(c.postnet_lstm, c.n_mels)

    @override
    def forward(self, mel: Tensor, mask: Tensor | None = None) -> Tensor:
        refined = mel + self.fc(self.lstm(self.fsmn(mel, mask))[0])
        return refined if mask is None else refined.masked_fill(~mask.unsqueeze(-1), 0.0)


class Sambert(nn.Module):
    """The whole acoustic model."""

    def __init__(self, config: SambertConfig) -> None:
        super().__init__()
        self.config = config
        self.text_encoder = TextEncoder(config)
        self.spk_tokenizer = nn.Embedding(config.speakers, config.speaker_units)
        self.emo_tokenizer = nn.Embedding(config.emotions, config.emotion_units)
        self.variance_adaptor = VarianceAdaptor(config)
        self.mel_decoder = _MelDecoderHolder(config)
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
        frames = regulate(symbols, durations)
        places = torch.stack([places_in_symbol(row) for row in durations])
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
        band = band_width(batch.durations.masked_fill(~mask, 0), r)
        steps = frame_mask[:, ::r].sum(dim=1)
        if self.training:
            previous = self._own_frames(memory, previous, steps, band)
        decoded = self.mel_decoder.mel_dec(memory, previous, steps, band)
        decoded = decoded.masked_fill(~frame_mask.unsqueeze(-1), 0.0)
        refined = self.mel_postnet(decoded, frame_mask)
        return Output(decoded, refined, log_durations, pitch, energy, band)

    @torch.no_grad()
    def _own_frames(self, memory: Tensor, previous: Tensor, steps: Tensor, band: int) -> Tensor:
        """Mix the true previous frames [B, S, M] with the model's own, and drop some.

        A decoder that only ever sees true frames learns to copy them and fails on its own output. This is parallel
        scheduled sampling (Duckworth et al. 2019, arXiv:1906.04331) with, in each utterance, a share of dropped and
        a share of own frames drawn evenly from 0..1.
        """
        batch, size, _ = previous.shape
        dropped, own = (torch.rand(batch, size, 1) < torch.rand(batch, 1, 1) for _ in range(2))
        kept = previous.masked_fill(dropped.to(previous.device), 0.0)
        spoken = self.mel_decoder.mel_dec(memory, kept, steps, band)[
            :, self.config.outputs_per_step - 1 :: self.config.outputs_per_step
        ]
        shifted = F.pad(spoken, (0, 0, 1, 0))[:, :-1]
        return torch.where(own.to(previous.device), shifted, kept)

    @torch.inference_mode()
    def infer(self, ling: Tensor, emotion: Tensor, speaker: Tensor) -> dict[str, Tensor]:
        """Speak one utterance: ling [N, 4], emotion [N], speaker [N] to mel [T, M] and what led to it.

        Raises ValueError if every duration rounds to zero.
        """
        r = self.config.outputs_per_step
        text = self.text_encoder(ling.unsqueeze(0), None)
        spk, emo = self.spk_tokenizer(speaker.unsqueeze(0)), self.emo_tokenizer(emotion.unsqueeze(0))
        adaptor = self.variance_adaptor
        condition = torch.cat([text, spk, emo], dim=-1)
        pitch, energy = adaptor.pitch_predictor(condition), adaptor.energy_predictor(condition)
        text = adaptor.augment(text, pitch, energy)
        log_durations = adaptor.duration_predictor.infer(torch.cat([text, spk, emo], dim=-1))
        exact = log_durations.exp() - 1.0
        durations = (exact + 0.5).long()
        total = int(durations.sum())
        if total == 0:
            raise ValueError("every symbol got a duration of zero frames")
        band = band_width(exact, r)
        memory = self.memory(text, spk, emo, durations)
        decoded = self.mel_decoder.mel_dec.infer(memory, band)[:, :total]
        return {
            "log_durations": log_durations[0],
            "durations_float": exact[0],
            "durations": durations[0],
            "pitch": pitch[0],
            "energy": energy[0],
            "dec_outputs": decoded[0],
            "postnet_outputs": self.mel_postnet(decoded)[0],
            "band": torch.tensor(band),
        }
