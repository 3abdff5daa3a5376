"""One training step of SAMBERT: clips to a batch, alignment on the fly, losses (facts file §2.5-2.6)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kubevoice_training.features.acoustic_features import Stats
from kubevoice_training.features.training_clip import TrainingClip
from kubevoice_training.models.aligner import (
    beta_binomial_prior,
    binarization_loss,
    forward_sum_loss,
    monotonic_alignment_search,
)
from kubevoice_training.models.layers import sequence_mask
from kubevoice_training.models.sambert import AcousticBatch, AcousticOutput, Sambert, attention_band_width

__all__ = ["Collated", "Losses", "Share", "Whole", "collate", "losses", "per_symbol_mean"]


@dataclass(frozen=True, slots=True)
class Whole:
    """The size of a step's batch, which may lie in parts with several processes."""

    clips: int
    symbols: int
    frames: int
    longest_text: int
    longest_mel: int

    @classmethod
    def of(cls, clips: Sequence[TrainingClip]) -> "Whole":
        """Measure all clips of a step."""
        texts, mels = [len(clip.ling) for clip in clips], [len(clip.mel) for clip in clips]
        return cls(len(clips), sum(texts), sum(mels), max(texts), max(mels))


@dataclass(frozen=True, slots=True)
class Share:
    """What part of a step's clips, symbols and frames one process has: the weights that make its means add up."""

    clips: float = 1.0
    symbols: float = 1.0
    frames: float = 1.0

    @classmethod
    def of(cls, clips: Sequence[TrainingClip], whole: Whole) -> "Share":
        """Compare a process's clips with the whole."""
        part = Whole.of(clips)
        return cls(part.clips / whole.clips, part.symbols / whole.symbols, part.frames / whole.frames)


ALL = Share()


@dataclass(slots=True)
class Collated:
    """A padded batch before alignment; the symbol axis has N + 1 slots, T is a multiple of r.

    It holds `durations` [B, N + 1] in frames, or a `prior` [B, T, N + 1] for the aligner to find them.
    """

    ling: Tensor
    emotion: Tensor
    speaker: Tensor
    symbols: Tensor
    mel: Tensor
    frames: Tensor
    f0: Tensor
    energy: Tensor
    prior: Tensor | None
    durations: Tensor | None

    def to(self, device: torch.device) -> "Collated":
        """Move every tensor to `device`."""
        moved: dict[str, Any] = {}
        for name in self.__slots__:
            tensor = getattr(self, name)
            moved[name] = None if tensor is None else tensor.to(device)
        return Collated(**moved)


@dataclass(slots=True)
class Losses:
    """The terms of one step, each a mean times this process's share; `total` is what is minimised."""

    total: Tensor
    mel: Tensor
    duration: Tensor
    pitch: Tensor
    energy: Tensor
    alignment: Tensor


