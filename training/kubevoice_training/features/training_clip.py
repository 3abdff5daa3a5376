"""A clip as the acoustic model learns from it: the type that the feature store and fine-tuning share."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["TrainingClip"]


@dataclass(frozen=True, slots=True)
class TrainingClip:
    """One utterance ready to learn from: ling [N, 4] ids, mel [T, M] (normalised), f0 [T] Hz, energy [T].

    `durations` [N] in frames are given where the model has no aligner.
    """

    ling: NDArray[np.int64]
    emotion: int
    speaker: int
    mel: NDArray[np.float32]
    f0: NDArray[np.float32]
    energy: NDArray[np.float32]
    durations: NDArray[np.int64] | None = None
