"""A clip as the acoustic model learns from it: the type that the feature store and fine-tuning share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TrainingClip"]


@dataclass(frozen=True, slots=True)
class TrainingClip:
    """One clip as the acoustic model learns from it.

    Attributes
    ----------
    ling
        Ids of the four linguistic streams [T_text, 4].
    emotion, speaker
        Rows of the embedding tables.
    mel
        Normalised mel [T_mel, n_mels]; with a harmonic source, F0 and voicing are two more columns.
    f0
        F0 in Hz, 0 where unvoiced [T_mel].
    energy
        Energy before normalisation [T_mel].
    durations
        Frames of each symbol [T_text]; None if the model has an aligner to find them.
    """

    ling: NDArray[np.int64]
    emotion: int
    speaker: int
    mel: NDArray[np.float32]
    f0: NDArray[np.float32]
    energy: NDArray[np.float32]
    durations: NDArray[np.int64] | None = None
