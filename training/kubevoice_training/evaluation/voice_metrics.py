"""Metrics of a voice from clips that the serving engine synthesized, and the quality gate that compares them."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from kubevoice.audio.mel import MelConfig
from kubevoice.resources.stages import GateResult
from kubevoice.resources.voicemodel import Evaluation, EvaluationPolicy
from numpy.typing import NDArray

from kubevoice_training.evaluation.mel_cepstral_distortion import FeatureDistance, compare_features
from kubevoice_training.evaluation.model_files import EXTRA
from kubevoice_training.evaluation.recognition import compute_pinyin_error_rate, is_recognizer_installed, transcribe
from kubevoice_training.features.acoustic_features import Features, extract_features, trim_silence
from kubevoice_training.features.feature_store import Utterance

__all__ = [
    "LOWER_BOUNDS",
    "SynthesizedClip",
    "analyze_clip",
    "check_quality_gate",
    "compute_metrics",
    "get_threshold",
    "recognize_clips",
    "select_rated_clips",
]

Array = NDArray[np.float32]
COMPARED = ("melCepstralDistortion", "f0Rmse", "speakerSimilarity", "durationError")
"""Metrics that compare clips with recordings."""


RATED_SECONDS = 60.0
"""Speech whose naturalness is rated at most: about 7 s of work for one core, and as much for the base voice."""


@dataclass(frozen=True, slots=True)
class SynthesizedClip:
    """A text as the voice synthesized it, beside the recording of the same text if there is one.

    Attributes
    ----------
    text : what was synthesized.
    audio : samples [T], full scale 1.
    seconds : length of the audio without the silence at both ends.
    features : of the audio without the silence at both ends.
    utterance : the recording and its labels, or None.
    distance : between the audio and the recording, or None.
    transcript : what the recognizer understood; None if it is not installed.
    """

    text: str
    audio: Array
    seconds: float
    features: Features
    utterance: Utterance | None = None
    distance: FeatureDistance | None = None
    transcript: str | None = None

    def recorded_seconds(self, mel: MelConfig) -> float:
        """Return the length of the recording in seconds; only for clips that have one.

        Parameters
        ----------
        mel : Settings of the features.

        Returns
        -------
        float
            Number of frames times the hop.
        """
        assert self.utterance is not None  # noqa: S101  # asked of compared clips only
        return len(self.utterance.features.f0) * mel.hop_length / mel.sample_rate


def analyze_clip(text: str, audio: Array, mel: MelConfig, utterance: Utterance | None = None) -> SynthesizedClip:
    """Extract the features of synthesized audio, and compare them with those of the recording.

    Parameters
    ----------
    text : What was synthesized.
    audio : Samples [T], full scale 1.
    mel : Settings of the features.
    utterance : The recording of the same text, or None.

    Returns
    -------
    SynthesizedClip
        The clip, without a transcript.
    """
    trimmed = trim_silence(audio, mel.sample_rate)
    features = extract_features(trimmed, mel)
    distance = compare_features(features, utterance.features, mel) if utterance else None
    return SynthesizedClip(text, audio, len(trimmed) / mel.sample_rate, features, utterance, distance)


def recognize_clips(audio: Sequence[Array], sample_rate: int, report: Callable[[int, int], None]) -> list[str | None]:
    """Recognize the speech of clips.

    Parameters
    ----------
    audio : samples [T] of each clip.
    sample_rate : in Hz.
    report : called after each clip with the number of recognized and of all clips.

    Returns
    -------
    list of str or None
        A transcript for each clip; None for all if the recognizer is not installed.
    """
    if not is_recognizer_installed():
        return [None] * len(audio)
    transcripts: list[str | None] = []
    for number, samples in enumerate(audio, 1):
        transcripts.append(transcribe(samples, sample_rate))
        report(number, len(audio))
    return transcripts


def select_rated_clips(clips: Sequence[SynthesizedClip]) -> list[SynthesizedClip]:
    """Select the clips whose naturalness is rated: the sentences the user chose or, if there are none, the others.

    Parameters
    ----------
    clips : Synthesized clips.

    Returns
    -------
    list of SynthesizedClip
        Of one minute at most.
    """
    selected: list[SynthesizedClip] = []
    seconds = 0.0
    for clip in [clip for clip in clips if clip.utterance is None] or clips:
        seconds += clip.seconds
        if selected and seconds > RATED_SECONDS:
            break
        selected.append(clip)
    return selected


def compute_metrics(
    clips: Sequence[SynthesizedClip], mel: MelConfig, *, naturalness: bool = True
) -> tuple[dict[str, float], dict[str, str]]:
    """Compute the metrics of a voice over its clips.

    Metrics are pinyinErrorRate, naturalness (1 to 5), melCepstralDistortion (dB), f0Rmse (Hz), speakerSimilarity
    (cosine) and durationError, the mean of |synthesized - recorded| / recorded in length, over all clips and for each
    emotion.

    Parameters
    ----------
    clips : Synthesized clips, some with a recording.
    mel : Settings of the features.
    naturalness : Whether the naturalness is rated. Like comparing speakers, it imports torch, which takes seconds.

    Returns
    -------
    metrics : by name.
    missing : for each metric that was not measured, why.
    """
    metrics: dict[str, float] = {}
    missing: dict[str, str] = {}
    transcripts = [(clip.text, clip.transcript) for clip in clips if clip.transcript is not None]
    if transcripts:
        metrics["pinyinErrorRate"] = compute_pinyin_error_rate(transcripts)
    elif is_recognizer_installed():
        missing["pinyinErrorRate"] = "spec.evaluation.sentences is empty"
    else:
        missing["pinyinErrorRate"] = f"install {EXTRA}"
    if naturalness:
        from kubevoice_training.evaluation.naturalness import is_naturalness_model_installed, rate_naturalness

        if not is_naturalness_model_installed():
            missing |= dict.fromkeys(("naturalness", "naturalnessLoss"), f"install {EXTRA}")
        elif rated := select_rated_clips(clips):
            metrics["naturalness"] = rate_naturalness([clip.audio for clip in rated], mel.sample_rate)
    else:
        missing["naturalness"] = "spec.evaluation.minNaturalness is not set"
    if not any(clip.utterance for clip in clips):
        return metrics, missing | dict.fromkeys(COMPARED, "there are no recordings to compare with")
    metrics |= _average_distances([clip.distance for clip in clips if clip.distance])
    metrics |= _average_duration_errors(clips, mel)
    pairs = [
        (clip.utterance.speaker, clip.audio, clip.utterance.wave.astype(np.float32) / 32768.0)
        for clip in clips
        if clip.utterance and len(clip.utterance.wave)
    ]
    from kubevoice_training.evaluation.speaker_similarity import (
        compute_speaker_similarity,
        is_similarity_model_installed,
    )

    if not is_similarity_model_installed():
        missing["speakerSimilarity"] = f"install {EXTRA}"
    elif (similarity := compute_speaker_similarity(pairs, mel.sample_rate)) is not None:
        metrics["speakerSimilarity"] = similarity
    else:
        missing["speakerSimilarity"] = "the features were made before recordings were kept; prepare them again"
    return metrics, missing


def _average_distances(distances: Sequence[FeatureDistance]) -> dict[str, float]:
    errors = [each.f0_error for each in distances if np.isfinite(each.f0_error)]
    metrics = {"melCepstralDistortion": float(np.mean([each.distortion for each in distances]))} if distances else {}
    return metrics | ({"f0Rmse": float(np.mean(errors))} if errors else {})


def _average_duration_errors(clips: Sequence[SynthesizedClip], mel: MelConfig) -> dict[str, float]:
    errors: dict[str, list[float]] = defaultdict(list)
    for clip in clips:
        if clip.utterance:
            recorded = clip.recorded_seconds(mel)
            errors[clip.utterance.emotion].append(abs(clip.seconds - recorded) / recorded)
    metrics = {f"durationError.{label}": float(np.mean(values)) for label, values in errors.items()}
    all_errors = [error for values in errors.values() for error in values]
    return metrics | ({"durationError": float(np.mean(all_errors))} if all_errors else {})


UPPER_BOUNDS = ("pinyinErrorRate", "melCepstralDistortion", "realTimeFactor", "f0Rmse", "naturalnessLoss")
LOWER_BOUNDS = ("speakerSimilarity", "naturalness")


def _threshold_field(metric: str) -> str:
    return f"{'min' if metric in LOWER_BOUNDS else 'max'}{metric[0].upper()}{metric[1:]}"


def _describe_value(metric: str, metrics: dict[str, float]) -> str:
    value = metrics[metric]
    if metric == "naturalnessLoss" and "naturalness" in metrics:
        voice = metrics["naturalness"]
        return f"naturalness is {voice:.3g}, {value:.2g} below the base voice's {voice + value:.3g}"
    return f"{metric} is {value:.3g}"


def get_threshold(metric: str, evaluation: Evaluation) -> float | None:
    """Look up the threshold of a metric in `spec.evaluation`.

    Parameters
    ----------
    metric : Its name.
    evaluation : The thresholds.

    Returns
    -------
    float or None
        None if there is no threshold.
    """
    threshold = evaluation.model_dump(by_alias=True, exclude_none=True).get(_threshold_field(metric))
    return None if threshold is None else float(threshold)


def check_quality_gate(
    metrics: dict[str, float], evaluation: Evaluation, missing: dict[str, str] | None = None
) -> tuple[GateResult, tuple[str, ...]]:
    """Compare metrics with the thresholds of `spec.evaluation`.

    Parameters
    ----------
    metrics, missing : from `compute_metrics`.
    evaluation : thresholds, and the policy: enforce or only report.

    Returns
    -------
    result : passed, failed, or reported.
    failures : a message for each threshold missed, with the metric, its value and the field. A threshold on a metric
        that was not measured is missed too.
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
            failures.append(
                f"{_describe_value(metric, metrics)}, spec.evaluation.{_threshold_field(metric)} allows {limit:.3g}"
            )
    if evaluation.policy is EvaluationPolicy.REPORT:
        return GateResult.REPORTED, tuple(failures)
    return (GateResult.FAILED if failures else GateResult.PASSED), tuple(failures)
