"""Emotion intensity above 1: the predicted pitch, energy and durations are extrapolated away from neutral.

The emotion embedding is not extrapolated: networks respond unpredictably to embeddings outside their training data.
With some, an emotion that should be slower becomes faster. Pitch, energy and duration have scales of their own, on
which extrapolation is well defined.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kubevoice.engine.controls import compute_pitch_shift
from kubevoice.voice import VoiceStats

__all__ = ["extrapolate_emotion"]

Array = NDArray[np.float32]
Run = Callable[[Sequence[str], Mapping[str, Any]], Sequence[Array]]
"""The encoder: the outputs that are named, from its inputs."""

VOICED_HERTZ = 40.0
"""Lower predictions are of unvoiced symbols, which were trained as 0 Hz."""
SHORTEST_FRAMES = 0.5
MAX_RATIO = 2.0
"""Largest ratio of a symbol's pitch or duration to its neutral one; larger ones are clipped."""


def extrapolate_emotion(
    run: Run, feeds: Mapping[str, Any], rest: Array, extra: Array, stats: VoiceStats
) -> dict[str, Array]:
    """Return the encoder inputs to change for emotions of an intensity above 1.

    `feeds` asks for each of N symbols' emotion as trained, `rest` [N, rows] has the weights of rest, and `extra` [N]
    says how many times the way from rest to the emotion is gone again; where it is 0 the prediction stays as it is.
    Semitones and logarithms of durations are carried on, and energies as they are.
    """
    outputs = ("pitch", "energy", "durations")
    pitch_0, energy_0, durations_0 = run(outputs, {**feeds, "emotion_weights": rest})
    pitch_1, energy_1, durations_1 = run(outputs, feeds)
    hertz_0, hertz_1 = (pitch * stats.pitch_std + stats.pitch_mean for pitch in (pitch_0, pitch_1))
    voiced = np.minimum(hertz_0, hertz_1) > VOICED_HERTZ
    semitones = np.where(voiced, 12.0 * extra * _octaves(hertz_1, hertz_0, VOICED_HERTZ), 0.0)
    changed = {
        "pitch_shift": feeds["pitch_shift"] + compute_pitch_shift(pitch_1, stats, semitones),
        "energy_shift": (feeds["energy_shift"] + extra * (energy_1 - energy_0)).astype(np.float32),
    }
    # The durations follow from pitch and energy too, and already go some way with them.
    (durations,) = run(["durations"], {**feeds, **changed})
    wanted = np.maximum(durations_1, SHORTEST_FRAMES) * 2.0 ** (
        extra * _octaves(durations_1, durations_0, SHORTEST_FRAMES)
    )
    scale = np.where(extra > 0.0, wanted / np.maximum(durations, SHORTEST_FRAMES), 1.0)
    return changed | {"duration_scale": (feeds["duration_scale"] * scale).astype(np.float32)}


def _octaves(value: Array, reference: Array, least: float) -> Array:
    """Return the binary logarithm of a ratio, of which neither side counts as less than `least`."""
    ratio = np.maximum(value, least) / np.maximum(reference, least)
    octaves: Array = np.log2(np.clip(ratio, 1.0 / MAX_RATIO, MAX_RATIO))
    return octaves
