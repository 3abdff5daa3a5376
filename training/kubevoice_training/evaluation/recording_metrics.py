"""What one recording measures: level, clipping, pauses and speaking rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from kubevoice.text import Unit
from numpy.typing import NDArray

from kubevoice_training.dataset.faults import Waveform
from kubevoice_training.features.acoustic_features import find_loud_blocks

__all__ = ["RecordingMetrics", "compute_modified_z_scores", "measure_recording"]

FULL_SCALE = 0.999
BLOCK_SECONDS = 0.02
LOUDNESS_BLOCK_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class RecordingMetrics:
    """Metrics of one recording.

    Attributes
    ----------
    rate
        Sample rate in Hz.
    seconds
        Its length.
    speech
        Time in seconds from the first sound to the last.
    pause
        The longest silence between them, in seconds.
    clipped_samples
        Number of samples in runs of three or more at full scale.
    lufs
        Loudness by ITU-R BS.1770-4.
    syllables
        Number of syllables of its text.
    """

    rate: int
    seconds: float
    speech: float
    pause: float
    clipped_samples: int
    lufs: float
    syllables: int

    @property
    def syllables_per_second(self) -> float:
        """Speaking rate, without the silence at both ends."""
        return self.syllables / self.speech


@cache
def _create_meter(rate: int) -> Any:
    import pyloudnorm

    return pyloudnorm.Meter(rate)


def _measure_loudness(samples: NDArray[np.float32], rate: int) -> float:
    """Integrated loudness in LUFS. A clip shorter than one block is repeated, which leaves its level as it is."""
    least = int(LOUDNESS_BLOCK_SECONDS * rate) + 1
    repeated = np.tile(samples, -(-least // len(samples))) if len(samples) < least else samples
    return max(-70.0, float(_create_meter(rate).integrated_loudness(repeated.astype(np.float64))))


def _count_clipped_samples(samples: NDArray[np.float32]) -> int:
    hot = np.abs(samples) >= FULL_SCALE
    run = hot[:-2] & hot[1:-1] & hot[2:]
    inside = np.zeros(len(hot), bool)
    for shift in range(3):
        inside[shift : shift + len(run)] |= run
    return int(inside.sum())


def measure_recording(sound: Waveform, units: Sequence[Unit]) -> RecordingMetrics:
    """Measure one recording.

    Parameters
    ----------
    sound
        A usable recording.
    units
        Linguistic units of its text.

    Returns
    -------
    RecordingMetrics
        Level, clipping, pauses and speaking rate.
    """
    loud = find_loud_blocks(sound.samples, sound.rate)
    # A recording too short for two blocks has neither ends nor pauses.
    speech = (loud[-1] - loud[0] + 1) * BLOCK_SECONDS if len(loud) else sound.seconds
    pause = (np.diff(loud).max(initial=1) - 1) * BLOCK_SECONDS
    return RecordingMetrics(
        rate=sound.rate,
        seconds=sound.seconds,
        speech=float(speech),
        pause=float(pause),
        clipped_samples=_count_clipped_samples(sound.samples),
        lufs=_measure_loudness(sound.samples, sound.rate),
        syllables=sum(unit.syllable_flag in ("s_begin", "s_both") for unit in units),
    )


def compute_modified_z_scores(values: list[float]) -> NDArray[np.float64]:
    """Compute how many deviations each value is from the median.

    The deviation is estimated from the median distance, so that an outlier does not widen it.

    Parameters
    ----------
    values
        At least one.

    Returns
    -------
    NDArray
        One score for each value [N]; all zeros if half of the values are equal.

    References
    ----------
    Iglewicz and Hoaglin, "How to Detect and Handle Outliers" (1993).
    """
    array = np.asarray(values, np.float64)
    distance = array - np.median(array)
    spread = 1.4826 * np.median(np.abs(distance))
    return distance / spread if spread > 0 else np.zeros_like(array)
