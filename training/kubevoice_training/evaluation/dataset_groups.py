"""Metrics of a dataset's recordings, grouped by emotion and speaker."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from kubevoice_training.dataset.faults import Waveform
from kubevoice_training.dataset.rows import Clip
from kubevoice_training.evaluation.noise import NoiseRating, NoiseSample, is_noise_model_installed, rate_noise
from kubevoice_training.evaluation.recording_metrics import (
    RecordingMetrics,
    compute_modified_z_scores,
    measure_recording,
)

__all__ = ["DatasetGroup", "MeasuredClip", "MetricsCollector"]

LONG_PAUSE_SECONDS = 1.0
LOUDNESS_APART_LU = 9.0
OUTLIER_SCORE = 3.5
FEWEST_FOR_OUTLIERS = 8


@dataclass(frozen=True, slots=True)
class MeasuredClip:
    """A clip with its metrics, and how far two of them are from those of its group.

    Attributes
    ----------
    clip
        The clip.
    measures
        Metrics of its recording.
    rate_score
        Modified z-score of the speaking rate; 0 in a group of fewer than `FEWEST_FOR_OUTLIERS` clips.
    loudness_offset
        Loudness minus the group's median, in LU.
    """

    clip: Clip
    measures: RecordingMetrics
    rate_score: float
    loudness_offset: float

    @property
    def where(self) -> str:
        """The clip's file and row, for messages."""
        return f"{self.clip.path}, {self.clip.place}"


@dataclass(frozen=True, slots=True)
class DatasetGroup:
    """The clips of one emotion of one speaker.

    Attributes
    ----------
    emotion, speaker
        The labels.
    clips
        All clips with these labels.
    noise
        Rating of a sample of the recordings; None if the network is not installed.
    """

    emotion: str
    speaker: str
    clips: tuple[MeasuredClip, ...]
    noise: NoiseRating | None

    @property
    def minutes(self) -> float:
        """Length of all clips in minutes."""
        return sum(c.measures.seconds for c in self.clips) / 60.0

    @property
    def rates(self) -> dict[int, int]:
        """Number of clips by sample rate in Hz."""
        return dict(sorted(Counter(c.measures.rate for c in self.clips).items()))

    @property
    def lufs(self) -> float:
        """Median loudness in LUFS."""
        return float(np.median([c.measures.lufs for c in self.clips]))

    @property
    def syllables_per_second(self) -> float:
        """Median speaking rate."""
        return float(np.median([c.measures.syllables_per_second for c in self.clips]))

    @property
    def clips_with_clipping(self) -> list[MeasuredClip]:
        """Clips with samples clipped at full scale."""
        return [c for c in self.clips if c.measures.clipped_samples]

    @property
    def clips_with_pauses(self) -> list[MeasuredClip]:
        """Clips with a silence of more than `LONG_PAUSE_SECONDS` inside."""
        return [c for c in self.clips if c.measures.pause > LONG_PAUSE_SECONDS]

    @property
    def loudness_outliers(self) -> list[MeasuredClip]:
        """Clips more than `LOUDNESS_APART_LU` louder or quieter than the median."""
        return [c for c in self.clips if abs(c.loudness_offset) > LOUDNESS_APART_LU]

    @property
    def rate_outliers(self) -> list[MeasuredClip]:
        """Clips much faster or slower than the others; often the text does not match the speech."""
        return [c for c in self.clips if abs(c.rate_score) > OUTLIER_SCORE]


class MetricsCollector:
    """Measures recordings while the dataset is read, so that none is read twice or stays in memory.

    Attributes
    ----------
    measured
        Clips and their metrics by emotion and speaker. `collect` adds to it; nothing removes.
    """

    def __init__(self) -> None:
        self.measured: dict[tuple[str, str], list[tuple[Clip, RecordingMetrics]]] = defaultdict(list)
        self._samples: dict[tuple[str, str], NoiseSample] = defaultdict(NoiseSample)
        self._noise = is_noise_model_installed()

    def collect(self, clip: Clip, waveform: Waveform) -> None:
        """Measure one recording; `check_dataset` calls this for each good clip.

        Parameters
        ----------
        clip
            The clip.
        waveform
            Its recording.
        """
        key = (clip.emotion, clip.speaker)
        self.measured[key].append((clip, measure_recording(waveform, clip.units)))
        if self._noise:
            self._samples[key].consider(clip.id, waveform)

    def build_groups(self) -> Iterator[DatasetGroup]:
        """Compare the clips of each group with each other, and rate a sample of them for noise.

        Yields
        ------
        DatasetGroup
            One group for each emotion of each speaker.
        """
        for (emotion, speaker), clips in self.measured.items():
            sample = self._samples.get((emotion, speaker))
            yield DatasetGroup(emotion, speaker, _score_clips(clips), rate_noise(sample) if sample else None)


def _score_clips(measured: list[tuple[Clip, RecordingMetrics]]) -> tuple[MeasuredClip, ...]:
    rates = compute_modified_z_scores([measures.syllables_per_second for _, measures in measured])
    scores = rates if len(measured) >= FEWEST_FOR_OUTLIERS else np.zeros(len(measured))
    middle = float(np.median([measures.lufs for _, measures in measured]))
    return tuple(
        MeasuredClip(clip, measures, float(score), measures.lufs - middle)
        for (clip, measures), score in zip(measured, scores, strict=True)
    )
