"""Mel cepstral distortion and F0 error of two utterances of the same text, aligned by dynamic time warping."""

from dataclasses import dataclass

import numpy as np
from kubevoice.audio.mel import MelConfig
from numpy.typing import NDArray
from scipy.fft import dct
from scipy.spatial.distance import cdist

from kubevoice_training.features.acoustic_features import Features
from kubevoice_training.features.dynamic_time_warping import find_warping_path

__all__ = ["FeatureDistance", "compare_features", "compute_mel_cepstra"]

CEPSTRA = 13
DECIBEL = 10.0 * np.sqrt(2.0) / np.log(10.0)


@dataclass(frozen=True, slots=True)
class FeatureDistance:
    """The distance between two utterances of the same text.

    Attributes
    ----------
    distortion
        Mel cepstral distortion in dB.
    f0_error
        Root mean square of the F0 difference in Hz, over frames that are voiced in both; nan if there are none.
    """

    distortion: float
    f0_error: float


def compute_mel_cepstra(mel: NDArray[np.float32], config: MelConfig) -> NDArray[np.float64]:
    """Compute mel cepstra 1 to 13. Number 0, the level, is left out, because it says nothing about the timbre.

    Parameters
    ----------
    mel
        Mel [T_mel, n_mels], scaled as `config` says.
    config
        Scale of the mel.

    Returns
    -------
    NDArray
        Cepstra in nepers [T_mel, 13].
    """
    ranged = mel.astype(np.float64) / config.max_norm
    share = (ranged + 1.0) / 2.0 if config.symmetric else ranged
    decibel = (share - 1.0) * -config.min_level_db + config.ref_level_db
    nepers = decibel * np.log(10.0) / 20.0
    return np.asarray(dct(nepers, axis=1)[:, 1 : CEPSTRA + 1] / (2.0 * nepers.shape[1]))


def compare_features(synthesized: Features, recorded: Features, config: MelConfig) -> FeatureDistance:
    """Align two utterances by their mel cepstra c, and measure their distance along the path.

    Distortion is 10 sqrt(2) / ln 10 * mean |c_synthesized - c_recorded|. F0 error is sqrt(mean (f0_synthesized -
    f0_recorded)^2) where both are voiced.

    Parameters
    ----------
    synthesized, recorded
        Features of the same text.
    config
        Scale of the mels.

    Returns
    -------
    FeatureDistance
        Distortion in dB and F0 error in Hz.

    References
    ----------
    Kubichek, "Mel-cepstral distance measure for objective speech quality assessment" (IEEE PacRim 1993); the path is
    that of `find_warping_path`.
    """
    cost = cdist(compute_mel_cepstra(synthesized.mel, config), compute_mel_cepstra(recorded.mel, config))
    path = find_warping_path(cost)
    a, b = synthesized.f0[path[:, 0]], recorded.f0[path[:, 1]]
    voiced = (a > 0) & (b > 0)
    error = float(np.sqrt(np.mean((a[voiced] - b[voiced]) ** 2))) if voiced.any() else float("nan")
    return FeatureDistance(float(DECIBEL * cost[path[:, 0], path[:, 1]].mean()), error)
