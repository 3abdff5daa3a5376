"""The learning rate of each step."""

import math

from kubevoice.resources.training import Recipe, Schedule

__all__ = ["learning_rate"]


def learning_rate(step: int, training: Recipe) -> float:
    """Return the rate of optimizer step `step` (counted from 0): linear warm-up, then constant or cosine decay to 0."""
    warm = min(1.0, (step + 1) / max(1, training.warmup_steps))
    if training.schedule is Schedule.CONSTANT:
        return training.learning_rate * warm
    share = step / max(1, training.max_steps)
    return training.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
