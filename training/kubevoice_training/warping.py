"""How far two utterances of the same text are apart once their timing is aligned."""

from dataclasses import dataclass

import numba
import numpy as np
from kubevoice.audio.mel import MelConfig
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.spatial.distance import cdist

from kubevoice_training.features import Features

__all__ = ["Distance", "compare", "mel_cepstra", "warping_path"]

CEPSTRA = 13
DECIBEL = 10.0 * np.sqrt(2.0) / np.log(10.0)


@dataclass(frozen=True, slots=True)
class Distance:
    """Mel cepstral distortion in dB, and the F0 difference in Hz over frames voiced in both; nan if there is none."""

    distortion: float
    f0_error: float


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


def mel_cepstra(mel: NDArray[np.float32], config: MelConfig) -> NDArray[np.float64]:
    """Mel cepstra 1 to 13 in nepers [T, 13]; 0, the level, says nothing of the timbre."""
    ranged = mel.astype(np.float64) / config.max_norm
    share = (ranged + 1.0) / 2.0 if config.symmetric else ranged
    decibel = (share - 1.0) * -config.min_level_db + config.ref_level_db
    nepers = decibel * np.log(10.0) / 20.0
    return np.asarray(dct(nepers, axis=1)[:, 1 : CEPSTRA + 1] / (2.0 * nepers.shape[1]))


def compare(spoken: Features, recorded: Features, config: MelConfig) -> Distance:
    """Align two utterances by their mel cepstra c and measure along the path.

    distortion = 10 sqrt(2) / ln 10 * mean |c_spoken - c_recorded| (Kubichek 1993), and
    f0_error = sqrt(mean (f0_spoken - f0_recorded)^2) where both are voiced.
    """
    cost = cdist(mel_cepstra(spoken.mel, config), mel_cepstra(recorded.mel, config))
    path = warping_path(cost)
    a, b = spoken.f0[path[:, 0]], recorded.f0[path[:, 1]]
    voiced = (a > 0) & (b > 0)
    error = float(np.sqrt(np.mean((a[voiced] - b[voiced]) ** 2))) if voiced.any() else float("nan")
    return Distance(float(DECIBEL * cost[path[:, 0], path[:, 1]].mean()), error)
