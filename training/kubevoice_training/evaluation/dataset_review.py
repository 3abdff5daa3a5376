"""How good a dataset is: what each emotion of each speaker measures, and what would make it better.

Faults keep a dataset from being used, advice does not. Every threshold here is explained in docs/dataset.md.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np
from kubevoice.resources.voicemodel import PinyinTones
from kubevoice.storage import Storage

from kubevoice_training.dataset.check import DatasetReport, check_dataset
from kubevoice_training.dataset.faults import Waveform
from kubevoice_training.dataset.rows import Clip
from kubevoice_training.evaluation.model_files import EXTRA
from kubevoice_training.evaluation.noise import NoiseRating, NoiseSample, is_noise_model_installed, rate_noise
from kubevoice_training.evaluation.recording_metrics import RecordingMetrics, measure_recording, modified_z_scores

__all__ = [
    "ENOUGH_MINUTES",
    "DatasetAdvice",
    "DatasetGroup",
    "DatasetReview",
    "MeasuredClip",
    "dump_review",
    "review_dataset",
]

ENOUGH_MINUTES = 30.0
FULL_BAND_HZ = 24_000
LONG_PAUSE_SECONDS = 1.0
LOUDNESS_APART_LU = 9.0
QUIET_LUFS = -36.0
NOISY_BACKGROUND = 2.5
OUTLIER_SCORE = 3.5
FEWEST_FOR_OUTLIERS = 8


@dataclass(frozen=True, slots=True)
class MeasuredClip:
    """A clip, its measures, and how far its speaking rate and loudness lie from those of its group.

    `rate_score` is a robust z-score; `apart` is in LU.
    """

    clip: Clip
    measures: RecordingMetrics
    rate_score: float
    apart: float

    @property
    def where(self) -> str:
        """File and row."""
        return f"{self.clip.path}, {self.clip.place}"


@dataclass(frozen=True, slots=True)
class DatasetGroup:
    """One emotion of one speaker."""

    emotion: str
    speaker: str
    clips: tuple[MeasuredClip, ...]
    noise: NoiseRating | None

    @property
    def minutes(self) -> float:
        """Length of all clips."""
        return sum(c.measures.seconds for c in self.clips) / 60.0

    @property
    def rates(self) -> dict[int, int]:
        """Sample rates in Hz and how many clips have each."""
        return dict(sorted(Counter(c.measures.rate for c in self.clips).items()))

    @property
    def lufs(self) -> float:
        """Median loudness."""
        return float(np.median([c.measures.lufs for c in self.clips]))

    @property
    def syllables_per_second(self) -> float:
        """Median speaking rate."""
        return float(np.median([c.measures.syllables_per_second for c in self.clips]))

    @property
    def clipped(self) -> list[MeasuredClip]:
        """Clips with samples cut off at full scale."""
        return [c for c in self.clips if c.measures.clipped]

    @property
    def pausing(self) -> list[MeasuredClip]:
        """Clips with a long silence inside."""
        return [c for c in self.clips if c.measures.pause > LONG_PAUSE_SECONDS]

    @property
    def apart(self) -> list[MeasuredClip]:
        """Clips much louder or quieter than the others."""
        return [c for c in self.clips if abs(c.apart) > LOUDNESS_APART_LU]

    @property
    def outliers(self) -> list[MeasuredClip]:
        """Clips spoken much faster or slower than the others: often the text does not match the speech."""
        return [c for c in self.clips if abs(c.rate_score) > OUTLIER_SCORE]


@dataclass(frozen=True, slots=True)
class DatasetAdvice:
    """One way to make the dataset better; `clips` names those concerned by file and row."""

    kind: str
    message: str
    clips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetReview:
    """Faults, metrics and advice of a dataset. It can be trained on if it has clips and no faults."""

    uri: str
    digest: str
    groups: tuple[DatasetGroup, ...]
    faults: tuple[str, ...]
    advice: tuple[DatasetAdvice, ...]
    report: DatasetReport

    @property
    def trainable(self) -> bool:
        """Whether preparation would accept it."""
        return bool(self.report.clips) and not self.faults


class _MetricsCollector:
    """Collects measures while the dataset is read, so that no recording is read twice or kept."""

    def __init__(self) -> None:
        self.measured: dict[tuple[str, str], list[tuple[Clip, RecordingMetrics]]] = defaultdict(list)
        self._samples: dict[tuple[str, str], NoiseSample] = defaultdict(NoiseSample)
        self._noise = is_noise_model_installed()

    def collect(self, clip: Clip, waveform: Waveform) -> None:
        key = (clip.emotion, clip.speaker)
        self.measured[key].append((clip, measure_recording(waveform, clip.units)))
        if self._noise:
            self._samples[key].consider(clip.id, waveform)

    def build_groups(self) -> Iterator[DatasetGroup]:
        for (emotion, speaker), clips in self.measured.items():
            sample = self._samples.get((emotion, speaker))
            yield DatasetGroup(emotion, speaker, _score_clips(clips), rate_noise(sample) if sample else None)


def _score_clips(measured: list[tuple[Clip, RecordingMetrics]]) -> tuple[MeasuredClip, ...]:
    rates = modified_z_scores([measures.syllables_per_second for _, measures in measured])
    scores = rates if len(measured) >= FEWEST_FOR_OUTLIERS else np.zeros(len(measured))
    middle = float(np.median([measures.lufs for _, measures in measured]))
    return tuple(
        MeasuredClip(clip, measures, float(score), measures.lufs - middle)
        for (clip, measures), score in zip(measured, scores, strict=True)
    )


def review_dataset(
    storage: Storage, emotions: Mapping[str, str], *, tones: PinyinTones = PinyinTones.AS_SPOKEN
) -> DatasetReview:
    """Read, check and measure a dataset; arguments and errors as for `check_dataset`."""
    collector = _MetricsCollector()
    report = check_dataset(storage, emotions, collector.collect, tones=tones)
    groups = tuple(collector.build_groups())
    advice = [item for group in groups for item in _advise_group(group)] + list(_advise_dataset(groups, report))
    return DatasetReview(storage.uri, report.digest, groups, tuple(report.problems), tuple(advice), report)


def _advise_group(group: DatasetGroup) -> Iterator[DatasetAdvice]:
    who = f"{group.emotion} of {group.speaker}"
    if group.minutes < ENOUGH_MINUTES:
        yield DatasetAdvice(
            "minutes", f"{who} has {group.minutes:.1f} minutes; a voice learns well from {ENOUGH_MINUTES:.0f}"
        )
    if clips := group.clipped:
        named = tuple(f"{c.where}: {c.measures.clipped} samples" for c in clips)
        yield DatasetAdvice(
            "clipping", f"{who}: {len(clips)} clips are cut off at full scale; record at a lower gain", named
        )
    if group.lufs < QUIET_LUFS:
        yield DatasetAdvice("loudness", f"{who} is quiet ({group.lufs:.0f} LUFS); record closer or at a higher gain")
    if clips := group.apart:
        named = tuple(f"{c.where}: {c.apart:+.0f} LU" for c in clips)
        yield DatasetAdvice("loudness", f"{who}: {len(clips)} clips are much louder or quieter than the others", named)
    if clips := group.pausing:
        named = tuple(f"{c.where}: {c.measures.pause:.1f} s" for c in clips)
        yield DatasetAdvice(
            "pauses", f"{who}: {len(clips)} clips are silent for long in the middle; cut them there", named
        )
    if clips := group.outliers:
        named = tuple(
            f"{c.where}: {c.measures.syllables_per_second:.1f} syllables/s for {c.clip.text[:20]!r}" for c in clips
        )
        yield DatasetAdvice(
            "rate", f"{who}: {len(clips)} clips are far faster or slower; does their text match the speech?", named
        )
    if group.noise is not None and group.noise.background < NOISY_BACKGROUND:
        rating = f"background rated {group.noise.background:.1f} of 5"
        yield DatasetAdvice("noise", f"{who} is noisy ({rating}); record in a quieter room or remove the noise")


def _advise_dataset(groups: tuple[DatasetGroup, ...], report: DatasetReport) -> Iterator[DatasetAdvice]:
    rates = sorted({rate for group in groups for rate in group.rates})
    low = [c for group in groups for c in group.clips if c.measures.rate < FULL_BAND_HZ]
    if low:
        named = tuple(f"{c.where}: {c.measures.rate} Hz" for c in low)
        yield DatasetAdvice(
            "rate of samples", f"{len(low)} clips are sampled below {FULL_BAND_HZ} Hz and sound duller", named
        )
    elif len(rates) > 1:
        yield DatasetAdvice(
            "rate of samples", f"sample rates differ ({', '.join(map(str, rates))} Hz); record all at one"
        )
    if groups and not is_noise_model_installed():
        yield DatasetAdvice("noise", f"noise was not measured; install {EXTRA} to have it rated")
    yield from (DatasetAdvice("dataset", warning) for warning in report.warnings)


def dump_review(review: DatasetReview) -> dict[str, object]:
    """Return a review as JSON values with keys in camel case: what `dataset check --json` prints."""
    return {
        "uri": review.uri,
        "digest": review.digest,
        "trainable": review.trainable,
        "clips": len(review.report.clips),
        "seconds": round(review.report.seconds, 2),
        "groups": [_dump_group(group) for group in review.groups],
        "faults": list(review.faults),
        "advice": [asdict(item) for item in review.advice],
    }


def _dump_group(group: DatasetGroup) -> dict[str, object]:
    levels = [c.measures.lufs for c in group.clips]
    return {
        "emotion": group.emotion,
        "speaker": group.speaker,
        "clips": len(group.clips),
        "minutes": round(group.minutes, 2),
        "sampleRates": {str(rate): count for rate, count in group.rates.items()},
        "clippedClips": len(group.clipped),
        "lufs": {"median": round(group.lufs, 1), "lowest": round(min(levels), 1), "highest": round(max(levels), 1)},
        "clipsWithLongPauses": len(group.pausing),
        "syllablesPerSecond": round(group.syllables_per_second, 2),
        "clipsWithOutlyingRate": len(group.outliers),
        "noise": None if group.noise is None else asdict(group.noise),
    }
