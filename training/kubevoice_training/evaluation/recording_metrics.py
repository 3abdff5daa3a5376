"""What one recording measures: level, clipping, pauses and speaking rate."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from kubevoice.text import Unit
from numpy.typing import NDArray

from kubevoice_training.dataset.faults import Waveform
from kubevoice_training.features.acoustic_features import loud_blocks

__all__ = ["RecordingMetrics", "measure_recording", "modified_z_scores"]

FULL_SCALE = 0.999
BLOCK_SECONDS = 0.02
LOUDNESS_BLOCK_SECONDS = 0.4


@dataclass(frozen=True, slots=True)
class RecordingMetrics:
    """Measures of one clip.

    `speech` is the time in seconds from the first sound to the last, `pause` the longest silence between them,
    `clipped` the number of samples in runs of three or more at full scale, `lufs` the loudness by ITU-R BS.1770-4.
    """

    rate: int
    seconds: float
    speech: float
    pause: float
    clipped: int
    lufs: float
    syllables: int

    @property
    def syllables_per_second(self) -> float:
        """Speaking rate, silence at both ends left out."""
        return self.syllables / self.speech


@cache
def _meter(rate: int) -> Any:
    import pyloudnorm

    return pyloudnorm.Meter(rate)


def _loudness(samples: NDArray[np.float32], rate: int) -> float:
    """Integrated loudness in LUFS. A clip shorter than one block is repeated, which leaves its level as it is."""
    least = int(LOUDNESS_BLOCK_SECONDS * rate) + 1
    repeated = np.tile(samples, -(-least // len(samples))) if len(samples) < least else samples
    return max(-70.0, float(_meter(rate).integrated_loudness(repeated.astype(np.float64))))


def _clipped(samples: NDArray[np.float32]) -> int:
    hot = np.abs(samples) >= FULL_SCALE
    run = hot[:-2] & hot[1:-1] & hot[2:]
    inside = np.zeros(len(hot), bool)
    for shift in range(3):
        inside[shift : shift + len(run)] |= run
    return int(inside.sum())


def measure_recording(sound: Waveform, units: Sequence[Unit]) -> RecordingMetrics:
    """Measure a usable recording of `units`."""
    loud = loud_blocks(sound.samples, sound.rate)
    # A recording too short for two blocks has neither ends nor pauses.
    speech = (loud[-1] - loud[0] + 1) * BLOCK_SECONDS if len(loud) else sound.seconds
    pause = (np.diff(loud).max(initial=1) - 1) * BLOCK_SECONDS
    return RecordingMetrics(
        rate=sound.rate,
        seconds=sound.seconds,
        speech=float(speech),
        pause=float(pause),
        clipped=_clipped(sound.samples),
        lufs=_loudness(sound.samples, sound.rate),
        syllables=sum(unit.syllable_flag in ("s_begin", "s_both") for unit in units),
    )


def modified_z_scores(values: list[float]) -> NDArray[np.float64]:
    """How many deviations each value lies from the median, the deviation estimated from the median distance.

    The modified z-score of Iglewicz and Hoaglin (How to Detect and Handle Outliers, 1993), by which an outlier does
    not hide itself by widening the spread. All zeros if half of the values are equal.
    """
    array = np.asarray(values, np.float64)
    distance = array - np.median(array)
    spread = 1.4826 * np.median(np.abs(distance))
    return distance / spread if spread > 0 else np.zeros_like(array)
