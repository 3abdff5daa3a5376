"""The learning rate of each step."""

import math

from kubevoice.resources.training import Recipe, Schedule

__all__ = ["compute_learning_rate"]


def compute_learning_rate(step: int, training: Recipe) -> float:
    """Compute the learning rate of a step: linear warm-up, then constant or cosine decay to 0.

    Parameters
    ----------
    step
        Counted from 0.
    training
        Peak rate, warm-up, schedule and number of steps.

    Returns
    -------
    float
        The rate.

    References
    ----------
    Loshchilov and Hutter, "SGDR" (arXiv 1608.03983), equation 5, without restarts, for the cosine.
    """
    warm = min(1.0, (step + 1) / max(1, training.warmup_steps))
    if training.schedule is Schedule.CONSTANT:
        return training.learning_rate * warm
    share = step / max(1, training.max_steps)
    return training.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share)))
