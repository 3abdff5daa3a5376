"""Measuring a voice by what a listener would notice, with the engine that will serve it."""

from collections.abc import Sequence

import numpy as np
from kubevoice.audio.mel import MelConfig
from kubevoice.resources.stages import Verdict
from kubevoice.resources.voicemodel import Evaluation, EvaluationPolicy
from numpy.typing import NDArray
from scipy.fft import dct

from kubevoice_training.features import Features, extract

__all__ = ["compare_with_recordings", "judge", "mel_cepstral_distortion"]

Array = NDArray[np.float32]
CEPSTRA = 13


def _align(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Dynamic time warping (Sakoe & Chiba 1978): the cheapest path through `cost` [A, B]."""
    a, b = cost.shape
    total = np.full((a + 1, b + 1), np.inf)
    total[0, 0] = 0.0
    for i in range(a):
        for j in range(b):
            total[i + 1, j + 1] = cost[i, j] + min(total[i, j + 1], total[i + 1, j], total[i, j])
    path, i, j = [], a, b
    while i and j:
        path.append((i - 1, j - 1))
        back = int(np.argmin((total[i - 1, j - 1], total[i - 1, j], total[i, j - 1])))
        i, j = i - (back != 2), j - (back != 1)
    return path[::-1]


def _cepstra(mel: Array, config: MelConfig) -> NDArray[np.float64]:
    """Mel cepstra 1 to 13 in nepers [T, 13]; 0, the level, says nothing of the timbre."""
    decibel = mel.astype(np.float64) * -config.min_level_db + config.min_level_db + config.ref_level_db
    nepers = decibel * np.log(10.0) / 20.0
    return np.asarray(dct(nepers, axis=1)[:, 1 : CEPSTRA + 1] / (2.0 * nepers.shape[1]))


def _path(spoken: Features, recorded: Features, config: MelConfig) -> tuple[list[tuple[int, int]], float]:
    a, b = _cepstra(spoken.mel, config), _cepstra(recorded.mel, config)
    distance = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=-1))
    path = _align(distance)
    mean = float(np.mean([distance[i, j] for i, j in path]))
    return path, 10.0 * np.sqrt(2.0) / np.log(10.0) * mean


def mel_cepstral_distortion(spoken: Features, recorded: Features, config: MelConfig) -> float:
    """Distance of two utterances in dB after time warping (Kubichek 1993)."""
    return _path(spoken, recorded, config)[1]


def f0_error(spoken: Features, recorded: Features, config: MelConfig) -> float:
    """Root mean square F0 difference in Hz over frames voiced in both, after time warping; nan if there is none."""
    path, _ = _path(spoken, recorded, config)
    both = [(spoken.f0[i], recorded.f0[j]) for i, j in path if spoken.f0[i] > 0 and recorded.f0[j] > 0]
    return float(np.sqrt(np.mean([(x - y) ** 2 for x, y in both]))) if both else float("nan")


def compare_with_recordings(pairs: Sequence[tuple[Array, Features]], config: MelConfig) -> dict[str, float]:
    """Mean distances of synthesised audio to recordings of the same text."""
    spoken = [(extract(audio, config), recorded) for audio, recorded in pairs]
    distortion = [mel_cepstral_distortion(a, b, config) for a, b in spoken]
    errors = [error for a, b in spoken if np.isfinite(error := f0_error(a, b, config))]
    found = {"melCepstralDistortion": float(np.mean(distortion))} if distortion else {}
    return found | ({"f0Rmse": float(np.mean(errors))} if errors else {})


UPPER = ("pinyinErrorRate", "melCepstralDistortion", "realTimeFactor", "f0Rmse")
LOWER = ("speakerSimilarity",)


def judge(metrics: dict[str, float], evaluation: Evaluation) -> tuple[Verdict, tuple[str, ...]]:
    """Compare figures with thresholds; each failure says the figure, the threshold and its field."""
    limits = evaluation.model_dump(by_alias=True, exclude_none=True)
    failures = []
    for metric in (*UPPER, *LOWER):
        field = f"{'min' if metric in LOWER else 'max'}{metric[0].upper()}{metric[1:]}"
        if (limit := limits.get(field)) is None:
            continue
        value = metrics.get(metric)
        if value is None:
            failures.append(f"{metric} was not measured, but spec.evaluation.{field} is set")
        elif not (value >= limit if metric in LOWER else value <= limit):
            failures.append(f"{metric} is {value:.3g}, spec.evaluation.{field} allows {limit:.3g}")
    if evaluation.policy is EvaluationPolicy.REPORT:
        return Verdict.REPORTED, tuple(failures)
    return (Verdict.FAILED if failures else Verdict.PASSED), tuple(failures)