def collate(clips: Sequence[TrainingClip], eos: Sequence[int], step: int, whole: Whole | None = None) -> Collated:
    """Pad clips to one batch, as far as the whole of which they are a part.

    Unused slots hold the end-of-sentence ids `eos` of the four streams; they count in the aligner's softmax.
    """
    whole = whole or Whole.of(clips)
    slots = whole.longest_text + 1
    longest = -(-whole.longest_mel // step) * step
    ling = np.tile(np.asarray(eos, np.int64), (len(clips), slots, 1))
    mel = np.zeros((len(clips), longest, clips[0].mel.shape[1]), np.float32)
    f0, energy = np.zeros((len(clips), longest), np.float32), np.zeros((len(clips), longest), np.float32)
    timed = clips[0].durations is not None
    prior = None if timed else np.ones((len(clips), longest, slots), np.float32)
    durations = np.zeros((len(clips), slots), np.int64) if timed else None
    for i, clip in enumerate(clips):
        n, t = len(clip.ling), len(clip.mel)
        ling[i, :n], mel[i, :t], f0[i, :t], energy[i, :t] = clip.ling, clip.mel, clip.f0, clip.energy
        if prior is not None:
            prior[i, :t, : n + 1] = beta_binomial_prior(n + 1, t)
        if durations is not None and clip.durations is not None:
            durations[i, :n] = clip.durations
    repeat = np.ones((1, slots), np.int64)
    return Collated(
        ling=torch.from_numpy(ling),
        emotion=torch.from_numpy(np.array([[clip.emotion] for clip in clips]) * repeat),
        speaker=torch.from_numpy(np.array([[clip.speaker] for clip in clips]) * repeat),
        symbols=torch.tensor([len(clip.ling) for clip in clips]),
        mel=torch.from_numpy(mel),
        frames=torch.tensor([len(clip.mel) for clip in clips]),
        f0=torch.from_numpy(f0),
        energy=torch.from_numpy(energy),
        prior=None if prior is None else torch.from_numpy(prior),
        durations=None if durations is None else torch.from_numpy(durations),
    )


def per_symbol_mean(values: Tensor, durations: Tensor) -> Tensor:
    """Mean of the non-zero frame values of each symbol, 0 where there is none; [B, T], [B, N] to [B, N]."""
    ends = durations.cumsum(1)
    sums, counts = (
        torch.cat([x.new_zeros(len(x), 1), x.cumsum(1)], dim=1).double() for x in (values, (values != 0).float())
    )
    total = sums.gather(1, ends) - sums.gather(1, ends - durations)
    count = counts.gather(1, ends) - counts.gather(1, ends - durations)
    return torch.where(count > 0, total / count.clamp(min=1), 0.0).float()


def _durations(model: Sambert, data: Collated, mask: Tensor, share: Share) -> tuple[Tensor, Tensor]:
    """Return the durations [B, N + 1] and the loss of having found them: with the model's own aligner, or as given."""
    if data.durations is not None:
        return data.durations, data.mel.new_zeros(())
    soft, log_probability = model.align_attention(data.mel, model.text_encoder.embed(data.ling), mask, data.prior)
    durations = monotonic_alignment_search(soft, data.symbols, data.frames)
    loss = share.clips * forward_sum_loss(log_probability, data.symbols, data.frames)
    return durations, loss + share.frames * binarization_loss(soft, durations)


def align(model: Sambert, data: Collated, stats: Stats, share: Share = ALL) -> tuple[AcousticBatch, Tensor]:
    """Give each symbol its frames; returns the teacher-forcing batch and the alignment loss."""
    mask = sequence_mask(data.symbols, data.ling.shape[1])
    durations, loss = _durations(model, data, mask, share)
    pitch, energy = per_symbol_mean(data.f0, durations), per_symbol_mean(data.energy, durations)
    padded = durations.clone()
    padded[torch.arange(len(padded)), data.symbols] += data.mel.shape[1] - data.frames
    return AcousticBatch(
        ling=data.ling,
        emotion=data.emotion,
        speaker=data.speaker,
        text_lengths=data.symbols,
        mel=data.mel,
        mel_lengths=data.frames,
        durations=padded,
        pitch=torch.where(pitch > 0, (pitch - stats.pitch_mean) / stats.pitch_std, 0.0),
        energy=torch.where(mask, (energy - stats.energy_mean) / stats.energy_std, 0.0),
    ), loss


def reconstruction(output: AcousticOutput, batch: AcousticBatch) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the mel (both outputs), duration, pitch and energy losses: L1 over what is valid."""
    symbols = sequence_mask(batch.text_lengths, batch.ling.shape[1])
    frames = sequence_mask(batch.mel_lengths, batch.mel.shape[1]).unsqueeze(-1)
    count, cells = symbols.sum(), frames.sum() * batch.mel.shape[-1]
    target = torch.log(batch.durations.float() + 1.0)

    def over_symbols(predicted: Tensor, true: Tensor) -> Tensor:
        return ((predicted - true).abs() * symbols).sum() / count

    mel = sum(((x - batch.mel).abs() * frames).sum() / cells for x in (output.decoder_mel, output.postnet_mel))
    return (
        torch.as_tensor(mel),
        over_symbols(output.log_durations, target),
        over_symbols(output.pitch, batch.pitch),
        over_symbols(output.energy, batch.energy),
    )


def losses(
    model: Sambert,
    data: Collated,
    stats: Stats,
    share: Share = ALL,
    widest: Callable[[int], int] = lambda band: band,
    *,
    bf16: bool = False,
) -> Losses:
    """Align, predict and compare. `widest` returns the largest of all processes' attention bands.

    With `bf16` the network computes in bfloat16 where that does no harm; alignment and losses stay in float32.
    """
    batch, alignment = align(model, data, stats, share)
    inside = sequence_mask(batch.text_lengths, batch.ling.shape[1])
    batch.band_width = widest(
        attention_band_width(batch.durations.masked_fill(~inside, 0), model.config.outputs_per_step)
    )
    with torch.autocast(data.mel.device.type, torch.bfloat16, enabled=bf16):
        output = model(batch)
    mel, duration, pitch, energy = reconstruction(output, batch)
    mel, duration, pitch, energy = (
        mel * share.frames,
        duration * share.symbols,
        pitch * share.symbols,
        energy * share.symbols,
    )
    return Losses(mel + duration + pitch + energy + alignment, mel, duration, pitch, energy, alignment)
