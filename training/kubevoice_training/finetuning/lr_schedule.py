"""The course of the learning rate."""

import math

from kubevoice.resources.training import Recipe, Schedule

__all__ = ["learning_rate"]


def learning_rate(step: int, training: Recipe) -> float:
    """Rate of optimiser step `step` (0 = first): linear warm-up, then cosine decay to zero or constant."""
    warm = min(1.0, (step + 1) / max(1, training.warmup_steps))
    if training.schedule is Schedule.CONSTANT:
        return training.learning_rate * warm
    share = step / max(1, training.max_steps)
    return training.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
