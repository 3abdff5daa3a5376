"""One sentence in every emotion of a voice."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from kubevoice.audio.mel import MelConfig
from kubevoice.engine import Controls, Engine, synthesize_text

from kubevoice_training.features.acoustic_features import extract_features

__all__ = ["SAMPLE_TEXT", "EmotionSamples", "write_emotion_samples"]

SAMPLE_TEXT = "今天我们一起学习中文。"


@dataclass(frozen=True, slots=True)
class EmotionSamples:
    """One sentence in every emotion.

    Attributes
    ----------
    folder
        Where there is a FLAC file for each emotion.
    metrics
        Length in seconds and median F0 in Hz of each emotion, as `seconds.LABEL` and `f0Median.LABEL`.
    """

    folder: Path
    metrics: dict[str, float]


def write_emotion_samples(engine: Engine, folder: Path) -> EmotionSamples:
    """Synthesize one sentence in every emotion.

    Parameters
    ----------
    engine
        The voice.
    folder
        Where a FLAC file for each emotion is written.

    Returns
    -------
    EmotionSamples
        The files and their metrics.
    """
    folder.mkdir(exist_ok=True)
    metrics: dict[str, float] = {}
    mel = MelConfig(sample_rate=engine.sample_rate, hop_length=engine.manifest.hop)
    for label in (emotion.label for emotion in engine.manifest.emotions):
        audio = synthesize_text(engine, SAMPLE_TEXT, Controls(emotion=label))
        soundfile.write(folder / f"{label}.flac", np.clip(audio, -1.0, 1.0), engine.sample_rate, subtype="PCM_16")
        f0 = extract_features(audio, mel).f0
        metrics[f"seconds.{label}"] = round(len(audio) / engine.sample_rate, 3)
        metrics[f"f0Median.{label}"] = round(float(np.median(f0[f0 > 0])), 1) if (f0 > 0).any() else 0.0
    return EmotionSamples(folder, metrics)
