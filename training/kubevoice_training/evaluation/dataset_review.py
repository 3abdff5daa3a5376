"""How good a dataset is: what each emotion of each speaker measures, and what would make it better.

Faults keep a dataset from being used, advice does not. Every threshold here is explained in docs/dataset.md.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass

from kubevoice.resources.voicemodel import PinyinTones
from kubevoice.storage import Storage
from kubevoice.text.front_end_config import English

from kubevoice_training.dataset.check import DatasetReport, RowCallback, check_dataset
from kubevoice_training.evaluation.dataset_groups import DatasetGroup, MetricsCollector
from kubevoice_training.evaluation.model_files import EXTRA
from kubevoice_training.evaluation.noise import is_noise_model_installed

__all__ = [
    "ENOUGH_MINUTES",
    "DatasetAdvice",
    "DatasetReview",
    "dump_review",
    "review_dataset",
]

ENOUGH_MINUTES = 30.0
FULL_BAND_HZ = 24_000
QUIET_LUFS = -36.0
NOISY_BACKGROUND = 2.5


@dataclass(frozen=True, slots=True)
class DatasetAdvice:
    """One recommendation.

    Attributes
    ----------
    kind
        Its subject, in one or two words.
    message
        What to change and why.
    clips
        File and row of each clip that it concerns; empty if it concerns all.
    """

    kind: str
    message: str
    clips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetReview:
    """The result of a review: faults, metrics and advice.

    Attributes
    ----------
    uri, digest
        Of the dataset.
    groups
        Metrics by emotion and speaker.
    faults
        Messages; the dataset cannot be used before they are corrected.
    advice
        Recommendations.
    report
        The result of the dataset check.
    """

    uri: str
    digest: str
    groups: tuple[DatasetGroup, ...]
    faults: tuple[str, ...]
    advice: tuple[DatasetAdvice, ...]
    report: DatasetReport

    @property
    def replaced_labels(self) -> dict[str, str]:
        """The emotion of each label that is written otherwise in the dataset."""
        return {label: emotion for label, emotion in sorted(self.report.labels.items()) if label != emotion}

    @property
    def trainable(self) -> bool:
        """Whether prepare would accept the dataset: it has clips and no faults."""
        return bool(self.report.clips) and not self.faults


def review_dataset(
    storage: Storage,
    emotions: Mapping[str, str],
    *,
    english: English = "syllables",
    tones: PinyinTones = PinyinTones.AS_SPOKEN,
    on_row: RowCallback = lambda _number, _count: None,
) -> DatasetReview:
    """Read, check and measure a dataset.

    Parameters
    ----------
    storage
        The dataset's folder.
    emotions
        The emotion that labels of the dataset mean, before the usual meanings.
    english
        How the voice to be trained reads English.
    tones
        Whether pinyin of the dataset's own has the dictionary's tones or those after tone sandhi.
    on_row
        Called for each row with its number, from 1, and the number of rows.

    Returns
    -------
    DatasetReview
        Faults, metrics and advice.

    Raises
    ------
    InputError
        If there is no dataset, or its lexicon is wrong.
    KubeVoiceError
        If the storage cannot be reached.
    """
    collector = MetricsCollector()
    report = check_dataset(storage, emotions, collector.collect, on_row, english=english, tones=tones)
    groups = tuple(collector.build_groups())
    advice = [item for group in groups for item in _advise_group(group)] + list(_advise_dataset(groups, report))
    return DatasetReview(storage.uri, report.digest, groups, tuple(report.problems), tuple(advice), report)


def _advise_group(group: DatasetGroup) -> Iterator[DatasetAdvice]:
    who = f"{group.emotion} of {group.speaker}"
    if group.minutes < ENOUGH_MINUTES:
        yield DatasetAdvice(
            "minutes", f"{who} has {group.minutes:.1f} minutes; a voice learns well from {ENOUGH_MINUTES:.0f}"
        )
    if clips := group.clips_with_clipping:
        named = tuple(f"{c.where}: {c.measures.clipped_samples} samples" for c in clips)
        yield DatasetAdvice(
            "clipping", f"{who}: {len(clips)} clips are cut off at full scale; record at a lower gain", named
        )
    if group.lufs < QUIET_LUFS:
        yield DatasetAdvice("loudness", f"{who} is quiet ({group.lufs:.0f} LUFS); record closer or at a higher gain")
    if clips := group.loudness_outliers:
        named = tuple(f"{c.where}: {c.loudness_offset:+.0f} LU" for c in clips)
        yield DatasetAdvice("loudness", f"{who}: {len(clips)} clips are much louder or quieter than the others", named)
    if clips := group.clips_with_pauses:
        named = tuple(f"{c.where}: {c.measures.pause:.1f} s" for c in clips)
        yield DatasetAdvice(
            "pauses", f"{who}: {len(clips)} clips are silent for long in the middle; cut them there", named
        )
    if clips := group.rate_outliers:
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
    """Convert a review to JSON values: what `dataset check --json` prints.

    Parameters
    ----------
    review
        The review.

    Returns
    -------
    dict
        Values by key in camel case.
    """
    return {
        "uri": review.uri,
        "digest": review.digest,
        "trainable": review.trainable,
        "clips": len(review.report.clips),
        "seconds": round(review.report.seconds, 2),
        "labels": review.report.labels,
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
        "clippedClips": len(group.clips_with_clipping),
        "lufs": {"median": round(group.lufs, 1), "lowest": round(min(levels), 1), "highest": round(max(levels), 1)},
        "clipsWithLongPauses": len(group.clips_with_pauses),
        "syllablesPerSecond": round(group.syllables_per_second, 2),
        "clipsWithOutlyingRate": len(group.rate_outliers),
        "noise": None if group.noise is None else asdict(group.noise),
    }
