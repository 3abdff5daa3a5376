"""Mel cepstral distortion and F0 error of two utterances of the same text, aligned by dynamic time warping."""

from dataclasses import dataclass

import numpy as np
from kubevoice.audio.mel import MelConfig
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.spatial.distance import cdist

from kubevoice_training.features.acoustic_features import Features
from kubevoice_training.features.dynamic_time_warping import warping_path

__all__ = ["FeatureDistance", "compare_features", "mel_cepstra"]

CEPSTRA = 13
DECIBEL = 10.0 * np.sqrt(2.0) / np.log(10.0)


@dataclass(frozen=True, slots=True)
class FeatureDistance:
    """Mel cepstral distortion in dB, and the F0 difference in Hz over frames voiced in both; nan if there is none."""

    distortion: float
    f0_error: float


def mel_cepstra(mel: NDArray[np.float32], config: MelConfig) -> NDArray[np.float64]:
    """Mel cepstra 1 to 13 in nepers [T, 13]; 0, the level, says nothing of the timbre."""
    ranged = mel.astype(np.float64) / config.max_norm
    share = (ranged + 1.0) / 2.0 if config.symmetric else ranged
    decibel = (share - 1.0) * -config.min_level_db + config.ref_level_db
    nepers = decibel * np.log(10.0) / 20.0
    return np.asarray(dct(nepers, axis=1)[:, 1 : CEPSTRA + 1] / (2.0 * nepers.shape[1]))


def compare_features(synthesized: Features, recorded: Features, config: MelConfig) -> FeatureDistance:
    """Align two utterances by their mel cepstra c and measure along the path.

    distortion = 10 sqrt(2) / ln 10 * mean |c_synthesized - c_recorded| (Kubichek 1993), and
    f0_error = sqrt(mean (f0_synthesized - f0_recorded)^2) where both are voiced.
    """
    cost = cdist(mel_cepstra(synthesized.mel, config), mel_cepstra(recorded.mel, config))
    path = warping_path(cost)
    a, b = synthesized.f0[path[:, 0]], recorded.f0[path[:, 1]]
    voiced = (a > 0) & (b > 0)
    error = float(np.sqrt(np.mean((a[voiced] - b[voiced]) ** 2))) if voiced.any() else float("nan")
    return FeatureDistance(float(DECIBEL * cost[path[:, 0], path[:, 1]].mean()), error)
