"""Prosody of a synthesized sentence: F0, its range, speaking rate and loudness, by which emotions differ."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from kubevoice.audio.mel import MelConfig
from kubevoice.engine import Controls, Engine, synthesize_text
from kubevoice.text import analyse
from numpy.typing import NDArray

from kubevoice_training.dataset.faults import Waveform
from kubevoice_training.evaluation.recording_metrics import measure_recording
from kubevoice_training.features.acoustic_features import Features, extract_features

__all__ = ["ProsodyMetrics", "ProsodySample", "compute_median", "count_noticeable_steps", "synthesize_and_measure"]

OCTAVE = 12.0
RANGE = (10.0, 90.0)
"""Percentiles of F0 that its range lies between: frames where its tracking fails lie outside."""
TEMPO_STEP, LEVEL_STEP = 0.05, 1.0
"""A change of tempo of 5 % is just noticeable in speech (Quené, Journal of Phonetics 35, 2007); of level, 1 dB."""


@dataclass(frozen=True, slots=True)
class ProsodyMetrics:
    """Prosody of one sentence, or medians over several.

    Attributes
    ----------
    f0
        Median F0 in Hz, over voiced frames.
    f0_range
        From percentile 10 to percentile 90 of F0, in semitones.
    rate
        Syllables a second, without the silence at both ends.
    level
        Loudness in LUFS.
    """

    f0: float
    f0_range: float
    rate: float
    level: float


@dataclass(frozen=True, slots=True)
class ProsodySample:
    """A synthesized sentence.

    Attributes
    ----------
    text
        The sentence.
    audio
        Samples [T], full scale 1.
    features
        Features of the audio.
    prosody
        Its metrics.
    """

    text: str
    audio: NDArray[np.float32]
    features: Features
    prosody: ProsodyMetrics


def synthesize_and_measure(engine: Engine, text: str, controls: Controls) -> ProsodySample:
    """Synthesize a sentence and measure its prosody.

    Parameters
    ----------
    engine
        The voice.
    text
        One sentence.
    controls
        Speed, pitch, emotion and speaker.

    Returns
    -------
    ProsodySample
        Audio, features and metrics.

    Raises
    ------
    InputError
        If the voice has no such control or cannot synthesize the text.
    """
    audio = synthesize_text(engine, text, controls)
    features = extract_features(audio, MelConfig(sample_rate=engine.sample_rate, hop_length=engine.manifest.hop))
    units = list(chain.from_iterable(sentence.units for sentence in analyse(text).sentences))
    clip = measure_recording(Waveform(audio, engine.sample_rate), units)
    voiced = features.f0[features.f0 > 0]
    low, high = np.percentile(voiced, RANGE) if len(voiced) else (1.0, 1.0)
    middle = float(np.median(voiced)) if len(voiced) else 0.0
    spread = float(OCTAVE * np.log2(high / low))
    return ProsodySample(text, audio, features, ProsodyMetrics(middle, spread, clip.syllables_per_second, clip.lufs))


def compute_median(samples: Sequence[ProsodyMetrics]) -> ProsodyMetrics:
    """Compute the median of each metric over several sentences.

    Parameters
    ----------
    samples
        At least one.

    Returns
    -------
    ProsodyMetrics
        The medians.
    """
    table = np.array([(each.f0, each.f0_range, each.rate, each.level) for each in samples])
    return ProsodyMetrics(*(float(value) for value in np.median(table, axis=0)))


def count_noticeable_steps(a: ProsodyMetrics, b: ProsodyMetrics) -> float:
    """Compute the largest difference between two prosodies, in just noticeable steps.

    A step is a semitone of F0 or of its range, 5 % of speaking rate, or 1 dB.

    Parameters
    ----------
    a, b
        The prosodies; their rates and F0 are above 0.

    Returns
    -------
    float
        Number of steps, zero or more.

    References
    ----------
    Quené, "On the just noticeable difference for tempo in speech" (Journal of Phonetics 35, 2007) for the tempo.
    """
    return max(
        abs(OCTAVE * np.log2(a.f0 / b.f0)),
        abs(a.f0_range - b.f0_range),
        abs(np.log(a.rate / b.rate)) / np.log1p(TEMPO_STEP),
        abs(a.level - b.level) / LEVEL_STEP,
    )
