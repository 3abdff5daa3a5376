"""Measuring a voice by what a listener would notice, with the engine that will serve it, and judging it."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from kubevoice.audio.mel import MelConfig
from kubevoice.resources.stages import Verdict
from kubevoice.resources.voicemodel import Evaluation, EvaluationPolicy
from numpy.typing import NDArray

from kubevoice_training.evaluation.mel_cepstral_distortion import FeatureDistance, compare_features
from kubevoice_training.evaluation.model_files import EXTRA
from kubevoice_training.evaluation.recognition import is_recognizer_installed, pinyin_error_rate, transcribe
from kubevoice_training.evaluation.speaker_similarity import compute_speaker_similarity, is_similarity_model_installed
from kubevoice_training.features.acoustic_features import Features, extract, trim_silence
from kubevoice_training.features.feature_store import Utterance

__all__ = [
    "LOWER_BOUNDS",
    "SynthesizedClip",
    "analyze_clip",
    "check_quality_gate",
    "compute_metrics",
    "get_threshold",
    "recognize_clips",
]

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SynthesizedClip:
    """A text as the voice spoke it, samples [T]; and what it is compared with if it was recorded too.

    `features` are those of the audio between its silences, `seconds` its length; `transcript` is what was recognized.
    """

    text: str
    audio: Array
    seconds: float
    features: Features
    utterance: Utterance | None = None
    distance: FeatureDistance | None = None
    transcript: str | None = None

    def recorded_seconds(self, mel: MelConfig) -> float:
        """Length of the recording it is compared with."""
        assert self.utterance is not None  # noqa: S101  # asked of compared clips only
        return len(self.utterance.features.f0) * mel.hop_length / mel.sample_rate


def analyze_clip(text: str, audio: Array, mel: MelConfig, utterance: Utterance | None = None) -> SynthesizedClip:
    """Analyse `audio` [samples], and compare it with the utterance's recording if there is one."""
    trimmed = trim_silence(audio, mel.sample_rate)
    features = extract(trimmed, mel)
    distance = compare_features(features, utterance.features, mel) if utterance else None
    return SynthesizedClip(text, audio, len(trimmed) / mel.sample_rate, features, utterance, distance)


def recognize_clips(audio: Sequence[Array], sample_rate: int, report: Callable[[int, int], None]) -> list[str | None]:
    """Recognise each audio; None each if the recogniser is not installed. `report` is told how far it is."""
    if not is_recognizer_installed():
        return [None] * len(audio)
    transcripts: list[str | None] = []
    for number, samples in enumerate(audio, 1):
        transcripts.append(transcribe(samples, sample_rate))
        report(number, len(audio))
    return transcripts


def compute_metrics(clips: Sequence[SynthesizedClip], mel: MelConfig) -> tuple[dict[str, float], dict[str, str]]:
    """Return the figures of spoken clips, and why others were not measured.

    durationError is the mean of |spoken - recorded| / recorded, over all clips and for each emotion.
    """
    figures: dict[str, float] = {}
    missing: dict[str, str] = {}
    recognised = [(clip.text, clip.transcript) for clip in clips if clip.transcript is not None]
    if recognised:
        figures["pinyinErrorRate"] = pinyin_error_rate(recognised)
    else:
        missing["pinyinErrorRate"] = f"install {EXTRA}"
    figures |= _average_distances([clip.distance for clip in clips if clip.distance])
    figures |= _average_duration_errors(clips, mel)
    pairs = [
        (clip.utterance.speaker, clip.audio, clip.utterance.wave.astype(np.float32) / 32768.0)
        for clip in clips
        if clip.utterance and len(clip.utterance.wave)
    ]
    if not is_similarity_model_installed():
        missing["speakerSimilarity"] = f"install {EXTRA}"
    elif (similarity := compute_speaker_similarity(pairs, mel.sample_rate)) is not None:
        figures["speakerSimilarity"] = similarity
    else:
        missing["speakerSimilarity"] = "the features were made before recordings were kept; prepare them again"
    return figures, missing


def _average_distances(found: Sequence[FeatureDistance]) -> dict[str, float]:
    errors = [each.f0_error for each in found if np.isfinite(each.f0_error)]
    figures = {"melCepstralDistortion": float(np.mean([each.distortion for each in found]))} if found else {}
    return figures | ({"f0Rmse": float(np.mean(errors))} if errors else {})


def _average_duration_errors(clips: Sequence[SynthesizedClip], mel: MelConfig) -> dict[str, float]:
    errors: dict[str, list[float]] = defaultdict(list)
    for clip in clips:
        if clip.utterance:
            recorded = clip.recorded_seconds(mel)
            errors[clip.utterance.emotion].append(abs(clip.seconds - recorded) / recorded)
    figures = {f"durationError.{label}": float(np.mean(found)) for label, found in errors.items()}
    together = [error for found in errors.values() for error in found]
    return figures | ({"durationError": float(np.mean(together))} if together else {})


UPPER_BOUNDS = ("pinyinErrorRate", "melCepstralDistortion", "realTimeFactor", "f0Rmse")
LOWER_BOUNDS = ("speakerSimilarity",)


def _threshold_field(metric: str) -> str:
    return f"{'min' if metric in LOWER_BOUNDS else 'max'}{metric[0].upper()}{metric[1:]}"


def get_threshold(metric: str, evaluation: Evaluation) -> float | None:
    """Return the threshold that the spec sets for a metric, if it does."""
    found = evaluation.model_dump(by_alias=True, exclude_none=True).get(_threshold_field(metric))
    return None if found is None else float(found)


def check_quality_gate(
    metrics: dict[str, float], evaluation: Evaluation, missing: dict[str, str] | None = None
) -> tuple[Verdict, tuple[str, ...]]:
    """Compare figures with thresholds; each failure says the figure, the threshold and its field.

    A threshold on what was not measured fails too, and says why it was not (`missing`).
    """
    failures = []
    for metric in (*UPPER_BOUNDS, *LOWER_BOUNDS):
        if (limit := get_threshold(metric, evaluation)) is None:
            continue
        value = metrics.get(metric)
        if value is None:
            why = (missing or {}).get(metric, "no clip could be compared")
            failures.append(f"{metric} was not measured, but spec.evaluation.{_threshold_field(metric)} is set: {why}")
        elif not (value >= limit if metric in LOWER_BOUNDS else value <= limit):
            failures.append(f"{metric} is {value:.3g}, spec.evaluation.{_threshold_field(metric)} allows {limit:.3g}")
    if evaluation.policy is EvaluationPolicy.REPORT:
        return Verdict.REPORTED, tuple(failures)
    return (Verdict.FAILED if failures else Verdict.PASSED), tuple(failures)
