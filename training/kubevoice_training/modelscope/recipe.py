"""The learning-rate schedule of KAN-TTS, which ours differs from (docs/reference/kantts-format.md, training runs)."""

__all__ = ["compute_noam_rate"]


def compute_noam_rate(base: float, warmup: int, step: int) -> float:
    """Compute the learning rate of a step: linear warm-up to `base`, then decay with the root of the step.

    Parameters
    ----------
    base : the highest learning rate.
    warmup : the step at which it is reached.
    step : 1 for the first; a lower one counts as the first.

    Returns
    -------
    float
        The rate.

    References
    ----------
    Vaswani et al., "Attention Is All You Need" (arXiv 1706.03762), section 5.3, scaled to peak at `base`.
    """
    at = max(1, step)
    return float(base * warmup**0.5 * min(at**-0.5, at * warmup**-1.5))
