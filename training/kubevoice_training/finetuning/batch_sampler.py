"""Which clips a step is computed on, and the seed of what is random in it: pure functions of seed and step.

So a checkpoint needs neither a position in the data nor a random state, and that holds for every process.
"""

import hashlib
import math
import random
from collections.abc import Sequence

__all__ = ["BucketBatchSampler", "derive_step_seed"]

BUCKET_FRAMES = 20
"""Clips whose lengths differ by less count as equally long: they are shuffled, and padding stays small."""


def derive_step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Derive the seed of everything that is random in a step of one process, such as dropout.

    Parameters
    ----------
    seed
        Of the recipe.
    step
        Counted from 0; -1 for what is drawn before the first step.
    rank
        Of the process.

    Returns
    -------
    int
        A seed of 63 bits.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}/{step}/{rank}".encode()).digest()[:8]) >> 1


def shuffle_epoch(lengths: Sequence[int], size: int, seed: int, epoch: int) -> list[list[int]]:
    """Shuffle an epoch into batches of clips of similar length.

    Parameters
    ----------
    lengths
        Frames of each clip.
    size
        Clips of a batch; the last ones may have fewer.
    seed, epoch
        What the shuffling depends on.

    Returns
    -------
    list
        Batches of indices into `lengths`.
    """
    rng = random.Random(f"{seed}/{epoch}")  # noqa: S311  # reproducible, not secret
    order = list(range(len(lengths)))
    rng.shuffle(order)
    order.sort(key=lambda i: lengths[i] // BUCKET_FRAMES)
    batches = [order[i : i + size] for i in range(0, len(order), size)]
    rng.shuffle(batches)
    return batches


class BucketBatchSampler:
    """Batches of clips of similar length by step; each clip is in one batch of an epoch.

    Parameters
    ----------
    lengths
        Frames of each clip.
    size
        Clips of a batch.
    seed
        Of the order.
    """

    def __init__(self, lengths: Sequence[int], size: int, seed: int) -> None:
        self._lengths, self._size, self._seed = lengths, size, seed
        self._epoch, self._batches = -1, [[0]]  # the epoch that was asked for last, kept until another one is

    def batch(self, step: int) -> list[int]:
        """Return the clips of a step.

        Parameters
        ----------
        step
            Counted from 0.

        Returns
        -------
        list of int
            Indices into `lengths`.
        """
        epoch, index = divmod(step, math.ceil(len(self._lengths) / self._size))
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, shuffle_epoch(self._lengths, self._size, self._seed, epoch)
        return self._batches[index]
