"""Loudness as broadcasters measure it: ITU-R BS.1770-4, annex 1, for one channel.

pyloudnorm, which reviews datasets, needs scipy, which the serving image does without.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["loudness", "to_loudness"]

Array = NDArray[np.float32]

SHELF = (1681.974450955533, 0.7071752369554196, 3.999843853973347)
"""Centre in Hz, Q and gain in dB of the first filter of the K-weighting, which stands for the head."""
HIGH_PASS = (38.13547087602444, 0.5003270373238773)
"""Corner in Hz and Q of the second. The standard gives coefficients for 48 kHz alone; these give them for any rate (De
Man, Evaluation of Implementations of the EBU R128 Loudness Measurement, AES 145, 2018)."""
BLOCK_SECONDS, STEP_SECONDS = 0.4, 0.1
ABSOLUTE_GATE, RELATIVE_GATE = -70.0, -10.0
OFFSET = -0.691
CEILING = 10.0 ** (-1.0 / 20.0)
"""The largest sample that raising may lead to: 1 dB below what clips, for codecs overshoot."""


def _k_weighting(frequencies: NDArray[np.float64], rate: int) -> NDArray[np.float64]:
    """Return the power gain of the K-weighting at some frequencies, in cycles a sample."""
    z = np.exp(-2j * np.pi * frequencies)
    f0, q, decibels = SHELF
    k, high = np.tan(np.pi * f0 / rate), 10.0 ** (decibels / 20.0)
    band = high**0.4996667741545416
    above = (high + band * k / q + k * k) + 2 * (k * k - high) * z + (high - band * k / q + k * k) * z * z
    shelf = above / ((1 + k / q + k * k) + 2 * (k * k - 1) * z + (1 - k / q + k * k) * z * z)
    f0, q = HIGH_PASS
    k = np.tan(np.pi * f0 / rate)
    below = (1 + k / q + k * k) + 2 * (k * k - 1) * z + (1 - k / q + k * k) * z * z
    high_pass = (1 - z) ** 2 * (1 + k / q + k * k) / below
    gain: NDArray[np.float64] = np.abs(shelf * high_pass)
    return gain


def loudness(samples: Array, rate: int) -> float:
    """Measure integrated loudness. Less than one block of 0.4 s is measured as one block.

    Parameters
    ----------
    samples
        [T], mono, in [-1, 1].
    rate
        Sample rate in Hz.

    Returns
    -------
    float
        LUFS; minus infinity if nothing is above the gate.
    """
    size = len(samples)
    if not size:
        return -np.inf
    # The filters are applied without their delay, which a mean square over 0.4 s does not notice. Zeros behind keep
    # the end from running into the beginning.
    padded = size + rate // 2
    frequencies = np.fft.rfftfreq(padded).astype(np.float64)
    weighted = np.fft.irfft(np.fft.rfft(samples, padded) * _k_weighting(frequencies, rate), padded)[:size]
    sums = np.concatenate([[0.0], np.cumsum(weighted**2)])
    block = min(size, round(BLOCK_SECONDS * rate))
    begins = np.arange(0, size - block + 1, round(STEP_SECONDS * rate))
    power = (sums[begins + block] - sums[begins]) / block
    gate = 10.0 ** ((ABSOLUTE_GATE - OFFSET) / 10.0)
    for _ in range(2):
        power = power[power > gate]
        if not len(power):
            return -np.inf
        gate = power.mean() * 10.0 ** (RELATIVE_GATE / 10.0)
    return float(OFFSET + 10.0 * np.log10(power.mean()))


def to_loudness(samples: Array, rate: int, target: float) -> Array:
    """Scale samples to a loudness, or as near to it as a peak of -1 dBFS allows. Silence stays silence.

    Parameters
    ----------
    samples
        [T], mono, in [-1, 1].
    rate
        Sample rate in Hz.
    target
        In LUFS.

    Returns
    -------
    NDArray
        [T], the scaled samples.
    """
    measured = loudness(samples, rate)
    if not np.isfinite(measured):
        return samples
    gain = min(10.0 ** ((target - measured) / 20.0), CEILING / float(np.abs(samples).max()))
    return samples * np.float32(gain)
