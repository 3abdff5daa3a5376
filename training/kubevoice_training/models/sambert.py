"""SAMBERT: text encoder, variance adaptor, autoregressive PNCA mel decoder and post-net.

The acoustic model of KAN-TTS and ModelScope voices (docs/reference/sambert.md), of any size; parameter names equal
those of their checkpoints.

Shapes: B utterances, T_text symbols, T_mel frames, r frames a decoder step, S = T_mel / r decoder steps, M mel bins.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence
from typing_extensions import override

from kubevoice_training.models.aligner import AlignAttention
from kubevoice_training.models.config import SambertConfig
from kubevoice_training.models.layers import sequence_mask
from kubevoice_training.models.length_regulator import number_frames, regulate_length
from kubevoice_training.models.mel_decoder import MelDecoderHolder, PostNet
from kubevoice_training.models.text_encoder import TextEncoder
from kubevoice_training.models.variance import VarianceAdaptor

__all__ = ["AcousticBatch", "AcousticInference", "AcousticOutput", "Sambert", "attention_band_width"]


@dataclass(slots=True)
class AcousticBatch:
    """Input of a teacher-forced pass.

    The symbol axis has one slot more than the longest text, T_text = N + 1: it takes the padding of the frames.

    Attributes
    ----------
    ling : [B, T_text, 4], ids of phone (sy), tone, syllable flag and word segment.
    emotion, speaker : [B, T_text], rows of the embedding tables.
    text_lengths : [B], valid symbols.
    mel : [B, T_mel, M], normalized; T_mel is a multiple of r.
    mel_lengths : [B], valid frames.
    durations : [B, T_text] in frames; each row sums to T_mel.
    pitch, energy : [B, T_text], normalized.
    band_width : see `attention_band_width`. Set it if the step has utterances beyond these, or to keep it on the
        device; None computes it from the durations.
    """

    ling: Tensor
    emotion: Tensor
    speaker: Tensor
    text_lengths: Tensor
    mel: Tensor
    mel_lengths: Tensor
    durations: Tensor
    pitch: Tensor
    energy: Tensor
    band_width: int | Tensor | None = None


@dataclass(slots=True)
class AcousticOutput:
    """Predictions of a teacher-forced pass.

    Attributes
    ----------
    decoder_mel, postnet_mel : [B, T_mel, M], zero beyond the mel lengths.
    log_durations : [B, T_text], log(duration + 1), zero beyond the text lengths.
    pitch, energy : [B, T_text], zero beyond the text lengths.
    band_width : the one used, in decoder steps.
    """

    decoder_mel: Tensor
    postnet_mel: Tensor
    log_durations: Tensor
    pitch: Tensor
    energy: Tensor
    band_width: int | Tensor


@dataclass(slots=True)
class AcousticInference:
    """Predictions for one utterance at inference.

    Attributes
    ----------
    decoder_mel, postnet_mel : [T_mel, M]; the vocoder reads the latter.
    log_durations : [T_text], log(duration + 1).
    unrounded_durations : [T_text] in frames.
    durations : [T_text], whole frames; they sum to T_mel.
    pitch, energy : [T_text], normalized.
    band_width : in decoder steps.
    """

    decoder_mel: Tensor
    postnet_mel: Tensor
    log_durations: Tensor
    unrounded_durations: Tensor
    durations: Tensor
    pitch: Tensor
    energy: Tensor
    band_width: int


def attention_band_width(durations: Tensor, outputs_per_step: int) -> int:
    """Compute how many decoder steps attention reaches back and ahead: as many as the longest symbol has.

    Parameters
    ----------
    durations : of any shape, in frames, padding excluded.
    outputs_per_step : r, frames a decoder step.

    Returns
    -------
    int
        Decoder steps, rounded.
    """
    return int(durations.max().item() / outputs_per_step + 0.5)


class Sambert(nn.Module):
    """The whole acoustic model (docs/reference/sambert.md)."""

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

    def embed_labels(self, speaker: Tensor, emotion: Tensor) -> Tensor:
        """Embed each symbol's speaker and emotion.

        Parameters
        ----------
        speaker, emotion : [B, T_text], rows of the embedding tables.

        Returns
        -------
        Tensor
            [B, T_text, speaker_units + emotion_units]
        """
        return torch.cat([self.spk_tokenizer(speaker), self.emo_tokenizer(emotion)], dim=-1)

    def build_memory(self, text: Tensor, labels: Tensor, durations: Tensor, frame_mask: Tensor | None = None) -> Tensor:
        """Spread symbols over frames and join r frames to a decoder step.

        Parameters
        ----------
        text : [B, T_text, projection], with pitch and energy added.
        labels : [B, T_text, speaker_units + emotion_units], from `embed_labels`.
        durations : [B, T_text], whole frames; all rows have the same sum.
        frame_mask : [B, T_mel], optional
            True at valid frames; None if all are.

        Returns
        -------
        Tensor
            [B, S, d_memory]. Invalid frames, and those that fill up the last step, are zero but for the encoding of
            position 0.
        """
        r = self.config.outputs_per_step
        mel_length = None if frame_mask is None else frame_mask.shape[1]
        frames = regulate_length(torch.cat([text, labels], dim=-1), durations, mel_length)
        positions = number_frames(durations, mel_length)
        if frame_mask is not None:
            frames = frames.masked_fill(~frame_mask.unsqueeze(-1), 0.0)
            positions = positions.masked_fill(~frame_mask, 0)
        short = -frames.shape[1] % r
        frames, positions = F.pad(frames, (0, 0, 0, short)), F.pad(positions, (0, short))
        width = self.config.projection
        encoded = frames[..., :width] + self.variance_adaptor.dur_position_encoder(positions)
        steps = encoded.unflatten(1, (-1, r)).flatten(2)
        return torch.cat([steps, frames[:, ::r, width:]], dim=-1)

    @override
    def forward(self, batch: AcousticBatch) -> AcousticOutput:
        """Predict everything from the true durations, pitch, energy and previous frames (teacher forcing).

        In training, part of the previous frames are the model's own: see `_sample_previous_frames`.

        Parameters
        ----------
        batch : tensors of B utterances, padded to T_text symbols and T_mel frames.

        Returns
        -------
        AcousticOutput
            Mels [B, T_mel, M] of decoder and postnet, and for each symbol [B, T_text] log-duration, pitch and energy.
        """
        r = self.config.outputs_per_step
        text_mask = sequence_mask(batch.text_lengths, batch.ling.shape[1])
        text = self.text_encoder(batch.ling, text_mask)
        labels = self.embed_labels(batch.speaker, batch.emotion)
        variances = self.variance_adaptor(text, labels, batch.text_lengths, batch.pitch, batch.energy, batch.durations)
        frame_mask = sequence_mask(batch.mel_lengths, batch.mel.shape[1])
        memory = self.build_memory(variances.text, labels, batch.durations, frame_mask)
        previous_frames = F.pad(batch.mel[:, r - 1 :: r], (0, 0, 1, 0))[:, :-1]
        band_width = batch.band_width
        if band_width is None:
            band_width = attention_band_width(batch.durations.masked_fill(~text_mask, 0), r)
        step_lengths = frame_mask[:, ::r].sum(dim=1)
        if self.training:
            previous_frames = self._sample_previous_frames(memory, previous_frames, step_lengths, band_width)
        decoder_mel = self.mel_decoder.mel_dec(memory, previous_frames, step_lengths, band_width)
        decoder_mel = decoder_mel.masked_fill(~frame_mask.unsqueeze(-1), 0.0)
        postnet_mel = self.mel_postnet(decoder_mel, frame_mask)
        return AcousticOutput(
            decoder_mel, postnet_mel, variances.log_durations, variances.pitch, variances.energy, band_width
        )

    @torch.no_grad()
    def _sample_previous_frames(
        self, memory: Tensor, previous_frames: Tensor, step_lengths: Tensor, band_width: int | Tensor
    ) -> Tensor:
        """Replace some of the true previous frames [B, S, M] by the model's own, and some by zero.

        A decoder that only ever sees true frames learns to copy them and fails on its own output. This is parallel
        scheduled sampling (Duckworth et al. 2019, arXiv 1906.04331); the share of dropped frames and that of own
        frames are drawn for each utterance, evenly from 0 to 1.
        """
        r = self.config.outputs_per_step
        batch_size, steps, _ = previous_frames.shape
        shares = torch.rand(2, batch_size, 1, 1, device=previous_frames.device)
        drop, replace = torch.rand(2, batch_size, steps, 1, device=previous_frames.device) < shares
        remaining = previous_frames.masked_fill(drop, 0.0)
        predicted = self.mel_decoder.mel_dec(memory, remaining, step_lengths, band_width)[:, r - 1 :: r]
        shifted = F.pad(predicted, (0, 0, 1, 0))[:, :-1]
        return torch.where(replace, shifted, remaining)

    @torch.inference_mode()
    def infer(self, ling: Tensor, emotion: Tensor, speaker: Tensor) -> AcousticInference:
        """Synthesize the mel of one utterance.

        Parameters
        ----------
        ling : [T_text, 4], ids.
        emotion, speaker : [T_text], rows of the embedding tables.

        Returns
        -------
        AcousticInference
            Mel and durations of the utterance.

        Raises
        ------
        ValueError
            If every duration rounds to zero.
        """
        return self.infer_batch([ling], [emotion], [speaker])[0]

    @torch.inference_mode()
    def infer_batch(
        self, lings: Sequence[Tensor], emotions: Sequence[Tensor], speakers: Sequence[Tensor]
    ) -> list[AcousticInference]:
        """Synthesize several utterances at once; arguments and result are lists of those of `infer`."""
        r, lengths = self.config.outputs_per_step, [len(ling) for ling in lings]
        text_lengths = torch.tensor(lengths, device=lings[0].device)
        # One by one: normalized padding is not zero, and the encoder's filters reach one symbol into it.
        texts = [self.text_encoder(ling.unsqueeze(0), None)[0] for ling in lings]
        labels = self.embed_labels(*(pad_sequence(list(rows), batch_first=True) for rows in (speakers, emotions)))
        variances = self.variance_adaptor.infer(pad_sequence(texts, batch_first=True), labels, text_lengths)
        unrounded = [variances.log_durations[i, :n].exp() - 1.0 for i, n in enumerate(lengths)]
        durations = [(item + 0.5).long() for item in unrounded]
        mel_lengths = torch.stack([item.sum() for item in durations])
        if 0 in mel_lengths:
            raise ValueError("every symbol got a duration of zero frames")
        band_widths = [attention_band_width(item, r) for item in unrounded]
        memories = [
            self.build_memory(variances.text[i : i + 1, :n], labels[i : i + 1, :n], durations[i].unsqueeze(0))[0]
            for i, n in enumerate(lengths)
        ]
        step_lengths = torch.tensor([len(memory) for memory in memories], device=text_lengths.device)
        decoder_mel = self.mel_decoder.mel_dec.infer(
            pad_sequence(memories, batch_first=True),
            step_lengths,
            torch.tensor(band_widths, device=text_lengths.device),
        )
        frame_mask = sequence_mask(mel_lengths, int(mel_lengths.max()))
        decoder_mel = decoder_mel[:, : frame_mask.shape[1]].masked_fill(~frame_mask.unsqueeze(-1), 0.0)
        postnet_mel = self.mel_postnet(decoder_mel, frame_mask)
        return [
            AcousticInference(
                decoder_mel=decoder_mel[i, : int(mel_lengths[i])],
                postnet_mel=postnet_mel[i, : int(mel_lengths[i])],
                log_durations=variances.log_durations[i, :n],
                unrounded_durations=unrounded[i],
                durations=durations[i],
                pitch=variances.pitch[i, :n],
                energy=variances.energy[i, :n],
                band_width=band_widths[i],
            )
            for i, n in enumerate(lengths)
        ]
