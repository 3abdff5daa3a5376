"""Measuring a voice by what a listener would notice, with the engine that will serve it, and judging it."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from kubevoice.audio.mel import MelConfig
from kubevoice.resources.stages import Verdict
from kubevoice.resources.voicemodel import Evaluation, EvaluationPolicy
from numpy.typing import NDArray

from kubevoice_training.evaluation.mel_cepstral_distortion import Distance, compare
from kubevoice_training.evaluation.model_files import EXTRA
from kubevoice_training.evaluation.recognition import pinyin_error_rate, recognition_available, transcribe
from kubevoice_training.evaluation.speaker_similarity import similarity_available, speaker_similarity
from kubevoice_training.features.acoustic_features import Features, extract, trim_silence
from kubevoice_training.features.feature_store import Utterance

__all__ = ["LOWER", "Spoken", "judge", "limit_of", "measure", "recognise", "spoken_clip"]

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A text as the voice spoke it, samples [T]; and what it is compared with if it was recorded too.

    `features` are those of the audio between its silences, `seconds` its length; `heard` is what was recognised.
    """

    text: str
    audio: Array
    seconds: float
    features: Features
    utterance: Utterance | None = None
    distance: Distance | None = None
    heard: str | None = None

    def recorded_seconds(self, mel: MelConfig) -> float:
        """Length of the recording it is compared with."""
        assert self.utterance is not None  # noqa: S101  # asked of compared clips only
        return len(self.utterance.features.f0) * mel.hop_length / mel.sample_rate


def spoken_clip(text: str, audio: Array, mel: MelConfig, utterance: Utterance | None = None) -> Spoken:
    """Analyse `audio` [samples], and compare it with the utterance's recording if there is one."""
    trimmed = trim_silence(audio, mel.sample_rate)
    features = extract(trimmed, mel)
    distance = compare(features, utterance.features, mel) if utterance else None
    return Spoken(text, audio, len(trimmed) / mel.sample_rate, features, utterance, distance)


def recognise(audio: Sequence[Array], sample_rate: int, report: Callable[[int, int], None]) -> list[str | None]:
    """Recognise each audio; None each if the recogniser is not installed. `report` is told how far it is."""
    if not recognition_available():
        return [None] * len(audio)
    heard: list[str | None] = []
    for number, samples in enumerate(audio, 1):
        heard.append(transcribe(samples, sample_rate))
        report(number, len(audio))
    return heard


def measure(clips: Sequence[Spoken], mel: MelConfig) -> tuple[dict[str, float], dict[str, str]]:
    """Return the figures of spoken clips, and why others were not measured.

    durationError is the mean of |spoken - recorded| / recorded, over all clips and for each emotion.
    """
    figures: dict[str, float] = {}
    missing: dict[str, str] = {}
    recognised = [(clip.text, clip.heard) for clip in clips if clip.heard is not None]
    if recognised:
        figures["pinyinErrorRate"] = pinyin_error_rate(recognised)
    else:
        missing["pinyinErrorRate"] = f"install {EXTRA}"
    figures |= _distances([clip.distance for clip in clips if clip.distance])
    figures |= _durations(clips, mel)
    pairs = [
        (clip.utterance.speaker, clip.audio, clip.utterance.wave.astype(np.float32) / 32768.0)
        for clip in clips
        if clip.utterance and len(clip.utterance.wave)
    ]
    if not similarity_available():
        missing["speakerSimilarity"] = f"install {EXTRA}"
    elif (similarity := speaker_similarity(pairs, mel.sample_rate)) is not None:
        figures["speakerSimilarity"] = similarity
    else:
        missing["speakerSimilarity"] = "the features were made before recordings were kept; prepare them again"
    return figures, missing


def _distances(found: Sequence[Distance]) -> dict[str, float]:
    errors = [each.f0_error for each in found if np.isfinite(each.f0_error)]
    figures = {"melCepstralDistortion": float(np.mean([each.distortion for each in found]))} if found else {}
    return figures | ({"f0Rmse": float(np.mean(errors))} if errors else {})


def _durations(clips: Sequence[Spoken], mel: MelConfig) -> dict[str, float]:
    errors: dict[str, list[float]] = defaultdict(list)
    for clip in clips:
        if clip.utterance:
            recorded = clip.recorded_seconds(mel)
            errors[clip.utterance.emotion].append(abs(clip.seconds - recorded) / recorded)
    figures = {f"durationError.{label}": float(np.mean(found)) for label, found in errors.items()}
    together = [error for found in errors.values() for error in found]
    return figures | ({"durationError": float(np.mean(together))} if together else {})


UPPER = ("pinyinErrorRate", "melCepstralDistortion", "realTimeFactor", "f0Rmse")
LOWER = ("speakerSimilarity",)


def _field(metric: str) -> str:
    return f"{'min' if metric in LOWER else 'max'}{metric[0].upper()}{metric[1:]}"


def limit_of(metric: str, evaluation: Evaluation) -> float | None:
    """Return the threshold that the spec sets for a metric, if it does."""
    found = evaluation.model_dump(by_alias=True, exclude_none=True).get(_field(metric))
    return None if found is None else float(found)


def judge(
    metrics: dict[str, float], evaluation: Evaluation, missing: dict[str, str] | None = None
) -> tuple[Verdict, tuple[str, ...]]:
    """Compare figures with thresholds; each failure says the figure, the threshold and its field.

    A threshold on what was not measured fails too, and says why it was not (`missing`).
    """
    failures = []
    for metric in (*UPPER, *LOWER):
        if (limit := limit_of(metric, evaluation)) is None:
            continue
        value = metrics.get(metric)
        if value is None:
            why = (missing or {}).get(metric, "no clip could be compared")
            failures.append(f"{metric} was not measured, but spec.evaluation.{_field(metric)} is set: {why}")
        elif not (value >= limit if metric in LOWER else value <= limit):
            failures.append(f"{metric} is {value:.3g}, spec.evaluation.{_field(metric)} allows {limit:.3g}")
    if evaluation.policy is EvaluationPolicy.REPORT:
        return Verdict.REPORTED, tuple(failures)
    return (Verdict.FAILED if failures else Verdict.PASSED), tuple(failures)
