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
"""Runs the encoder: names of outputs and inputs to outputs."""

VOICED_HERTZ = 40.0
"""Lower predictions are of unvoiced symbols, which were trained as 0 Hz."""
SHORTEST_FRAMES = 0.5
MAX_RATIO = 2.0
"""Largest ratio of a symbol's pitch or duration to its neutral one; larger ones are clipped."""


def extrapolate_emotion(
    run: Run, feeds: Mapping[str, Any], default: Array, extra: Array, stats: VoiceStats
) -> dict[str, Array]:
    """Return the encoder inputs to change for emotions of an intensity above 1.

    Semitones and logarithms of durations are extrapolated linearly, and so are energies. Where `extra` is 0 the
    prediction does not change.

    Parameters
    ----------
    run
        Runs the encoder.
    feeds
        Inputs of the encoder with the emotion of each of N symbols as trained.
    default
        Emotion weights of the default emotion, [N, rows].
    extra
        Intensity above 1 of each symbol, [N].
    stats
        Mean and standard deviation that pitch was normalised by.

    Returns
    -------
    dict[str, Array]
        pitch_shift, energy_shift and duration_scale, [N] each.
    """
    outputs = ("pitch", "energy", "durations")
    pitch_0, energy_0, durations_0 = run(outputs, {**feeds, "emotion_weights": default})
    pitch_1, energy_1, durations_1 = run(outputs, feeds)
    hertz_0, hertz_1 = (pitch * stats.pitch_std + stats.pitch_mean for pitch in (pitch_0, pitch_1))
    voiced = np.minimum(hertz_0, hertz_1) > VOICED_HERTZ
    semitones = np.where(voiced, 12.0 * extra * _octaves(hertz_1, hertz_0, VOICED_HERTZ), 0.0)
    changed = {
        "pitch_shift": feeds["pitch_shift"] + compute_pitch_shift(pitch_1, stats, semitones),
        "energy_shift": (feeds["energy_shift"] + extra * (energy_1 - energy_0)).astype(np.float32),
    }
    # The durations also depend on pitch and energy, so they have changed already.
    (durations,) = run(["durations"], {**feeds, **changed})
    target = np.maximum(durations_1, SHORTEST_FRAMES) * 2.0 ** (
        extra * _octaves(durations_1, durations_0, SHORTEST_FRAMES)
    )
    scale = np.where(extra > 0.0, target / np.maximum(durations, SHORTEST_FRAMES), 1.0)
    return changed | {"duration_scale": (feeds["duration_scale"] * scale).astype(np.float32)}


def _octaves(value: Array, reference: Array, least: float) -> Array:
    """Return the binary logarithm of a ratio; values below `least` are raised to it."""
    ratio = np.maximum(value, least) / np.maximum(reference, least)
    octaves: Array = np.log2(np.clip(ratio, 1.0 / MAX_RATIO, MAX_RATIO))
    return octaves
