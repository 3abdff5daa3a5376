"""Clips to a padded batch. Shapes: B clips, T_text symbols, T_mel frames."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kubevoice_training.features.training_clip import TrainingClip
from kubevoice_training.models.aligner import beta_binomial_prior

__all__ = ["NO_SHARE", "WHOLE_BATCH", "BatchShare", "BatchSize", "CollatedBatch", "collate"]


@dataclass(frozen=True, slots=True)
class BatchSize:
    """The size of a step's batch, all processes' shards together.

    Attributes
    ----------
    clips, symbols, frames
        How many there are, without padding.
    longest_text, longest_mel
        Symbols and frames of the longest clip.
    """

    clips: int
    symbols: int
    frames: int
    longest_text: int
    longest_mel: int

    @classmethod
    def from_clips(cls, clips: Sequence[TrainingClip]) -> "BatchSize":
        """Compute the size of a step's batch.

        Parameters
        ----------
        clips
            All clips of the step, at least one.

        Returns
        -------
        BatchSize
            Counts and longest lengths.
        """
        texts, mels = [len(clip.ling) for clip in clips], [len(clip.mel) for clip in clips]
        return cls(len(clips), sum(texts), sum(mels), max(texts), max(mels))


@dataclass(frozen=True, slots=True)
class BatchShare:
    """One process's share of a batch.

    A loss is a mean over one of these three. Means times these shares add up to the mean over the whole batch.

    Attributes
    ----------
    clips, symbols, frames
        Shares in 0..1.
    """

    clips: float = 1.0
    symbols: float = 1.0
    frames: float = 1.0

    @classmethod
    def from_clips(cls, clips: Sequence[TrainingClip], size: BatchSize) -> "BatchShare":
        """Compute the share of a process.

        Parameters
        ----------
        clips
            The process's clips.
        size
            Size of the whole batch.

        Returns
        -------
        BatchShare
            Its share of clips, symbols and frames.
        """
        shard = BatchSize.from_clips(clips)
        return cls(shard.clips / size.clips, shard.symbols / size.symbols, shard.frames / size.frames)


WHOLE_BATCH, NO_SHARE = BatchShare(), BatchShare(0.0, 0.0, 0.0)


@dataclass(slots=True)
class CollatedBatch:
    """A padded batch before alignment.

    T_text is the longest text plus one, T_mel a multiple of the decoder's `outputs_per_step`. Either `durations` are
    given, or a `prior` with which the aligner finds them.

    Attributes
    ----------
    ling
        Ids of the four linguistic streams [B, T_text, 4].
    emotion, speaker
        Rows of the embedding tables [B, T_text].
    text_lengths, mel_lengths
        Valid symbols and frames of each clip [B].
    mel
        Normalised mels [B, T_mel, n_mels].
    f0
        F0 in Hz, 0 where unvoiced [B, T_mel].
    energy
        Energy before normalisation [B, T_mel].
    prior
        Beta-binomial prior of the aligner [B, T_mel, T_text], or None.
    durations
        Frames of each symbol [B, T_text], or None.
    """

    ling: Tensor
    emotion: Tensor
    speaker: Tensor
    text_lengths: Tensor
    mel: Tensor
    mel_lengths: Tensor
    f0: Tensor
    energy: Tensor
    prior: Tensor | None
    durations: Tensor | None

    def to(self, device: torch.device) -> "CollatedBatch":
        """Return the batch with every tensor on a device.

        Parameters
        ----------
        device
            The device.

        Returns
        -------
        CollatedBatch
            A new batch; tensors that are there already are shared.
        """
        tensors: dict[str, Any] = {}
        for name in self.__slots__:
            tensor = getattr(self, name)
            tensors[name] = None if tensor is None else tensor.to(device)
        return CollatedBatch(**tensors)


def collate(
    clips: Sequence[TrainingClip], padding_ids: Sequence[int], outputs_per_step: int, size: BatchSize | None = None
) -> CollatedBatch:
    """Pad clips to one batch.

    Parameters
    ----------
    clips
        Clips, all with durations or all without.
    padding_ids
        The end-of-sentence id of each of the four streams. They fill unused positions, which count in the aligner's
        softmax.
    outputs_per_step
        Frames of a decoder step; T_mel is a multiple of it.
    size
        Size of the whole batch of which the clips are a shard, for equal padding in all processes. None if they are the
        whole.

    Returns
    -------
    CollatedBatch
        Tensors on the CPU.
    """
    size = size or BatchSize.from_clips(clips)
    slots = size.longest_text + 1
    longest = -(-size.longest_mel // outputs_per_step) * outputs_per_step
    ling = np.tile(np.asarray(padding_ids, np.int64), (len(clips), slots, 1))
    mel = np.zeros((len(clips), longest, clips[0].mel.shape[1]), np.float32)
    f0, energy = np.zeros((len(clips), longest), np.float32), np.zeros((len(clips), longest), np.float32)
    has_durations = clips[0].durations is not None
    prior = None if has_durations else np.ones((len(clips), longest, slots), np.float32)
    durations = np.zeros((len(clips), slots), np.int64) if has_durations else None
    for i, clip in enumerate(clips):
        n, t = len(clip.ling), len(clip.mel)
        ling[i, :n], mel[i, :t], f0[i, :t], energy[i, :t] = clip.ling, clip.mel, clip.f0, clip.energy
        if prior is not None:
            prior[i, :t, : n + 1] = beta_binomial_prior(n + 1, t)
        if durations is not None and clip.durations is not None:
            durations[i, :n] = clip.durations
    repeat = np.ones((1, slots), np.int64)
    return CollatedBatch(
        ling=torch.from_numpy(ling),
        emotion=torch.from_numpy(np.array([[clip.emotion] for clip in clips]) * repeat),
        speaker=torch.from_numpy(np.array([[clip.speaker] for clip in clips]) * repeat),
        text_lengths=torch.tensor([len(clip.ling) for clip in clips]),
        mel=torch.from_numpy(mel),
        mel_lengths=torch.tensor([len(clip.mel) for clip in clips]),
        f0=torch.from_numpy(f0),
        energy=torch.from_numpy(energy),
        prior=None if prior is None else torch.from_numpy(prior),
        durations=None if durations is None else torch.from_numpy(durations),
    )
