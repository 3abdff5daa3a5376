"""One training step of SAMBERT: alignment while training, targets and losses.

See docs/reference/sambert.md, sections "Aligner" and "Losses". Shapes: B clips, T_text symbols, T_mel frames.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from kubevoice_training.features.acoustic_features import Stats
from kubevoice_training.finetuning.collation import WHOLE_BATCH, BatchShare, CollatedBatch
from kubevoice_training.models.aligner import (
    binarization_loss,
    forward_sum_loss,
    monotonic_alignment_search,
)
from kubevoice_training.models.layers import sequence_mask
from kubevoice_training.models.sambert import AcousticBatch, AcousticOutput, Sambert, attention_band_width

__all__ = ["AcousticLosses", "average_per_symbol", "build_targets", "compute_losses", "compute_reconstruction_losses"]


@dataclass(slots=True)
class AcousticLosses:
    """The losses of one step. Each is a scalar: a mean times this process's share of the batch.

    Attributes
    ----------
    total
        The sum of all others.
    mel
        Sum of the decoder's and the post-net's.
    duration
        Of log durations.
    pitch, energy
        Of the normalised values.
    alignment
        Forward-sum and binarization loss; 0 if durations are given.
    """

    total: Tensor
    mel: Tensor
    duration: Tensor
    pitch: Tensor
    energy: Tensor
    alignment: Tensor


def average_per_symbol(values: Tensor, durations: Tensor) -> Tensor:
    """Average frame values over each symbol.

    Parameters
    ----------
    values
        Frame values [B, T_mel]; zeros are left out of the mean.
    durations
        Frames of each symbol [B, T_text].

    Returns
    -------
    Tensor
        Means [B, T_text], 0 for a symbol without a non-zero frame.
    """
    ends = durations.cumsum(1)
    sums, counts = (
        torch.cat([x.new_zeros(len(x), 1), x.cumsum(1)], dim=1).double() for x in (values, (values != 0).float())
    )
    total = sums.gather(1, ends) - sums.gather(1, ends - durations)
    count = counts.gather(1, ends) - counts.gather(1, ends - durations)
    return torch.where(count > 0, total / count.clamp(min=1), 0.0).float()


def _find_durations(model: Sambert, data: CollatedBatch, mask: Tensor, share: BatchShare) -> tuple[Tensor, Tensor]:
    """Return the durations [B, T_text], given or found by the model's aligner, and the alignment loss (a scalar)."""
    if data.durations is not None:
        return data.durations, data.mel.new_zeros(())
    soft, log_probability = model.align_attention(data.mel, model.text_encoder.embed(data.ling), mask, data.prior)
    durations = monotonic_alignment_search(soft, data.text_lengths, data.mel_lengths)
    loss = share.clips * forward_sum_loss(log_probability, data.text_lengths, data.mel_lengths)
    return durations, loss + share.frames * binarization_loss(soft, durations)


def build_targets(
    model: Sambert, data: CollatedBatch, stats: Stats, share: BatchShare = WHOLE_BATCH
) -> tuple[AcousticBatch, Tensor]:
    """Align a batch, and average F0 and energy over each symbol, normalised as pitch and energy.

    Padding frames are given to the first unused position of a clip, so that its durations sum to T_mel.

    Parameters
    ----------
    model
        The acoustic model, whose aligner is used if the batch has no durations.
    data
        The padded batch.
    stats
        Mean and deviation of F0 (Hz) and of energy.
    share
        This process's share of the whole batch.

    Returns
    -------
    tuple
        The batch for teacher forcing, and the alignment loss (a scalar).
    """
    mask = sequence_mask(data.text_lengths, data.ling.shape[1])
    durations, loss = _find_durations(model, data, mask, share)
    pitch, energy = average_per_symbol(data.f0, durations), average_per_symbol(data.energy, durations)
    padded = durations.clone()
    padded[torch.arange(len(padded)), data.text_lengths] += data.mel.shape[1] - data.mel_lengths
    return AcousticBatch(
        ling=data.ling,
        emotion=data.emotion,
        speaker=data.speaker,
        text_lengths=data.text_lengths,
        mel=data.mel,
        mel_lengths=data.mel_lengths,
        durations=padded,
        pitch=torch.where(pitch > 0, (pitch - stats.pitch_mean) / stats.pitch_std, 0.0),
        energy=torch.where(mask, (energy - stats.energy_mean) / stats.energy_std, 0.0),
    ), loss


