"""F0 and voicing of recordings as voices with a harmonic source (NSF) learn and speak them; `models.nsf` undoes it."""

import numpy as np
from numpy.typing import NDArray

from kubevoice_training.models.nsf import F0_FLOOR_HZ, SourceConfig

__all__ = ["excitation", "normalized"]

Array = NDArray[np.float32]


def excitation(f0: Array) -> Array:
    """Turn F0 [T] in Hz, 0 where unvoiced, into [T, 2]: F0 bridged where unvoiced, and 1 where voiced.

    Bridged along the logarithm, as the reference does (facts file §4); a clip without voice lies at the floor.
    """
    voiced = f0 > 0
    times = np.arange(len(f0))
    known = np.log(f0[voiced]) if voiced.any() else np.log([F0_FLOOR_HZ])
    bridged = np.exp(np.interp(times, times[voiced] if voiced.any() else [0], known))
    return np.stack([bridged, voiced], axis=1).astype(np.float32)


def normalized(columns: Array, source: SourceConfig) -> Array:
    """Bring what `excitation` returns into the range that the acoustic model speaks in."""
    scale = np.array([source.f0_scale, 1.0], np.float32)
    return (columns - np.array([source.f0_offset, 0.0], np.float32)) / scale
