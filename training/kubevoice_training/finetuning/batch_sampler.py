"""Which clips a step learns from, and the seed of what is random in it: pure functions of the run's seed and the step.

So a checkpoint holds no position in the data and no random state: step and seed say both, for every process.
"""

import hashlib
import math
import random
from collections.abc import Sequence

__all__ = ["Sampler", "step_seed"]

BUCKET_FRAMES = 20
"""Clips whose lengths differ by less count as equally long: they are shuffled, and padding stays small."""


def step_seed(seed: int, step: int, rank: int = 0) -> int:
    """Return the seed of dropout and everything else that process `rank` draws in one step: 63 bits."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{step}/{rank}".encode()).digest()[:8]) >> 1


def epoch_order(lengths: Sequence[int], size: int, seed: int, epoch: int) -> list[list[int]]:
    """Shuffle an epoch into batches of clips of similar length; a pure function of its arguments."""
    rng = random.Random(f"{seed}/{epoch}")  # noqa: S311  # reproducible, not secret
    order = list(range(len(lengths)))
    rng.shuffle(order)
    order.sort(key=lambda i: lengths[i] // BUCKET_FRAMES)
    groups = [order[i : i + size] for i in range(0, len(order), size)]
    rng.shuffle(groups)
    return groups


class Sampler:
    """Batches of clips by step; the last batch of an epoch may be smaller."""

    def __init__(self, lengths: Sequence[int], size: int, seed: int) -> None:
        self._lengths, self._size, self._seed = lengths, size, seed
        self._epoch, self._order = -1, [[0]]

    def batch(self, step: int) -> list[int]:
        """Return the clips of step `step` (0 = first), by their places in `lengths`."""
        epoch, place = divmod(step, math.ceil(len(self._lengths) / self._size))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, epoch_order(self._lengths, self._size, self._seed, epoch)
        return self._order[place]
