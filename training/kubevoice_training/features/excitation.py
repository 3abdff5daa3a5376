"""F0 and voicing as targets of a voice with a harmonic source (NSF); `models.nsf.denormalize_f0` is the inverse."""

import numpy as np
from numpy.typing import NDArray

from kubevoice_training.models.config import F0_FLOOR_HZ, SourceConfig

__all__ = ["compute_excitation", "normalize_excitation"]

Array = NDArray[np.float32]


def compute_excitation(f0: Array) -> Array:
    """Interpolate F0 over unvoiced frames, and add a column for voicing.

    Interpolation is linear in log F0, as in the reference (docs/reference/kantts-format.md, section "Feature run").

    Parameters
    ----------
    f0
        F0 in Hz, 0 where unvoiced [T_mel].

    Returns
    -------
    NDArray
        F0 in Hz and voicing (1 or 0) of each frame [T_mel, 2]. A clip without a voiced frame has the lowest F0.
    """
    voiced = f0 > 0
    times = np.arange(len(f0))
    known = np.log(f0[voiced]) if voiced.any() else np.log([F0_FLOOR_HZ])
    interpolated = np.exp(np.interp(times, times[voiced] if voiced.any() else [0], known))
    return np.stack([interpolated, voiced], axis=1).astype(np.float32)


def normalize_excitation(columns: Array, source: SourceConfig) -> Array:
    """Scale F0 to the range that the acoustic model predicts; voicing stays as it is.

    Parameters
    ----------
    columns
        F0 in Hz and voicing [T_mel, 2], from `compute_excitation`.
    source
        Offset and scale of F0, in Hz.

    Returns
    -------
    NDArray
        (F0 - offset) / scale and voicing [T_mel, 2].
    """
    scale = np.array([source.f0_scale, 1.0], np.float32)
    return (columns - np.array([source.f0_offset, 0.0], np.float32)) / scale
