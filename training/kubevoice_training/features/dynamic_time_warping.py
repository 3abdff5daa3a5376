"""Dynamic time warping (Sakoe and Chiba, IEEE Transactions on Acoustics, Speech, and Signal Processing 26, 1978)."""

import numba
import numpy as np
from numpy.typing import NDArray

__all__ = ["warping_path"]


@numba.njit(cache=False)
def _cheapest(cost: NDArray[np.float64]) -> NDArray[np.int64]:
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


def warping_path(cost: NDArray[np.float64]) -> NDArray[np.int64]:
    """Dynamic time warping (Sakoe and Chiba 1978): the cheapest path through `cost` [A, B], as pairs [P, 2]."""
    return np.asarray(_cheapest(np.ascontiguousarray(cost)))
