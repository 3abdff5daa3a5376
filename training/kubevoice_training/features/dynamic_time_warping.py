"""Dynamic time warping (Sakoe and Chiba, IEEE Transactions on Acoustics, Speech, and Signal Processing 26, 1978)."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_warping_path"]


def _sum_costs(cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cost of the cheapest path to each pair [A + 1, B + 1]; row and column 0 stand before the first."""
    a, b = cost.shape
    total = np.full((a + 1, b + 1), np.inf)
    total[0, 0] = 0.0
    # Pairs of one antidiagonal depend only on earlier ones. In a flat array they are a slice with a constant step.
    flat, costs = total.reshape(-1), cost.reshape(-1)
    for diagonal in range(a + b - 1):
        first, last = max(0, diagonal - b + 1), min(a - 1, diagonal)
        count, corner = last - first + 1, first * (b + 1) + diagonal - first
        best = np.minimum(flat[_every(b, corner, count)], flat[_every(b, corner + 1, count)])
        np.minimum(best, flat[_every(b, corner + b + 1, count)], out=best)
        best += costs[_every(max(1, b - 1), first * b + diagonal - first, count)]
        flat[_every(b, corner + b + 2, count)] = best
    return total


def _every(step: int, start: int, count: int) -> slice:
    """Return the slice of `count` elements from `start` on, `step` apart."""
    return slice(start, start + (count - 1) * step + 1, step)


def _trace_back(total: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the pairs of indices [P, 2] of the path that led to the last pair of `total` [A + 1, B + 1]."""
    i, j = total.shape[0] - 1, total.shape[1] - 1
    path = []
    while i > 0 and j > 0:
        path.append((i - 1, j - 1))
        both, first, second = total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]
        if both <= first and both <= second:
            i, j = i - 1, j - 1
        elif first <= second:
            i -= 1
        else:
            j -= 1
    return np.array(path[::-1], np.int64).reshape(-1, 2)


def find_warping_path(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """Find the cheapest path through a cost matrix by dynamic time warping.

    Parameters
    ----------
    cost
        Cost of each pair of frames [A, B].

    Returns
    -------
    NDArray
        Pairs of indices [P, 2], from (0, 0) to (A - 1, B - 1).

    References
    ----------
    Sakoe and Chiba, "Dynamic programming algorithm optimization for spoken word recognition" (IEEE TASSP 26, 1978),
    without slope constraint.
    """
    return _trace_back(_sum_costs(np.ascontiguousarray(cost)))
