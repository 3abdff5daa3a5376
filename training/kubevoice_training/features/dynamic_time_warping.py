"""Dynamic time warping (Sakoe and Chiba, IEEE Transactions on Acoustics, Speech, and Signal Processing 26, 1978)."""

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["find_warping_path"]


@numba.njit(cache=False)
def _find_cheapest_path(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    a, b = cost.shape
    total = np.full((a + 1, b + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(a):
        for j in range(b):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j], total[i, j + 1], total[i + 1, j])
    path = np.empty((a + b, 2), np.int64)
    i, j, length = a, b, 0
    while i > 0 and j > 0:
        path[length, 0], path[length, 1] = i - 1, j - 1
        length += 1
        both, first, second = total[i - 1, j - 1], total[i - 1, j], total[i, j - 1]
        if both <= first and both <= second:
            i, j = i - 1, j - 1
        elif first <= second:
            i -= 1
        else:
            j -= 1
    return path[:length][::-1]


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
    return np.asarray(_find_cheapest_path(np.ascontiguousarray(cost)))
