"""How natural speech sounds: DistillMOS (Stahl and Gamper, arXiv 2502.05356), from 1 (bad) to 5 (excellent).

The network rates 7.68 s of speech at 16 kHz, and takes as long for a word, so short clips share a window.
"""

import math
import pickle
from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np
import soxr
import torch
from kubevoice.errors import KubeVoiceError
from numpy.typing import NDArray

from kubevoice_training.evaluation.model_files import EXTRA, find_model_file, is_installed
from kubevoice_training.evaluation.naturalness_network import WINDOW_SAMPLES, NaturalnessNetwork

__all__ = ["is_naturalness_model_installed", "rate_naturalness"]

Array = NDArray[np.float32]
RATE = 16_000
GAP_SAMPLES = RATE // 10
"""Silence between two clips of a window."""


def is_naturalness_model_installed() -> bool:
    """Check whether the package with the network's weights is installed.

    Returns
    -------
    bool
        Whether `rate_naturalness` can be called.
    """
    return is_installed("distillmos")


@cache
def _load_network() -> NaturalnessNetwork:
    path = find_model_file("distillmos", "weights/distill_mos_v7.pt", "naturalness")
    network = NaturalnessNetwork()
    try:
        network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True)["model"])
    except (OSError, KeyError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0]
        raise KubeVoiceError(f"{path} is damaged or of another version ({reason}); install {EXTRA} again") from None
    # Convolutions with the channels last take about a tenth less time.
    return network.eval().to(memory_format=torch.channels_last)


def _join_clips(clips: Sequence[Array]) -> Iterator[Array]:
    """Join clips as long as they fit into one window."""
    joined: list[Array] = []
    length = 0
    for clip in clips:
        if joined and length + len(clip) > WINDOW_SAMPLES:
            yield np.concatenate(joined)
            joined, length = [], 0
        joined.append(np.pad(clip, (0, GAP_SAMPLES)))
        length += len(joined[-1])
    if joined:
        yield np.concatenate(joined)[:-GAP_SAMPLES]


def _iter_windows(clips: Sequence[Array]) -> Iterator[Array]:
    """Yield windows [122880]; a longer clip is divided into as few as cover it, a shorter one is padded with zeros."""
    for signal in _join_clips(clips):
        count = math.ceil(len(signal) / WINDOW_SAMPLES)
        for start in np.linspace(0, max(0, len(signal) - WINDOW_SAMPLES), count).astype(int):
            window = signal[start : start + WINDOW_SAMPLES]
            yield np.pad(window, (0, WINDOW_SAMPLES - len(window)))


def rate_naturalness(clips: Sequence[Array], sample_rate: int) -> float:
    """Rate how natural speech sounds.

    Parameters
    ----------
    clips : Samples [T] of each clip; at least one is not empty.
    sample_rate : In Hz.

    Returns
    -------
    float
        From 1 (bad) to 5 (excellent), the mean over windows of 7.68 s.

    Raises
    ------
    KubeVoiceError
        If the weights are not installed, or are damaged.

    References
    ----------
    Stahl and Gamper, "Distillation and Pruning for Scalable Self-Supervised Representation-Based Speech Quality
    Assessment" (arXiv 2502.05356). The authors divide long clips into windows that begin at most a second apart.
    """
    network = _load_network()
    resampled = [soxr.resample(clip, sample_rate, RATE).astype(np.float32) for clip in clips]
    with torch.inference_mode():
        ratings = [float(network(torch.from_numpy(window)[None])) for window in _iter_windows(resampled)]
    return float(np.mean(ratings))