def compute_reconstruction_losses(
    output: AcousticOutput, batch: AcousticBatch
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Compute L1 losses over valid frames or symbols.

    The mel loss is the sum of the decoder's and the post-net's; durations are compared as log(frames + 1).

    Parameters
    ----------
    output
        Predictions of a teacher-forced pass.
    batch
        Its targets.

    Returns
    -------
    tuple
        Mel, duration, pitch and energy loss (scalars).

    References
    ----------
    docs/reference/sambert.md, section "Losses".
    """
    symbols = sequence_mask(batch.text_lengths, batch.ling.shape[1])
    frames = sequence_mask(batch.mel_lengths, batch.mel.shape[1]).unsqueeze(-1)
    count, cells = symbols.sum(), frames.sum() * batch.mel.shape[-1]
    target = torch.log(batch.durations.float() + 1.0)

    def mean_over_symbols(predicted: Tensor, true: Tensor) -> Tensor:
        return ((predicted - true).abs() * symbols).sum() / count

    mel = sum(((x - batch.mel).abs() * frames).sum() / cells for x in (output.decoder_mel, output.postnet_mel))
    return (
        torch.as_tensor(mel),
        mean_over_symbols(output.log_durations, target),
        mean_over_symbols(output.pitch, batch.pitch),
        mean_over_symbols(output.energy, batch.energy),
    )


@contextmanager
def _autocast_bf16(device_type: str, *, enabled: bool) -> Iterator[None]:
    """Compute in bfloat16 where PyTorch's autocast does.

    On a CPU without instructions for bfloat16, oneDNN has no LSTM of that type, so oneDNN is left out there: linear
    layers and convolutions compute in bfloat16, LSTMs in float32.
    """
    onednn = torch.backends.mkldnn.enabled
    if enabled and device_type == "cpu" and not torch.ops.mkldnn._is_mkldnn_bf16_supported():  # noqa: SLF001
        torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # a property of the module
    try:
        with torch.autocast(device_type, torch.bfloat16, enabled=enabled):
            yield
    finally:
        torch.backends.mkldnn.enabled = onednn


def compute_losses(
    model: Sambert,
    data: CollatedBatch,
    stats: Stats,
    share: BatchShare = WHOLE_BATCH,
    all_reduce_max: Callable[[int], int] = lambda band: band,
    *,
    bf16: bool = False,
) -> AcousticLosses:
    """Align a batch, predict with teacher forcing, and compare.

    Parameters
    ----------
    model
        The acoustic model, in training or evaluation mode.
    data
        The padded batch, on the model's device.
    stats
        Mean and deviation of F0 (Hz) and of energy.
    share
        This process's share of the whole batch.
    all_reduce_max
        Returns the maximum of all processes' values; all use the widest attention band.
    bf16
        Whether the network computes in bfloat16. Alignment and losses stay in float32.

    Returns
    -------
    AcousticLosses
        Scalars with gradients.
    """
    batch, alignment = build_targets(model, data, stats, share)
    inside = sequence_mask(batch.text_lengths, batch.ling.shape[1])
    batch.band_width = all_reduce_max(
        attention_band_width(batch.durations.masked_fill(~inside, 0), model.config.outputs_per_step)
    )
    with _autocast_bf16(data.mel.device.type, enabled=bf16):
        output = model(batch)
    mel, duration, pitch, energy = compute_reconstruction_losses(output, batch)
    mel, duration, pitch, energy = (
        mel * share.frames,
        duration * share.symbols,
        pitch * share.symbols,
        energy * share.symbols,
    )
    return AcousticLosses(mel + duration + pitch + energy + alignment, mel, duration, pitch, energy, alignment)
