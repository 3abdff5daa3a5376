"""What KAN-TTS trains with where it differs from us, to repeat or go on with its trainings (facts file §2.8)."""

__all__ = ["noam_rate"]


def noam_rate(base: float, warmup: int, step: int) -> float:
    """Learning rate at `step` (1 = first): linear to `base` at step `warmup`, then falling with the step's root.

    Vaswani et al., "Attention Is All You Need" (arXiv 1706.03762) §5.3, scaled to peak at `base`. A step before the
    first counts as the first.
    """
    at = max(1, step)
    return float(base * warmup**0.5 * min(at**-0.5, at * warmup**-1.5))
